"""Options of the command line that say what a file of votes is, and the reading that follows them."""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.votes.foreign import TOOLS
from analysis.votes.foreign.reading import read_foreign_votes
from analysis.votes.reading import ReadVotes, read_votes

__all__ = ["add_reading_options", "foreign_options", "read_as_told"]


def add_reading_options(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Add ``--from``, which says that ``default`` is read without it, and what goes with it."""
    listed = "; ".join(f"{name}: {tool.title}" for name, tool in TOOLS.items())
    parser.add_argument(
        "--from",
        dest="tool",
        metavar="TOOL",
        choices=list(TOOLS),
        help=f"what wrote the file (default: {default}). {listed}",
    )
    parser.add_argument(
        "--map",
        dest="named",
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="the file's name of a column, as in --map arm_left=model_a,arm_right=model_b; implies --from table "
        "(default: the usual names)",
    )
    parser.add_argument(
        "--answer",
        dest="answers",
        action="append",
        default=[],
        metavar="ANSWER=SIDE",
        help="what an answer of the file means, as in --answer A=left --answer B=right; implies --from table "
        "(default: the tool's own)",
    )
    parser.add_argument(
        "--items", metavar="FILE", help="table of the pairs with their arms, joined by its id (default: none)"
    )
    parser.add_argument(
        "--own-raters",
        action="store_true",
        help="take every row for a rater of its own where the file does not say who answered",
    )


def foreign_options(options: argparse.Namespace) -> tuple[str | None, dict]:
    """Return the reader's name, None for our own table, and what it is told.

    Raises
    ------
    ValueError
        If an option is no assignment, or an answer no side.
    """
    answers = _assignments("--answer", options.answers)
    for answer, side in answers.items():
        if side not in ("left", "right", "tie"):
            raise ValueError(f"--answer {answer}={side}: the side is left, right or tie")
    named = _assignments("--map", [part for text in options.named for part in text.split(",")])
    told = named or answers or options.items or options.own_raters
    items = Path(options.items) if options.items else None
    told_so = {"named": named, "answers": answers, "items": items, "has_own_raters": options.own_raters}
    return options.tool or ("table" if told else None), told_so


def read_as_told(options: argparse.Namespace) -> ReadVotes:
    """Return the votes that the options name, read as they say."""
    checks = {
        "skip_bad_rows": options.skip_bad_rows,
        "spelling": options.spelling,
        "keep_copies": options.keep_copies,
    }
    tool, told = foreign_options(options)
    if tool is None:
        return read_votes(options.votes, **checks)
    return read_foreign_votes(options.votes, tool, **told, **checks)


def _assignments(option: str, texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        left, is_there, right = text.partition("=")
        if not is_there or not left.strip() or not right.strip():
            raise ValueError(f"{option} {text}: give NAME=VALUE")
        found[left.strip()] = right.strip()
    return found
