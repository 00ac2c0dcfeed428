"""The comparison on real images, end to end on a few: seeds crossed with pairs, everything found again, one page."""

import gzip
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from django.core.management import CommandError, call_command

from generation.reproduction.compared import COMPARISONS, compare
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


@pytest.mark.slow
def test_three_methods_are_compared_over_seeds_and_pairs_and_found_again(clothes: Path, tmp_path: Path):
    tiny = replace(
        COMPARISONS["fashion_mnist"],
        data=str(clothes),
        seeds=(0, 1),
        images_per_class=1,
        sweep_per_class=1,
        sweep_scales=(0.5, 2.0),
        iterations=1,
        spacing="2",
        attack_steps=1,
        evaluation_steps=1,
        validation_images=4,
        micro_batch=10,
    )
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
    page = (tmp_path / "out" / "reproduction.html").read_text()
    assert "robust less vanilla" in page
    assert {path.stem for path in (tmp_path / "out" / "figures").iterdir()} >= {"scale_curve", "matched_pairs"}
    seen.clear()
    assert compare(laboratory()) == first
    assert seen == []
    assert json.loads((tmp_path / "out" / "reproduction.json").read_text()) == first


def test_the_preset_says_that_it_needs_its_images():
    with pytest.raises(CommandError, match="fashion_mnist needs --data DIR"):
        call_command("reproduce", "--preset", "fashion_mnist")
    with pytest.raises(CommandError, match="digits takes no --data"):
        call_command("reproduce", "--data", "somewhere")
