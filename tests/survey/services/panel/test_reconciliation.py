from __future__ import annotations

import json

import pytest

from survey.exceptions import BadPanelExport, NothingToErase
from survey.models import PanelSubmission, Rater, RaterIdentity, RaterSession, Study, Vote
from survey.recruitment import Entry
from survey.selectors.vote import vote_rows
from survey.services.access.member import member_set
from survey.services.panel.erasure import identity_erase
from survey.services.panel.links import personal_links_create
from survey.services.panel.reconciliation import panel_rows, submissions_reconcile
from survey.services.visit.arrival import identity_keys, rater_of
from survey.services.visit.session import session_start
from tests.factories import make_running, make_study, make_user
from tests.sent_forms import sent_by
from tests.survey.admin.test_study_pages import client_of, vote_on

pytestmark = pytest.mark.django_db
PROLIFIC = {"provider": "prolific", "is_signed": False, "codes": {"complete": "CDONE"}}


def visit(version, person: str, *, state: str = "completed", code: str = "CDONE") -> RaterSession:
    rater = rater_of(study=version.study, entry=Entry(provider="prolific", person=person, submission=f"s-{person}"))
    session = session_start(study=version.study, rater=rater)
    RaterSession.objects.filter(pk=session.pk).update(state=state, completion_code=code)
    return session


def csv_of(*rows: tuple[str, str, str]) -> bytes:
    lines = [",".join(row) for row in (("Submission id", "Status", "Completion code"), *rows)]
    return ("\ufeff" + "\n".join(lines)).encode()


def test_reconciliation_names_every_kind_of_difference() -> None:
    version = make_running(recruitment=PROLIFIC)
    for person in ("good", "paid", "worked", "othercode", "unlisted"):
        visit(version, person)
    visit(version, "dropped", state="active")
    rows = panel_rows(
        csv_of(
            ("s-good", "APPROVED", "CDONE"),
            ("s-good", "APPROVED", "CDONE"),
            ("s-paid", "AWAITING REVIEW", "CDONE"),
            ("s-worked", "TIMED-OUT", ""),
            ("s-othercode", "APPROVED", "CX"),
            ("s-dropped", "APPROVED", "CDONE"),
            ("s-ghost", "APPROVED", "CDONE"),
            ("s-left", "RETURNED", ""),
        )
    )
    found = submissions_reconcile(study=version.study, provider="prolific", rows=rows, actor=None)
    assert found.matched == 2
    assert sorted(row["kind"] for row in found.differences) == [
        "another code",
        "complete here, not there",
        "complete there, not here",
        "listed twice",
        "never came",
        "unknown to the panel",
    ]
    assert PanelSubmission.objects.count() == 7
    assert not PanelSubmission.objects.filter(submission_key__contains="s-").exists()
    submissions_reconcile(study=version.study, provider="prolific", rows=rows, actor=None)
    assert PanelSubmission.objects.count() == 7


def test_panel_exports_are_read_as_csv_and_as_json_of_the_api() -> None:
    (row,) = panel_rows(json.dumps({"results": [{"id": "s1", "status": "APPROVED", "study_code": "C"}]}).encode())
    assert (row.submission, row.status, row.code) == ("s1", "APPROVED", "C")
    for content in (b"", b"\xff\xfe", b"a,b\n1,2", b"[1]", b"{}"):
        with pytest.raises(BadPanelExport):
            panel_rows(content)


def test_the_same_person_has_another_hash_in_another_study() -> None:
    one, two = make_running().study, make_running().study
    assert identity_keys(one, "prolific", "p") != identity_keys(two, "prolific", "p")


def test_a_known_person_is_found_after_the_secret_key_was_changed(settings) -> None:
    version = make_running()
    entry = Entry(provider="prolific", person="p", submission="s")
    rater = rater_of(study=version.study, entry=entry)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-" + "z" * 40
    assert rater_of(study=version.study, entry=entry) == rater


