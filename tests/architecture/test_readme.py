"""The README's map names every folder that a newcomer may open, and none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.test_contracts import DJANGO_FOLDERS, PACKAGES, ROOT


def folders_of_the_map() -> set[str]:
    section = (ROOT / "README.md").read_text().split("## What is where")[1].split("\n## ")[0]
    found = set()
    for row in re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE):
        names = [name.strip("`").rstrip("/") for name in row.split()]
        # Names behind the first one lie beside it, or inside it where it ends in a slash.
        inside = names[0] if row.split()[0].endswith("/`") else str(Path(names[0]).parent)
        found |= {names[0], *(str(Path(inside) / name) if not (ROOT / name).is_dir() else name for name in names[1:])}
    return found


def test_the_map_holds_every_folder() -> None:
    packages = {
        str(folder.relative_to(ROOT))
        for package in PACKAGES
        for folder in [ROOT / package, *(ROOT / package).rglob("*")]
        if (folder / "__init__.py").exists() and not DJANGO_FOLDERS & set(folder.relative_to(ROOT).parts)
    }
    assert folders_of_the_map() == packages | {"benchmarks", "deploy", "docs", "tests"}
