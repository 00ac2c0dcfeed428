"""The studies of the demo: one for people, and its rehearsal, whose votes and report are there from the start."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from config.management.demo import study as demo
from tests.factories import make_study, make_user, make_visit

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def owner():
    return make_user(is_superuser=True)


@pytest.fixture
def study(owner, monkeypatch: pytest.MonkeyPatch):
    """A study of two arms with images, as training and generation leave it."""
    monkeypatch.setattr(demo, "demo_recipes", lambda: {demo.BASELINE: {}, demo.ARM: {}})
    study = make_study(owner=owner, pairs=6)
    demo.study_open(study, owner)
    return study


def test_opening_twice_changes_nothing(study, owner) -> None:
    demo.study_open(study, owner)
    study.refresh_from_db()
    assert (study.state, study.versions.count()) == ("running", 1)


def test_the_rehearsal_shows_the_same_pairs_beside_the_open_study(study, owner) -> None:
    rehearsal = demo.rehearsal_study(study, owner, raters=3)
    assert rehearsal.state == "frozen"
    assert rehearsal.target_raters == 3
    facts = ("key", "class_label", "class_name", "seed", "index")
    assert list(rehearsal.pairs.order_by("key").values_list(*facts)) == list(
        study.pairs.order_by("key").values_list(*facts)
    )
    files = ("key", "images__arm__name", "images__sha256", "images__file")
    assert sorted(rehearsal.pairs.values_list(*files)) == sorted(study.pairs.values_list(*files))
    assert demo.rehearsal_study(study, owner, raters=3) == rehearsal
    assert demo.rehearsal_study(study, owner, raters=4) != rehearsal


def test_the_rehearsal_has_votes_and_a_report_and_votes_of_people_do_not_stop_it(study, owner, tmp_path) -> None:
    rehearsal = demo.rehearsal_study(study, owner, raters=3)
    assert not demo.is_rehearsed(rehearsal)
    call_command("simulate_raters", study=rehearsal.slug, raters=3, arm=demo.ARM, **demo.SIMULATED)
    demo.rehearsal_report(rehearsal, owner)
    assert demo.is_rehearsed(rehearsal)
    client = Client()
    client.force_login(owner)
    page = client.get(f"/admin/survey/study/{rehearsal.pk}/reports/").content.decode()
    assert "report.html" in page
    assert b"simulated" in client.get(f"/admin/survey/study/{rehearsal.pk}/").content
    make_visit(study.versions.get())  # somebody votes in the demo, which hides the results of the open study
    with pytest.raises(CommandError, match="hidden"):
        call_command("export_report", study=study.slug, out=tmp_path / "open")
    call_command("export_report", study=rehearsal.slug, out=tmp_path, arm=demo.ARM, baseline=demo.BASELINE)
    assert (tmp_path / "report.html").exists()
