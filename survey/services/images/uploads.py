"""Zips that wait for a worker: kept when they arrive, opened once, deleted when the work on them is over for good."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs.exceptions import JobCancelled, PermanentJobError
from survey.exceptions import SurveyError

__all__ = ["MAX_ZIP_BYTES", "upload_discard", "upload_keep", "upload_opened", "uploads_sweep"]

FOLDER = "imports"
# About a hundred thousand photographs; what is larger is imported on the server.
MAX_ZIP_BYTES = 8 * 1024**3
# Longer than any import runs or waits for its retries: what is older and wanted by no job was left by a crash.
FORGOTTEN_AFTER = timedelta(days=7)


def upload_keep(file: IO[bytes]) -> str:
    """Store an upload from its first byte; return the name that opens it."""
    # Its contents were listed before, and reading goes on from there.
    file.seek(0)
    return default_storage.save(f"{FOLDER}/{uuid.uuid4()}.zip", File(file))


@contextmanager
def upload_opened(name: str) -> Iterator[IO[bytes]]:
    """Open an upload for a job, and delete it once it is read, refused or cancelled.

    Any other error leaves it: the job is tried again, and needs it.

    Raises
    ------
    PermanentJobError
        When the upload is gone.
    """
    if not default_storage.exists(name):
        raise PermanentJobError("The uploaded zip went when its import failed or was cancelled. Upload it again.")
    try:
        with default_storage.open(name) as stored:
            yield stored
    except (JobCancelled, SurveyError):
        upload_discard(name)
        raise
    upload_discard(name)


def upload_discard(name: str) -> None:
    """Delete an upload; one that is gone already is no error."""
    default_storage.delete(name)


def uploads_sweep(*, wanted: Collection[str]) -> None:
    """Delete old uploads that no job wants."""
    if not default_storage.exists(FOLDER):
        return
    old = timezone.now() - FORGOTTEN_AFTER
    for file in default_storage.listdir(FOLDER)[1]:
        name = f"{FOLDER}/{file}"
        if name not in wanted and default_storage.get_modified_time(name) < old:
            upload_discard(name)
