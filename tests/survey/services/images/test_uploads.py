"""An upload is deleted when the work on it is over for good, and stays for the next attempt otherwise."""

from __future__ import annotations

import io

import pytest
from django.core.files.storage import default_storage

from jobs.exceptions import JobCancelled, PermanentJobError
from survey.exceptions import ImportRefused
from survey.services.images.uploads import upload_keep, upload_opened


@pytest.fixture
def kept() -> str:
    file = io.BytesIO(b"zip")
    file.read()
    return upload_keep(file)


def test_an_upload_is_kept_from_its_first_byte_and_gone_when_read(kept: str) -> None:
    with upload_opened(kept) as stored:
        assert stored.read() == b"zip"
    assert not default_storage.exists(kept)


@pytest.mark.parametrize("over", [JobCancelled(), ImportRefused(["no arms"])])
def test_what_is_refused_or_cancelled_goes(kept: str, over: Exception) -> None:
    with pytest.raises(type(over)), upload_opened(kept):
        raise over
    assert not default_storage.exists(kept)


def test_a_fault_leaves_it_for_the_next_attempt(kept: str) -> None:
    with pytest.raises(OSError, match="disk"), upload_opened(kept):
        raise OSError("disk")
    assert default_storage.exists(kept)


def test_one_that_is_gone_says_what_to_do() -> None:
    with pytest.raises(PermanentJobError, match="Upload it again"), upload_opened("imports/none.zip"):
        pytest.fail("opened")
