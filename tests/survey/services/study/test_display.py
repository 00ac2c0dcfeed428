"""How a draft will be shown: the mode it takes, what keeps it from that, and what it asks of screens and disks."""

from __future__ import annotations

import errno
import io
from collections import namedtuple

import pytest
from django.core.files.storage import default_storage
from PIL import Image

from survey.exceptions import CopiesUnstored, StudyNotReady
from survey.models import ServedCopies, Study, StudyVersion
from survey.services.images.pairs import image_store
from survey.services.study import display
from survey.services.study.display import copies_bytes, display_mode, display_problems, least_box
from survey.services.study.version import version_config, version_freeze
from survey.services.study.windows import WINDOWS, loss_weaknesses, window_weaknesses, windows_outlook
from tests.factories import make_study
from tests.photos import photo_draft

pytestmark = pytest.mark.django_db


def test_small_images_are_shown_in_pixels_and_large_ones_in_fit_unless_the_plan_says_otherwise() -> None:
    assert display_mode(make_study()) == "pixels"
    assert display_mode(photo_draft((300, 300))) == "fit"
    assert display_mode(make_study(display="fit")) == "fit"
    assert display_mode(photo_draft((300, 300), display="pixels")) == "pixels"


def test_an_image_smaller_than_the_least_box_is_named_with_the_remedy() -> None:
    draft = photo_draft((300, 300), (400, 200))
    (problem,) = display_problems(draft)
    assert "2 image(s) are smaller than the least box of 256 pixels" in problem
    assert "pair 001 (400x200); lower the least box, or show pixels" in problem
    with pytest.raises(StudyNotReady, match="smaller than the least box"):
        version_freeze(study=draft)
    draft.least_box_px = 200
    assert display_problems(draft) == []


def test_a_ladder_larger_than_the_disk_is_refused_before_a_copy_is_made(monkeypatch) -> None:
    draft = photo_draft((512, 512))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(display.shutil, "disk_usage", lambda path: usage(1e9, 1e9, 1000))
    with pytest.raises(StudyNotReady, match=r"copies that raters get will take about .* GB, and the disk has 0.0 GB"):
        version_freeze(study=draft)
    assert not ServedCopies.objects.exists()
    monkeypatch.undo()
    version_freeze(study=draft)
    assert ServedCopies.objects.count() == 2


def test_the_estimate_of_the_disk_is_near_what_is_written() -> None:
    draft = photo_draft((512, 512), (400, 300), target_raters=30)
    estimate = copies_bytes(draft)
    version_freeze(study=draft)
    rows = ServedCopies.objects.filter(image__pair__study=draft)
    written = sum(sum(row.lengths) * (2 if row.has_spoilt else 1) for row in rows)
    assert 0.5 < estimate / written < 2


def test_a_disk_that_fills_up_in_mid_freeze_leaves_the_draft_a_draft(monkeypatch) -> None:
    draft, honest, saved = photo_draft((300, 300), (300, 300)), default_storage.save, []

    def save(name, content, **rest):
        if len(saved) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(name)
        return honest(name, content, **rest)

    monkeypatch.setattr(default_storage._wrapped, "save", save)
    with pytest.raises(CopiesUnstored, match="The disk is full: nothing was frozen"):
        version_freeze(study=draft)
    monkeypatch.undo()
    draft.refresh_from_db()
    assert draft.state == Study.State.DRAFT
    assert not StudyVersion.objects.filter(study=draft).exists()
    assert version_freeze(study=draft).number == 1


def test_shapes_and_least_sizes_of_all_images_are_frozen() -> None:
    config = version_config(photo_draft((512, 512), (640, 480), (384, 512)))
    assert config["images"] == {"frame": [640, 512], "least": [341, 341], "narrowest": 0.75, "widest": 640 / 480}
    assert config["trial"]["display"] == "fit"
    assert (config["trial"]["box_px"], config["trial"]["least_box_px"]) == (640, 256)


def test_near_lossless_copies_say_in_the_version_how_far_each_arm_is_off() -> None:
    version = version_freeze(study=photo_draft((300, 300), near_lossless=60))
    found = version.config["copies"]
    assert found["near_lossless"] == 60
    assert set(found["differences"]) == {"robust", "vanilla"}
    for arm in found["differences"].values():
        assert 0 < arm["mean"] < arm["largest"] <= 4
        assert 35 < arm["psnr_db"] < 60
    assert "differences" not in version_freeze(study=photo_draft((300, 300))).config["copies"]


def test_arms_that_lose_unevenly_are_a_weakness() -> None:
    draft = photo_draft((300, 300), near_lossless=40)
    image = draft.pairs.first().images.get(arm__name="robust")
    flat = io.BytesIO()
    Image.new("RGB", (300, 300), (128, 64, 32)).save(flat, "PNG")
    image.file, image.sha256 = image_store(flat.getvalue())
    image.save()
    (weakness,) = loss_weaknesses(draft)
    assert "near-lossless copies are off by more in one arm than in another" in weakness
    draft.near_lossless = 0
    assert loss_weaknesses(draft) == []


def test_usual_windows_say_whether_they_have_room_and_what_a_visit_weighs() -> None:
    draft = photo_draft((1024, 1024), (1024, 1024))
    found = {window.name: window for window in windows_outlook(draft)}
    assert list(found) == list(WINDOWS)
    assert len(found) == 8
    assert all(window.layout == "row" for window in found.values())
    laptop, desktop = found["laptop, 1366 × 657"], found["desktop, 1920 × 950"]
    assert laptop.shown == (328, 328)
    assert desktop.shown == (640, 640)
    assert desktop.visit_mb > laptop.visit_mb > 0
    assert desktop.pair_seconds[4] > desktop.pair_seconds[10] > desktop.pair_seconds[50] > 0
    assert window_weaknesses(draft) == []


def test_windows_without_room_are_a_weakness_with_a_remedy() -> None:
    draft = photo_draft((1024, 1024), display="pixels")
    (weakness,) = window_weaknesses(draft)
    assert weakness.startswith("8 of 8 usual windows have no room")
    assert "show the images in fit or allow stacked images" in weakness
    assert all(window.layout is None and window.visit_mb is None for window in windows_outlook(draft))


def test_a_least_box_that_nobody_chose_asks_small_images_for_no_more_than_they_have() -> None:
    small = photo_draft((160, 200), (170, 180))
    assert (least_box(small), display_problems(small)) == (160, [])
    assert version_config(small)["trial"]["least_box_px"] == 160
    assert least_box(photo_draft((160, 200), display="fit")) == 256
    assert least_box(photo_draft((160, 200), (300, 300))) == 256
