"""Figures that were made elsewhere, of images and networks, and stand in the report with the report's own."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.report.parts.figure import FigureSpec

__all__ = [
    "GIVEN_KINDS",
    "INTERFACE",
    "MANIFEST",
    "SAMPLE_PAIRS",
    "ExternalFigure",
    "ReadyFigures",
    "given_facts",
    "read_figures",
]

#: Formats kept of a figure; the pages show the PNG, because pixels cannot carry a script.
GIVEN_KINDS = ("svg", "png", "pdf")
#: The file that names a folder's figures and says what they show.
MANIFEST = "figures.json"
#: Figures of what raters saw, which stand with the study's design: sample pairs, and the page they answered on.
SAMPLE_PAIRS, INTERFACE = "sample_pairs", "interface"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class ExternalFigure:
    """One figure as files.

    Parameters
    ----------
    name : str
        File name without suffix: small letters, digits and underscores.
    title : str
        The caption, with the n it rests on.
    description : str
        What the figure shows, for those who cannot see it.
    files : mapping of str to bytes
        Content by format; ``png`` must be among them.

    Raises
    ------
    ValueError
        If the name cannot be a file name, a text is empty, or there is no PNG.
    """

    name: str
    title: str
    description: str
    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"figure name {self.name!r}: use small letters, digits and underscores, at most 60")
        if not self.title.strip() or not self.description.strip():
            raise ValueError(f"figure {self.name} needs a title and a description")
        if unknown := sorted(set(self.files) - set(GIVEN_KINDS)):
            raise ValueError(f"figure {self.name} has a file of format {', '.join(unknown)}; known: {GIVEN_KINDS}")
        png = self.files.get("png", b"")
        if png[:8] != _PNG or png[12:16] != b"IHDR" or len(png) < 24:
            raise ValueError(f"figure {self.name} has no PNG; draw it with png among the formats")

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the PNG."""
        return struct.unpack(">II", self.files["png"][16:24])


#: What the pages show: the figures by name, each with its SVG (drawn here) or PNG (given, and any in the PDF).
ReadyFigures = Mapping[str, tuple[FigureSpec | ExternalFigure, bytes]]


def given_facts(figures: Sequence[ExternalFigure]) -> list[dict]:
    """Return what the report says of figures: name, title, description and the SHA-256 of every file."""
    if len({figure.name for figure in figures}) < len(figures):
        raise ValueError(f"two figures have one name: {', '.join(figure.name for figure in figures)}")
    return [
        {
            "name": figure.name,
            "title": figure.title,
            "description": figure.description,
            "sha256": {kind: hashlib.sha256(figure.files[kind]).hexdigest() for kind in sorted(figure.files)},
        }
        for figure in figures
    ]


def read_figures(folder: str | Path) -> list[ExternalFigure]:
    """Return the figures of a folder that ``manage.py make_figures`` wrote, PNG among the formats.

    Raises
    ------
    ValueError
        If ``figures.json`` does not list them, or a listed figure has no PNG.
    OSError
        If a file cannot be read.
    """
    folder = Path(folder)
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["figures"]
        return [_read(folder, entry) for entry in listed]
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError(f"{folder / MANIFEST} lists no figures with name, title and description") from None


def _read(folder: Path, entry: Mapping[str, str]) -> ExternalFigure:
    name = entry["name"]
    if not _NAME.fullmatch(name):  # before it becomes a path
        raise ValueError(f"{folder / MANIFEST}: figure name {name!r}: use small letters, digits and underscores")
    paths = {kind: folder / f"{name}.{kind}" for kind in GIVEN_KINDS}
    files = {kind: path.read_bytes() for kind, path in paths.items() if path.is_file()}
    return ExternalFigure(name=name, title=entry["title"], description=entry["description"], files=files)
