"""What reaches a browser must not tell the arms apart; and the test that says so must be able to fail."""

from __future__ import annotations

import io
import uuid

import numpy as np
import pytest
from PIL import Image

from survey import links
from survey.api import rater as api
from survey.models import PairImage, ServedCopies, Study, StudyVersion
from survey.services.blinding import served_copies
from survey.services.images.describing import pairs_describe
from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
from survey.services.study.study import arm_add, study_create, study_transition
from survey.services.study.version import version_freeze
from survey.views import image as image_view
from tests.blindness import adversary
from tests.blindness.adversary import Loot, Verdict, collect, features, verdict, with_time_ranks
from tests.copies import copy_bytes, copy_folder
from tests.factories import make_user
from tests.photos import photo, photo_draft

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# Under chance a verdict this far out comes once in 30,000 runs; a planted leak stands tens of errors out.
SURE = 4.0
# What only a memory of lengths tells: that a repeat may be one, as a memory of pictures does; see docs/decisions/0007.
OF_MEMORY = ("visit.",)
# What follows from a trial's place in the visit, left out for checks: a repeat cannot but come after its first showing.
OF_PLACE = ("number", "place", "vote.length", "json.length")


class Clock:
    """Time on a machine where every request takes about a millisecond, so that a planted delay is seen for sure."""

    def __init__(self) -> None:
        self._now, self._rng = 0.0, np.random.default_rng(1)

    def __call__(self) -> float:
        self._now += self._rng.gamma(4.0, 0.00025)
        return self._now

    def wait(self) -> None:
        self._now += 0.0015


def uneven_study(*, pairs: int = 30, trials: int = 26) -> StudyVersion:
    """Return an open study whose arms could hardly differ more: one is smooth, the other noise, with metadata."""
    owner = make_user()
    study = study_create(
        owner=owner,
        slug="uneven",
        title="Uneven",
        consent_text="Yes.",
        trials_per_session=trials,
        votes_per_pair=100,
        identical_trials=2,
        degraded_trials=3,
        repeat_trials=3,
    )
    for arm in ("vanilla", "robust"):
        arm_add(study=study, name=arm, actor=owner)
    rng = np.random.default_rng(7)
    new = []
    for number in range(pairs):
        smooth = np.add.outer(np.arange(24), np.arange(24) * rng.uniform(1, 4))[..., None] + rng.integers(0, 60, 3)
        noise = rng.integers(0, 256, (24, 24, 3))
        images = {}
        for arm, pixels in (("vanilla", smooth), ("robust", noise)):
            buffer = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                buffer, "PNG" if arm == "vanilla" else "WEBP", **({"lossless": True} if arm == "robust" else {})
            )
            name, sha256 = image_store(buffer.getvalue(), suffix=f".{arm}")
            images[arm] = NewImage(file=name, sha256=sha256, width=24, height=24)
        label = str(number % 5)
        new.append(NewPair(key=f"{label}-{number}", images=images, class_label=label, class_name=f"class {label}"))
    pairs_register(study=study, pairs=new)
    version = version_freeze(study=study)
    study_transition(study=study, name="open", actor=owner)
    return version


def graded_study(*, is_described: bool = False) -> StudyVersion:
    """Return an open study in fit, whose pairs differ in detail, and whose arms differ in it within a pair.

    Described, each pair has a prompt and a reference besides: of some pairs one arm's very image.
    """
    study = photo_draft(
        *[(160, 160)] * 24,
        least_box_px=64,
        trials_per_session=20,
        votes_per_pair=100,
        practice_trials=0,
        identical_trials=4,
        degraded_trials=4,
        repeat_trials=4,
        target_raters=40,
    )
    rng = np.random.default_rng(11)
    for number, pair in enumerate(study.pairs.order_by("key")):
        for image in pair.images.select_related("arm"):
            noise = 4 * (1 + number % 6) * (2 if image.arm.name == "robust" else 1)
            pixels = np.asarray(photo(160, 160, number)) + rng.normal(0, noise, (160, 160, 3))
            buffer = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
            image.file, image.sha256 = image_store(buffer.getvalue())
            image.save()
    if is_described:
        describe(study)
    version = version_freeze(study=study)
    study_transition(study=study, name="open", actor=None)
    return version


