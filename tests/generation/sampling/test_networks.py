"""Networks that do not belong together are refused by name; the same file is loaded once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from diffusion.checkpoints import (
    CheckpointError,
    load_network,
    read_checkpoint,
    save_network,
    save_state_dict,
)
from generation.recipes.recipe import ArmRecipe
from generation.sampling.networks import NetworkMismatch, NetworkStore, check_class, prepare_arms
from tests.generation.conftest import CLASS_NAMES, SCHEDULE, Checkpoints
from tests.generation.toys import tiny_classifier, tiny_denoiser


def saved(path: Path, network, **facts) -> str:
    save_network(path, network, **({"schedule": SCHEDULE, "class_names": CLASS_NAMES} | facts))
    return str(path)


def prepared(checkpoints: Checkpoints, *names: str, **changes):
    return prepare_arms([checkpoints.recipe(name, **changes) for name in names], NetworkStore())


def test_arms_share_one_denoiser_and_pin_their_files(checkpoints):
    vanilla, robust = prepared(checkpoints, "vanilla", "robust")
    assert vanilla.denoiser is robust.denoiser
    assert vanilla.classifier.network is not robust.classifier.network
    assert vanilla.recipe.denoiser.sha256 == vanilla.denoiser.card.sha256
    assert len(vanilla.recipe.classifier.sha256) == 64
    assert vanilla.recipe.schedule.name == "cosine"
    assert vanilla.schedule.num_timesteps == 6
    assert vanilla.schedule.rescale_timesteps


def test_replaced_weights_are_refused_by_both_digests(checkpoints, tmp_path):
    path = tmp_path / "denoiser.safetensors"
    shutil.copy(checkpoints.denoiser, path)
    recipe = prepare_arms([checkpoints.recipe("unguided", denoiser=str(path))], NetworkStore())[0].recipe
    prepare_arms([recipe], NetworkStore())
    saved(path, tiny_denoiser(seed=9))
    before, now = recipe.denoiser.sha256, load_network(path).card.sha256
    complaint = rf"arm 'unguided': .* weights of digest {now[:12]}.* instead of {before[:12]}.*the file was replaced"
    with pytest.raises(NetworkMismatch, match=complaint):
        prepare_arms([recipe], NetworkStore())


def test_same_weights_in_another_architecture_are_refused(checkpoints, tmp_path):
    """The number of heads leaves no trace in the tensors: the settings have a digest of their own."""
    path = tmp_path / "denoiser.safetensors"
    shutil.copy(checkpoints.denoiser, path)
    recipe = prepare_arms([checkpoints.recipe("unguided", denoiser=str(path))], NetworkStore())[0].recipe
    state, card = read_checkpoint(path)
    other = save_state_dict(path, state, replace(card.config, num_heads=1), schedule=card.schedule)
    assert other.sha256 == card.sha256
    with pytest.raises(NetworkMismatch, match=r"settings of digest .* instead of .* the file was replaced"):
        prepare_arms([recipe], NetworkStore())


def test_weights_without_a_card_are_named_by_the_recipe(checkpoints, tmp_path):
    state, card = read_checkpoint(checkpoints.denoiser)
    torch.save({"ema": {name: value.half() for name, value in state.items()}, "step": 1}, tmp_path / "ema.pt")
    (tmp_path / "card.json").write_text(json.dumps(card.to_dict()))
    values = checkpoints.recipe("unguided").to_json()
    assert "config" not in values["denoiser"]
    schedule = {"name": "cosine", "timesteps": card.schedule["timesteps"]}
    values |= {"denoiser": {"path": str(tmp_path / "ema.pt")}, "schedule": schedule}
    with pytest.raises(CheckpointError, match="give its config"):
        prepare_arms([ArmRecipe.from_json("theirs", values)], NetworkStore())
    values["denoiser"]["config"] = str(tmp_path / "card.json")
    recipe = ArmRecipe.from_json("theirs", values)
    assert ArmRecipe.from_json("theirs", recipe.to_json()) == recipe
    (arm,) = prepare_arms([recipe], NetworkStore())
    assert arm.denoiser.network.config == card.config
    values["denoiser"]["config"] = "adm129_denoiser"
    with pytest.raises(ValueError, match=r"config is 'adm129_denoiser'.*adm128_denoiser"):
        ArmRecipe.from_json("theirs", values)


def test_missing_and_damaged_files_are_named(checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match=r"arm 'vanilla': no checkpoint at nowhere\.safetensors"):
        prepared(checkpoints, "vanilla", classifier="nowhere.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(Path(checkpoints.robust).read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"arm 'robust': .*damaged"):
        prepared(checkpoints, "robust", classifier=str(damaged))


def test_classifier_in_the_denoisers_place_is_refused(checkpoints):
    with pytest.raises(NetworkMismatch, match="holds a classifier; a denoiser is wanted here"):
        prepared(checkpoints, "unguided", denoiser=checkpoints.robust)


def test_other_channels_classes_or_schedule_are_refused(checkpoints, tmp_path):
    colour = saved(tmp_path / "colour.safetensors", tiny_classifier(in_channels=3))
    with pytest.raises(NetworkMismatch, match=r"differ in in_channels: .*denoiser.* has 1, .*colour.* 3"):
        prepared(checkpoints, "vanilla", classifier=colour)
    more = saved(tmp_path / "more.safetensors", tiny_denoiser(num_classes=9), class_names=())
    with pytest.raises(NetworkMismatch, match=r"more.safetensors knows 9 classes, the classifier .* 4"):
        prepared(checkpoints, "vanilla", denoiser=more)
    linear = saved(tmp_path / "linear.safetensors", tiny_classifier(), schedule={"name": "linear", "timesteps": 1000})
    with pytest.raises(NetworkMismatch, match=r"linear.safetensors was trained with the linear schedule .* cosine"):
        prepared(checkpoints, "vanilla", classifier=linear)
    swapped = saved(tmp_path / "swapped.safetensors", tiny_classifier(), class_names=CLASS_NAMES[::-1])
    with pytest.raises(NetworkMismatch, match="class 0 is 'digit 0' to the denoiser and 'digit 3' to the classifier"):
        prepared(checkpoints, "vanilla", classifier=swapped)


def test_unstated_schedule_must_come_from_the_recipe(checkpoints, tmp_path):
    silent = saved(tmp_path / "silent.safetensors", tiny_denoiser(), schedule={})
    with pytest.raises(NetworkMismatch, match="does not say its noise schedule; give the recipe 'schedule'"):
        prepared(checkpoints, "unguided", denoiser=silent)
    arm = prepared(checkpoints, "unguided", denoiser=silent, schedule={"name": "linear", "timesteps": 500})[0]
    assert (arm.schedule.name, arm.schedule.original_timesteps) == ("linear", 500)


def test_recipe_may_not_contradict_the_checkpoint(checkpoints):
    with pytest.raises(NetworkMismatch, match=r"trained with the cosine schedule .* samples with linear"):
        prepared(checkpoints, "unguided", schedule={"name": "linear"})


def test_no_class_label_is_the_one_beyond_the_named(checkpoints, tmp_path):
    dropped = saved(tmp_path / "dropped.safetensors", tiny_denoiser(num_classes=5))
    assert prepared(checkpoints, "unguided", denoiser=dropped)[0].null_label == 4
    assert prepared(checkpoints, "unguided")[0].null_label is None
    with pytest.raises(ValueError, match="null_label is 7, but the denoiser has 4 labels"):
        prepared(checkpoints, "unguided", null_label=7)


def test_class_out_of_range_names_arm_and_range(checkpoints, tmp_path):
    arms = prepared(checkpoints, "vanilla")
    check_class(arms, 3)
    with pytest.raises(
        ValueError, match="class 4 is out of range: the networks of arm 'vanilla' know the classes 0 to 3"
    ):
        check_class(arms, 4)
    dropped = saved(tmp_path / "dropped.safetensors", tiny_denoiser(num_classes=5))
    with pytest.raises(ValueError, match="classes 0 to 3"):
        check_class(prepared(checkpoints, "unguided", denoiser=dropped), 4)


def test_half_precision_is_a_separate_copy_with_float32_outside_the_convolutions(checkpoints):
    store = NetworkStore()
    full, half = prepare_arms(
        [checkpoints.recipe("a", precision="float32"), checkpoints.recipe("b", precision="bfloat16")], store
    )
    assert full.denoiser.network.torso_dtype == torch.float32
    assert half.denoiser.network.torso_dtype == torch.bfloat16
    assert half.denoiser.network.time_embed[0].weight.dtype == torch.float32


def test_a_classifier_of_clean_images_is_refused_as_a_guide(checkpoints, tmp_path):
    clean = saved(tmp_path / "clean.safetensors", tiny_classifier(), provenance={"training": {"noised": False}})
    with pytest.raises(NetworkMismatch, match=r"clean.safetensors was trained on clean images .* cannot guide"):
        prepared(checkpoints, "vanilla", classifier=clean)


def test_arms_whose_networks_name_classes_differently_are_refused(checkpoints, tmp_path):
    # Of the second arm nothing names a class twice: its own denoiser and classifier agree.
    names = (*CLASS_NAMES[:3], "something else")
    other = saved(tmp_path / "other.safetensors", tiny_denoiser(), class_names=names)
    one, two = checkpoints.recipe("unguided"), checkpoints.recipe("unguided", denoiser=other)
    with pytest.raises(NetworkMismatch, match="class 3 is 'digit 3' to arm 'unguided' and 'something else' to arm"):
        prepare_arms([one, replace_name(two)], NetworkStore())


def replace_name(recipe):
    return replace(recipe, name="other")
