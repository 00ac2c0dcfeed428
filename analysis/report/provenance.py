"""Which code computed a number."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["code_commit", "code_version"]


@cache
def code_version() -> str:
    """Return the installed version of the package, or say that this is a source tree."""
    try:
        return metadata.version("blindpair")
    except metadata.PackageNotFoundError:
        return "source tree"


@cache
def code_commit() -> str | None:
    """Return the commit of the source tree this module lies in; None outside a git checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
