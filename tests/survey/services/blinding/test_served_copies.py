from __future__ import annotations

import errno
import io

import numpy as np
import pytest
from django.core.files.storage import default_storage
from PIL import Image, ImageCms

from survey.exceptions import BadImage, CopiesUnstored
from survey.models import PairImage, ServedCopies
from survey.services.blinding import served_copies
from survey.services.blinding.near_lossless import near_lossless
from survey.services.blinding.scaling import scaled
from survey.services.blinding.served_copies import CopyPlan, copies_build, image_degraded
from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
from tests.copies import copy_bytes, copy_name, pixels_of
from tests.factories import make_study

pytestmark = pytest.mark.django_db
ORIGINALS = CopyPlan(least_px=None)
LADDER = CopyPlan(least_px=24)


def images_of(study) -> list[PairImage]:
    return PairImage.objects.filter(pair__study=study).select_related("pair", "arm")


def photos(*shapes: tuple[int, int], arms: tuple[str, ...] = ("vanilla", "robust")):
    """A draft whose pairs have these sizes; the first arm is smooth, the second rough."""
    study, rng = make_study(arms=arms, pairs=0), np.random.default_rng(5)
    for number, (width, height) in enumerate(shapes):
        slope = np.add.outer(np.arange(height), np.arange(width) * (1 + number))[..., None] + np.array([0, 40, 80])
        images = {}
        for place, arm in enumerate(arms):
            pixels = (slope + rng.integers(0, 1 + 60 * place, (height, width, 3))) % 256
            buffer = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
            file, sha256 = image_store(buffer.getvalue())
            images[arm] = NewImage(file=file, sha256=sha256, width=width, height=height)
        pairs_register(study=study, pairs=[NewPair(key=f"{number:03d}", images=images)])
    return study


def original(image: PairImage) -> Image.Image:
    with default_storage.open(image.file) as file:
        return Image.open(io.BytesIO(file.read())).convert("RGB")


def test_copies_have_the_pixels_of_their_renditions_at_every_size() -> None:
    images = images_of(photos((64, 48), (40, 80)))
    copies_build(images, LADDER, spoilt=10)
    for image in images:
        sizes = served_copies.rendition_sizes(image.width, image.height, least_px=24)
        assert len(sizes) >= 3
        for number, rendition in enumerate(scaled(original(image), sizes)):
            assert rendition.size == sizes[number]
            assert np.array_equal(pixels_of(copy_bytes(image, number)), np.asarray(rendition))
            spoilt = pixels_of(copy_bytes(image, number, is_spoilt=True))
            assert np.array_equal(spoilt, np.asarray(image_degraded(rendition)))


def test_images_that_appear_together_have_one_length_at_each_size_and_pairs_their_own() -> None:
    images = images_of(photos((64, 48), (64, 48), (200, 150)))
    longest = copies_build(images, LADDER, spoilt=10)
    lengths: dict[tuple, set[int]] = {}
    for image in images:
        for number in range(len(served_copies.rendition_sizes(image.width, image.height, least_px=24))):
            for is_spoilt in (False, True):
                content = copy_bytes(image, number, is_spoilt=is_spoilt)
                lengths.setdefault((image.pair_id, number), set()).add(len(content))
    assert all(len(of_group) == 1 for of_group in lengths.values()), lengths
    assert max(max(of_group) for of_group in lengths.values()) == longest
    assert len({*map(frozenset, lengths.values())}) > 3


def test_all_files_are_alike_outside_their_pixels() -> None:
    images = images_of(photos((64, 48), (64, 48)))
    copies_build(images, LADDER, spoilt=10)
    heads = set()
    for image in images:
        for is_spoilt in (False, True):
            content = copy_bytes(image, is_spoilt=is_spoilt)
            heads.add((content[:4], content[8 : content.index(b"VP8L") + 4]))
            assert default_storage.get_modified_time(copy_name(image, is_spoilt=is_spoilt)).timestamp() == 946_684_800
            with Image.open(io.BytesIO(content)) as picture:
                assert ImageCms.getProfileDescription(io.BytesIO(picture.info["icc_profile"])).startswith("sRGB")
    assert len(heads) == 1


def test_a_build_that_was_killed_goes_on_where_it_stopped(monkeypatch) -> None:
    images = images_of(make_study())
    monkeypatch.setattr(served_copies, "_PAIRS_A_BATCH", 2)
    steps: list[int] = []

    def stop(done: int, total: int) -> None:
        steps.append(done)
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copies_build(images, ORIGINALS, spoilt=12, on_progress=stop)
    assert ServedCopies.objects.count() == 4
    steps.clear()
    encoded: list[int] = []
    honest = served_copies._made
    monkeypatch.setattr(
        served_copies, "_made", lambda image, *rest, **kw: encoded.append(image.pk) or honest(image, *rest, **kw)
    )
    copies_build(images, ORIGINALS, spoilt=12, on_progress=lambda done, total: steps.append(done))
    assert (steps[0], steps[-1]) == (4, 12)
    assert len(encoded) == len(set(encoded)) == 8  # what was written is not encoded again, nothing is encoded twice
    steps.clear()
    copies_build(images, ORIGINALS, spoilt=12, on_progress=lambda done, total: steps.append(done))
    assert steps == [12]


