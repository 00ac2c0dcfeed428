"""The pure parts of the rater pages' scripts, tested by node's own runner: tests/js holds the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.programs import program

SCRIPTS = sorted(str(path) for path in Path("tests/js").glob("*.test.js"))


def test_the_scripts_of_the_pages_pass_their_own_tests() -> None:
    node = program("node", remedy="install it with `apt-get install nodejs` (18.18 or newer)")
    assert SCRIPTS
    result = subprocess.run([node, "--test", *SCRIPTS], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