def describe(study: Study) -> None:
    for number, pair in enumerate(study.pairs.order_by("key")):
        image = pair.images.order_by("arm__name")[number % 2]
        size = {"width": 160, "height": 160}
        if number % 3:
            buffer = io.BytesIO()
            width = 160 - 20 * (number % 4)
            photo(width, 160, 500 + number).save(buffer, "PNG", compress_level=1)
            file, sha256 = image_store(buffer.getvalue())
            reference = NewImage(file=file, sha256=sha256, width=width, height=160)
        else:
            reference = NewImage(file=image.file, sha256=image.sha256, **size)
        words = {"prompt": f"a hill number {number}, " * (1 + 9 * (number % 5)), "reference": reference}
        pairs_describe(study=study, pairs=[NewPair(key=pair.key, images={}, **words)])


def judged(loot: Loot, *, of: str = "arm", without: tuple[str, ...] = ()) -> Verdict:
    """Try to tell the arms apart, checks from ordinary trials, or one kind of check from ordinary trials."""
    kinds = np.asarray(loot.kinds)
    keep = {"arm": np.isin(kinds, ("", "repeat")), "check": kinds == kinds}.get(of, np.isin(kinds, ("", of)))
    rows = [row for row, is_kept in zip(loot.rows, keep, strict=True) if is_kept]
    truth = np.asarray(loot.arm_a_left) if of == "arm" else kinds != ""
    groups = np.asarray(loot.sessions)[keep]
    matrix, names = features(with_time_ranks(rows, list(groups)), without=without)
    return verdict(matrix, names, truth[keep], groups)


def test_nothing_but_the_pixels_tells_arms_or_checks_apart() -> None:
    loot = collect(uneven_study(), sessions=60)
    assert len(loot.rows) > 2000
    found = judged(loot)
    assert found.z < SURE, f"the arms are told apart (AUC {found.auc:.3f}), most of all by {found.clue}"
    # All lengths are alike here, so that what a visit has seen of them only counts its trials: a place like others.
    found = judged(loot, of="check", without=(*OF_PLACE, *OF_MEMORY))
    assert found.z < SURE, f"checks are told apart (AUC {found.auc:.3f}), most of all by {found.clue}"


def test_lengths_that_differ_between_pairs_tell_neither_sides_nor_kinds_of_trials() -> None:
    """Pairs of six grades of detail, in fit: their files have several lengths; each kind of check is judged apart."""
    version = graded_study()
    lengths = {tuple(row) for row in ServedCopies.objects.values_list("lengths", flat=True)}
    assert len(lengths) >= 4, "the pairs do not differ in length: nothing is tried"
    loot = collect(version, sessions=40)
    found = judged(loot)
    assert found.z < SURE, f"the arms are told apart (AUC {found.auc:.3f}), most of all by {found.clue}"
    for kind in ("identical", "degraded", "repeat"):
        found = judged(loot, of=kind, without=(*OF_PLACE, *OF_MEMORY, ".ms"))
        assert found.z < SURE, f"{kind} trials are told apart (AUC {found.auc:.3f}), most of all by {found.clue}"


def test_prompts_and_references_tell_neither_sides_nor_kinds_of_trials(record_property) -> None:
    version = graded_study(is_described=True)
    loot = collect(version, sessions=40)
    assert all(row["reference.status"] == "200 OK" and row["json..prompt"] for row in loot.rows)
    assert len({row["reference.length"] for row in loot.rows}) >= 4, "the references do not differ in length"
    found = judged(loot)
    record_property("arms", f"AUC {found.auc:.3f}, {found.z:.1f} standard errors")
    assert found.z < SURE, f"the arms are told apart (AUC {found.auc:.3f}), most of all by {found.clue}"
    for kind in ("identical", "degraded", "repeat"):
        found = judged(loot, of=kind, without=(*OF_PLACE, *OF_MEMORY, ".ms"))
        record_property(kind, f"AUC {found.auc:.3f}, {found.z:.1f} standard errors")
        assert found.z < SURE, f"{kind} trials are told apart (AUC {found.auc:.3f}), most of all by {found.clue}"


