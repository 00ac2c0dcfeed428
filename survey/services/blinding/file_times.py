"""One time for every served file, so that none tells when it was made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from django.core.files.storage import FileSystemStorage, default_storage

from survey.models import PairImage

__all__ = ["earlier_copies_date", "file_date"]

# 2000-01-01.
_ONE_TIME = 946_684_800


def file_date(name: str) -> None:
    """Give a stored file the time that all served files have; a storage on another machine keeps its own times."""
    if isinstance(default_storage, FileSystemStorage):
        os.utime(default_storage.path(name), (_ONE_TIME, _ONE_TIME))


def earlier_copies_date() -> int:
    """Give the copies of versions frozen up to release 0.1 that time too; return how many had another."""
    if not isinstance(default_storage, FileSystemStorage):
        return 0
    count = 0
    for name in _earlier_copies():
        path = Path(default_storage.path(name))
        if path.exists() and int(path.stat().st_mtime) != _ONE_TIME:
            file_date(name)
            count += 1
    return count


def _earlier_copies() -> Iterator[str]:
    for names in PairImage.objects.exclude(served="").order_by().values_list("served", "degraded").iterator(2000):
        yield from filter(None, names)
