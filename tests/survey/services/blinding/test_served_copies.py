from __future__ import annotations

import io

import numpy as np
import pytest
from django.core.files.storage import default_storage
from PIL import Image, ImageCms

from survey.exceptions import BadImage
from survey.models import PairImage
from survey.services.blinding import served_copies as served_images
from survey.services.blinding.served_copies import served_images_build
from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
from tests.factories import make_study

pytestmark = pytest.mark.django_db


def opened(name: str) -> Image.Image:
    with default_storage.open(name) as file:
        picture = Image.open(io.BytesIO(file.read()))
    picture.load()
    return picture


def test_served_copies_have_the_pixels_of_their_images_and_one_length() -> None:
    images = PairImage.objects.filter(pair__study=make_study())
    length = served_images_build(images)
    assert images.count() == 12
    for image in images:
        assert default_storage.size(image.served) == default_storage.size(image.degraded) == length
        assert np.array_equal(np.asarray(opened(image.served)), np.asarray(opened(image.file).convert("RGB")))
        assert not np.array_equal(np.asarray(opened(image.degraded)), np.asarray(opened(image.served)))


def test_a_build_that_was_killed_goes_on_where_it_stopped(monkeypatch) -> None:
    images = PairImage.objects.filter(pair__study=make_study())
    monkeypatch.setattr(served_images, "_BATCH", 4)
    steps: list[int] = []

    def stop(done: int, total: int) -> None:
        steps.append(done)
        if done == total // 2 + 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        served_images_build(images, on_progress=stop)
    assert images.exclude(served="").count() == 4
    steps.clear()
    served_images_build(images, on_progress=lambda done, total: steps.append(done))
    assert steps[-8:] == list(range(17, 25))
    assert 13 not in steps  # what was written is not written again
    steps.clear()
    served_images_build(images, on_progress=lambda done, total: steps.append(done))
    assert steps == []


def test_only_some_images_of_a_large_study_get_spoilt_copies_and_all_for_practice(monkeypatch) -> None:
    monkeypatch.setattr(served_images, "DEGRADED_IMAGES", 3)
    study = make_study(pairs=5)
    study.pairs.filter(key__startswith="0").update(kind="practice")
    images = PairImage.objects.filter(pair__study=study)
    served_images_build(images)
    practice = images.filter(pair__kind="practice")
    assert practice.count() == 4
    assert not practice.filter(degraded="").exists()
    assert 4 <= images.exclude(degraded="").count() <= 7


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
    rows = PairImage.objects.filter(pair__study=study).select_related("arm")
    served_images_build(rows)
    reference = rows.get(arm__name="rgb")
    for image in rows:
        assert np.array_equal(np.asarray(opened(image.served)), pixels), image.arm.name
        assert image.served == reference.served or image.arm.name == "rgb"


def test_a_damaged_image_is_named() -> None:
    study = make_study(pairs=1)
    image = PairImage.objects.filter(pair__study=study).select_related("arm").first()
    with open(default_storage.path(image.file), "wb") as file:
        file.write(b"no image")
    with pytest.raises(BadImage, match=f"0-00000 of arm {image.arm.name}"):
        served_images_build(PairImage.objects.filter(pair__study=study))
