"""Damaged zips at every door that takes one: refused by a message that names what is wrong, with nothing imported."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from jobs.models import Job
from jobs.runner import job_run
from survey.models import ImagePair
from survey.services.access.api_token import token_create
from tests.factories import make_png, make_study, make_user

pytestmark = pytest.mark.django_db

BROKEN = "robust/cat/1.png"
# Large enough that the damage lies behind what is read to tell the format.
IMAGES = {"vanilla/cat/1.png": make_png(1, size=96), BROKEN: make_png(2, size=96)}
DIRECTORY = b"PK\x01\x02"


def zipped(compression: int = zipfile.ZIP_STORED, **more: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in (IMAGES | more).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def bent(content: bytes, at: int) -> bytes:
    """Return the content with one byte changed."""
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


def bent_member(compression: int) -> bytes:
    """A zip of which one member is damaged in the middle of its packed bytes."""
    content = zipped(compression)
    start, end = content.index(BROKEN.encode()) + len(BROKEN), content.index(DIRECTORY)
    return bent(content, (start + end) // 2)


def bent_in_the_directory(offset: int) -> bytes:
    """A zip of which one byte is changed in the last entry of its directory."""
    content = zipped()
    return bent(content, content.rindex(DIRECTORY) + offset)


def misnamed() -> bytes:
    """A zip with a name that is marked as UTF-8 and is none."""
    mark = "vanilla/cat/é.png".encode()
    return zipped(**{mark.decode(): make_png(3)}).replace(mark, mark.replace(b"\xc3\xa9", b"\xc3\x28"))


def renamed(name: bytes) -> bytes:
    """A zip with one more entry, whose name is replaced by as many other bytes."""
    mark = "@" * len(name)
    return zipped(**{mark: make_png(3)}).replace(mark.encode(), name)


def without(start: int, end: int | None) -> bytes:
    """A zip that lacks these bytes of its directory."""
    content = zipped()
    at = content.rindex(DIRECTORY)
    return content[: at + start] + (b"" if end is None else content[at + end :])


#: {damage: (zip, what the message has to say)}
DAMAGED = {
    "deflate": (bent_member(zipfile.ZIP_DEFLATED), BROKEN),
    "bzip2": (bent_member(zipfile.ZIP_BZIP2), BROKEN),
    "LZMA": (bent_member(zipfile.ZIP_LZMA), BROKEN),
    "stored": (bent_member(zipfile.ZIP_STORED), f"{BROKEN}.*CRC"),
    "wrong CRC": (bent_in_the_directory(16), f"{BROKEN}.*CRC"),
    "unknown compression": (bent_in_the_directory(10), f"{BROKEN}.*compression"),
    "other name in the local header": (bent(zipped(), zipped().index(BROKEN.encode())), f"{BROKEN}.*header"),
    "no UTF-8": (misnamed(), "damaged.*utf-8"),
    "entry named .": (zipped(**{".": b"x"}), r"unsafe name '\.'"),
    "entry without a name": (renamed(b"\0"), r"unsafe name '\\x00'"),
    "name with a NUL": (renamed(b"robust/cat/\0.png"), r"unsafe name 'robust/cat/\\x00\.png'"),
    "directory cut out of the middle": (without(10, 30), "a zip archive cut short or damaged"),
    "directory cut short": (without(30, None), "a zip archive cut short or damaged"),
    "end cut off": (zipped()[:-8], "a zip archive cut short or damaged"),
}


def by_admin(content: bytes, *, is_check: bool) -> str:
    owner = make_user()
    study = make_study(owner=owner, pairs=0)
    client = Client()
    client.force_login(owner)
    body = {"zip": SimpleUploadedFile("arms.zip", content)} | ({"only_check": "on"} if is_check else {})
    answer = client.post(f"/admin/survey/study/{study.pk}/import/", body)
    assert answer.status_code in {200, 302}
    return unescape(answer.content.decode())


def by_api(content: bytes, *, is_check: bool) -> str:
    owner = make_user()
    study = make_study(owner=owner, pairs=0)
    token = token_create(user=owner, name="test", scopes=("read", "write", "run"))[0]
    body = {"zip": SimpleUploadedFile("arms.zip", content), "is_check": is_check}
    client = Client(headers={"Authorization": f"Bearer {token}"})
    answer = client.post(f"/api/v1/studies/{study.slug}/import/", body)
    assert answer.status_code in {202, 422}, answer.content
    return answer.json().get("detail", "")


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("is_check", [True, False], ids=["check", "import"])
@pytest.mark.parametrize("door", [by_admin, by_api])
def test_a_damaged_zip_is_refused_by_name(door: Callable[..., str], is_check: bool, damage: str) -> None:
    content, words = DAMAGED[damage]
    assert re.search(words, door(content, is_check=is_check))
    assert not ImagePair.objects.exists()


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("door", [by_admin, by_api])
def test_a_damaged_zip_that_a_worker_opens_is_refused_by_name(
    door: Callable[..., str], damage: str, monkeypatch: pytest.MonkeyPatch, settings
) -> None:
    monkeypatch.setattr("survey.services.background.INLINE_FILES", 0)
    content, words = DAMAGED[damage]
    said = door(content, is_check=False)
    if job := Job.objects.first():
        done = job_run(job.pk)
        assert done.state == Job.State.FAILED
        said = done.reason
    assert re.search(words, said)
    assert not ImagePair.objects.exists()
    assert not list(Path(settings.MEDIA_ROOT).rglob("*.zip"))


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("options", [["--check"], []], ids=["check", "import"])
def test_the_command_refuses_a_damaged_zip_by_name(
    damage: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = DAMAGED[damage]
    path = tmp_path / "arms.zip"
    path.write_bytes(content)
    with pytest.raises(CommandError) as refused:
        call_command("import_pairs", "--study", make_study(pairs=0).slug, "--zip", str(path), *options)
    assert re.search(words, f"{refused.value}\n{capsys.readouterr().err}")
    assert not ImagePair.objects.exists()
