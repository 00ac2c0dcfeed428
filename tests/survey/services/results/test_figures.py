"""Figures of a study's networks: stored with digests, and found again by its report."""

import json

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from survey.models import AuditEntry, StudyFigure
from survey.reports.facts import study_figures
from survey.reports.report import report_write
from survey.services.results.figures import study_figures_store
from survey.services.results.image_metrics import image_metrics_store
from tests.factories import make_png, make_study

pytestmark = pytest.mark.django_db


def _figure(name: str, seed: int = 1) -> dict:
    return {"name": name, "title": f"{name} (n = 3)", "description": "Rows.", "files": {"png": make_png(seed)}}


def test_the_report_holds_the_figures_of_its_study_alone_in_their_order(tmp_path) -> None:
    study, other = make_study(), make_study()
    assert study_figures_store(study=study, figures=[_figure("matched_pairs"), _figure("class_ascent", 2)]) == 2
    study_figures_store(study=other, figures=[_figure("class_gradients")])
    report = report_write(study, tmp_path / "out")
    assert [figure["name"] for figure in report["figures"]] == ["matched_pairs", "class_ascent"]
    assert (tmp_path / "out" / "figures" / "class_ascent.png").read_bytes() == make_png(2)
    assert "matched_pairs (n = 3)." in (tmp_path / "out" / "report.html").read_text()
    assert AuditEntry.objects.get(study=study, action="figures").detail["figures"] == ["matched_pairs", "class_ascent"]


def test_drawing_again_replaces_the_figures(tmp_path) -> None:
    study = make_study()
    study_figures_store(study=study, figures=[_figure("matched_pairs"), _figure("class_ascent")])
    study_figures_store(study=study, figures=[_figure("matched_pairs", 2)])
    assert [(figure.name, figure.files["png"]) for figure in study_figures(study)] == [("matched_pairs", make_png(2))]


def test_a_changed_or_lost_file_is_refused_with_the_remedy() -> None:
    study = make_study()
    study_figures_store(study=study, figures=[_figure("matched_pairs")])
    name = StudyFigure.objects.get().files["png"]["name"]
    default_storage.delete(name)
    with pytest.raises(ValueError, match=r"cannot be read.*make_figures"):
        study_figures(study)
    default_storage.save(name, ContentFile(b"other"))
    with pytest.raises(ValueError, match=r"has changed.*make_figures"):
        study_figures(study)


def test_distances_of_pairs_go_with_the_report_in_a_file(tmp_path) -> None:
    study = make_study(pairs=3)
    first = study.pairs.order_by("key").first()
    assert report_write(study, tmp_path / "without")["preference_by_difference"] == []
    assert not (tmp_path / "without" / "pair_distances.json").exists()
    first.distance = 0.125
    first.save()
    report_write(study, tmp_path / "with")
    assert json.loads((tmp_path / "with" / "pair_distances.json").read_text()) == {str(first.pk): 0.125}


def test_metrics_by_class_reach_the_report_and_go_with_their_arm(tmp_path) -> None:
    study = make_study()
    kid = {"value": 0.5, "ci95": None, "n": 5, "n_reference": 9, "features": None, "reason": None}
    by_class = {"robust": {"0": {"kid": kid}, "1": {"kid": kid}}}
    assert image_metrics_store(study=study, results={"robust": {"kid": kid}}, by_class=by_class, reference="a") == 3
    report = report_write(study, tmp_path / "out")
    assert report["image_metrics_by_class"] == by_class
    assert report["image_metrics"] == {"robust": {"kid": kid}}
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["image_metrics_by_class"] == by_class
    image_metrics_store(study=study, results={"robust": {"recall": kid}}, reference="b")
    assert report_write(study, tmp_path / "again")["image_metrics_by_class"] == {}
