"""What a file is, told by its first bytes; endings are only believed where the content says the same."""

from __future__ import annotations

from pathlib import PurePosixPath

__all__ = ["ENDINGS", "HEAD_BYTES", "READ", "ending_for", "has_image_ending", "kind_of", "picture_format", "stem"]

# Enough of a file to tell it.
HEAD_BYTES = 512
# Formats that are read, by Pillow's names, with the endings that people give them; the first one is ours.
ENDINGS: dict[str, tuple[str, ...]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
}
READ = tuple(ENDINGS)
_IMAGE_ENDINGS = frozenset(ending for endings in ENDINGS.values() for ending in endings)
# TIFF inside, with a preview as its first picture: the ending tells them from scans.
_CAMERA_RAW = frozenset({".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".rw2", ".srw"})
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"\xff\x0a", "JPEG XL image"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL image"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 image"),
    (0, b"8BPS", "Photoshop file"),
    (0, b"v/1\x01", "OpenEXR image"),
    (0, b"#?RADIANCE", "Radiance HDR image"),
    (0, b"\0\0\x01\0", "icon"),
    (0, b"P5", "portable map"),
    (0, b"P6", "portable map"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"FLV\x01", "video"),
    (0, b"\0\0\x01\xba", "video"),
    (0, b"PK\x03\x04", "zip archive"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (0, b"Rar!", "RAR archive"),
    (257, b"ustar", "tar archive"),
    (0, b"%PDF", "PDF document"),
    (0, b"\x93NUMPY", "NumPy array"),
    (0, b"\0\x05\x16\x07", "macOS file fork"),
    (0, b"version https://git-lfs", "git-lfs pointer, whose file was not fetched"),
)
_RIFF = {b"WEBP": "WEBP", b"AVI ": "video", b"WAVE": "sound"}
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def kind_of(head: bytes, name: str = "") -> str:
    """Return what a file is: a format of `READ`, or a plain word for anything else.

    Parameters
    ----------
    head : bytes
        The first `HEAD_BYTES` of the file, or all of it.
    name : str
        Its name; the ending only tells camera raws from TIFF, and names what is not known otherwise.
    """
    ending = PurePosixPath(name).suffix.lower()
    if not head:
        return "empty file"
    if head[4:8] == b"ftyp":
        return _boxed(head)
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "RIFF file")
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return "camera raw" if kind == "TIFF" and ending in _CAMERA_RAW else kind
    return _text(head) or (f"{ending} file" if ending else "file without an ending")


def _boxed(head: bytes) -> str:
    """Tell ISO media files apart by their brands: the major one, then the compatible ones."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    if any(brand in (b"avif", b"avis") for brand in brands):
        return "AVIF"
    if any(brand in _HEIC for brand in brands):
        return "HEIC image"
    return "camera raw" if brands[0] == b"crx " else "video"


def _text(head: bytes) -> str | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "HTML page"
    if b"<svg" in start and start.startswith(b"<"):
        return "SVG drawing"
    is_text = b"\0" not in head and sum(byte < 32 and byte not in b"\t\r\n\f" for byte in head) == 0
    return "text file" if is_text else None


def picture_format(head: bytes, name: str = "") -> str | None:
    """Return the format of `READ` that the bytes have, or None."""
    kind = kind_of(head, name)
    return kind if kind in ENDINGS else None


def has_image_ending(name: str) -> bool:
    """Return whether a name ends as pictures of a format of `READ` do."""
    return PurePosixPath(name).suffix.lower() in _IMAGE_ENDINGS


def ending_for(name: str, picture: str) -> str:
    """Return the ending under which a picture of that format is kept: its own, if that is one of the format."""
    ending = PurePosixPath(name).suffix.lower()
    return ending if ending in ENDINGS[picture] else ENDINGS[picture][0]


def stem(name: str) -> str:
    """Return a name without the ending of a picture: `a/1` of `a/1.png`, but `v2.1` of `v2.1`."""
    return name[: -len(PurePosixPath(name).suffix)] if has_image_ending(name) else name
