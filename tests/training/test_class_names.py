"""Classes through the doors of training: a run's held-out images, the data check, the evaluation of a checkpoint."""

import dataclasses
import io
import json

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image

from diffusion.checkpoints import save_network
from tests.training.data.test_array_files import write_idx
from tests.training.data.test_sources import write_folder
from tests.training.networks import tiny_classifier
from training.learning.config import config_from_dict
from training.learning.distributed import Processes
from training.learning.loop import Trainer
from training.learning.state import RunFolder

SETTINGS = {
    "name": "named",
    "task": "classifier",
    "network": dataclasses.asdict(tiny_classifier(num_classes=3).config),
    "data": {"kind": "folder", "crop": "none", "workers": 0},
    "optimizer": {"iterations": 1, "batch_size": 2},
}


def settings_of(path, validation, /, **data):
    paths = {"path": str(path), "validation_path": str(validation)}
    return SETTINGS | {"data": SETTINGS["data"] | paths | data}


@pytest.fixture
def folders(tmp_path):
    """Make a training folder of three classes, and a validation folder without the first of them."""
    return write_folder(tmp_path / "train"), write_folder(tmp_path / "held_out", {"boot": 10, "shirt": 110})


def test_a_run_measures_held_out_images_under_their_own_classes(folders, tmp_path):
    config = config_from_dict(settings_of(*folders))
    trainer = Trainer(config, RunFolder(tmp_path / "run"), Processes.join("cpu"))
    shown = trainer._validation_images()
    levels = ((shown.x_start[:, 0, 0, 0] + 1) * 127.5).round().int() // 50
    # Levels of about 10 are boots and of about 110 shirts: without the bags they would be classes 0 and 1.
    names = [trainer.data.source.class_names[label] for label in shown.y]
    assert names == [{0: "boot", 2: "shirt"}[int(level)] for level in levels]


@pytest.fixture
def checkpoint(tmp_path, folders, settings):
    """Write a classifier by its card's facts; return the function that does."""
    settings.TORCH_DEVICE = "cpu"

    def write(class_names, **data):
        path = tmp_path / "classifier.safetensors"
        training = config_from_dict(settings_of(*folders, **data)).to_dict()
        schedule = {"name": "linear", "timesteps": 1000}
        save_network(
            path,
            tiny_classifier(num_classes=3),
            schedule=schedule,
            class_names=class_names,
            provenance={"training": training},
        )
        return str(path)

    return write


def measured(path, tmp_path, *more):
    options = ["--steps", "1", "--bands", "1", "--out", str(tmp_path / "out"), *more]
    call_command("evaluate_classifier", path, *options, stdout=io.StringIO(), stderr=io.StringIO())
    return json.loads((tmp_path / "out" / "evaluation.json").read_text())["clean"]


def test_a_checkpoint_is_measured_by_name_whatever_the_folder_lacks(checkpoint, folders, tmp_path):
    names = ("bag", "boot", "shirt")
    lacking = measured(checkpoint(names), tmp_path)
    # The same images, with numbers that say what the names say.
    numbered = tmp_path / "numbered"
    for name in ("boot", "shirt"):
        (folders[1] / name).rename(folders[1] / str(names.index(name)))
    folders[1].rename(numbered)
    assert measured(checkpoint(names), tmp_path, "--data", str(numbered)) == lacking


def test_a_checkpoint_without_names_is_refused_until_somebody_says_which_class_is_which(checkpoint, folders, tmp_path):
    path = checkpoint(())
    with pytest.raises(
        CommandError, match=r"classifier.safetensors has no class names and .*held_out has 'boot', 'shirt'"
    ):
        measured(path, tmp_path)
    (tmp_path / "map.csv").write_text("boot,1\nshirt,2\n")
    assert measured(path, tmp_path, "--classes", str(tmp_path / "map.csv")) == measured(
        checkpoint(("bag", "boot", "shirt")), tmp_path
    )


def test_a_classifier_of_idx_files_is_measured_on_a_folder_by_name(checkpoint, folders, tmp_path):
    names = {"0": "bag", "1": "boot", "2": "shirt"}
    idx = {"kind": "idx", "path": str(write_idx(tmp_path / "idx")), "validation_path": "", "classes": names}
    path = checkpoint(tuple(names.values()), **idx)
    by_name = measured(path, tmp_path, "--data", str(folders[1]))
    assert by_name == measured(checkpoint(tuple(names.values())), tmp_path)
    (folders[1] / "boot").rename(folders[1] / "hat")
    with pytest.raises(CommandError, match="'hat'"):
        measured(path, tmp_path, "--data", str(folders[1]))


def test_the_data_check_names_a_class_that_the_training_set_does_not_have(folders, tmp_path):
    for side in folders:
        for path in side.rglob("*.png"):
            Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    arguments = ["--config", "cifar10_classifier", "--data", str(folders[0]), "--set", "data.kind=folder"]
    arguments += ["--set", f"data.validation_path={folders[1]}", "--set", "network.num_classes=3"]
    out = io.StringIO()
    call_command("check_training_data", *arguments, stdout=out, stderr=io.StringIO())
    assert "none of class bag" in out.getvalue()
    (folders[1] / "boot").rename(folders[1] / "boots")
    with pytest.raises(CommandError, match=r"does not know: 'boots', which has 'bag', 'boot' besides"):
        call_command("check_training_data", *arguments, stdout=io.StringIO(), stderr=io.StringIO())
