"""Files that researchers send in: bombs, lies and rubbish are refused, cheaply and with a reason."""

from __future__ import annotations

import io
import resource
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from diffusion.checkpoints import CheckpointError, load_network
from survey.models import ImagePair
from survey.services.images.import_sources import Limits
from survey.services.images.importing import inspect
from tests.factories import make_png, make_study, make_user


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side: int, rows: int = 4096) -> bytes:
    """A PNG of a few kB that claims, and partly holds, side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(3 * side + 1) * min(rows, side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A small PNG whose compressed comment unpacks to 64 MB."""
    png = make_png(1)
    comment = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(64 * 1024**2), 9))
    return png[:33] + comment + png[33:]


@pytest.mark.parametrize("side", [9_000, 30_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_without_unpacking_it(side: int) -> None:
    content = png_bomb(side, rows=64 if side < 2**20 else 0)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ValueError, match=r"pixels|cannot be read|allowed"):
        inspect("a.png", content, Limits())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024, "kB of memory taken"
    assert time.process_time() - start < 2.0


def test_a_bomb_in_a_comment_is_never_unpacked() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert inspect("a.png", text_bomb(), Limits()).width > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024, "kB of memory taken"


def cut_and_bent(content: bytes) -> list[bytes]:
    """Copies that are cut short, or have a byte changed, at many places."""
    found = [content[:keep] for keep in range(0, len(content), max(1, len(content) // 40))]
    for place in range(0, len(content), max(1, len(content) // 60)):
        copy = bytearray(content)
        copy[place] ^= 0xFF
        found.append(bytes(copy))
    return found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_images_are_read_or_refused_and_nothing_else(kind: str) -> None:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(make_png(3, size=24))) as picture:
        picture.save(buffer, kind)
    refused = 0
    for content in cut_and_bent(buffer.getvalue()):
        try:
            inspect(f"a.{kind.lower()}", content, Limits())
        except ValueError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        b"II*\x00\x08\x00\x00\x00",
    ],
)
def test_other_formats_are_refused_whatever_they_are_called(content: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        inspect("a.png", content, Limits())


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def quine() -> bytes:
    """Zips in zips: nothing of ours looks inside the inner ones."""
    content = bytes(10**6)
    for _ in range(4):
        content = archive(**{"vanilla/a.zip": content})
    return content


BAD = {
    "bomb": archive(**{"vanilla/a.png": bytes(40 * 1024**2), "robust/a.png": bytes(40 * 1024**2)}),
    "escape": archive(**{"../../../../tmp/blindpair-escaped.png": make_png(1), "robust/a.png": make_png(2)}),
    "absolute": archive(**{"/tmp/blindpair-escaped.png": make_png(1), "robust/a.png": make_png(2)}),
    "drive": archive(**{"C:/blindpair-escaped.png": make_png(1), "robust/a.png": make_png(2)}),
    "picture bomb": archive(**{"vanilla/a.png": png_bomb(30_000, 1), "robust/a.png": make_png(2)}),
    "script": archive(**{"vanilla/a.png": b"<script>", "robust/a.png": make_png(2)}),
    "quine": quine(),
    "no zip": b"PK\x03\x04 no zip",
    "empty": b"",
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", BAD)
def test_bad_uploads_change_nothing_on_disk_or_in_the_database(name: str, settings) -> None:
    owner = make_user()
    study = make_study(owner=owner, pairs=0)
    client = Client(raise_request_exception=False)
    client.force_login(owner)
    before = set(Path(settings.MEDIA_ROOT).rglob("*"))
    upload = SimpleUploadedFile("arms.zip", BAD[name], content_type="application/zip")
    answer = client.post(f"/admin/survey/study/{study.pk}/import/", {"zip": upload})
    assert answer.status_code in {200, 302}
    assert ImagePair.objects.count() == 0
    assert {path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()} <= before
    assert not Path("/tmp/blindpair-escaped.png").exists()


class Malice:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".pkl"])
def test_a_checkpoint_that_is_a_program_is_not_run(tmp_path: Path, suffix: str) -> None:
    import torch

    mark, path = tmp_path / "run", tmp_path / f"net{suffix}"
    torch.save({"state_dict": Malice(mark)}, path)
    with pytest.raises((CheckpointError, ValueError)):
        load_network(str(path))
    assert not mark.exists()
