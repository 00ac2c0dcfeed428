"""Look at images before they are imported: every file of every arm, to the last pixel. Nothing is written."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.pictures.colour import colours_of
from analysis.pictures.errors import PictureError
from analysis.pictures.formats import stem
from analysis.pictures.listing import classes_of
from analysis.pictures.pixels import note_counts, read_picture
from survey.canonical import canonical_json
from survey.exceptions import BadArchive
from survey.models.pair import LONGEST_CLASS, LONGEST_KEY
from survey.services.images.import_sources import WANTED_TREE, ImportSource, Limits

__all__ = ["ImageFacts", "ImportReport", "Progress", "images_check", "inspect"]

# Images that a message names, and messages of a kind that are listed.
NAMED = 20
NAMED_FOLDERS = 5
# Characters that the database keeps of an arm's title.
LONGEST_ARM = 200
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImageFacts:
    """What one file is, without its pixels."""

    path: str
    sha256: str
    width: int
    height: int
    format: str
    mode: str
    profile: str
    notes: tuple[str, ...] = ()


@dataclass
class ImportReport:
    """What an import found. ``problems`` forbid it; ``notes`` are worth knowing."""

    arms: list[str]
    pairs: int = 0
    new_pairs: int = 0
    changed_pairs: int = 0
    prompts: int = 0
    references: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unmatched: dict[str, list[str]] = field(default_factory=dict)
    sha256: str = ""
    # {kind: messages of it, and the place of the line that counts those beyond the listed}.
    _kinds: dict[str, tuple[int, int]] = field(default_factory=dict, init=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def refuse(self, problem: str, *, kind: str) -> None:
        """Add a problem; of each kind twenty are listed, and one line counts the others."""
        count, place = self._kinds.get(kind, (0, len(self.problems)))
        if count < NAMED:
            self.problems.append(problem)
        elif count == NAMED:
            place = len(self.problems)
            self.problems.append("")
        if count >= NAMED:
            self.problems[place] = f"{count + 1 - NAMED:,} more: {kind}"
        self._kinds[kind] = (count + 1, place)

    def notice(self, names: Sequence[str], said: str) -> None:
        """Add a note on images or pairs, if there are any: how many, and the first names."""
        if names:
            self.notes.append(f"{len(names):,} {said}: {', '.join(names[:NAMED])}{', ...' * (len(names) > NAMED)}")


def inspect(path: str, content: bytes, limits: Limits) -> ImageFacts:
    """Read a file to its last pixel and say what it is.

    Raises
    ------
    ValueError
        If it cannot be shown to raters, saying why.
    """
    picture = read_picture(content, name=path, most_px=limits.side_px)
    return ImageFacts(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        width=picture.width,
        height=picture.height,
        format=picture.format,
        mode=picture.mode,
        profile=colours_of(picture, content).name,
        notes=picture.notes,
    )


def _keys(source: ImportSource, report: ImportReport, arm: str) -> dict[str, str]:
    """Return {path without ending: path}; the same picture may be a PNG in one arm and a JPEG in another."""
    names = source.names()
    keys: dict[str, str] = {}
    for name in names:
        key = stem(name)
        if key in keys:
            kind = f"arm {arm}: images that would be the same pair"
            report.refuse(f"arm {arm}: {keys[key]} and {name} would be the same pair", kind=kind)
        keys[key] = name
        if len(key) > LONGEST_KEY:
            said = f"is longer than {LONGEST_KEY} characters"
            report.refuse(f"arm {arm}: the path {key[:60]}... {said}", kind=f"arm {arm}: the path {said}")
    if not keys:
        found = "; ".join(source.notes()) or "nothing"
        report.problems.append(f"arm {arm}: no images in {source.label}; found: {found}")
    report.problems += _class_problems(arm, names)
    return keys


def _class_problems(arm: str, names: Sequence[str]) -> list[str]:
    try:
        classes = classes_of(names, where=f"arm {arm}").names
    except PictureError as error:
        return [str(error)]
    return [
        f"arm {arm}: the class folder {name} is longer than {LONGEST_CLASS} characters; shorten it, and give what "
        "raters read with the class names"
        for name in classes
        if len(name) > LONGEST_CLASS
    ]


def images_check(
    sources: Mapping[str, ImportSource],
    *,
    leave_out_unmatched: bool = False,
    are_texts_read: bool = False,
    limits: Limits | None = None,
    on_progress: Progress = lambda done, total: None,
) -> tuple[ImportReport, dict[str, dict[str, ImageFacts]]]:
    """Look at every image of every arm; return the report and {key: {arm: picture}} of the pairs that all arms have."""
    limits = limits or Limits()
    report = ImportReport(arms=sorted(sources))
    report.problems += [
        f"the arm {arm[:NAMED]}... has more than {LONGEST_ARM} characters; shorten the folder's name"
        for arm in report.arms
        if len(arm) > LONGEST_ARM
    ]
    paths = {arm: _keys(source, report, arm) for arm, source in sources.items()}
    notes = (source.notes(are_texts_read=are_texts_read) for source in sources.values())
    report.notes += dict.fromkeys(note for said in notes for note in said)
    shared = _shared(paths, report, leave_out_unmatched=leave_out_unmatched)
    pairs: dict[str, dict[str, ImageFacts]] = {}
    total, done = len(shared) * len(paths), 0
    for key in shared:
        row = {}
        for arm, source in sources.items():
            name = paths[arm][key]
            try:
                row[arm] = inspect(name, source.read(name), limits)
            except PictureError as error:
                report.refuse(f"arm {arm}: {name} {error}", kind=f"arm {arm}: an image {error}")
            except BadArchive as error:
                report.refuse(f"arm {arm}: {error}", kind=f"arm {arm}: files that cannot be read")
            done += 1
            on_progress(done, total)
        if len(row) == len(sources):
            _compare(key, row, report)
            pairs[key] = row
    alike = [key for key, row in pairs.items() if len({one.sha256 for one in row.values()}) == 1]
    report.notice(alike, "pair(s) with identical bytes in all arms")
    _colours(pairs, report)
    _changes(pairs, report)
    report.pairs = len(pairs)
    lines = (canonical_json([key, {arm: one.sha256 for arm, one in row.items()}]) for key, row in pairs.items())
    report.sha256 = hashlib.sha256(b"\n".join(lines)).hexdigest()
    return report, pairs


def _shared(paths: Mapping[str, Mapping[str, str]], report: ImportReport, *, leave_out_unmatched: bool) -> list[str]:
    """Return the keys that all arms have; report arms and images without a partner."""
    if len(paths) < 2:
        report.problems.append(_too_few_arms(paths, report))
        return []
    filled = {arm: keys for arm, keys in paths.items() if keys}
    strays = _strays(filled)
    for arm in strays:
        report.problems.append(
            f"arm {arm} ({_found(paths[arm])}) shares no path with any other arm; if it is no arm, leave it out"
        )
    # Beside an arm too many, or an empty one, the others are compared as they are: they lack none of its images.
    fitting = {arm: keys for arm, keys in filled.items() if arm not in strays}
    shared = sorted(set.intersection(*(set(keys) for keys in fitting.values()))) if fitting else []
    if shared:
        lacks = [_unmatched(arm, keys, shared, report) for arm, keys in fitting.items() if len(keys) > len(shared)]
        (report.notes if leave_out_unmatched else report.problems).extend(lacks)
    if not shared and len(fitting) > 1:
        found = "; ".join(f"{arm}: {_found(keys)}" for arm, keys in fitting.items())
        report.problems.append(
            f"no relative path is in every arm ({found}); name the files of a pair alike; {WANTED_TREE}"
        )
    elif len(fitting) < len(paths):
        report.problems.append(WANTED_TREE)
    return shared if len(fitting) == len(paths) else []


def _unmatched(arm: str, keys: Mapping[str, str], shared: Sequence[str], report: ImportReport) -> str:
    """Note the images of an arm that some other arm does not have; say how many they are, and the first names."""
    alone = sorted(set(keys) - set(shared))
    report.unmatched[arm] = [keys[key] for key in alone]
    named = ", ".join(keys[key] for key in alone[:NAMED]) + (", ..." if len(alone) > NAMED else "")
    return f"arm {arm}: {len(alone)} image(s) without a partner in every other arm: {named}"


def _strays(paths: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the arms whose images have no partner in any other, where others have some."""
    others = {arm: set().union(*(keys for name, keys in paths.items() if name != arm)) for arm in paths}
    alone = [arm for arm, keys in paths.items() if not others[arm] & set(keys)]
    return alone if len(alone) < len(paths) else []


