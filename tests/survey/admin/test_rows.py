"""The lists of rows: found by the beginning of an id, in an order that an index has."""

from __future__ import annotations

import hashlib

import pytest
from django.contrib.admin import site
from django.urls import reverse
from django.utils.text import capfirst

from survey.models import RaterSession, Trial, Vote
from tests.factories import make_running, make_user, make_visit
from tests.survey.admin.test_study_pages import client_of, vote_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user("owner")


@pytest.fixture
def version(owner):
    version = make_running(owner=owner, votes_per_pair=4)
    vote_on(version, raters=3, trials=3)
    return version


def found(client, table: str, text: str) -> set:
    answer = client.get(f"/admin/survey/{table}/", {"q": text})
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


def test_rows_are_found_by_whole_ids_and_by_what_lists_show_of_them(owner, version) -> None:
    client, session = client_of(owner), RaterSession.objects.order_by("pk").first()
    trial = session.trials.first()
    own_votes = set(Vote.objects.filter(trial__session=session).values_list("pk", flat=True))
    for text in (str(session.pk), session.pk.hex, str(session), f" {str(session.pk)[:13].upper()} "):
        assert found(client, "vote", text) == own_votes, text
        assert found(client, "trial", text) == set(session.trials.values_list("pk", flat=True)), text
        assert found(client, "ratersession", text) == {session.pk}, text
    assert found(client, "vote", str(trial)) == {trial.votes.get().pk}
    assert found(client, "trial", str(trial.pk)) == {trial.pk}
    assert found(client, "ratersession", str(session.rater_id)) == {session.pk}


@pytest.mark.parametrize("text", ["0000", "%", "left", "zzzzzzzz", "0" * 33, "1 OR 1=1", "12345678_"])
def test_what_begins_no_id_finds_nothing(owner, version, text: str) -> None:
    for table in ("vote", "trial", "ratersession"):
        assert found(client_of(owner), table, text) == set()


def test_an_id_finds_nothing_for_a_stranger(owner, version) -> None:
    session, client = RaterSession.objects.first(), client_of(make_user("stranger"))
    for table in ("vote", "trial", "ratersession"):
        assert found(client, table, str(session.pk)) == set()


def test_the_list_of_one_study_is_a_page_of_that_study(owner, version) -> None:
    for table in ("ratersession", "vote"):
        address = f"/admin/survey/{table}/"
        tabs = f'href="/admin/survey/study/{version.study_id}/exclusions/"'
        assert tabs in client_of(owner).get(f"{address}?of_study={version.study_id}").content.decode()
        assert tabs not in client_of(owner).get(address).content.decode()
        assert tabs not in client_of(make_user()).get(f"{address}?of_study={version.study_id}").content.decode()


def test_one_study_of_several_is_shown(owner, version) -> None:
    other = make_running(owner=owner)
    vote_on(other, raters=1)
    client = client_of(owner)
    for table, path in (
        ("vote", "trial__session__version"),
        ("trial", "session__version"),
        ("ratersession", "version"),
    ):
        answer = client.get(f"/admin/survey/{table}/", {"of_study": other.study_id})
        rows = answer.context["cl"].result_list
        model = {"vote": Vote, "trial": Trial, "ratersession": RaterSession}[table]
        assert {row.pk for row in rows} == set(model.objects.filter(**{path: other}).values_list("pk", flat=True))


def test_trials_that_nobody_saw_are_not_listed(owner) -> None:
    version = make_running(owner=owner)
    make_visit(version)
    session = RaterSession.objects.get()
    session.trials.filter(position=3).update(issued_at=None)
    listed = found(client_of(owner), "trial", str(session.pk))
    assert listed == set(session.trials.exclude(position=3).values_list("pk", flat=True))


def test_votes_show_their_phase_and_are_filtered_by_it(owner) -> None:
    version = make_running(owner=owner)
    make_visit(version)
    make_visit(version, is_simulated=True)
    client = client_of(owner)
    for phase in ("main", "simulated", "pilot"):
        answer = client.get("/admin/survey/vote/", {"phase": phase})
        shown = {vote.trial.session.is_simulated for vote in answer.context["cl"].result_list}
        assert shown == {"main": {False}, "simulated": {True}, "pilot": set()}[phase]
        if phase != "pilot":
            assert f'field-phase">{phase}<' in answer.content.decode()


def test_every_list_is_headed_by_what_it_lists(owner, version) -> None:
    client = client_of(make_user("admin", is_superuser=True))
    for model in site._registry:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        page = client.get(address)
        assert page.status_code == 200, address
        assert f"<h1>{capfirst(model._meta.verbose_name_plural)}</h1>" in page.content.decode()


@pytest.mark.parametrize("table", ["vote", "ratersession"])
def test_what_a_row_stores_reads_as_facts_and_not_as_json(owner, version, table: str) -> None:
    facts = {"pixel_ratio": 1.5, "is_touch": True, "shown": {"left": [3, 4]}, "note": "<b>", "zoom": None}
    RaterSession.objects.update(device=facts)
    Vote.objects.update(presentation=facts)
    row = {"vote": Vote, "ratersession": RaterSession}[table].objects.first()
    page = client_of(owner).get(f"/admin/survey/{table}/{row.pk}/change/").content.decode()
    for name, fact in (("pixel ratio", "1.5"), ("is touch", "yes"), ("shown", "left: 3, 4"), ("zoom", "–")):
        assert f"<tr><th>{name}</th><td>{fact}</td></tr>" in page
    assert "<td>&lt;b&gt;</td>" in page
    assert "{&quot;" not in page


def test_every_row_page_opens(owner, version) -> None:
    for model in (RaterSession, Trial, Vote, version.__class__, version.study.pairs.model):
        row = model._default_manager.first()
        address = reverse(f"admin:survey_{model._meta.model_name}_change", args=[row.pk])
        assert client_of(owner).get(address).status_code == 200, model


def test_a_session_does_not_tell_the_trials_ahead(owner, version) -> None:
    seed, session = 3696515153224722977, RaterSession.objects.first()
    RaterSession.objects.update(seed=seed, assignment={"algorithm": "blindpair.assignment/2", "seed": seed})
    page = client_of(owner).get(f"/admin/survey/ratersession/{session.pk}/change/").content.decode()
    assert str(seed) not in page
    assert "algorithm" not in page


def test_a_versions_page_leads_to_its_design(owner, version) -> None:
    client = client_of(owner)
    page = client.get(f"/admin/survey/studyversion/{version.pk}/change/").content.decode()
    address = reverse("admin:survey_study_version_json", args=[version.study_id, version.number])
    assert f'<a href="{address}">' in page
    assert hashlib.sha256(client.get(address).content).hexdigest() == version.config_sha256
    assert version.config_sha256 in page
