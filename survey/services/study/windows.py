"""What a draft asks of screens and lines: which usual windows have room, what a visit weighs, how long a pair takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from survey.exceptions import BadImage
from survey.geometry import Layout, Room, Window
from survey.models import PairImage, Study
from survey.renditions import rendition_sizes
from survey.services.blinding.near_lossless import near_lossless
from survey.services.blinding.scaling import scaled
from survey.services.blinding.served_copies import image_pixels
from survey.services.blinding.webp import class_length, webp_stream
from survey.services.study.display import display_mode, images_of, least_box, references_of, room_of

__all__ = ["RATES", "WINDOWS", "WindowOutlook", "loss_weaknesses", "window_weaknesses", "windows_outlook"]

# The insides of usual browser windows: CSS pixels and pixel ratio.
WINDOWS = {
    "laptop, 1280 × 800": Window(1280, 800),
    "laptop, 1366 × 657": Window(1366, 657),
    "laptop, 1440 × 789": Window(1440, 789),
    "laptop, 1536 × 730 at 125 %": Window(1536, 730, 1.25),
    "laptop, 1280 × 600 at 150 %": Window(1280, 600, 1.5),
    "desktop, 1920 × 950": Window(1920, 950),
    "tablet, 820 × 1106": Window(820, 1106, 2.0),
    "phone, 390 × 844": Window(390, 844, 3.0),
}
# Megabits a second.
RATES = (4, 10, 50)
# Pairs whose copies are tried.
_TRIED_PAIRS = 3
# A difference in peak signal-to-noise ratio between arms that is worth a word.
_PSNR_APART_DB = 1.0


@dataclass(frozen=True)
class WindowOutlook:
    """What one usual window makes of the study; sizes and weights are None where it has no room."""

    name: str
    needed: tuple[int, int]
    layout: str | None = None
    shown: tuple[int, int] | None = None
    visit_mb: float | None = None
    pair_seconds: dict[int, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        seconds = {f"at_{rate}_mbit": value for rate, value in (self.pair_seconds or {}).items()}
        return vars(self) | {"needed": list(self.needed), "pair_seconds": seconds or None}


def windows_outlook(study: Study) -> list[WindowOutlook]:
    """Return what each usual window makes of a study; weights come from encoding some of its pairs."""
    room, samples = room_of(study), _samples(study)
    least_px = least_box(study) if room.is_fit else None
    trials = _trials(study)
    weights: dict[tuple[tuple[int, int], ...], float] = {}
    found = []
    for name, window in WINDOWS.items():
        layout = room.layout(window)
        if layout is None or not samples:
            found.append(WindowOutlook(name, room.needed(window), layout.kind if layout else None))
            continue
        shown = [_shown(room, window, layout, pair[0].size, least_px) for pair in samples]
        sizes = tuple(size for size, _ in shown)
        if sizes not in weights:
            weights[sizes] = _pair_bytes(study, samples, sizes)
        (width, height), multiple = shown[0]
        found.append(
            WindowOutlook(
                name,
                room.needed(window),
                layout.kind,
                (width * multiple, height * multiple),
                round(trials * weights[sizes] / 1e6, 1),
                {rate: round(8 * weights[sizes] / (rate * 1e6), 2) for rate in RATES},
            )
        )
    return found


def _trials(study: Study) -> int:
    checks = study.practice_trials + study.repeat_trials + study.identical_trials + study.degraded_trials
    pairs = study.pairs.filter(is_selected=True).count()
    return min(study.trials_per_session, pairs) + checks


def _samples(study: Study) -> list[list[Image.Image]]:
    """Return the pictures of some pairs, in every arm."""
    pairs = study.pairs.filter(is_selected=True).order_by("pk")[:_TRIED_PAIRS]
    found = []
    for pair in pairs:
        images = PairImage.objects.filter(pair=pair).select_related("pair", "arm").order_by("arm__name")
        try:
            found.append([image_pixels(image) for image in images])
        except BadImage:
            continue
    return [pair for pair in found if pair]


def _shown(
    room: Room, window: Window, layout: Layout, size: tuple[int, int], least_px: int | None
) -> tuple[tuple[int, int], int]:
    sizes = rendition_sizes(*size, least_px=least_px)
    index, multiple = room.shown(sizes, layout, pixel_ratio=window.pixel_ratio)
    return sizes[index], multiple


def _pair_bytes(study: Study, samples: list[list[Image.Image]], sizes: tuple[tuple[int, int], ...]) -> float:
    """Return the mean bytes of a pair's two files, which have one length, and of its reference, which weighs as one."""
    lengths = []
    for pictures, size in zip(samples, sizes, strict=True):
        streams = [
            len(webp_stream(_copy(study, picture, size), is_scaled=size != picture.size)) for picture in pictures
        ]
        lengths.append(class_length(max(streams)))
    beside = references_of(study).count() / max(1, study.pairs.filter(is_selected=True).count())
    return (2 + beside) * sum(lengths) / len(lengths)


def _copy(study: Study, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    (rendition,) = scaled(picture, [size])
    if not study.near_lossless:
        return rendition
    return Image.fromarray(near_lossless(np.asarray(rendition), study.near_lossless))


def loss_weaknesses(study: Study) -> list[str]:
    """Return that near-lossless copies are off by more in one arm than in another, tried on some pairs."""
    if not study.near_lossless or not (samples := _samples(study)):
        return []
    squares = [
        sum(_squared_error(pair[place], study.near_lossless) for pair in samples) / len(samples)
        for place in range(min(map(len, samples)))
    ]
    psnr = [10 * math.log10(255**2 / max(square, 1e-9)) for square in squares]
    if max(psnr) - min(psnr) <= _PSNR_APART_DB:
        return []
    return [
        f"near-lossless copies are off by more in one arm than in another (PSNR {min(psnr):.1f} to {max(psnr):.1f} dB "
        f"on {len(samples)} pairs): what raters prefer may be the loss; raise the quality or turn it off"
    ]


def _squared_error(picture: Image.Image, quality: int) -> float:
    before = np.asarray(picture)
    return float(np.mean((near_lossless(before, quality).astype(float) - before) ** 2))


def window_weaknesses(study: Study) -> list[str]:
    """Return which usual windows have no room for the study; nothing while there are no images."""
    if not images_of(study).exists():
        return []
    room = room_of(study)
    refused = [name for name, window in WINDOWS.items() if room.layout(window) is None]
    if not refused:
        return []
    remedy = "lower the least box" if display_mode(study) == Study.Display.FIT else "show the images in fit"
    stack = "" if room.may_stack else " or allow stacked images"
    return [
        f"{len(refused)} of {len(WINDOWS)} usual windows have no room for a pair ({'; '.join(refused)}): their raters "
        f"are turned away before consent; {remedy}{stack}"
    ]