def _too_few_arms(paths: Mapping[str, Mapping[str, str]], report: ImportReport) -> str:
    given = ", ".join(f"{arm} ({_found(keys)})" for arm, keys in paths.items()) or "none"
    besides = f" ({'; '.join(report.notes)})" if report.notes else ""
    around = "".join(
        f"if the folders in {arm} are the arms, give them without it around them; "
        for arm, keys in paths.items()
        if any("/" in name for name in keys.values())
    )
    return f"a comparison needs at least two arms, found: {given}{besides}; {around}{WANTED_TREE}"


def _found(keys: Mapping[str, str]) -> str:
    """Say in a few words what an arm holds."""
    names = sorted(keys.values())
    folders = sorted({name.split("/")[0] for name in names if "/" in name})
    inside = ", ".join(folders[:NAMED_FOLDERS]) + (", ..." if len(folders) > NAMED_FOLDERS else "")
    held = f"{len(names)} image(s)" + (f" in {len(folders)} folder(s): {inside}" if folders else "")
    return held + (f"; the first is {names[0]}" if names else "")


def _changes(pairs: Mapping[str, Mapping[str, ImageFacts]], report: ImportReport) -> None:
    """Say what raters see otherwise than it is stored."""
    for arm in report.arms:
        notes = note_counts(note for row in pairs.values() if arm in row for note in row[arm].notes)
        report.notes += [f"arm {arm}: {note}" for note in notes]


def _compare(key: str, row: Mapping[str, ImageFacts], report: ImportReport) -> None:
    sizes = {f"{one.width}x{one.height}" for one in row.values()}
    if len(sizes) > 1:
        shown = ", ".join(f"{arm} {one.width}x{one.height}" for arm, one in row.items())
        kind = "pairs whose images differ in size"
        report.refuse(f"pair {key}: the arms' images differ in size ({shown})", kind=kind)


def _colours(pairs: Mapping[str, Mapping[str, ImageFacts]], report: ImportReport) -> None:
    """Say what colours the images come in, and that raters see them as a colour-managed browser shows them."""
    for arm in report.arms:
        rows = [row[arm] for row in pairs.values() if arm in row]
        for colours, count in sorted(Counter(one.profile for one in rows).items()):
            if colours != "sRGB":
                is_converted = not colours.startswith("sRGB (")
                report.notes.append(
                    f"arm {arm}: {count} image(s) "
                    + (f"are converted from {colours} to sRGB" if is_converted else f"are taken as {colours}")
                )
        for mode, count in sorted(Counter(one.mode for one in rows).items()):
            if mode not in {"RGB", "RGBA"}:
                report.notes.append(f"arm {arm}: {count} image(s) have mode {mode} and are shown as RGB")
