"""What a draft can lose: pairs, and itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from jobs.models import Job
from jobs.runner import job_run
from jobs.services import job_enqueue
from survey.canonical import canonical_json
from survey.exceptions import PairConflict, PairUnknown, StudyNotDeletable, StudyNotEditable
from survey.models import Arm, DeletedStudy, ImagePair, PairImage, Study
from survey.selectors.jobs import study_subject
from survey.services.access.member import member_set
from survey.services.images import importing as image_import
from survey.services.images.importing import images_import
from survey.services.images.pairs import pairs_register, pairs_remove, pairs_select
from survey.services.records import stored_files
from survey.services.records.stored_files import files_forget, pair_files
from survey.services.study.study import study_create, study_delete, study_transition
from survey.services.study.version import version_freeze
from tests.factories import make_running, make_study, make_user, make_version, make_visit
from tests.survey.api.test_researcher_api import Caller
from tests.survey.services.images.test_importing import folders, matched

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user("owner")


def test_pairs_left_out_are_not_frozen(owner) -> None:
    study = make_study(owner=owner, pairs=6)
    keys = sorted(study.pairs.values_list("key", flat=True))
    assert pairs_select(study=study, keys=keys[:2], is_selected=False, actor=owner) == 2
    assert pairs_select(study=study, keys=keys[:3], is_selected=False, actor=owner) == 1
    assert pairs_select(study=study, keys=keys[2:3], is_selected=True, actor=owner) == 1
    version = version_freeze(study=study, actor=owner)
    assert set(version.slots.values_list("pair__key", flat=True)) == set(keys[2:])
    with pytest.raises(StudyNotEditable):
        pairs_select(study=study, keys=keys[:1], is_selected=True, actor=owner)


def test_pairs_go_with_their_images_unless_a_version_has_them(owner) -> None:
    study = make_study(owner=owner, pairs=4)
    keys = sorted(study.pairs.values_list("key", flat=True))
    with pytest.raises(PairUnknown, match="nobody"):
        pairs_remove(study=study, keys=[keys[0], "nobody"], actor=owner)
    assert pairs_remove(study=study, keys=keys[:1], actor=owner) == 1
    assert PairImage.objects.filter(pair__study=study).count() == 6
    version_freeze(study=study, actor=owner)
    study_transition(study=study, name="revise", actor=owner, reason="a typo")
    with pytest.raises(PairConflict, match="leave it out instead"):
        pairs_remove(study=study, keys=keys[1:2], actor=owner)
    assert study.pairs.count() == 3


def test_a_draft_nobody_visited_goes_whole_also_after_a_revision(owner) -> None:
    version = make_version(owner=owner)
    study_transition(study=version.study, name="revise", actor=owner, reason="a typo")
    other = make_study(owner=owner)
    study_delete(study=version.study, actor=owner)
    assert list(Study.objects.all()) == [other]
    assert not Arm.objects.exclude(study=other).exists()
    assert not ImagePair.objects.exclude(study=other).exists()
    assert other.pairs.count() == 6


def stored(study: Study) -> set[str]:
    """Return the names of the files of a study's images that are in the storage."""
    names = pair_files(ImagePair.objects.filter(study=study))
    return {name for name in names if default_storage.exists(name)}


def test_files_go_with_a_draft_unless_another_study_shows_them(owner, django_capture_on_commit_callbacks) -> None:
    # Studies of the factory have the same pictures: the smaller one shares all of its own.
    kept, gone = make_study(owner=owner, pairs=2), make_study(owner=owner, pairs=4)
    version_freeze(study=gone, actor=owner)
    study_transition(study=gone, name="revise", actor=owner, reason="a typo")
    own = stored(gone) - stored(kept)
    assert len(own) >= 4
    with django_capture_on_commit_callbacks(execute=True):
        study_delete(study=gone, actor=owner)
        assert all(default_storage.exists(name) for name in own), "a transaction that fails must not cost files"
    assert not any(default_storage.exists(name) for name in own)
    assert len(stored(kept)) == 4


def test_files_of_removed_pairs_go_too(owner, django_capture_on_commit_callbacks) -> None:
    study = make_study(owner=owner, pairs=3)
    before = stored(study)
    with django_capture_on_commit_callbacks(execute=True):
        pairs_remove(study=study, keys=[study.pairs.first().key], actor=owner)
    assert len(before - stored(study)) == 2
    assert not any(default_storage.exists(name) for name in before - stored(study))


