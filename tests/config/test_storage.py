from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from config.storage import AtomicFileSystemStorage


class _TornFile(ContentFile):
    """A source that fails in the middle, as a full disk or a closed connection does."""

    def chunks(self, chunk_size: int | None = None):
        yield b"half"
        raise OSError("No space left on device")


def test_save_leaves_nothing_behind_when_it_fails_half_way(tmp_path: Path) -> None:
    storage = AtomicFileSystemStorage(location=tmp_path)
    with pytest.raises(OSError, match="No space"):
        storage.save("images/ab/x.png", _TornFile(b"half and half"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_save_keeps_the_given_name_and_replaces_whole_files(tmp_path: Path) -> None:
    storage = AtomicFileSystemStorage(location=tmp_path)
    assert storage.save("images/ab/x.png", ContentFile(b"one")) == "images/ab/x.png"
    assert storage.save("images/ab/x.png", ContentFile(b"two")) == "images/ab/x.png"
    with storage.open("images/ab/x.png") as file:
        assert file.read() == b"two"
