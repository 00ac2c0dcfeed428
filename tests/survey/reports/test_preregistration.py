"""What is registered is what the report will do, and what there was before it."""

import pytest

from survey.reports.preregistration import Sayings, preregistration_text
from tests.factories import CRITERIA, make_running, make_version, make_visit

pytestmark = pytest.mark.django_db


def said(version) -> dict[str, str]:
    return dict(Sayings(version).osf())


def test_a_text_made_after_votes_says_that_they_came_first():
    """It went on to say that no votes had been collected, whenever it was printed."""
    version = make_running()
    make_visit(version, is_simulated=True)
    text = preregistration_text(version)
    assert "There are none; registered before any vote under this version." in text
    assert "No votes have been collected under this version." in text
    visit = make_visit(version)
    votes = visit.trials.count()
    text = preregistration_text(version)
    assert f"{votes} votes under this version: this text is no registration before the data." in text
    assert f"{votes} votes had been collected under this version" in text
    assert "No votes have been collected" not in text
    assert "There is nothing to explain." not in text


def test_several_arms_are_registered_as_the_family_that_the_verdicts_count():
    several = make_version(arms=("a", "b", "c"))
    assert "The 3 comparisons are one family" in said(several)["Inference criteria."]
    assert "(Bonferroni)" in said(several)["Inference criteria."]
    assert "family" not in said(make_version())["Inference criteria."]


def test_by_several_criteria_only_one_comparison_is_tested_alone():
    options = {"criteria": CRITERIA, "criteria_design": "blocks", "headline_criterion": "detail"}
    two = said(make_version(**options))["Inference criteria."]
    assert "Detail is tested alone; the other criteria are one family, adjusted by Holm." in two
    three = said(make_version(arms=("a", "b", "c"), **options))["Inference criteria."]
    assert "tested alone" not in three
    assert "The 3 comparisons by detail are one family" in three
    assert "Comparisons by the other criteria are one family, adjusted by Holm." in three


def test_ties_are_named_only_where_they_can_be_chosen():
    forced, tied = (preregistration_text(make_version(are_ties_allowed=allowed)) for allowed in (False, True))
    for words in ("ties split", "a tie 1/2", "with ties"):
        assert words in tied
        assert words not in forced
    assert "forced choice." in forced


def test_a_plan_of_any_number_of_looks_registers_what_decides():
    anytime = make_version(stopping_rule="anytime")
    assert "rests on the betting confidence sequence" in said(anytime)["Statistical models."]
    assert "confidence sequence" not in said(make_version())["Statistical models."]


def test_a_size_of_one_is_no_plural():
    version = make_version(votes_per_pair=1, target_raters=2)
    assert said(version)["Sample size."].startswith("2 raters with up to 6 trials each, and 1 vote a compared pair on ")
