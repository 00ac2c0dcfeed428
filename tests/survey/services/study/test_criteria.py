"""Criteria of a draft: what is refused, and how they are frozen."""

from __future__ import annotations

import pytest

from survey.exceptions import StudyNotEditable, StudyNotReady
from survey.models import Slot
from survey.services.study.criteria import criteria_problems
from survey.services.study.plan import power_of
from survey.services.study.study import study_transition, study_update
from survey.services.study.version import version_freeze, version_problems
from survey.services.study.weaknesses import version_weaknesses
from tests.factories import CRITERIA, make_study, make_version

ONE = {"key": "detail", "question": "Which has better detail?"}


@pytest.mark.parametrize(
    ("criteria", "problem"),
    [
        ("detail", "not a list of objects"),
        (["detail"], "not a list of objects"),
        ([{"key": "detail"}], "criterion 1: it needs a question"),
        ([ONE, {"key": "realism", "question": " "}], "criterion 2: it needs a question"),
        ([{"question": "Which?"}], "criterion 1: it needs a key"),
        ([ONE | {"key": "fine detail"}], "criterion 1: it needs a key"),
        ([ONE | {"definition": 3}], "its definition is a text"),
        ([ONE | {"is_tie_allowed": "yes"}], "is_tie_allowed is true or false"),
        ([ONE | {"weight": 2}], "criterion 1: it has weight; it may have key"),
        ([ONE, ONE], "two criteria have the key 'detail'"),
        ([ONE | {"key": f"k{n}"} for n in range(9)], "9 criteria are too many"),
    ],
)
def test_what_is_wrong_with_criteria_is_named(criteria, problem) -> None:
    assert any(problem in found for found in criteria_problems(criteria))


def test_good_criteria_have_no_problem() -> None:
    assert criteria_problems([]) == criteria_problems([ONE]) == criteria_problems(CRITERIA) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("draft", "problem"),
    [
        ({"criteria": [{"key": "detail"}]}, "criterion 1: it needs a question"),
        ({"criteria": [ONE | {"question": "Which {prompts}?"}]}, "the question of criterion detail has a placeholder"),
        ({"criteria": CRITERIA, "headline_criterion": "beauty"}, "must be one of realism, detail, overall"),
        ({"headline_criterion": "beauty"}, "must be empty"),
        ({"criteria": CRITERIA, "trials_per_session": 2}, "2 trials a session are fewer than the 3 blocks"),
    ],
)
def test_a_draft_whose_criteria_do_not_fit_is_not_frozen(draft, problem) -> None:
    study = make_study(**draft)
    assert any(problem in found for found in version_problems(study))
    with pytest.raises(StudyNotReady):
        version_freeze(study=study)


@pytest.mark.django_db
def test_criteria_design_and_headline_are_frozen_and_a_change_is_a_new_version() -> None:
    version = make_version(criteria=CRITERIA, criteria_design="together")
    assert version.config["criteria"] == {
        "design": "together",
        "headline": "realism",
        "list": [{"definition": "", "is_tie_allowed": True} | entry for entry in CRITERIA],
    }
    study = version.study
    changed = [CRITERIA[0] | {"question": "Which one is real?"}, *CRITERIA[1:]]
    with pytest.raises(StudyNotEditable):
        study_update(study=study, actor=None, criteria=changed)
    study_transition(study=study, name="revise", actor=None)
    study_update(study=study, actor=None, criteria=changed, headline_criterion="overall")
    study.refresh_from_db()
    second = version_freeze(study=study)
    assert (second.number, second.config["criteria"]["headline"]) == (2, "overall")
    assert second.config_sha256 != version.config_sha256
    version.refresh_from_db()
    assert version.config["criteria"]["list"][0]["question"] == CRITERIA[0]["question"]


@pytest.mark.django_db
def test_a_study_of_one_question_is_frozen_as_before() -> None:
    assert "criteria" not in make_version().config


@pytest.mark.django_db
@pytest.mark.parametrize(("design", "keys"), [("blocks", ["realism", "detail", "overall"]), ("together", [""])])
def test_blocks_want_each_vote_by_each_criterion_and_together_wants_it_once(design, keys) -> None:
    version = make_version(criteria=CRITERIA, criteria_design=design, votes_per_pair=4)
    slots = Slot.objects.filter(version=version)
    assert slots.count() == 6 * 4 * len(keys)
    for key in keys:
        for pair in version.study.pairs.all():
            assert slots.filter(pair=pair, criterion=key, is_a_left=True).count() == 2


@pytest.mark.django_db
def test_what_several_criteria_ask_of_the_plan_is_named() -> None:
    plan = {"criteria": CRITERIA, "trials_per_session": 40, "degraded_trials": 2, "identical_trials": 0}
    found = version_weaknesses(make_study(**plan))
    assert "40 trials a session do not divide by 3 criteria: a visit has 39" in found
    assert any("2 degraded trials are dealt out to 3 blocks" in text for text in found)
    long = [CRITERIA[0] | {"question": "Which " + "very " * 20 + "good?"}, *CRITERIA[1:]]
    together = version_weaknesses(make_study(**plan | {"criteria": long, "criteria_design": "together"}))
    assert not any("do not divide" in text or "dealt out" in text for text in together)
    assert any("the question of criterion realism has 111 characters" in text for text in together)


@pytest.mark.django_db
def test_blocks_want_more_votes_of_the_same_raters_than_together() -> None:
    plan = {"criteria": CRITERIA, "trials_per_session": 6, "votes_per_pair": 10, "target_raters": 10}
    wanted = "recruit {} raters or lower the votes per pair"
    assert any(wanted.format(30) in text for text in version_weaknesses(make_study(**plan)))
    together = version_weaknesses(make_study(**plan | {"criteria_design": "together"}))
    assert not any("recruit" in text for text in together)


def test_power_knows_the_number_of_criteria() -> None:
    design = {"raters": 30, "pairs": 60, "votes_per_rater": 20, "preference": 0.6}
    one, two, three = (power_of(**design, criteria=number) for number in (1, 2, 3))
    assert one["power_of_others"] is None
    # One criterion beside the headline has no family to share the level with.
    assert two["power_of_others"] == pytest.approx(two["power"])
    assert three["power_of_others"] < two["power_of_others"]
    assert three["power"] == one["power"]
