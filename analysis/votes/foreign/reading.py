"""The votes of another tool into a vote table, under the same checks as our own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, Unpack

from analysis.votes.foreign import TOOLS
from analysis.votes.foreign.convert import Conversion, converted
from analysis.votes.reading import ReadVotes, votes_from_rows_at
from analysis.votes.spelling import Spelling

__all__ = ["read_foreign_votes", "rows_of"]


class Reading(TypedDict, total=False):
    """How a file is read: the options of ``convert.converted``."""

    named: Mapping[str, str] | None
    answers: Mapping[str, str] | None
    items: Path | None
    has_own_raters: bool


class Checking(TypedDict, total=False):
    """How its rows are checked: options of :func:`analysis.votes.reading.read_votes`."""

    skip_bad_rows: bool
    spelling: Spelling
    keep_copies: bool


def rows_of(path: str | Path, tool: str, **options: Unpack[Reading]) -> Conversion:
    """Return the rows of a tool's file, not yet checked; ``options`` are those of ``convert.converted``.

    Raises
    ------
    ValueError
        If there is no such tool or column.
    BadVotesError
        If the file is not one of the tool's.
    """
    if tool not in TOOLS:
        raise ValueError(f"--from {tool}: there is no such reader; there are {', '.join(TOOLS)}")
    return converted(Path(path), TOOLS[tool], **options)


def read_foreign_votes(
    path: str | Path,
    tool: str,
    *,
    named: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
    items: Path | None = None,
    has_own_raters: bool = False,
    **checks: Unpack[Checking],
) -> ReadVotes:
    """Read the votes that another tool wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    tool : str
        A key of ``TOOLS``.
    named, answers, items, has_own_raters
        As for ``convert.converted``.
    **checks
        ``skip_bad_rows``, ``spelling`` and ``keep_copies`` of :func:`analysis.votes.reading.read_votes`.

    Raises
    ------
    BadVotesError
        If a row is bad, or the file as a whole cannot be read as this tool's.
    """
    found = rows_of(path, tool, named=named, answers=answers, items=items, has_own_raters=has_own_raters)
    return votes_from_rows_at(found.rows, Path(path), left_out=found.left_out, unknown=found.unknown, **checks)
