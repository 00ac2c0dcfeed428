"""The reproduction end to end on a few images: everything runs, nothing is done twice, and the ablation goes on."""

import csv
import json
from pathlib import Path

import pytest
import torch
from django.core.management import CommandError, call_command

from analysis.images import EvaluationRules
from generation.reproduction.experiment import PRESETS, Experiment, Laboratory
from generation.reproduction.run import ablate, reproduce
from training.learning.config import read_config

_TINY = Experiment(
    seeds=(0,),
    images_per_class=2,
    spacing="2",
    attack_steps=1,
    evaluation_steps=1,
    alignment_per_class=1,
    iterations=1,
    validation_images=10,
    micro_batch=20,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduction")


def _laboratory(folder: Path, seen: list[str] | None = None) -> Laboratory:
    def progress(what: str, done: int, total: int) -> None:
        if seen is not None:
            seen.append(what)

    return Laboratory(_TINY, folder, device=torch.device("cpu"), progress=progress)


@pytest.mark.slow
def test_reproduction_writes_page_numbers_and_figures_and_a_second_run_finds_them(folder: Path):
    first = reproduce(_laboratory(folder))
    assert set(first["seeds"][0]["arms"]) == {"unguided", "vanilla-0.5", "vanilla-1", "robust-0.5", "robust-1"}
    assert first["seeds"][0]["arms"]["robust-1"]["fid"]["value"] is None
    assert first["seeds"][0]["arms"]["robust-1"]["kid"]["n"] == 20
    assert first["missing"] == {}
    page = (folder / "reproduction.html").read_text()
    assert "Every network was trained for 1 iterations." in page
    assert page.count("<figure ") == 5
    assert {path.stem for path in (folder / "figures").glob("*.svg")} >= {"matched_pairs", "gradient_alignment"}
    seen: list[str] = []
    second = reproduce(_laboratory(folder, seen))
    assert json.loads((folder / "reproduction.json").read_text()) == second == first
    assert set(seen) == {"drawing figures"}
    assert (folder / "reproduction.html").read_text() == page


@pytest.mark.slow
def test_ablation_adds_cells_and_keeps_those_there_are(folder: Path):
    one = ablate(_laboratory(folder), epsilons=[0.5], attack_steps=[1], scales=[1.0])
    seen: list[str] = []
    two = ablate(_laboratory(folder, seen), epsilons=[0.5], attack_steps=[1], scales=[0.5, 1.0])
    assert two[1] == one[0]
    assert not any(what.startswith("training") for what in seen)
    with (folder / "ablation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["epsilon"], row["attack_steps"], row["scale"]) for row in rows] == [
        ("0.5", "1", "0.5"),
        ("0.5", "1", "1.0"),
    ]
    assert (folder / "figures" / "scale-1" / "ablation_kid.svg").is_file()


def test_results_are_computed_anew_when_their_inputs_change(tmp_path: Path):
    laboratory, calls = _laboratory(tmp_path), []
    for digest in ("a", "a", "b"):
        laboratory.remembered("x", lambda digest=digest: calls.append(digest) or {"value": 1}, inputs={"sha": digest})
    assert calls == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "imagenet"], "unknown preset"),
        (["--seeds", "one"], "expected int numbers"),
        (["--ablation", "--epsilons", ""], "at least one epsilon"),
        (["--images-per-class", "0"], "images_per_class is 0"),
        (["--iterations", "0"], "iterations is 0"),
        (["--spacing", "0"], "spacing '0' keeps no timestep"),
        (["--formats", "gif"], "unknown format gif"),
    ],
)
def test_bad_arguments_are_refused(tmp_path: Path, arguments: list[str], message: str):
    with pytest.raises(CommandError, match=message):
        call_command("reproduce", "--out", str(tmp_path), *arguments)
    assert not list(tmp_path.rglob("*.safetensors")), "refused before anything is trained"


def test_the_default_experiment_makes_enough_images_for_a_frechet_distance():
    experiment = PRESETS["digits"]
    judge = read_config(experiment.judge).network
    floor = EvaluationRules().minimum_per_feature * judge.level_channels[-1]
    assert experiment.images_per_class * judge.num_classes >= floor
