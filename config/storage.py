"""Files that are either there whole or not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

__all__ = ["AtomicFileSystemStorage"]


class AtomicFileSystemStorage(FileSystemStorage):
    """Write beside the target, flush to disk, rename: a killed process leaves no half-written file under a real name.

    Names are content digests or random, so an existing name is overwritten by the same bytes.
    """

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File) -> str:
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with beside.open("xb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        return name
