"""The examples in the docstrings of the package are run."""

import doctest
import importlib
from pathlib import Path

import pytest

import analysis

FOLDER = Path(analysis.__file__).parent
WITH_EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


def test_examples_are_found():
    assert {"simulate", "power", "preference"} <= set(WITH_EXAMPLES)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_give_what_they_show(name):
    outcome = doctest.testmod(importlib.import_module(f"analysis.{name}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
