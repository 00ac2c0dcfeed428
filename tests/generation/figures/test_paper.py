"""The paper's figures from tiny real networks on disk, as a study's recipes name them."""

from pathlib import Path

import pytest
import torch

from diffusion.checkpoints import CheckpointError
from generation.figures.drawing import write_figures
from generation.figures.gradients import figure_noise
from generation.figures.paper import FigureInputs, paper_figures
from generation.recipes.recipe import ArmRecipe, NetworkFile
from tests.generation.tiny import save_tiny_networks, tiny_recipes, without_card


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_networks(tmp_path_factory.mktemp("networks"))


def _inputs(**changes: object) -> FigureInputs:
    images = figure_noise(3, (9, 3, 8, 8)).clamp(-1, 1)
    settings = {"images": images, "labels": torch.arange(9) % 3, "class_names": ("zero", "one", "two"), "shown": 3}
    return FigureInputs(**(settings | changes))


def _file(path: Path, config: str = "") -> NetworkFile:
    return NetworkFile(path=str(path), config=config)


def test_all_figures_come_from_the_recipes_and_can_be_drawn(folder: Path, tmp_path: Path):
    found = paper_figures(tiny_recipes(folder), _inputs(), unconditional=_file(folder / "unconditional.safetensors"))
    names = ["matched_pairs", "class_gradients", "class_ascent", "intermediate_estimates", "gradient_alignment"]
    assert [spec.name for spec in found.specs] == names
    assert found.missing == {}
    assert {len(rows) for rows in found.numbers["alignment"].values()} == {10}
    after, before = (found.numbers["ascent"]["robust"][f"log_probability_{when}"] for when in ("after", "before"))
    assert all(high > low for high, low in zip(after, before, strict=True))
    assert len(write_figures(found.specs, tmp_path, ("svg",))) == 5


def test_the_same_recipes_give_the_same_numbers(folder: Path):
    one, two = (
        paper_figures(
            tiny_recipes(folder), _inputs(), unconditional=_file(folder / "unconditional.safetensors")
        ).numbers
        for _ in range(2)
    )
    assert one == two


def test_alignment_without_an_unconditional_denoiser_is_missing_with_its_reason(folder: Path):
    found = paper_figures(tiny_recipes(folder), _inputs())
    assert "gradient_alignment" not in [spec.name for spec in found.specs]
    assert "without classes" in found.missing["gradient_alignment"]


def test_a_conditional_denoiser_cannot_stand_in_for_an_unconditional_one(folder: Path):
    with pytest.raises(CheckpointError, match="no denoiser without classes"):
        paper_figures(tiny_recipes(folder), _inputs(), unconditional=_file(folder / "denoiser.safetensors"))


def test_arms_without_classifiers_have_no_such_figures(folder: Path):
    plain = ArmRecipe(name="plain", denoiser=NetworkFile(path=str(folder / "denoiser.safetensors")), spacing="10")
    with pytest.raises(ValueError, match="no arm is guided"):
        paper_figures([plain], _inputs())


def test_an_unconditional_denoiser_without_a_card_is_named_by_its_config(folder: Path, tmp_path: Path):
    weights, config = without_card(folder / "unconditional.safetensors", tmp_path)
    with pytest.raises(CheckpointError, match="give its config"):
        paper_figures(tiny_recipes(folder), _inputs(), unconditional=_file(weights))
    found = paper_figures(tiny_recipes(folder), _inputs(), unconditional=_file(weights, config))
    ours = paper_figures(tiny_recipes(folder), _inputs(), unconditional=_file(folder / "unconditional.safetensors"))
    assert found.numbers == ours.numbers
