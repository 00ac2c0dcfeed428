"""`manage.py make_figures`, and how its inputs are picked."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from django.core.management import CommandError, call_command

from analysis.report.content.external_figures import read_figures
from analysis.report.figures.metrics import preference_points
from generation.features.image_sets import ArraySource
from generation.figures.inputs import fit_to_network, pick_images
from survey.models import Study
from survey.reports.facts import study_figures
from tests.factories import make_png, make_study
from tests.generation.tiny import save_tiny_networks, tiny_recipes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_networks(tmp_path_factory.mktemp("networks"))
    for i in range(9):
        (folder / "images" / str(i % 3)).mkdir(parents=True, exist_ok=True)
        (folder / "images" / str(i % 3) / f"{i}.png").write_bytes(make_png(i))
    return folder


@pytest.fixture
def study(db: None, folder: Path) -> Study:
    study = make_study(pairs=0)
    for recipe in tiny_recipes(folder):
        study.arms.filter(name=recipe.name).update(recipe=recipe.to_json())
    study.baseline = study.arms.get(name="vanilla")
    study.save()
    return study


def _run(study: Study, folder: Path, out: Path, *more: str) -> str:
    shown = io.StringIO()
    images = str(folder / "images")
    call_command("make_figures", "--study", study.slug, "--images", images, "--out", str(out), *more, stdout=shown)
    return shown.getvalue()


def _report(tmp_path: Path) -> tuple[Path, Path]:
    result = {"estimate": 0.6, "ci95": [0.4, 0.8]}
    rows = [{"class_label": str(label), "result": result} for label in range(3)]
    report = {"comparisons": [{"arm": "robust", "baseline": "vanilla", "per_class": rows}]}
    classes = {str(label): {"kid": {"value": 0.1 * label}} for label in range(3)}
    metrics = {"per_class": {"vanilla": classes, "robust": {**classes, "2": {"kid": {"value": None}}}}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path / "report.json", tmp_path / "metrics.json"


def test_all_figures_of_a_study_are_written_with_their_numbers(study: Study, folder: Path, tmp_path: Path):
    report, metrics = _report(tmp_path)
    shown = _run(
        study,
        folder,
        tmp_path / "out",
        "--unconditional",
        str(folder / "unconditional.safetensors"),
        "--report",
        str(report),
        "--metrics",
        str(metrics),
        "--formats",
        "svg,png",
    )
    names = {path.name for path in (tmp_path / "out").iterdir()}
    stems = {
        "matched_pairs",
        "class_gradients",
        "class_ascent",
        "intermediate_estimates",
        "gradient_alignment",
        "metric_against_preference",
    }
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")} | {"figures.json"}
    assert "not drawn" not in shown
    numbers = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert set(numbers["alignment"]) == {"vanilla", "robust"}
    assert read_figures(tmp_path / "out") == study_figures(study)
    assert {figure.name for figure in study_figures(study)} == stems - {"metric_against_preference"}
    assert all("(n = " in figure.title for figure in study_figures(study))


def test_what_cannot_be_drawn_is_said(study: Study, folder: Path, tmp_path: Path):
    shown = _run(study, folder, tmp_path)
    assert "gradient_alignment: not drawn - no denoiser without classes" in shown


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--report", "report.json"), "belong together"),
        (("--formats", "gif"), "unknown format gif"),
        (("--study", "nowhere"), "no study"),
        (("--images", "/nowhere"), "no reference"),
    ],
)
def test_bad_arguments_are_refused(study: Study, folder: Path, tmp_path: Path, more: tuple[str, ...], message: str):
    with pytest.raises(CommandError, match=message):
        _run(study, folder, tmp_path, *more)


def test_an_arm_without_a_recipe_is_refused(study: Study, folder: Path, tmp_path: Path):
    study.arms.filter(name="robust").update(recipe={})
    with pytest.raises(CommandError, match="the recipe is empty"):
        _run(study, folder, tmp_path)


def test_preference_meets_the_metric_difference_where_both_are_known(tmp_path: Path):
    report, metrics = (json.loads(path.read_text()) for path in _report(tmp_path))
    metrics["per_class"]["robust"]["1"]["kid"]["value"] = 0.4
    points, arm, baseline = preference_points(report, metrics)
    assert (arm, baseline) == ("robust", "vanilla")
    assert [(point["class"], point["rate"]) for point in points] == [("0", 0.6), ("1", 0.6)]
    assert points[1]["difference"] == pytest.approx(0.3)
    with pytest.raises(ValueError, match="per-class metrics of robust"):
        preference_points(report, {"per_class": {"vanilla": {"0": {}}}})
    with pytest.raises(ValueError, match="compares no arms"):
        preference_points({"comparisons": []}, metrics)


def test_images_are_picked_per_class_in_order():
    pixels = np.arange(6, dtype=np.uint8).repeat(8 * 8 * 3).reshape(6, 8, 8, 3)
    source = ArraySource("x", pixels, np.array([1, 0, 1, 1, 0, 0]))
    images, labels = pick_images(source, per_class=2, side=8, channels=3)
    assert labels.tolist() == [1, 0, 1, 0]
    assert ((images[:, 0, 0, 0] + 1.0) * 127.5).round().tolist() == [0.0, 1.0, 2.0, 4.0]
    with pytest.raises(ValueError, match="class labels"):
        pick_images(ArraySource("x", pixels), per_class=1, side=8, channels=3)


def test_images_are_cut_to_the_middle_and_keep_their_range():
    wide = np.zeros((1, 8, 16, 3), dtype=np.uint8)
    wide[:, :, 4:12] = 255
    assert (fit_to_network(wide, side=8, channels=3) == 1.0).all()
    small = fit_to_network(wide, side=4, channels=1)
    assert small.shape == (1, 1, 4, 4)
    assert small.abs().max() <= 1.0
    torch.testing.assert_close(
        fit_to_network(np.full((1, 8, 8, 1), 51, np.uint8), side=8, channels=1), torch.full((1, 1, 8, 8), -0.6)
    )


def test_real_images_are_captioned_by_their_own_class_whatever_the_folders_order(
    study: Study, folder: Path, tmp_path: Path
):
    # In character order one, two, zero; to the networks zero, one, two.
    for number, name in enumerate(("zero", "one", "two")):
        shutil.copytree(folder / "images" / str(number), tmp_path / "named" / name)
    _run(study, folder, tmp_path / "by_number")
    _run(study, folder, tmp_path / "by_name", "--images", str(tmp_path / "named"))
    by_number, by_name = (
        json.loads((tmp_path / place / "figures.json").read_text()) for place in ("by_number", "by_name")
    )
    assert by_name == by_number
    (tmp_path / "named" / "two").rename(tmp_path / "named" / "three")
    with pytest.raises(CommandError, match="classes that arm vanilla does not know: 'three', which has 'two' besides"):
        _run(study, folder, tmp_path / "out", "--images", str(tmp_path / "named"))
