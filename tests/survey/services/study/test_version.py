from __future__ import annotations

import hashlib
import io
import json

import pytest
from django.core.files.storage import default_storage
from PIL import Image

from survey.canonical import canonical_json
from survey.exceptions import IllegalTransition, PairConflict, StudyNotEditable, StudyNotReady
from survey.models import AuditEntry, ImagePair, PairImage, ReferenceImage, ServedCopies, Slot
from survey.selectors.copies import copies_folder, copy_file
from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
from survey.services.records.audit import audit_first_break
from survey.services.study.study import TRANSITIONS, arm_add, study_create, study_transition, study_update
from survey.services.study.version import manifest_lines, version_config, version_freeze, version_problems
from survey.services.study.weaknesses import version_weaknesses
from tests.factories import make_described, make_png, make_study, make_version

pytestmark = pytest.mark.django_db


def test_freeze_makes_an_immutable_version_with_balanced_slots() -> None:
    version = make_version(votes_per_pair=4)
    assert version.study.state == "frozen"
    slots = Slot.objects.filter(version=version)
    assert slots.count() == 6 * 4
    for pair in version.study.pairs.all():
        assert slots.filter(pair=pair, is_a_left=True).count() == 2
    with pytest.raises(StudyNotEditable):
        study_update(study=version.study, actor=None, title="another")
    with pytest.raises(StudyNotEditable):
        arm_add(study=version.study, name="third")


def test_freeze_twice_gives_the_same_digests_after_a_revision_without_change() -> None:
    first = make_version()
    study_transition(study=first.study, name="revise", actor=None)
    second = version_freeze(study=first.study)
    assert second.number == 2
    assert (first.config_sha256, first.manifest_sha256) == (second.config_sha256, second.manifest_sha256)


def test_freeze_names_every_problem_at_once() -> None:
    study = make_study(arms=("alone",), pairs=0, consent_text="")
    with pytest.raises(StudyNotReady) as refusal:
        version_freeze(study=study)
    assert len(refusal.value.problems) == 4
    study.refresh_from_db()
    assert study.state == "draft"


def test_freeze_refuses_a_pair_without_an_arm() -> None:
    study = make_study()
    PairImage.objects.filter(pair__study=study).first().delete()
    with pytest.raises(StudyNotReady, match="miss an arm's image"):
        version_freeze(study=study)


def test_the_version_names_the_setup_of_its_copies_and_how_they_are_shown() -> None:
    version = make_version()
    copies = ServedCopies.objects.filter(image__pair__study=version.study)
    assert copies.count() == 12
    assert {row.setup for row in copies} == {version.config["copies"]["setup"]}
    assert max(max(row.lengths) for row in copies) == version.served_bytes
    assert version.config["trial"]["display"] == "pixels"  # 16 pixels a side
    assert version.config["images"] == {"frame": [16, 16], "least": [16, 16], "narrowest": 1.0, "widest": 1.0}


def test_pairs_register_twice_adds_nothing_and_other_images_are_refused() -> None:
    study = make_study(pairs=0)

    def pair(first: int) -> NewPair:
        images = {}
        for place, arm in enumerate(("vanilla", "robust")):
            name, sha256 = image_store(make_png(first + place))
            images[arm] = NewImage(file=name, sha256=sha256, width=16, height=16)
        return NewPair(key="3-00000", images=images)

    assert pairs_register(study=study, pairs=[pair(1)]) == 1
    assert pairs_register(study=study, pairs=[pair(1)]) == 0
    with pytest.raises(PairConflict, match="3-00000"):
        pairs_register(study=study, pairs=[pair(5)])
    assert ImagePair.objects.filter(study=study).count() == 1


@pytest.mark.parametrize("name", sorted(TRANSITIONS))
def test_transition_from_a_wrong_state_is_refused_and_not_logged(name: str) -> None:
    study = make_study(pairs=0)
    if study.state in TRANSITIONS[name].sources:
        study.state = "archived"
        study.save()
    entries = AuditEntry.objects.count()
    with pytest.raises(IllegalTransition):
        study_transition(study=study, name=name, actor=None)
    assert AuditEntry.objects.count() == entries


def test_audit_log_shows_a_changed_entry() -> None:
    version = make_version()
    assert audit_first_break(version.study) is None
    entry = AuditEntry.objects.filter(study=version.study).order_by("number")[1]
    AuditEntry.objects.filter(pk=entry.pk).update(actor="somebody else")
    assert audit_first_break(version.study) == entry.number


def test_a_question_that_names_the_class_needs_the_name_of_every_pair() -> None:
    study = make_study(pairs=6, question="Which {class_name} looks better?")
    assert version_problems(study) == []
    ImagePair.objects.filter(study=study, class_label="1").update(class_name="")
    (problem,) = version_problems(study)
    assert problem.startswith("the question names the class, but 2 pair(s) have no class name, first 1-00001")


def test_a_study_that_says_nothing_of_its_texts_can_be_frozen_and_is_told_to_read_them() -> None:
    study = make_study(pairs=6)
    fresh = study_create(owner=study.members.get().user, title="Faces")
    assert fresh.consent_text
    assert fresh.instructions
    assert "the consent text is the one that comes with the program" in " ".join(version_weaknesses(fresh))
    assert "{" not in fresh.question


@pytest.mark.parametrize("change", ["prompt", "class_name", "tags", "reference"])
def test_what_raters_read_is_in_the_digest_of_the_design(change: str) -> None:
    study = make_described(practice_trials=0)
    before = version_config(study)
    pair = study.pairs.order_by("key").first()
    if change == "reference":
        pair.reference.sha256 = "0" * 64
        pair.reference.save()
    else:
        setattr(pair, change, ["other"] if change == "tags" else "other")
        pair.save()
    assert canonical_json(version_config(study)) != canonical_json(before)


def test_each_line_of_the_manifest_says_what_raters_read() -> None:
    version = version_freeze(study=make_described(practice_trials=0))
    lines = list(manifest_lines(version.study, version))
    assert hashlib.sha256(b"".join(lines)).hexdigest() == version.manifest_sha256
    assert version.config["pairs"]["manifest_sha256"] == version.manifest_sha256
    line = json.loads(lines[0])
    assert (line["prompt"], line["name"], line["tags"]) == ("prompt 0", "digit 0", ["animal", "group 0"])
    assert line["reference_sha256"] == hashlib.sha256(make_png(900)).hexdigest()
    assert version.config["trial"]["are_prompts_shown"] is True
    assert version.config["trial"]["reference_place"] == "between"


def test_a_version_from_before_prompts_has_the_lines_that_its_digest_was_taken_over() -> None:
    study = make_described(practice_trials=0)
    version = version_freeze(study=study)
    del version.config["pairs"]["manifest"]
    line = json.loads(next(manifest_lines(study, version)))
    assert sorted(line) == ["class", "images", "index", "key", "kind", "noise_sha256", "seed"]


def test_a_study_without_prompts_freezes_nothing_of_them() -> None:
    trial = make_version().config["trial"]
    assert not {"are_prompts_shown", "reference_place", "is_wording_kept"} & set(trial)


def test_references_have_copies_of_the_sizes_of_their_pairs_images() -> None:
    version = version_freeze(study=make_described(practice_trials=0))
    setup = version.config["copies"]["setup"]
    for reference in ReferenceImage.objects.filter(pair__study=version.study):
        (length,) = reference.setups[setup]
        name = copy_file(copies_folder(setup, reference.pk), 0)
        with default_storage.open(name) as file:
            content = file.read()
        assert len(content) == length
        assert Image.open(io.BytesIO(content)).size == (16, 16)