def test_spoilt_copies_are_made_as_far_as_they_are_wanted_and_of_all_for_practice(monkeypatch) -> None:
    study = make_study(pairs=5)
    study.pairs.filter(key__startswith="0").update(kind="practice")
    images = images_of(study)
    copies_build(images, ORIGINALS, spoilt=3)
    spoilt = images.filter(copies__has_spoilt=True)
    assert spoilt.filter(pair__kind="practice").count() == images.filter(pair__kind="practice").count() == 4
    assert 4 <= spoilt.count() <= 7
    copies_build(images, ORIGINALS, spoilt=100)
    assert images.filter(copies__has_spoilt=True).count() == 10
    monkeypatch.setattr(served_copies, "DEGRADED_IMAGES", 1)
    other = images_of(make_study(pairs=5))
    copies_build(other, ORIGINALS, spoilt=100)
    assert other.filter(copies__has_spoilt=True).count() == 1


def test_another_setup_has_copies_of_its_own_and_leaves_the_others_alone() -> None:
    images = images_of(photos((64, 48)))
    copies_build(images, LADDER, spoilt=1)
    before = {image.pk: copy_bytes(image) for image in images}
    assert copies_build(images, CopyPlan(least_px=24, near_lossless=60), spoilt=1)
    kept = ServedCopies.objects.filter(setup=LADDER.setup)
    assert {row.image_id: copy_bytes(row.image) for row in kept} != before
    for row in kept:
        name = served_copies.copy_file(served_copies.copies_folder(LADDER.setup, row.image_id), 0)
        with default_storage.open(name) as file:
            assert file.read() == before[row.image_id]


def test_copies_made_under_other_rules_of_reading_pixels_are_not_taken_again(monkeypatch) -> None:
    before = LADDER.setup
    monkeypatch.setattr(served_copies, "PIXEL_RULES", served_copies.PIXEL_RULES + 1)
    assert before != LADDER.setup


def test_near_lossless_copies_are_lighter_and_off_by_what_is_kept_of_them() -> None:
    images = images_of(photos((200, 160)))
    plan = CopyPlan(least_px=None, near_lossless=60)
    lossless, lighter = copies_build(images, ORIGINALS, spoilt=1), copies_build(images, plan, spoilt=1)
    assert lighter < 0.9 * lossless
    for row in ServedCopies.objects.filter(setup=plan.setup):
        before = np.asarray(original(row.image))
        after = pixels_of(copy_bytes(row.image))
        assert np.array_equal(after, near_lossless(before, 60))
        off = abs(after - before.astype(int))
        assert row.difference == {
            "largest": off.max(),
            "absolute": off.sum(),
            "squared": (off**2).sum(),
            "count": off.size,
        }


def variants(pixels: np.ndarray) -> dict[str, bytes]:
    """Return one picture in many disguises."""
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 3  # turned upside down
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files = {}
    for name, image, options in (
        ("rgb", picture, {}),
        ("rgba", picture.convert("RGBA"), {}),
        ("palette", picture.quantize(256), {}),
        ("profile", picture, {"icc_profile": profile}),
        ("turned", picture.rotate(180), {"exif": exif}),
        ("text", picture, {"dpi": (300, 300)}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", **options)
        files[name] = buffer.getvalue()
    return files


def test_containers_modes_profiles_and_orientation_make_no_difference() -> None:
    pixels = np.zeros((12, 12, 3), dtype=np.uint8)
    pixels[:6, :, :] = 200
    pixels[:, 8:, 0] = 90
    files = variants(pixels)
    study = make_study(arms=tuple(files), pairs=0)
    images = {}
    for name, content in files.items():
        file, sha256 = image_store(content)
        images[name] = NewImage(file=file, sha256=sha256, width=12, height=12)
    pairs_register(study=study, pairs=[NewPair(key="one", images=images)])
    rows = images_of(study)
    copies_build(rows, ORIGINALS, spoilt=1)
    contents = {copy_bytes(image) for image in rows}
    assert np.array_equal(pixels_of(next(iter(contents))), pixels)
    assert len(contents) == 1


def test_a_damaged_image_is_named() -> None:
    study = make_study(pairs=1)
    image = images_of(study).first()
    with open(default_storage.path(image.file), "wb") as file:
        file.write(b"no image")
    with pytest.raises(BadImage, match=f"0-00000 of arm {image.arm.name}"):
        copies_build(images_of(study), ORIGINALS, spoilt=1)


def test_a_disk_that_fills_up_is_named_and_leaves_no_part_of_a_file(monkeypatch) -> None:
    images, honest, saved = images_of(make_study()), default_storage.save, []

    def save(name, content, **rest):
        if len(saved) == 5:
            honest(name, type(content)(b"the first block"))
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(name)
        return honest(name, content, **rest)

    monkeypatch.setattr(served_copies.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(default_storage._wrapped, "save", save)
    with pytest.raises(CopiesUnstored, match="disk is full: nothing was frozen"):
        copies_build(images, ORIGINALS, spoilt=1)
    monkeypatch.undo()
    assert not any(b"first block" in path.read_bytes() for path in _files("served"))
    assert copies_build(images, ORIGINALS, spoilt=1)


def _files(folder: str):
    from pathlib import Path

    return [path for path in Path(default_storage.path(folder)).rglob("*") if path.is_file()]