def test_erasing_a_person_keeps_the_votes_and_a_proof() -> None:
    owner = make_user("owner")
    version = make_running(recruitment=PROLIFIC, owner=owner)
    vote_on(version, raters=1, trials=3)
    session = RaterSession.objects.get()
    keys = identity_keys(version.study, "prolific", "p1")
    Rater.objects.update(provider="prolific", provider_key=keys[0])
    RaterIdentity.objects.create(rater=session.rater, submission_key="x")
    RaterSession.objects.update(answers={"age": "30"}, device={"agent": "browser"})
    with pytest.raises(NothingToErase):
        identity_erase(study=version.study, panel_id="somebody", actor=owner)
    proof = identity_erase(study=version.study, panel_id="p1", actor=owner)
    assert (proof.identity_digest, proof.votes_kept) == (keys[0], 3)
    session.refresh_from_db()
    assert (session.answers, session.device, session.rater.provider_key) == ({}, {}, None)
    assert not RaterIdentity.objects.exists()
    assert Vote.objects.count() == 3
    assert len(list(vote_rows(version.study))) == 3
    entry = version.study.audit_entries.order_by("-number").first()
    assert (entry.action, entry.detail["identity_digest"]) == ("erase identity", keys[0])
    with pytest.raises(NothingToErase, match=f"was erased on .*{keys[0]}"):
        identity_erase(study=version.study, panel_id="p1", actor=owner)


def test_a_person_is_erased_by_the_number_of_a_link_also_once_the_study_recruits_elsewhere() -> None:
    version = make_running(recruitment={"provider": "personal"})
    link, other = personal_links_create(study=version.study, count=2, actor=None)
    raters = {
        one: rater_of(study=version.study, entry=Entry(provider="personal", person=str(one.pk), submission="s"))
        for one in (link, other)
    }
    Study.objects.filter(pk=version.study_id).update(recruitment=PROLIFIC)
    study = Study.objects.get(pk=version.study_id)
    for unknown in ("1-3", "1-", "2", str(link.pk)):
        with pytest.raises(NothingToErase):
            identity_erase(study=study, panel_id=unknown, actor=None)
    identity_erase(study=study, panel_id="1-1", actor=None)
    assert Rater.objects.get(pk=raters[link].pk).provider_key is None
    assert Rater.objects.get(pk=raters[other].pk).provider_key is not None


def test_recruitment_page_sets_the_provider_makes_links_and_erases_for_owners_alone() -> None:
    owner, helper = make_user("owner"), make_user("helper")
    version = make_running(owner=owner, recruitment=PROLIFIC)
    member_set(study=version.study, user=helper, role="collaborator", actor=owner)
    visit(version, "p1")
    address = f"/admin/survey/study/{version.study_id}/recruitment/"
    client = client_of(owner)
    assert "{{%PROLIFIC_PID%}}" in client.get(address).content.decode()
    client.post(address, {"do": "links", "count": "3"})
    base = f"/admin/survey/study/{version.study_id}/links/1"
    assert client.get(f"{base}.csv").content.decode().count("?key=") == 3
    assert client.get(f"{base}/").content.decode().count("bp-slip") >= 3
    client.post(address, {"do": "revoke", "link": "1-2"})
    assert client.get(f"{base}.csv").content.decode().count("?key=") == 2
    assert client_of(helper).post(address, {"do": "erase", "panel_id": "p1"}).status_code == 403
    assert RaterIdentity.objects.exists()
    assert "Erased" in client.post(address, {"do": "erase", "panel_id": "p1"}, follow=True).content.decode()
    assert not RaterIdentity.objects.exists()


def test_recruitment_of_a_draft_is_set_in_the_form() -> None:
    owner = make_user("owner")
    study = make_study(owner=owner)
    address = f"/admin/survey/study/{study.pk}/recruitment/"
    client = client_of(owner)
    form = sent_by(client.get(address).content.decode(), "recruitment-provider") | {"do": "provider"}
    page = client.post(address, form | {"recruitment-provider": "prolific"}).content.decode()
    assert "needs a completion code" in page
    given = {"recruitment-provider": "prolific", "recruitment-complete": "C1", "recruitment-study_id": "s"}
    client.post(address, form | given)
    study.refresh_from_db()
    assert study.recruitment == {"provider": "prolific", "codes": {"complete": "C1"}, "study_id": "s"}


def test_settings_that_only_the_api_sets_outlive_the_form() -> None:
    owner = make_user("owner")
    site = {"provider": "open", "frame_ancestors": ["https://lab.example"], "completion_url": "https://lab.example/x"}
    study = make_study(owner=owner, recruitment=site)
    address = f"/admin/survey/study/{study.pk}/recruitment/"
    client = client_of(owner)
    form = sent_by(client.get(address).content.decode(), "recruitment-provider") | {"do": "provider"}
    client.post(address, form | {"recruitment-full": "FULL"})
    study.refresh_from_db()
    assert study.recruitment == site | {"codes": {"full": "FULL"}}