def test_many_files_are_deleted_by_a_worker(owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_files, "INLINE_FILES", 2)
    monkeypatch.setattr(stored_files, "_A_JOB", 3)
    study = make_study(owner=owner, pairs=4)
    before = stored(study)
    study_delete(study=study, actor=owner)
    jobs = list(Job.objects.filter(kind=stored_files.FORGET))
    assert [len(job.parameters["names"]) for job in jobs] == [2, 3, 3]
    assert sum(job_run(job.pk).result["deleted"] for job in jobs) == len(before) == 8
    assert not any(default_storage.exists(name) for name in before)


def test_a_file_that_is_pointed_at_while_it_goes_is_put_back(owner, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(owner=owner, pairs=1)
    names = sorted(stored(study))
    with default_storage.open(names[0]) as file:
        content = file.read()
    looks = iter([set(), {names[0]}, set()])
    monkeypatch.setattr(stored_files, "_pointed_at", lambda asked: next(looks))
    assert files_forget(names) == 1
    with default_storage.open(names[0]) as file:
        assert file.read() == content
    assert not default_storage.exists(names[1])


def test_an_import_restores_a_file_that_was_deleted_while_it_ran(
    owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (study_create(owner=owner, slug=slug, title=slug) for slug in ("first", "second"))
    sources = folders(tmp_path, **matched())
    images_import(study=first, sources=sources, actor=owner)

    def register(**given):
        count = pairs_register(**given)
        study_delete(study=first, actor=owner)
        files_forget(names)
        return count

    names = sorted(stored(first))
    monkeypatch.setattr(image_import, "pairs_register", register)
    monkeypatch.setattr(stored_files, "_pointed_at", lambda asked: set())
    images_import(study=second, sources=sources, actor=owner)
    assert sorted(stored(second)) == names


def test_the_log_of_a_deleted_draft_stays_whole_and_checkable(owner) -> None:
    study = make_study(owner=owner, slug="gone")
    entries = study.audit_entries.count()
    study_delete(study=study, actor=owner)
    left = DeletedStudy.objects.get()
    assert (left.slug, left.deleted_by) == ("gone", owner)
    previous = ""
    lines = [json.loads(line) for line in left.log.splitlines()]
    for number, line in enumerate(lines, start=1):
        sha256 = line.pop("sha256")
        assert sha256 == hashlib.sha256(canonical_json(line)).hexdigest()
        assert (line["number"], line["previous"]) == (number, previous)
        previous = sha256
    assert (len(lines), lines[-1]["action"], previous) == (entries + 1, "delete", left.last_sha256)
    other = Client()
    other.force_login(make_user("other"))
    assert "gone" not in other.get("/admin/survey/deletedstudy/").content.decode()
    client = Client()
    client.force_login(owner)
    assert "gone" in client.get("/admin/survey/deletedstudy/").content.decode()
    page = client.get(f"/admin/survey/deletedstudy/{left.pk}/change/").content.decode()
    assert left.last_sha256 in page
    assert Caller(owner)("get", "deleted-studies/").json()["results"][0]["log"] == left.log


def test_what_has_votes_or_is_at_work_stays(owner) -> None:
    version = make_running(owner=owner)
    make_visit(version)
    for name in ("pause", "revise"):
        study_transition(study=version.study, name=name, actor=owner, reason="why")
    frozen, busy = make_version(owner=owner).study, make_study(owner=owner)
    job_enqueue(kind="survey.freeze", subject=study_subject(busy))
    for study in (version.study, frozen, busy):
        with pytest.raises(StudyNotDeletable):
            study_delete(study=study, actor=owner)
    assert Study.objects.count() == 3


def test_only_owners_delete_in_the_admin(owner) -> None:
    study = make_study(owner=owner, slug="gone")
    helper = make_user("helper")
    member_set(study=study, user=helper, role="collaborator", actor=owner)
    client, address = Client(), f"/admin/survey/study/{study.pk}/delete/"
    client.force_login(helper)
    assert client.post(address, {"post": "yes"}).status_code == 403
    client.force_login(owner)
    assert "gone" in client.get(address).content.decode()
    assert client.post(address, {"post": "yes"}).status_code == 302
    assert not Study.objects.exists()
