"""Sample pairs and the raters' page in the report: drawn by the seed, from the images and texts that raters saw."""

from __future__ import annotations

import io

import numpy as np
import pytest
from django.core.files.storage import default_storage
from PIL import Image

from survey.models import PairImage
from survey.reports.report import report_write
from survey.reports.samples import sample_figures
from survey.services.study.study import study_transition
from survey.services.visit.submission import Answer
from tests.beyond import ASKED, LEFT, WORDS
from tests.factories import CRITERIA, make_described, make_running, make_visit
from tests.languages import THREE_LANGUAGES
from tests.visits import active, vote

pytestmark = pytest.mark.django_db


def finished(**fields):
    version = make_running(**fields)
    make_visit(version)
    study_transition(study=version.study, name="close", actor=None, reason="enough")
    return version


def by_name(study):
    return {figure.name: figure for figure in sample_figures(study)}


def colours(figure) -> int:
    return len(np.unique(np.asarray(Image.open(io.BytesIO(figure.files["png"])).convert("RGB")).reshape(-1, 3), axis=0))


def height(figure) -> int:
    return Image.open(io.BytesIO(figure.files["png"])).height


def test_the_same_pairs_are_drawn_each_time_with_every_arm_named():
    version = finished(pairs=6)
    version.study.arms.filter(name="robust").update(title="robust v2.1")
    one, two = by_name(version.study)["sample_pairs"], by_name(version.study)["sample_pairs"]
    assert one.files == two.files
    assert one.title == "Sample pairs, 4 of 6 pairs drawn by the study's seed"
    assert one.description.count("robust v2.1, vanilla") == 4
    assert colours(one) > 200


def test_another_seed_draws_other_pairs():
    versions = [finished(pairs=6, seed=seed) for seed in range(4)]
    assert len({by_name(version.study)["sample_pairs"].description for version in versions}) > 1


def test_the_page_shows_question_and_answers_in_the_studys_language():
    found = by_name(finished(**THREE_LANGUAGES).study)["interface"]
    assert "Which image is better?" in found.description
    assert "Left, No preference, Right" in found.description
    assert colours(found) > 200
    forced = by_name(finished(are_ties_allowed=False, question="Which {class_name} is better?").study)["interface"]
    assert "No preference" not in forced.description
    assert "{class_name}" not in forced.description


def test_the_page_shows_what_follows_a_choice_in_the_studys_words():
    version = make_running(practice_trials=0, answer_words=WORDS, **ASKED)
    vote(active(version), answers=[Answer(**LEFT)])
    found = by_name(version.study)["interface"]
    assert "(Image A, Both alike, Image B)" in found.description
    assert "Then, one after the other: How much better is it? (Slightly, Clearly, Much); " in found.description
    assert "(Both, Only the chosen one, Neither); Why? Choose what applies. (Anatomy, Colour)." in found.description
    plain = by_name(finished().study)["interface"]
    assert height(found) > height(plain) + 200


def test_the_page_shows_each_criterion_with_answers_of_its_own():
    found = by_name(finished(criteria=CRITERIA, criteria_design="together").study)["interface"]
    assert found.description.count("(Left, ") == len(CRITERIA)
    assert "Which image has better detail? (Left, No preference, Right)" in found.description
    assert "Which image is better overall? (Left, Right)" in found.description


@pytest.mark.parametrize("place", ["above", "between"])
def test_the_page_shows_the_reference_in_its_place_and_the_prompt_that_raters_read(place):
    version = finished(study=make_described(reference_place=place))
    found = by_name(version.study)["interface"]
    assert f"on grey, their reference {place}, with" in found.description
    assert "The prompt: prompt " in found.description
    assert found.files != by_name(finished().study)["interface"].files
    hidden = by_name(finished(study=make_described(are_prompts_shown=False)).study)["interface"]
    assert "prompt" not in hidden.description


def test_without_a_persons_vote_there_is_no_page_to_show():
    version = make_running()
    make_visit(version, is_simulated=True)
    assert set(by_name(version.study)) == {"sample_pairs"}


def test_an_image_that_is_gone_costs_the_figures_and_not_the_report(tmp_path):
    version = finished()
    for name in PairImage.objects.values_list("file", flat=True):
        default_storage.delete(name)
    report = report_write(version.study, tmp_path / "out")
    assert report["figures"] == []
    assert (tmp_path / "out" / "report.html").exists()


def test_the_report_shows_them_with_the_design(tmp_path):
    version = finished()
    report_write(version.study, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    design, position = page.index('id="design"'), page.index('id="position-bias"')
    assert design < page.index("figure-interface") < page.index("figure-sample_pairs") < position
    assert "Images and gradients" not in page
    assert (tmp_path / "out" / "figures" / "sample_pairs.png").exists()
    for name, figure in by_name(version.study).items():
        (tmp_path / f"{name}.png").write_bytes(figure.files["png"])
