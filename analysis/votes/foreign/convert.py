"""Records of another tool as rows of the votes table; what cannot be known stays empty and is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analysis.sheets.faults import Faults
from analysis.votes.checks import NOTHING
from analysis.votes.columns import INPUT_COLUMNS, OPTIONAL_COLUMNS, REQUIRED, VOTE_COLUMNS
from analysis.votes.errors import refuse_votes, unreadable
from analysis.votes.foreign.tool import Record, Tool, records_of

__all__ = ["Conversion", "converted"]

_OURS = tuple(entry.name for entry in (*VOTE_COLUMNS, *OPTIONAL_COLUMNS, *INPUT_COLUMNS))
_LABELS = ("rater", "pair", "arm_left", "arm_right", "choice", "choice_arm", "class_label", "study")
_OWN_RATERS = "raters: every vote counts as a rater of its own, so no interval allows for raters who differ"
_NO_SIDES = "sides: arms stand in alphabetical order; position bias and every adjustment for it are null"


@dataclass
class Conversion:
    """The rows of a file, and what was found on the way; complete once the rows are consumed.

    Parameters
    ----------
    rows : iterator of (int, mapping)
        Line and row under the names of the votes table.
    sources : dict of str to str
        Our column -> the tool's.
    left_out : Counter of str
        Records that are no votes, by reason.
    unknown : list of str
        What the file does not say, and what follows.
    """

    rows: Iterator[tuple[int, dict[str, object]]] = field(default_factory=lambda: iter(()))
    sources: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)


def converted(
    path: Path,
    tool: Tool,
    *,
    named: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
    items: Path | None = None,
    has_own_raters: bool = False,
) -> Conversion:
    """Return the votes of a file that another tool wrote.

    Parameters
    ----------
    path : Path
        The file.
    tool : Tool
        Its reader.
    named : mapping of str to str
        Our column -> the file's column, over the reader's own (``--map``).
    answers : mapping of str to str
        Answer -> ``left``, ``right`` or ``tie``, beside the reader's own (``--answer``).
    items : Path or None
        A table of the pairs, joined by its ``id`` or ``pair``: where the arms stand there alone (``--items``).
    has_own_raters : bool
        Take every row for a rater of its own where the file does not say who answered.

    Raises
    ------
    BadVotesError
        If the file cannot be read, or a required column has no source.
    """
    records = list(tool.records(path))
    if items is not None:
        records = _joined(records, tool, dict(named or {}), items)
    found = Conversion(sources=_sources(path, tool, records, dict(named or {}), has_own_raters=has_own_raters))
    found.unknown = [f"{what}: {follows}" for what, follows in tool.unknown.items() if what not in found.sources]
    if "rater" not in found.sources:
        found.unknown.append(_OWN_RATERS)
    if "sides" in tool.unknown:
        found.unknown = [text for text in found.unknown if not text.startswith("sides:")] + [_NO_SIDES]
    told = {answer.strip().casefold(): side for answer, side in (answers or {}).items()}
    known = {**tool.answers_in(tool, records), **told}
    found.unknown += tool.remarks(path)
    found.rows = _rows(records, tool, found, known)
    return found


def _sources(
    path: Path, tool: Tool, records: list[Record], named: dict[str, str], *, has_own_raters: bool
) -> dict[str, str]:
    """Return our column -> the file's, or refuse the file for what is missing."""
    names = dict.fromkeys(name for _, record in records for name in record)
    strange = sorted(named.keys() - set(_OURS))
    if strange:
        raise ValueError(f"--map {strange[0]}=...: the votes table has no such column; it has {', '.join(_OURS)}")
    for ours, theirs in named.items():
        if records and theirs not in names:
            raise unreadable(path.name, 1, f"--map {ours}={theirs}: the file has {_listed(names)}", theirs)
    folded = {name.casefold(): name for name in reversed(names)}
    found = {}
    for ours in _OURS:
        likely = (*tool.columns.get(ours, ()), ours)
        source = named.get(ours) or next((folded[one.casefold()] for one in likely if one.casefold() in folded), None)
        if source is not None:
            found[ours] = source
    needed = [name for name in REQUIRED if name not in found and not (name == "rater" and has_own_raters)]
    if needed and records:
        hint = f"name it with --map {needed[0]}=COLUMN; the file has {_listed(names)}"
        if needed == ["rater"]:
            hint += ". Where nobody knows who answered, --own-raters takes every row for a rater of its own"
        raise unreadable(path.name, 1, f"no column is known to hold it: {hint}", ", ".join(needed))
    return found


