"""The comparison on real images, end to end on a few: seeds crossed with pairs, everything found again, one page."""

import csv
import gzip
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from django.core.management import CommandError, call_command

from generation.reproduction.compared import COMPARISONS, Comparison, compare
from generation.reproduction.experiment import Laboratory


def _idx(path: Path, values: np.ndarray) -> None:
    head = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(head + values.tobytes()))


@pytest.fixture(scope="module")
def clothes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("clothes"), np.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 30)):
        _idx(folder / f"{part}-images-idx3-ubyte.gz", rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        _idx(folder / f"{part}-labels-idx1-ubyte.gz", (np.arange(n) % 10).astype(np.uint8))
    return folder


def tiny_comparison(clothes: Path, *, sweep_scales: tuple[float, ...]) -> Comparison:
    return replace(
        COMPARISONS["fashion_mnist"],
        data=str(clothes),
        seeds=(0, 1),
        images_per_class=1,
        sweep_per_class=1,
        sweep_scales=sweep_scales,
        iterations=1,
        spacing="2",
        attack_steps=1,
        evaluation_steps=1,
        validation_images=4,
        micro_batch=10,
    )


@pytest.mark.slow
def test_three_methods_are_compared_over_seeds_and_pairs_and_found_again(clothes: Path, tmp_path: Path):
    tiny = tiny_comparison(clothes, sweep_scales=(0.5, 2.0))
    seen: list[str] = []

    def laboratory() -> Laboratory:
        told = lambda what, done, total: seen.append(what)  # noqa: E731
        return Laboratory(tiny, tmp_path / "out", device=torch.device("cpu"), progress=told)

    first = compare(laboratory())
    assert set(first["scales"]) == {"vanilla", "robust", "steadied"}
    assert len(first["curve"]) == 2 * 2 * 3
    whole = [entry for entry in first["differences"] if not entry["class_label"] and entry["metric"] == "kid"]
    assert [(entry["arm"], entry["baseline"], entry["n"], entry["n_seeds"]) for entry in whole] == [
        ("robust", "vanilla", 10, 2),
        ("steadied", "vanilla", 10, 2),
        ("robust", "steadied", 10, 2),
    ]
    assert first["metrics_over_seeds"]["robust"]["kid"]["value"] == pytest.approx(
        np.mean([first["metrics"][seed]["robust"]["kid"]["value"] for seed in ("0", "1")])
    )
    rows = list(csv.DictReader((tmp_path / "out" / "curve.csv").read_text().splitlines()))
    assert {(row["arm"], row["scale"], row["seed"]) for row in rows} == {
        (point["arm"], str(point["scale"]), str(point["seed"])) for point in first["curve"]
    }
    page = (tmp_path / "out" / "reproduction.html").read_text()
    assert "mean of 2 training seeds, smallest to largest" in page
    assert "SD over seeds" in page
    assert "standard deviation over 2 training seeds: vanilla clean" in page
    assert "robust less vanilla" in page
    assert {path.stem for path in (tmp_path / "out" / "figures").iterdir()} >= {"scale_curve", "matched_pairs"}
    seen.clear()
    assert compare(laboratory()) == first
    assert seen == []
    assert json.loads((tmp_path / "out" / "reproduction.json").read_text()) == first


@pytest.mark.slow
def test_results_that_an_earlier_version_remembered_are_read(clothes: Path, tmp_path: Path):
    """Without MIND, which 0.1 did not measure."""
    tiny = tiny_comparison(clothes, sweep_scales=(1.0,))
    folder = tmp_path / "out"
    compare(Laboratory(tiny, folder, device=torch.device("cpu")))
    for path in (folder / "results").glob("*.json"):
        kept = json.loads(path.read_text())
        path.write_text(json.dumps(_without_mind(kept)))
    again = compare(Laboratory(tiny, folder, device=torch.device("cpu")))
    assert "mind" not in again["metrics_over_seeds"]["robust"]
    assert "mind" not in json.dumps(again)
    assert "KID" in (folder / "reproduction.html").read_text()


def _without_mind(kept: object) -> object:
    if isinstance(kept, dict):
        return {key: _without_mind(value) for key, value in kept.items() if key != "mind"}
    if isinstance(kept, list):
        return [_without_mind(e) for e in kept if not (isinstance(e, dict) and e.get("metric") == "mind")]
    return kept


def test_the_preset_says_that_it_needs_its_images():
    with pytest.raises(CommandError, match="fashion_mnist needs --data DIR"):
        call_command("reproduce", "--preset", "fashion_mnist")
    with pytest.raises(CommandError, match="digits takes no --data"):
        call_command("reproduce", "--data", "somewhere")
