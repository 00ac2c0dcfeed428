"""Pictures of what raters judged: pairs drawn by a seed, and the page on which raters answered."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.report.content.external_figures import INTERFACE, SAMPLE_PAIRS, ExternalFigure
from analysis.report.parts.figure import one_line
from analysis.report.parts.typesetting import typeset

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Asked", "Interface", "SamplePair", "interface_figure", "sample_pairs_figure"]

_TEMPLATE = Path(__file__).with_name("samples.typ")
_LONGEST_SIDE = 480  # pixels
_COARSE = 160  # pixels: smaller images are shown with their pixels, not blurred
_LONGEST_TEXT = 300  # characters
_PPI = 144


@dataclass(frozen=True, kw_only=True)
class SamplePair:
    """A pair to show.

    Parameters
    ----------
    caption : str
        What names the pair: key, class, prompt.
    images : sequence of (str, Image)
        The arms as readers know them, each with its picture in 8-bit RGB.
    """

    caption: str
    images: Sequence[tuple[str, Image]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question with its answers, as shown on the page, in its language."""

    question: str
    answers: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Interface:
    """One trial as a rater saw it.

    Parameters
    ----------
    asked : sequence of Asked
        What is asked of the pair: one question, or a row for each criterion.
    following : sequence of Asked
        What is asked once a choice is made, in order.
    prompt : str
        What stood above the pair, if anything.
    left, right : Image
    reference : Image or None
    reference_place : str
        ``above`` or ``between``.
    where : str
        Which pages these are: product, version of the study, pair.
    """

    asked: Sequence[Asked]
    following: Sequence[Asked] = ()
    prompt: str = ""
    left: Image
    right: Image
    reference: Image | None = None
    reference_place: str = "above"
    where: str


def sample_pairs_figure(samples: Sequence[SamplePair], *, drawn: str) -> ExternalFigure:
    """Return a picture of pairs, a row each, every arm's image with its name.

    Parameters
    ----------
    samples : sequence of SamplePair
        At least one.
    drawn : str
        How they were chosen, for the caption.
    """
    files: dict[str, bytes] = {}
    rows = []
    for sample in samples:
        images = [{"name": _short(name), **_stored(image, files)} for name, image in sample.images]
        rows.append({"caption": _short(sample.caption), "images": images})
    content = {"kind": "samples", "across": max(len(row["images"]) for row in rows), "samples": rows}
    return ExternalFigure(
        name=SAMPLE_PAIRS,
        title=f"Sample pairs, {drawn}",
        description="; ".join(
            f"{sample.caption}: images of {', '.join(name for name, _ in sample.images)}" for sample in samples
        ),
        files={"png": _drawn(content, files)},
    )


def interface_figure(shown: Interface) -> ExternalFigure:
    """Return the page on which raters answered, drawn from its texts, images and colours."""
    files: dict[str, bytes] = {}
    content = {
        "kind": "interface",
        "asked": [_written(asked) for asked in shown.asked],
        "following": [_written(asked) for asked in shown.following],
        "prompt": _short(shown.prompt),
        "images": [_stored(image, files) for image in (shown.left, shown.right)],
        "reference": _stored(shown.reference, files) if shown.reference else None,
        "reference_place": shown.reference_place,
    }
    return ExternalFigure(
        name=INTERFACE,
        title=f"The page on which raters answered, drawn from {shown.where}",
        description=_described(shown),
        files={"png": _drawn(content, files)},
    )


def _written(asked: Asked) -> dict:
    return {"question": _short(asked.question), "answers": [_short(answer) for answer in asked.answers]}


def _described(shown: Interface) -> str:
    def said(rows: Sequence[Asked]) -> str:
        return "; ".join(f"{asked.question} ({', '.join(asked.answers)})" for asked in rows)

    beside = f", their reference {shown.reference_place}" if shown.reference else ""
    prompt = f" The prompt: {one_line(shown.prompt)}." if shown.prompt else ""
    following = f" Then, one after the other: {said(shown.following)}." if shown.following else ""
    asked = f"Two images side by side on grey{beside}, with what is asked and its answers: {said(shown.asked)}."
    return f"{asked}{prompt}{following}"


def _short(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= _LONGEST_TEXT else shown[: _LONGEST_TEXT - 1] + "…"


def _stored(image: Image, files: dict[str, bytes]) -> dict:
    """Put a copy of moderate size among the files; return what the template needs of it."""
    from PIL.Image import Resampling

    is_coarse = max(image.size) < _COARSE
    copy = image.copy()
    # No larger than the page shows: a report with photographs would weigh as much as they do.
    copy.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Resampling.LANCZOS)
    sink = io.BytesIO()
    copy.save(sink, "PNG")
    name = f"image-{len(files)}.png"
    files[name] = sink.getvalue()
    return {"file": name, "is_coarse": is_coarse}


def _drawn(content: dict, files: dict[str, bytes]) -> bytes:
    texts = {"main.typ": _TEMPLATE.read_bytes(), "samples.json": json.dumps(content).encode()}
    return typeset({**files, **texts}, kind="png", ppi=_PPI)
