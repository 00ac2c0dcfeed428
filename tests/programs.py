"""Programs that a bare machine may lack: their tests are skipped with the remedy, except where CI installs them."""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["missing", "program"]


def missing(what: str, *, remedy: str) -> None:
    """Skip the present test for want of a program; fail it where ``BLINDPAIR_REQUIRE_PROGRAMS`` is set."""
    if os.environ.get("BLINDPAIR_REQUIRE_PROGRAMS"):
        pytest.fail(f"no {what} found; {remedy}")
    pytest.skip(f"no {what} found; {remedy}")


def program(name: str, *, remedy: str) -> str:
    """Return the path of a program, or skip the present test."""
    return shutil.which(name) or missing(name, remedy=remedy)
