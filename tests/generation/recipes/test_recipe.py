"""Recipes: what is read back, what is refused and how, and which arms may stand beside each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from generation.recipes.recipe import (
    ArmRecipe,
    NetworkFile,
    ScheduleName,
    check_matched,
    differing_fields,
    recipe_fields,
)

DENOISER = {"path": "denoiser.safetensors", "sha256": "a" * 64}
FULL = {
    "denoiser": DENOISER,
    "classifier": {"path": "robust.safetensors", "sha256": ""},
    "classifier_scale": 1.0,
    "guidance_interval": [0, 800],
    "sampler": "ddim",
    "spacing": "ddim25",
    "eta": 0.5,
    "schedule": {"name": "linear", "timesteps": 1000, "rescale_timesteps": False},
}


def test_recipe_survives_json():
    recipe = ArmRecipe.from_json("robust", FULL)
    again = ArmRecipe.from_json("robust", json.loads(json.dumps(recipe.to_json())))
    assert again == recipe
    assert recipe.guidance_interval == (0, 800)
    assert recipe.schedule == ScheduleName(name="linear")


def test_network_may_be_given_as_a_bare_path():
    assert ArmRecipe.from_json("a", {"denoiser": "d.pt"}).denoiser == NetworkFile(path="d.pt")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"denoiser": None}, "arm 'a': the recipe has no 'denoiser'"),
        ({"classifier_scal": 1.0}, "unknown key 'classifier_scal'; did you mean 'classifier_scale'"),
        ({"name": "b"}, "unknown key 'name'"),
        ({"classifier_scale": -1}, "classifier_scale is -1; it must be a number from 0 to 1000"),
        ({"classifier_scale": "big"}, "classifier_scale is 'big'"),
        ({"classifier_scale": float("nan")}, "classifier_scale is nan"),
        ({"classifier": None}, "classifier_scale is 1.0; it must be 0 without a classifier"),
        ({"sampler": "euler"}, "sampler is 'euler'; it must be one of ancestral, ddim, dpm_solver_2m"),
        ({"sampler": "ancestral"}, "eta is 0.5; it must be 0 with sampler 'ancestral'"),
        ({"eta": 2}, "eta is 2; it must be a number from 0 to 1"),
        ({"spacing": "ddim400"}, "no integer stride gives exactly 400 of 1000"),
        ({"spacing": "2000"}, "section 1 has 1000 timesteps, fewer than the 2000 asked"),
        ({"spacing": "many", "schedule": None}, "'many' is not a number of timesteps"),
        ({"spacing": 25}, "spacing is 25; it must be a text"),
        ({"guidance_interval": [800, 0]}, "with first <= last"),
        ({"guidance_interval": 5}, r"guidance_interval is 5; it must be \[first, last\]"),
        ({"guidance_interval": [0, 0.5]}, "guidance_interval is 0.5; it must be a whole number"),
        ({"precision": "float8"}, "precision is 'float8'"),
        ({"clip_x_start": 1}, "clip_x_start is 1; it must be true or false"),
        ({"denoiser": {"path": "d", "sha": "x"}}, "denoiser has an unknown key 'sha'; did you mean 'sha256'"),
        ({"denoiser": {"path": "d", "sha256": "xyz"}}, "denoiser: sha256 is 'xyz'; it must be 64 hexadecimal"),
        ({"denoiser": {"sha256": ""}}, "denoiser: .*path"),
        ({"denoiser": ["d"]}, "denoiser is .* it must be an object with path, sha256"),
        ({"schedule": {"name": "sigmoid"}}, "schedule: name is 'sigmoid'; it must be one of linear, cosine"),
        ({"null_label": 1.5}, "null_label is 1.5"),
    ],
)
def test_bad_recipe_is_refused_by_arm_field_and_range(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        ArmRecipe.from_json("a", FULL | changes)


@pytest.mark.parametrize("empty", [{}, None, ""])
def test_empty_recipe_says_what_it_needs(empty):
    with pytest.raises(ValueError, match="arm 'a': the recipe is empty; it needs at least 'denoiser'"):
        ArmRecipe.from_json("a", empty)


def test_digest_follows_what_decides_the_images_and_not_the_path():
    recipe = ArmRecipe.from_json("a", FULL)
    moved = ArmRecipe.from_json("b", FULL | {"denoiser": DENOISER | {"path": "elsewhere.safetensors"}})
    other = ArmRecipe.from_json("a", FULL | {"classifier_scale": 1.5})
    assert recipe.sha256 == moved.sha256 != other.sha256


def arms(*changes: dict) -> list[ArmRecipe]:
    return [ArmRecipe.from_json(f"arm{number}", FULL | change) for number, change in enumerate(changes)]


def test_arms_may_differ_in_guidance_alone():
    recipes = arms({}, {"classifier_scale": 2.0}, {"classifier": None, "classifier_scale": 0})
    assert differing_fields(recipes) == ["classifier", "classifier_scale"]
    check_matched(recipes)


def test_any_other_difference_is_refused_unless_it_is_named():
    recipes = arms({}, {"spacing": "ddim50"})
    with pytest.raises(ValueError, match=r"the arms differ in 'spacing' \(arm0: ddim25; arm1: ddim50\)"):
        check_matched(recipes)
    check_matched(recipes, ["spacing"])
    with pytest.raises(ValueError, match="differ in 'classifier_scale'"):
        check_matched(arms({}, {"classifier_scale": 2.0}), ["spacing"])


def test_arms_need_names_of_their_own_and_known_factors():
    with pytest.raises(ValueError, match="give at least one, each with its own name"):
        check_matched([])
    with pytest.raises(ValueError, match="each with its own name"):
        check_matched(arms({})[:1] * 2)
    with pytest.raises(ValueError, match="factor 'steps' is no field of a recipe"):
        check_matched(arms({}), ["steps"])


def test_recipes_are_checked_without_torch():
    probe = "import sys, generation.recipes.recipe; print('torch' in sys.modules or 'django' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_the_recipe_in_the_docs_is_a_recipe_in_full():
    page = (Path(__file__).parents[3] / "docs" / "engineer-generation.md").read_text()
    values = json.loads(re.search(r"```json\n(.*?)```", page, re.S).group(1))
    assert set(values) == set(recipe_fields())
    assert ArmRecipe.from_json("robust", values).to_json() == values


def test_recipes_from_before_the_compared_methods_keep_their_digest():
    recipe = ArmRecipe.from_json("robust", FULL)
    assert not {"guidance_point", "weak_denoiser", "refine_steps", "scale_schedule"} & set(recipe.to_json())
    assert ArmRecipe.from_json("robust", FULL | {"guidance_point": "noisy", "weak_scale": 1.0}).sha256 == recipe.sha256
    assert ArmRecipe.from_json("robust", FULL | {"guidance_point": "denoised"}).sha256 != recipe.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guidance_point": "clean"}, "guidance_point is 'clean'; it must be one of noisy, denoised"),
        ({"guidance_averaging": 1.0}, "guidance_averaging is 1.0"),
        ({"scale_schedule": "rising"}, "one of constant, linear, cosine"),
        ({"weak_scale": 2.0}, "weak_scale is 2.0; it must be other than 1 with a weak_denoiser"),
        ({"weak_denoiser": "weak.safetensors"}, "weak_scale is 1.0"),
        (
            {"weak_denoiser": "weak.safetensors", "weak_scale": 2.0, "class_free_scale": 3.0},
            "null with a weak_denoiser",
        ),
        ({"refine_steps": 5}, "refine_epsilon is 0.0; it must be above 0"),
        ({"refine_steps": 2.5, "refine_epsilon": 1.0}, "refine_steps is 2.5"),
        ({"refine_steps": 5, "refine_epsilon": 1.0, "classifier": None, "classifier_scale": 0.0}, "refine_classifier"),
    ],
)
def test_switches_of_compared_methods_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        ArmRecipe.from_json("robust", FULL | changes)
