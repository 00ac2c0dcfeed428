"""A release as one zip."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from survey.models import Study
from survey.reports.release.release import ReleaseOptions, release_write

__all__ = ["release_zip"]


def release_zip(
    study: Study, path: Path, options: ReleaseOptions, *, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Write the release of a study as a zip; return its counts. Refuses as :func:`release_write` does."""
    folder = path.parent / study.slug
    counts = release_write(study, folder, options, on_progress=on_progress)
    # Images and Parquet are compressed already; times are fixed, so that the same release gives the same zip.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
            info = zipfile.ZipInfo(f"{study.slug}/{file.relative_to(folder).as_posix()}", (1980, 1, 1, 0, 0, 0))
            info.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(info, "w") as target:
                while block := source.read(2**20):
                    target.write(block)
    return counts
