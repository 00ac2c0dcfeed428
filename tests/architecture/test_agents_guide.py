"""The guide for coding agents names commands and places that exist."""

from __future__ import annotations

import re

from tests.architecture.test_contracts import ROOT

GUIDE = (ROOT / "AGENTS.md").read_text()


def test_every_make_target_of_the_guide_exists() -> None:
    targets = set(re.findall(r"^    make (\w+)", GUIDE, flags=re.MULTILINE))
    assert targets >= {"setup", "check", "lint", "test"}
    makefile = (ROOT / "Makefile").read_text()
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)] == []


def test_every_place_of_the_guide_exists() -> None:
    named = (
        re.findall(r"`([\w./-]+)`", GUIDE) + re.findall(r"\]\(([\w./-]+)\)", GUIDE) + re.findall(r"FILE=(\S+)", GUIDE)
    )
    places = {name for name in named if "/" in name or name.endswith(".md")}
    assert len(places) > 20
    assert [place for place in sorted(places) if not (ROOT / place).exists()] == [".venv/bin"] * (
        not (ROOT / ".venv/bin").exists()
    )
