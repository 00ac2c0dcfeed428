"""The page of settings is that of the code, and its example runs."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest

from training.learning.config import read_config
from training.learning.reference import SECTIONS, described, settings_reference

PAGE = Path(__file__).parents[3] / "docs" / "training-settings.md"


def test_the_page_in_docs_is_current():
    assert PAGE.read_text() == settings_reference(), (
        "run: python -m training.learning.reference > docs/training-settings.md"
    )


@pytest.mark.parametrize("cls", [cls for _, cls in SECTIONS.values()])
def test_every_setting_is_described(cls):
    texts, hints = described(cls), typing.get_type_hints(cls)
    assert set(texts) == {field.name for field in dataclasses.fields(cls)} == set(hints)
    sections = {"network", "data", "optimizer", "schedule", "run"}
    assert not [name for name, text in texts.items() if not text and name not in sections]


def test_the_example_of_the_page_is_a_configuration(tmp_path):
    (tmp_path / "example.toml").write_text(re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.S).group(1))
    config = read_config(tmp_path / "example.toml")
    assert (config.name, config.data.kind, config.optimizer.iterations) == ("clothes_robust", "idx", 2000)
    assert config.data.classes["9"] == "Ankle boot"
    assert config.attack.step_rule == "imagenet"
