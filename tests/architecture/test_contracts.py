"""A module that strays into a package breaks a contract of ``.importlinter``, wherever it lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from celery import current_app

from jobs.services import RUN_JOB

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "config", "diffusion", "generation", "jobs", "survey", "training")
# Whatever they import: each package has a place for each of its modules.
CLOSED = (*PACKAGES, "analysis/report", "survey/services")
# Folders, and what none of their modules may import.
PURE_FOLDERS = [
    "analysis/images",
    "analysis/inference",
    "analysis/judges",
    "analysis/pairs",
    "analysis/pictures",
    "analysis/planning",
    "analysis/preference",
    "analysis/ranking",
    "analysis/raters",
    "analysis/regression",
    "analysis/sheets",
    "analysis/verdict",
    "analysis/votes",
    "analysis/votes/files",
    "analysis/votes/foreign",
    "analysis/report/content",
    "analysis/report/figures",
    "analysis/report/formats",
    "analysis/report/parts",
    "analysis/report/tables",
    "generation/features",
    "generation/figures",
    "generation/recipes",
    "generation/reproduction",
    "generation/sampling",
    "training/attack",
    "training/data",
    "training/evaluation",
    "training/learning",
    "training/presets",
]
WEB_FOLDERS = [
    "generation/services",
    "survey/admin",
    "survey/api",
    "survey/api/serializers",
    "survey/api/views",
    "survey/models",
    "survey/recruitment",
    "survey/reports",
    "survey/reports/release",
    "survey/selectors",
    "survey/views",
    "survey/services/access",
    "survey/services/assignment",
    "survey/services/blinding",
    "survey/services/images",
    "survey/services/panel",
    "survey/services/records",
    "survey/services/results",
    "survey/services/study",
    "survey/services/visit",
]
FORBIDDEN = dict.fromkeys(PURE_FOLDERS, "import django\n") | dict.fromkeys(WEB_FOLDERS, "import torch\n")
DJANGO_FOLDERS = {"locale", "management", "migrations", "postgresql", "settings", "sqlite3", "static", "templates"}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(tree), "COLUMNS": "400"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and their contracts."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "static", "locale")
        )
    shutil.copy(ROOT / ".importlinter", copy)
    return copy


def test_every_folder_of_a_package_is_tried() -> None:
    found = {
        str(folder.relative_to(ROOT))
        for package in PACKAGES
        for folder in [ROOT / package, *(ROOT / package).rglob("*")]
        if (folder / "__init__.py").exists() and not DJANGO_FOLDERS & set(folder.relative_to(ROOT).parts)
    }
    # In the worker's folder both worlds meet: there, nothing is forbidden.
    assert found == {*CLOSED, *FORBIDDEN, "generation/worker"}


def test_the_tree_keeps_its_contracts(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("folder", CLOSED)
def test_a_stray_module_is_refused_in_a_package_whatever_it_imports(tree: Path, folder: str) -> None:
    assert_refused(tree, folder, "")


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_stray_module_is_refused_in_a_folder_for_what_it_imports(tree: Path, folder: str) -> None:
    assert_refused(tree, folder, FORBIDDEN[folder])


def assert_refused(tree: Path, folder: str, content: str) -> None:
    path = tree / folder / "stray_helper.py"
    path.write_text(content)
    try:
        result = lint(tree)
    finally:
        path.unlink()
    assert result.returncode != 0
    assert "stray_helper" in result.stdout


def test_the_task_that_is_sent_by_name_is_registered() -> None:
    current_app.autodiscover_tasks(["jobs"], force=True)
    assert RUN_JOB in current_app.tasks
