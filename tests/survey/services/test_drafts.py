"""What a draft can lose: pairs, and itself."""

from __future__ import annotations

import pytest
from django.test import Client

from jobs.services import job_enqueue
from survey.exceptions import PairConflict, PairUnknown, StudyNotDeletable, StudyNotEditable
from survey.models import Arm, ImagePair, PairImage, Study
from survey.services.member import member_set
from survey.services.pair import pairs_remove, pairs_select
from survey.services.study import study_delete, study_transition
from survey.services.version import version_freeze
from tests.factories import make_running, make_study, make_user, make_version, make_visit

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


def test_what_has_votes_or_is_at_work_stays(owner) -> None:
    version = make_running(owner=owner)
    make_visit(version)
    for name in ("pause", "revise"):
        study_transition(study=version.study, name=name, actor=owner, reason="why")
    frozen, busy = make_version(owner=owner).study, make_study(owner=owner)
    job_enqueue(kind="survey.freeze", parameters={"study": busy.slug})
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