def test_a_reference_has_the_bytes_of_any_image_outside_the_pixels_and_an_address_of_its_own_in_each_trial() -> None:
    version = graded_study(is_described=True)
    loot = collect(version, sessions=2)
    addresses = [row["json..reference"] for row in loot.rows]
    assert len(set(addresses)) == len(addresses)
    for row in loot.rows:
        assert row["reference.outside_length"] == row["left.outside_length"]
        assert {name.rpartition(".")[2] for name in row if name.startswith("reference.header")} == {
            name.rpartition(".")[2] for name in row if name.startswith("left.header")
        }


def test_all_served_files_have_the_same_bytes_outside_the_pixels() -> None:
    version = uneven_study(pairs=6)
    lengths, headers = set(), set()
    for image in PairImage.objects.all():
        for is_spoilt in (False, True):
            content = copy_bytes(image, is_spoilt=is_spoilt)
            lengths.add(len(content))
            headers.add(content[: content.index(b"VP8L") + 8])  # containers, profile, frame of the pixels
            with Image.open(io.BytesIO(content)) as picture:
                picture.load()
                assert (picture.format, picture.mode) == ("WEBP", "RGB")
                assert set(picture.info) <= {"icc_profile", "loop", "background", "timestamp", "duration"}
    assert lengths == {version.served_bytes}  # all pairs of noise fall into one class
    assert len(headers) == 1


# --- the same judge must catch each leak that is planted ------------------------------------------------------------


def leak_unpadded_files(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = served_copies.webp_file

    def unpadded(stream: bytes, *, width: int, height: int, length: int) -> bytes:
        return honest(stream, width=width, height=height, length=len(stream))

    monkeypatch.setattr(served_copies, "webp_file", unpadded)


def leak_ids_in_the_order_of_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = links.trial_facts

    def facts(trial, session):
        images = PairImage.objects.order_by("arm").values_list("pk", flat=True)
        numbers = {str(name): place for place, name in enumerate(images)}
        sides = (trial.left_image, trial.right_image)
        return honest(trial, session) | {"images": [numbers[str(uuid.UUID(str(image)))] for image in sides]}

    monkeypatch.setattr(links, "trial_facts", facts)


def leak_by_the_end_of_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = links.trial_facts

    def facts(trial, session):
        arm = PairImage.objects.get(pk=trial.left_image).arm.name
        return honest(trial, session) | {"prompt": "a hill" + " " * (arm == "robust")}

    monkeypatch.setattr(links, "trial_facts", facts)


def _arm_of_served() -> dict[str, str]:
    return {copy_folder(image): image.arm.name for image in PairImage.objects.select_related("arm")}


def leak_a_file_name(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = image_view.served_copy

    def named(token):
        own, content = honest(token)
        arm = _arm_of_served().get(image_view.image_claim_of(token.partition(".")[0]).name, "vanilla")
        return own | {"Content-Disposition": f'inline; filename="{arm}.webp"'}, content

    monkeypatch.setattr(image_view, "served_copy", named)


def leak_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(adversary, "clock", clock)
    honest = image_view.image_claim_of

    def claim(token):
        found = honest(token)
        if _arm_of_served().get(found.name) == "robust":
            clock.wait()
        return found

    monkeypatch.setattr(image_view, "image_claim_of", claim)


@pytest.mark.parametrize(
    "leak",
    [
        leak_unpadded_files,
        leak_ids_in_the_order_of_arms,
        leak_by_the_end_of_the_prompt,
        leak_a_file_name,
        leak_by_time,
    ],
    ids=lambda leak: leak.__name__,
)
def test_a_planted_leak_is_caught(leak, monkeypatch) -> None:
    leak(monkeypatch)
    loot = collect(uneven_study(pairs=12, trials=12), sessions=12)
    found = judged(loot)
    assert found.z > SURE, f"the leak went unseen: AUC {found.auc:.3f}"


def test_checks_that_take_longer_to_answer_are_caught(monkeypatch) -> None:
    clock = Clock()
    monkeypatch.setattr(adversary, "clock", clock)
    honest = api.vote_create

    def create(**fields):
        outcome = honest(**fields)
        if outcome.vote.trial.check_kind:
            clock.wait()
        return outcome

    monkeypatch.setattr(api, "vote_create", create)
    found = judged(collect(uneven_study(pairs=12, trials=12), sessions=12), of="check", without=OF_PLACE)
    assert found.z > SURE, f"the leak went unseen: AUC {found.auc:.3f}"
