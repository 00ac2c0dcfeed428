"""Names of arms: as people write them, and short ones for files, tables and addresses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from survey.models import Arm, Study

__all__ = ["LONGEST_NAME", "arm_names", "short_name", "spelled_alike"]

# What the column of the arm holds.
LONGEST_NAME = 60
# Left for a number where two titles have one short name.
_NUMBER_LETTERS = 4


def short_name(title: str) -> str:
    """Return a title in letters, digits, hyphens and underscores, `SDXL-1-0` of `SDXL 1.0`; "arm" if none is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")
    return words[: LONGEST_NAME - _NUMBER_LETTERS].strip("-") or "arm"


def arm_names(study: Study, titles: Iterable[str]) -> dict[str, str]:
    """Return {title: name of the arm}: that of the arm which has the name or title already, or a new short one."""
    arms = list(Arm.objects.filter(study=study).order_by("pk"))
    known = {arm.title: arm.name for arm in arms if arm.title} | {arm.name: arm.name for arm in arms}
    taken = set(known.values())
    found: dict[str, str] = {}
    # Those that may stay as they are come first.
    for title in sorted(titles, key=lambda title: (not _is_short(title), title)):
        found[title] = known[title] if title in known else _free(title, taken)
        taken.add(found[title])
    return found


def _is_short(title: str) -> bool:
    return len(title) <= LONGEST_NAME and re.fullmatch(r"[-A-Za-z0-9_]+", title) is not None


def _free(title: str, taken: set[str]) -> str:
    if _is_short(title) and title not in taken:
        return title
    name, number = short_name(title), 1
    while (free := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return free


def spelled_alike(study: Study, titles: Iterable[str]) -> tuple[str, str] | None:
    """Return two arms that differ in spaces, case or Unicode form alone, the second of them new; None without any."""
    rows = Arm.objects.filter(study=study).order_by("pk").values_list("name", "title")
    known = [title or name for name, title in rows]
    named = {name for row in rows for name in row}
    seen = {_spelled(title): title for title in known}
    for title in sorted(titles):
        other = seen.setdefault(_spelled(title), title)
        if other != title and title not in named:
            return other, title
    return None


def _spelled(title: str) -> str:
    return unicodedata.normalize("NFKC", " ".join(title.split())).casefold()
