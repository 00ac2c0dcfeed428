"""The files that documents name are there: a move takes its documents along."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
FOLDERS = {str(folder) for name in TRACKED for folder in Path(name).parents}
KNOWN = {*TRACKED, *FOLDERS}
NAMES = {Path(name).name for name in TRACKED}
# A log names files as they were at its time.
DOCUMENTS = [name for name in TRACKED if name.endswith(".md") and name != "CHANGELOG.md"]
SOURCES = (".py", ".js", ".sh", ".toml", ".Dockerfile")


def is_there(document: str, path: str) -> bool:
    """Return whether a path leads to a file, from the root or from the document; a source also by its bare name."""
    if "/" in path:
        is_ours = path.split("/")[0] in FOLDERS
        return not is_ours or bool({path, str(Path(document).parent / path)} & KNOWN)
    return not path.endswith(SOURCES) or path in NAMES or path in SOURCES


def missing(document: str, text: str) -> list[str]:
    paths = (path.rstrip("/") for path in re.findall(r"`([\w./-]+)`", text))
    return [path for path in paths if not is_there(document, path)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_a_document_names_are_there(document: str) -> None:
    assert missing(document, (ROOT / document).read_text()) == []


def test_a_file_that_went_is_found() -> None:
    text = "`jobs/lost.py` `lost.py` `jobs/` `jobs/lease.py` `lease.py` `.py` `/healthz` `report.json` `docs/lost`"
    assert missing("README.md", text) == ["jobs/lost.py", "lost.py", "docs/lost"]
