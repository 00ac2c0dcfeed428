"""The locks of the images answer to pyproject.toml, and come from PyPI alone."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"web": ["prod", "report", "sentry"], "gpu": ["prod", "report", "sentry", "torch"]}


def locked(name: str) -> dict[str, str]:
    lines = (ROOT / f"deploy/{name}.lock").read_text().splitlines()
    pins = (re.fullmatch(r"([\w.-]+)==([\w.+!-]+)( ; .*)? \\", line) for line in lines)
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


@pytest.mark.parametrize("name", EXTRAS)
def test_every_dependency_is_locked_at_a_version_that_is_allowed(name: str) -> None:
    wanted = [
        *PROJECT["dependencies"],
        *(line for extra in EXTRAS[name] for line in PROJECT["optional-dependencies"][extra]),
    ]
    pins = locked(name)
    for requirement in map(Requirement, wanted):
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"deploy/{name}.lock misses {requirement}; run deploy/lock.sh"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}; run deploy/lock.sh"


@pytest.mark.parametrize("name", EXTRAS)
def test_every_locked_package_has_digests_and_no_address(name: str) -> None:
    text = (ROOT / f"deploy/{name}.lock").read_text()
    assert not re.search(r"://|--index|--find|\+cpu|\+cu\d", text)
    entries = re.split(r"\n(?=[\w.-]+==)", text)[1:]
    assert len(entries) == len(locked(name)) > 30
    assert all("--hash=sha256:" in entry for entry in entries)


def test_torch_is_locked_where_it_is_constrained_and_the_web_image_has_none() -> None:
    assert f"torch=={locked('gpu')['torch']}" in (ROOT / "constraints.txt").read_text().split()
    assert "torch" not in locked("web")


@pytest.mark.parametrize("name", EXTRAS)
def test_the_image_installs_from_its_lock(name: str) -> None:
    assert f"--require-hashes --requirement {name}.lock" in (ROOT / f"deploy/{name}.Dockerfile").read_text()
