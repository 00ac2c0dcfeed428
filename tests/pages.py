"""The pictures of pages in the documentation, and which files those pages are made of.

``make screenshots`` takes them anew: browser tests keep what they see in the folder of BLINDPAIR_SCREENSHOTS,
and ``python -m tests.pages`` then records what the pages were.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

__all__ = ["PICTURES", "RECORD", "digest_of_pages", "picture", "pictures_shown"]

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/images"
# What the pages were when the pictures were taken.
RECORD = PICTURES / "pictures.json"
# Whatever decides how a page looks; not the scripts, which decide what it does.
LOOKS = ("*/templates/**/*.html", "*/static/**/*.css", "analysis/report/formats/html.py")
_SHOWN = re.compile(r"images/([\w-]+\.png)")

_ALL_IMAGES_SHOWN = """async () => {
    const inWindow = (image) => image.getBoundingClientRect().top < innerHeight;
    await Promise.all([...document.images].filter(inWindow).map((image) => image.decode()));
}"""


def picture(page: Page, name: str) -> None:
    """Keep what the window shows, in 256 colours, where somebody asked for it."""
    if folder := os.environ.get("BLINDPAIR_SCREENSHOTS"):
        page.evaluate(_ALL_IMAGES_SHOWN)
        seen = Image.open(io.BytesIO(page.screenshot(scale="css"))).convert("RGB")
        seen.quantize(256, method=Image.Quantize.MEDIANCUT).save(Path(folder) / f"{name}.png", optimize=True)


def pictures_shown() -> set[str]:
    """Return the names of the pictures on all pages of the documentation."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    return {name for page in pages for name in _SHOWN.findall(page.read_text(encoding="utf-8"))}


def digest_of_pages() -> str:
    """Return one SHA-256 over the names and bytes of those files."""
    digest = hashlib.sha256()
    for pattern in LOOKS:
        for path in sorted(ROOT.glob(pattern)):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def main() -> None:
    """Record that the pictures are of the pages as they are now."""
    names = sorted(path.name for path in PICTURES.glob("*.png"))
    RECORD.write_text(json.dumps({"pages": digest_of_pages(), "pictures": names}, indent=1) + "\n")


if __name__ == "__main__":
    main()
