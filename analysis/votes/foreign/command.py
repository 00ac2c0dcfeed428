"""``python -m analysis convert``: another tool's votes, or a table that a spreadsheet touched, as our votes table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from analysis.votes.columns import INPUT_COLUMNS, OPTIONAL_COLUMNS, VOTE_COLUMNS, Field
from analysis.votes.foreign.options import add_reading_options, foreign_options
from analysis.votes.foreign.reading import read_foreign_votes, rows_of
from analysis.votes.reading import ReadVotes
from analysis.votes.writing import FORMATS, write_package, write_table

__all__ = ["convert_command"]

_EPILOG = """\
examples:
  python -m analysis convert battles.csv --from arena --out votes.csv
  python -m analysis convert user_state.json --from potato --items items.json --out votes.parquet
  python -m analysis convert mine.xlsx --map rater=who,pair=item,arm_left=a,arm_right=b,choice=best --out votes.csv

exit codes:
  0  the table is written
  2  the file or an option cannot be used: every bad row is listed, nothing is written
"""


def convert_command(arguments: list[str]) -> int:
    """Write the votes table of a file that is none; return the exit code.

    Raises
    ------
    BadVotesError, OSError, ValueError
        If the file or an option cannot be used.
    """
    options = _parser().parse_args(arguments)
    path = Path(options.out)
    kind = path.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise ValueError(f"--out {options.out}: the suffix is not one of {', '.join('.' + name for name in FORMATS)}")
    if path.exists():
        raise ValueError(f"--out {options.out} exists; name a new file")
    tool, told = foreign_options(options)
    # Checked whole before a byte is written; the rows are made anew, since a table in memory keeps no trial ids.
    read = read_foreign_votes(options.votes, tool or "table", **told)
    found = rows_of(options.votes, tool or "table", **told)
    columns = (
        *VOTE_COLUMNS,
        *(entry for entry in (*OPTIONAL_COLUMNS, *INPUT_COLUMNS) if entry.name in read.table.extra),
    )
    resources = write_table(_typed(found.rows, columns), path.parent, columns=columns, name=path.stem, formats=[kind])
    write_package(resources, path.parent, name=path.stem)
    _say(read, path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis convert",
        description="Write the votes table of a file that another tool wrote, or that a spreadsheet touched.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("votes", metavar="VOTES", help="the file")
    parser.add_argument("--out", metavar="FILE", required=True, help="a new .csv, .jsonl or .parquet file")
    add_reading_options(parser, default="table")
    return parser


def _typed(rows: Iterator[tuple[int, Mapping[str, object]]], columns: tuple[Field, ...]) -> Iterator[dict[str, object]]:
    kinds = {entry.name: entry.kind for entry in columns}
    for line, row in rows:
        try:
            yield {name: _value(kinds[name], value) for name, value in row.items()}
        except ValueError as error:
            raise ValueError(f"record {line}: {error}") from None


def _value(kind: str, value: object) -> object:
    if kind == "boolean" and isinstance(value, str):
        return value.casefold() in ("true", "1") if value else None
    return int(float(str(value))) if kind == "integer" and value not in ("", None) else value


def _say(read: ReadVotes, path: Path) -> None:
    table = read.table
    print(
        f"{len(table):,} votes of {len(table.raters):,} raters on {len(table.pairs):,} pairs, arms "
        f"{', '.join(table.arms)}: {path}",
        file=sys.stderr,
    )
    for why, number in read.left_out.items():
        print(f"left out, {why}: {number:,}", file=sys.stderr)
    for text in read.unknown:
        print(f"not recorded: {text}", file=sys.stderr)
