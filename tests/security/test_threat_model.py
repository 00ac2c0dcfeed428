from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows() -> list[list[str]]:
    text = (ROOT / "docs/security.md").read_text().split("## Threats")[1].split("## Choices")[0]
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_threat_names_a_defence_and_tests_that_exist() -> None:
    assert len(rows()) > 20
    for threat, defence, tests in rows():
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert defence, threat
        assert named, threat
        for path, name in named:
            assert name in functions(ROOT / path), f"{threat}: {path}::{name} is gone"


def test_every_test_of_an_attack_is_named_by_a_threat_or_supports_one_in_its_file() -> None:
    named = {path for *_, tests in rows() for path in re.findall(r"`(tests/security/\w+\.py)::", tests)}
    files = {str(path.relative_to(ROOT)) for path in Path(__file__).parent.glob("test_*.py")}
    assert files - named == {"tests/security/test_threat_model.py"}
