"""A release is one version in all places, with its date and the digests of its migrations."""

from __future__ import annotations

import datetime
import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.architecture.test_contracts import ROOT

_spec = importlib.util.spec_from_file_location("blindpair_release", ROOT / "deploy/release.py")
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)
DAY = datetime.date(2030, 1, 2)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what a release touches, with a migration that is not released and a section for the next version."""
    for name in (*made.PLACES, made.RELEASED, *made.migrations(ROOT)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changes\n\n## 9.8.7 (unreleased)\n\n- **Much**\n\n## 9.8.6 (2029-01-01)\n"
    )
    (tmp_path / "survey/migrations/9999_last.py").write_text("# the last one\n")
    return tmp_path


def test_a_release_is_one_version_with_a_date_and_every_migration(tree: Path) -> None:
    for _ in range(2):
        made.release(tree, version="9.8.7", date=DAY)
        assert made.versions(tree) == {"9.8.7"}
        assert (tree / "CHANGELOG.md").read_text().count("## 9.8.7 (2030-01-02)\n") == 1
        assert "## 9.8.6 (2029-01-01)\n" in (tree / "CHANGELOG.md").read_text()
        assert json.loads((tree / made.RELEASED).read_text()) == made.migrations(tree)
    assert "survey/migrations/9999_last.py" in made.migrations(tree)
    # Nothing else is called by the version.
    changed = [line for line in (tree / "pyproject.toml").read_text().splitlines() if "9.8.7" in line]
    assert changed == ['version = "9.8.7"']


@pytest.mark.parametrize("edited", ["survey/migrations/0001_initial.py", "docker-compose.yml", "CHANGELOG.md"])
def test_what_cannot_be_released_is_refused_and_nothing_is_written(tree: Path, edited: str) -> None:
    (tree / edited).write_text("# nothing of what was there\n")
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=re.escape(edited)):
        made.release(tree, version="9.8.7", date=DAY)
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


def test_this_tree_says_one_version_and_a_dated_one_has_released_its_migrations() -> None:
    (version,) = made.versions(ROOT)
    dates = dict(re.findall(r"(?m)^## ([\d.]+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text()))
    newest = next(iter(dates))
    assert version in dates
    if newest == version:
        assert dates[version] != "unreleased"
        assert json.loads((ROOT / made.RELEASED).read_text()) == made.migrations(ROOT)
