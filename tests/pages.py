"""Which files the pages that people see are made of, and the pictures of them in the documentation."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["PICTURES", "RECORD", "digest_of_pages"]

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/images"
# What the pages were when the pictures were taken.
RECORD = PICTURES / "pictures.json"
# Whatever decides how a page looks; not the scripts, which decide what it does.
LOOKS = ("survey/templates/**/*.html", "survey/static/**/*.css", "analysis/report/formats/html.py")


def digest_of_pages() -> str:
    """Return one SHA-256 over the names and bytes of those files."""
    digest = hashlib.sha256()
    for pattern in LOOKS:
        for path in sorted(ROOT.glob(pattern)):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
