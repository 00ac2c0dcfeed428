"""What CONTRIBUTING promises about the commands holds."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_every_command_that_contributing_names_is_there():
    named = re.findall(r"^    make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    assert {"check", "coverage", "lint", "test"} <= set(named)
    targets = re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE)
    assert set(named) <= set(targets)


def test_one_file_is_checked_on_sqlite():
    assert "--db sqlite tests/jobs/test_admin.py" in _run("check", "FILE=tests/jobs/test_admin.py").stdout


def test_hooks_run_what_lint_runs_from_the_same_place():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    entries = {hook["id"]: hook for hook in hooks[0]["hooks"]}
    assert entries["lint"]["entry"] == "make lint"
    assert entries["lint"]["pass_filenames"] is False
    for name, command in (("ruff", "ruff check"), ("ruff-format", "ruff format")):
        assert entries[name]["entry"].startswith(f".venv/bin/{command}")
        assert f"$(BIN)/{command}" in MAKEFILE


def test_editors_are_told_the_line_length_of_ruff():
    text = (ROOT / ".editorconfig").read_text()
    editors = configparser.ConfigParser()
    editors.read_string("[top]\n" + text)
    assert f"line-length = {editors['*']['max_line_length']}\n" in (ROOT / "pyproject.toml").read_text()