def _listed(names: Mapping[str, None]) -> str:
    shown = list(names)[:30]
    return ", ".join(shown) + (f" and {len(names) - 30} more" if len(names) > 30 else "") if shown else "no column"


def _joined(records: list[Record], tool: Tool, named: Mapping[str, str], items: Path) -> list[Record]:
    """Return the records with what the table of pairs says of each one's pair."""
    keys = [name for name in (named.get("pair"), *tool.columns.get("pair", ()), "pair") if name is not None]
    by_id, faults = {}, Faults(items.name)
    for place, item in records_of(items):
        key = next((item[name] for name in ("id", "pair", "instance_id") if name in item), None)
        if key is None:
            faults.add(place, "", "has no id; name the column id or pair", kind="id")
        else:
            by_id[_text(key)] = item
    refuse_votes(faults)
    joined: list[Record] = []
    for line, record in records:
        pair = _text(next((record[name] for name in keys if name in record), ""))
        if pair in by_id:
            joined.append((line, {**by_id[pair], **record}))
        else:
            faults.add(1, "", f"has no pair {pair!r}, which record {line} of the votes names", kind="pair")
    refuse_votes(faults)
    return joined


def _rows(
    records: list[Record], tool: Tool, found: Conversion, known: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, object]]]:
    for line, record in records:
        row = {ours: _plain(ours, record.get(theirs)) for ours, theirs in found.sources.items()}
        answer = _text(row["choice"])
        if tool.has_other_rows and not _text(row["arm_left"]) and not _text(row["arm_right"]):
            found.left_out["no comparison"] += 1
        elif record.get("left_out"):
            found.left_out[str(record["left_out"])] += 1
        elif answer.casefold() in tool.no_answer:
            found.left_out["no answer"] += 1
        else:
            yield line, _completed(row, line, tool, answer, known, is_swapped=bool(record.get("is_swapped")))


def _completed(
    row: dict[str, object], line: int, tool: Tool, answer: str, known: Mapping[str, str], *, is_swapped: bool
) -> dict[str, object]:
    """Return the row with its side, its rater where nobody knows one, and its arms where they stood."""
    if is_swapped:
        row |= {"arm_left": row["arm_right"], "arm_right": row["arm_left"]}
    row["choice"] = _choice(answer, row, known)
    row.setdefault("rater", f"row {line}")
    row = _without_sides(row) if "sides" in tool.unknown else row
    row.setdefault("choice_arm", {"left": row["arm_left"], "right": row["arm_right"]}.get(str(row["choice"]), ""))
    return row


def _choice(answer: str, row: Mapping[str, object], known: Mapping[str, str]) -> str:
    """Return the side of an answer that names one, or an arm; any other comes back as it is, to be refused."""
    side = known.get(answer.casefold())
    if side:
        return side
    left, right = _text(row["arm_left"]), _text(row["arm_right"])
    if left != right and answer in (left, right):
        return "left" if answer == left else "right"
    return answer


def _without_sides(row: dict[str, object]) -> dict[str, object]:
    left, right = row["arm_left"], row["arm_right"]
    row["sides_unknown"] = True
    if _text(left) > _text(right):
        swapped = {"left": "right", "right": "left"}
        row |= {"arm_left": right, "arm_right": left, "choice": swapped.get(str(row["choice"]), row["choice"])}
    return row


def _plain(ours: str, value: object) -> object:
    """Return a value as the checks read it: spreadsheets leave spaces, data frames write NaN for nothing."""
    if isinstance(value, str):
        value = value.strip()
        # A label may be called "None" or "NA"; a number, a time or a flag may not.
        return "" if ours not in _LABELS and value.casefold() in NOTHING else value
    return "" if value is None or value != value else value


def _text(value: object) -> str:
    return str(value).strip()
