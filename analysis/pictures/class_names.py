"""Which class of one set is which of another: by name, by an explicit map, or refused with the difference named.

A class number is a rank in one set alone. Only a set without names has its numbers taken for labels, and that is said.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.pictures.errors import PictureError
from analysis.pictures.listing import nfc
from analysis.sheets.faults import BadTableError, Faults, label_fault
from analysis.sheets.sheet import sheet_rows

__all__ = [
    "CLASS_MAP_HELP",
    "NO_CLASS",
    "RANKS",
    "ClassMatch",
    "ClassMismatch",
    "are_numbers",
    "class_map_named",
    "match_classes",
    "read_class_map",
    "renamed_classes",
    "two_spellings",
]

_BREAKS = re.compile(r"(?<!\d)[\s_\-\u200b\u2060\ufeff]+|[\s_\-\u200b\u2060\ufeff]+(?!\d)")
# The label of an image whose class is not known.
NO_CLASS = -1
# Instead of a map's file: a class's label is its name's place in character order, as in the published training.
RANKS = "ranks"
NAMED = 5
_HEADERS = {"class", "class_label", "found"}
CLASS_MAP_HELP = "class map: a table (CSV, Excel) of class as found, class as wanted; or `ranks`, the names' order"


class ClassMismatch(PictureError):
    """The classes of images and those of what reads them cannot be brought together; the message names which."""


@dataclass(frozen=True)
class ClassMatch:
    """The label in the wanted set of every class found (``NO_CLASS`` where it has none), and what is to be said."""

    labels: tuple[int, ...]
    notes: tuple[str, ...] = ()


def are_numbers(names: Sequence[str]) -> bool:
    """Return whether the names are numbers, which name nothing: a set without names has these."""
    return all(name.isdecimal() and str(int(name)) == name for name in names)


def read_class_map(content: bytes, *, where: str) -> dict[str, str]:
    """Read {class as found: class as wanted} from a table of two columns; a header is optional.

    Raises
    ------
    ClassMismatch
        Naming the lines.
    """
    try:
        found = _class_map(content, Faults(where))
    except BadTableError as error:
        raise ClassMismatch(str(error)) from error
    if not found:
        raise ClassMismatch(f"{where} maps no class; give lines such as ankle-boot,Ankle boot")
    return found


def _class_map(content: bytes, faults: Faults) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, (line, row) in enumerate(sheet_rows(content, file=faults.file, wanted=_HEADERS)):
        cells = [nfc(cell.strip()) for cell in row]
        if place == 0 and cells[0].lower() in _HEADERS:
            continue
        if len(cells) != 2 or not all(cells):
            said = "expected two columns, the class as found and as wanted"
            faults.add(line, "", said, kind="width")
        elif fault := next(filter(None, map(label_fault, cells)), ""):
            faults.add(line, "", f"class {fault}", kind="fault")
        elif cells[0] in found:
            faults.add(line, "", f"class {cells[0]!r} is named twice", kind="twice")
        else:
            found[cells[0]] = cells[1]
    faults.refuse()
    return found


def class_map_named(name: str | None) -> dict[str, str] | str:
    """Return the class map that an option names: a table's file, or ``ranks``; nothing for nothing.

    Raises
    ------
    ClassMismatch
        There is no such file, or it is no class map.
    """
    if not name or name == RANKS:
        return name or ""
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise ClassMismatch(f"cannot read the class map {name}: {error}") from error
    return read_class_map(content, where=name)


def renamed_classes(
    names: Sequence[str], renamed: Mapping[str, str], *, where: str
) -> tuple[tuple[str, ...], list[int]]:
    """Return the names that classes get, each once, and for every class the place of its name among them.

    Raises
    ------
    ClassMismatch
        The map names a class that is not there, or two classes are two spellings of one.
    """
    if unknown := [name for name in renamed if name not in names]:
        raise ClassMismatch(
            f"the class map names {_listed(unknown)}, which {where} does not have; it has {_listed(names)}"
        )
    _refuse_two_spellings([name for name in names if name not in renamed], where)
    final = [renamed.get(name, name) for name in names]
    kept = tuple(dict.fromkeys(final))
    return kept, [kept.index(name) for name in final]


def match_classes(
    found: Sequence[str],
    wanted: Sequence[str],
    *,
    images: str,
    reader: str,
    renamed: Mapping[str, str] | str = "",
    may_have_more: bool = False,
    numbers: Sequence[str] = (),
) -> ClassMatch:
    """Find every class of some images among the classes of what reads them.

    Parameters
    ----------
    found : sequence of str
        Names of the images' classes; numbers where they have no names.
    wanted : sequence of str
        Names of the reader's classes, in the order of its labels; empty where it has none.
    images, reader : str
        What to call both in messages.
    renamed : mapping of str to str, or "ranks"
        An explicit map from found to wanted names (or the reader's numbers), or the order of the names.
    may_have_more : bool
        Let the images have classes that the reader lacks, as long as the reader has none that the images lack.
    numbers : sequence of str
        What a map calls the wanted classes by number; their places without it.

    Raises
    ------
    ClassMismatch
        Naming the classes that are on one side alone, or that differ in spelling alone.
    """
    if renamed == RANKS:
        return ClassMatch(tuple(range(len(found))), (f"{images}: classes are taken in the order of their names",))
    renamed = renamed if isinstance(renamed, Mapping) else {}
    names = [_meant(renamed[name], wanted, numbers) if name in renamed else name for name in found]
    if are_numbers(names) and not (wanted and are_numbers(wanted)):
        return _by_number(names, wanted, images=images, reader=reader, is_told=set(found) <= set(renamed))
    if not wanted or (are_numbers(wanted) and not any(name in wanted for name in names)):
        raise ClassMismatch(
            f"{reader} has no class names and {images} has {_listed(found)}: which is which cannot be told; "
            "give a class map (CSV: class as found, class number)"
        )
    _refuse_ambiguous(names, wanted, reader)
    place = {name: label for label, name in enumerate(wanted)}
    labels = tuple(place.get(name, NO_CLASS) for name in names)
    more = [name for name in names if name not in place]
    lacking = [name for name in wanted if name not in names]
    if more and (lacking or not may_have_more):
        raise ClassMismatch(_difference(more, lacking, wanted, images=images, reader=reader))
    _refuse_two_spellings([name for name in found if name not in renamed], images, known=place)
    notes = (f"{images} has no image of class {_listed(lacking)}",) if lacking else ()
    return ClassMatch(labels, notes)


def _meant(name: str, wanted: Sequence[str], numbers: Sequence[str]) -> str:
    """Return the wanted name that a map means: it may give its number, unless numbers are the names."""
    if name in wanted or are_numbers(wanted):
        return name
    numbers = numbers or [str(place) for place in range(len(wanted))]
    return wanted[numbers.index(name)] if name in numbers else name


def _by_number(names: Sequence[str], wanted: Sequence[str], *, images: str, reader: str, is_told: bool) -> ClassMatch:
    numbers = tuple(int(name) for name in names)
    if wanted and max(numbers, default=0) >= len(wanted):
        raise ClassMismatch(
            f"{images} has a class of number {max(numbers)}, {reader} the classes 0 to {len(wanted) - 1} "
            f"({_listed(wanted)}); correct the labels, or give a class map"
        )
    if is_told:
        return ClassMatch(numbers)
    said = f", {_listed([f'{number} as {wanted[number]!r}' for number in numbers[:3]], plain=True)}" if wanted else ""
    return ClassMatch(numbers, (f"{images} has no class names: its numbers are taken as the labels of {reader}{said}",))


def _difference(more: Sequence[str], lacking: Sequence[str], wanted: Sequence[str], *, images: str, reader: str) -> str:
    near = [(name, other) for name in more for other in wanted if _spelled(name) == _spelled(other)]
    if near:
        return (
            f"class {near[0][0]!r} of {images} and {near[0][1]!r} of {reader} are two spellings of one class; "
            "rename one, or give a class map"
        )
    close = difflib.get_close_matches(more[0], lacking, n=1)
    hint = f" (is {more[0]!r} its {close[0]!r}?)" if close else ""
    alone = f", which has {_listed(lacking)} besides" if lacking else ""
    return f"{images} has classes that {reader} does not know: {_listed(more)}{alone}{hint}; give a class map"


def two_spellings(names: Iterable[str], known: Iterable[str] = ()) -> tuple[str, str] | None:
    """Return two names that differ in spelling alone, if there are any; both may be ``known`` as different classes."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(_spelled(name), name)
        # A reader that knows both tells them apart: letters in both cases, say.
        if other != name and not {name, other} <= set(known):
            return other, name
    return None


def _refuse_two_spellings(names: Iterable[str], where: str, known: Iterable[str] = ()) -> None:
    if found := two_spellings(names, known):
        raise ClassMismatch(
            f"{where} has the classes {found[0]!r} and {found[1]!r}, two spellings of one; rename one, or give a class "
            "map that names both"
        )


def _refuse_ambiguous(names: Iterable[str], wanted: Sequence[str], reader: str) -> None:
    if twice := [name for name in names if list(wanted).count(name) > 1]:
        raise ClassMismatch(f"{reader} has two classes named {twice[0]!r}; give a class map with their numbers")


def _spelled(name: str) -> str:
    """Return what stays of a name whatever its case, accents' form and word breaks are."""
    # Spaces without width too, which nobody sees. Between digits a break tells 1_1 from 11.
    return _BREAKS.sub("", unicodedata.normalize("NFKC", name)).casefold() or name


def _listed(names: Sequence[str], *, plain: bool = False) -> str:
    shown = [name if plain else repr(name) for name in names[:NAMED]]
    return ", ".join(shown) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
