"""Calls that change or erase data: pairs, drafts, persons, the panel's list."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from survey.models import Erasure, Rater, Study, Vote
from survey.services.access.member import member_set
from survey.services.visit.arrival import identity_keys
from tests.factories import make_running, make_study, make_user, make_visit
from tests.survey.api.test_researcher_api import Caller, problem
from tests.survey.services.images.test_importing import matched, zipped

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user("owner")


def test_pairs_are_left_out_and_removed(owner) -> None:
    study, call = make_study(owner=owner, slug="s"), Caller(owner)
    keys = sorted(study.pairs.values_list("key", flat=True))
    assert call("patch", "studies/s/pairs/", {"keys": keys[:2], "is_selected": False}).json() == {"changed": 2}
    assert call("post", "studies/s/pairs/remove/", {"keys": keys[:1]}).json() == {"changed": 1}
    listed = call("get", "studies/s/pairs/").json()["results"]
    assert [pair["is_selected"] for pair in listed] == [False, True, True, True, True]
    problem(call("post", "studies/s/pairs/remove/", {"keys": ["x"]}), 404, "pair_unknown")
    problem(Caller(owner, "read")("post", "studies/s/pairs/remove/", {"keys": keys[1:2]}), 403, "permission_denied")


def test_a_draft_is_deleted_by_owners_alone(owner) -> None:
    study, helper = make_study(owner=owner, slug="s"), make_user("helper")
    make_running(owner=owner, slug="running")
    member_set(study=study, user=helper, role="collaborator", actor=owner)
    problem(Caller(helper)("delete", "studies/s/"), 403, "permission_denied")
    problem(Caller(owner, "read", "write")("delete", "studies/s/"), 403, "permission_denied")
    assert Caller(owner)("delete", "studies/s/").status_code == 204
    problem(Caller(owner)("delete", "studies/running/"), 409, "study_not_deletable")
    assert list(Study.objects.values_list("slug", flat=True)) == ["running"]


def test_a_person_is_erased_and_the_proof_is_listed(owner) -> None:
    version, helper, call = make_running(owner=owner, slug="s"), make_user("helper"), Caller(owner)
    member_set(study=version.study, user=helper, role="collaborator", actor=owner)
    session = make_visit(version)
    key = identity_keys(version.study, "open", "person-1")[0]
    Rater.objects.filter(pk=session.rater_id).update(provider_key=key)
    problem(Caller(helper)("post", "studies/s/erasures/", {"panel_id": "person-1"}), 403, "permission_denied")
    made = call("post", "studies/s/erasures/", {"panel_id": "person-1"})
    assert made.status_code == 201
    assert made.json()["votes_kept"] == Vote.objects.filter(is_current=True).count() > 0
    assert call("get", "studies/s/erasures/").json() == [made.json()]
    assert Rater.objects.get(pk=session.rater_id).provider_key is None
    problem(call("post", "studies/s/erasures/", {"panel_id": "person-1"}), 404, "nothing_to_erase")
    assert Erasure.objects.count() == 1


def test_arms_are_renamed_and_the_slug_of_a_draft_too(owner) -> None:
    make_study(owner=owner, slug="s", pairs=2)
    call = Caller(owner)
    assert call("patch", "studies/s/arms/robust/", {"name": "robust_l2"}).json()["name"] == "robust_l2"
    assert [arm["name"] for arm in call("get", "studies/s/arms/").json()] == ["robust_l2", "vanilla"]
    problem(call("patch", "studies/s/arms/robust/", {"name": "x"}), 404, "not_found")
    problem(call("patch", "studies/s/arms/vanilla/", {"name": "robust_l2"}), 400, "invalid")
    changed = call("patch", "studies/s/", {"slug": "t"}).json()
    assert changed["link"].endswith("/s/t/")
    problem(call("get", "studies/s/"), 404, "not_found")


def test_classes_get_their_names_with_an_import(owner) -> None:
    study, call = make_study(owner=owner, slug="s", arms=(), pairs=0), Caller(owner)
    files = {f"{arm}/{name}": body for arm, images in matched().items() for name, body in images.items()}

    def send(classes: bytes):
        data = {
            "zip": SimpleUploadedFile("a.zip", zipped(files).read()),
            "classes": SimpleUploadedFile("c.csv", classes),
        }
        return call("post", "studies/s/import/", data=data)

    found = problem(send(b"class_label,class_name\ncat"), 422, "import_refused")
    assert found["errors"] == [{"detail": "class names, line 2: expected class_label,class_name"}]
    assert send(b"class_label,class_name\ncat,a tabby cat\n").status_code == 200
    assert set(study.pairs.values_list("class_label", "class_name")) == {("cat", "a tabby cat")}


def test_personal_links_are_listed_shown_again_and_closed(owner) -> None:
    make_running(owner=owner, slug="s", recruitment={"provider": "personal"})
    call = Caller(owner)
    made = [call("post", "studies/s/links/", {"count": count}).json() for count in (2, 3)]
    assert call("get", "studies/s/links/2/").json() == made[1]
    assert call("post", "studies/s/links/2/1/revoke/").status_code == 204
    assert call("get", "studies/s/links/2/").json()["links"] == made[1]["links"][1:]
    assert call("get", "studies/s/links/").json() == [
        {"batch": 2, "count": 3, "revoked": 1},
        {"batch": 1, "count": 2, "revoked": 0},
    ]
    problem(call("get", "studies/s/links/3/"), 404, "not_found")
    problem(call("post", "studies/s/links/2/4/revoke/"), 404, "not_found")
    problem(Caller(owner, "read")("post", "studies/s/links/2/2/revoke/"), 403, "permission_denied")


def test_the_panels_list_is_compared(owner) -> None:
    make_running(owner=owner, slug="s")
    rows = [{"submission": "a1", "status": "APPROVED"}, {"submission": "a1", "status": "APPROVED"}]
    found = Caller(owner)("post", "studies/s/reconcile/", {"submissions": rows}).json()
    assert (found["matched"], [row["kind"] for row in found["differences"]]) == (0, ["never came", "listed twice"])
    problem(Caller(owner)("post", "studies/s/reconcile/", {"submissions": []}), 400, "invalid")
