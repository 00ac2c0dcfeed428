"""A folder that can be published: votes, raters, pairs, preferences and images, and what describes and proves them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from analysis.pairs.columns import PAIR_COLUMNS
from analysis.votes.columns import Field
from survey.canonical import canonical_json
from survey.exceptions import ReleaseRefused
from survey.models import RaterSession, Study, StudyVersion
from survey.reports.raters import LEAST_CELL, raters_published
from survey.reports.release.card import about_of, card_text, rai_of
from survey.reports.release.croissant import croissant
from survey.reports.release.images import images_write
from survey.reports.release.tables import (
    PREFERENCE_COLUMNS,
    preference_rows,
    published_votes,
)
from survey.reports.report import vote_columns
from survey.selectors.pair_rows import pair_rows, pairs_in_table
from survey.selectors.rater import sessions_publishable
from survey.selectors.version import version_current
from survey.services.study.version import manifest_lines

__all__ = ["LICENSES", "ReleaseOptions", "release_problems", "release_write"]

# SPDX names that people type, with the address that Croissant wants and the name that data hubs know.
LICENSES = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "ODC-BY-1.0": "https://opendatacommons.org/licenses/by/1-0/",
}


@dataclass(frozen=True, kw_only=True)
class ReleaseOptions:
    """What the owner decides about a release.

    Parameters
    ----------
    license : str
        One of ``LICENSES``, or the address of another licence. There is no default: it is the owner's to give.
    arm_names : mapping of str to str
        Published names of arms; those not named keep their own.
    url : str
        Where the release will be found, if known.
    least_cell : int
        Cells of the raters' table that fewer raters share are left empty.
    """

    license: str
    arm_names: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    least_cell: int = LEAST_CELL

    def problems(self, arms: Iterable[str]) -> list[str]:
        """Return what is wrong with the options, each with its remedy."""
        arms = list(arms)
        found = []
        if self.license not in LICENSES and not re.fullmatch(r"https?://\S+", self.license):
            found.append(f"the licence {self.license!r} is none of {', '.join(LICENSES)} and no address; give one")
        if unknown := sorted(set(self.arm_names) - set(arms)):
            found.append(f"there is no arm {', '.join(unknown)}; the arms are {', '.join(arms)}")
        if len({self.arm_names.get(arm, arm) for arm in arms}) < len(arms):
            found.append("two arms would have the same published name; give each its own")
        if self.least_cell < 1:
            found.append(f"the least number of raters a cell is {self.least_cell}; give 1 or more")
        return found


def release_write(
    study: Study, out: Path, options: ReleaseOptions, *, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Write the release into ``out``, which must not exist yet or be empty; return its counts.

    It takes its place at once, when it is whole: a full disk or a kill leaves no half release behind.

    Raises
    ------
    ReleaseRefused
        With every reason: no vote that may leave, no consent to publication, bad options, a changed image, a folder
        that holds something.
    """
    version = version_current(study)
    arms = list(study.arms.order_by("name").values_list("name", flat=True))
    if problems := [*options.problems(arms), *_problems(out), *release_problems(study)]:
        raise ReleaseRefused(problems)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place: a rename within one file system puts the release there whole or not at all.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "release"
        folder.mkdir()
        arm_names = {arm: options.arm_names.get(arm, arm) for arm in arms}
        counts = _write(study, version, folder, options, arm_names, on_progress)
        if out.exists():
            out.rmdir()
        os.replace(folder, out)
    return counts


def _problems(out: Path) -> list[str]:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return [f"{out} holds something already; name a new folder"]
    return []


def release_problems(study: Study) -> list[str]:
    """Return why the votes of a study cannot be released, each with its remedy."""
    versions = StudyVersion.objects.filter(study=study, sessions__in=sessions_publishable(study)).distinct()
    if not versions.exists():
        return ["no rater has voted in the main study whose votes may be published"]
    return [
        f"the consent of version {version.number} does not say that answers will be published; "
        "only votes that were given under a consent that does can be released"
        for version in versions.order_by("number")
        if not version.config.get("publication", {}).get("is_consented", False)
    ]


def _write(
    study: Study,
    version: StudyVersion,
    folder: Path,
    options: ReleaseOptions,
    arm_names: Mapping[str, str],
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    from analysis.votes.writing import write_table

    sessions = sessions_publishable(study)
    rater_columns, raters = raters_published(study, least_cell=options.least_cell)
    tables: dict[str, tuple[tuple[Field, ...], Iterable[Mapping[str, Any]], tuple[str, ...]]] = {
        "votes": (vote_columns(study), published_votes(study, sessions, arm_names), ("csv", "parquet")),
        "raters": (rater_columns, raters, ("csv", "parquet")),
        "pairs": (PAIR_COLUMNS, pair_rows(study), ("csv", "parquet")),
        "preferences": (PREFERENCE_COLUMNS, preference_rows(study, sessions, arm_names), ("parquet",)),
    }
    counts = {
        name: write_table(rows, folder, columns=columns, name=name, formats=formats)[0]["rows"]
        for name, (columns, rows, formats) in tables.items()
    }
    (folder / "images").mkdir()
    images = images_write(study, folder / "images", arm_names=arm_names, on_progress=on_progress)
    if all(arm == name for arm, name in arm_names.items()):
        # They hold the arms' own names: with other names published, the digests on the card have to do.
        _write_design(study, sessions, folder)
    about = about_of(
        study, version, license=LICENSES.get(options.license, options.license), url=options.url, counts=counts
    )
    rai = rai_of(version, least_cell=options.least_cell)
    described = croissant(
        about=about,
        rai=rai,
        tables={name: columns for name, (columns, *_) in tables.items()},
        images=[path.relative_to(folder) for path in images],
        digests=_digests(folder),
    )
    (folder / "croissant.json").write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    hub_license = options.license.lower() if options.license in LICENSES else "other"
    (folder / "README.md").write_text(card_text(about, rai, hub_license=hub_license), encoding="utf-8")
    # Last of all, so that every other file is covered.
    sums = "".join(f"{digest}  {name}\n" for name, digest in _digests(folder).items())
    (folder / "SHA256SUMS").write_text(sums)
    released = pairs_in_table(study)
    counts["images"] = released.filter(images__isnull=False).count()
    references = released.filter(reference__isnull=False).count()
    return counts | ({"references": references} if references else {})


def _write_design(study: Study, sessions: QuerySet[RaterSession], folder: Path) -> None:
    """Put the frozen versions and the manifest of images beside the tables: what the digests are taken over."""
    for version in StudyVersion.objects.filter(study=study, sessions__in=sessions).distinct():
        (folder / f"version-{version.number}.json").write_bytes(canonical_json(version.config))
    with (folder / "manifest.jsonl").open("wb") as file:
        file.writelines(manifest_lines(study, version_current(study)))


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
