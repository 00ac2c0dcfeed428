"""The examples in the docstrings of the package are run."""

import doctest
import importlib
from pathlib import Path

import pytest

import analysis

FOLDER = Path(analysis.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_examples_are_found():
    assert {"analysis.planning.simulation", "analysis.planning.power", "analysis.preference.rate"} <= set(WITH_EXAMPLES)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_give_what_they_show(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0
