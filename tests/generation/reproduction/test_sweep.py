"""Scale-quality curves: what is sampled, what is found again, and which scale is best."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from generation.reproduction.samples import SampleFolder, pairs_in_turn
from generation.reproduction.sweep import (
    HELD_OUT_SEED,
    best_in_words,
    best_scales,
    curve_figure,
    curve_over_seeds,
    curve_table,
    sweep_scales,
)
from generation.sampling.networks import NetworkStore
from tests.generation.conftest import NUM_CLASSES, Checkpoints


def _measure(files):
    def of(path):
        with np.load(path) as archive:
            return float(archive["arr_0"].mean())

    return {
        arm: {"kid": {"value": of(path), "ci95": [of(path) - 1, of(path) + 1], "n": 4, "reason": None}}
        for arm, path in files.items()
    }


def _sweep(checkpoints: Checkpoints, folder, seen: list[str], scales=(2.0, 0.0), names=("robust", "plain")):
    samples = SampleFolder(folder, NetworkStore(), 4, lambda what, done, total: seen.append(what))
    recipes = [checkpoints.recipe(name) for name in names]
    pairs = pairs_in_turn(HELD_OUT_SEED, NUM_CLASSES, 1)
    return sweep_scales(recipes, scales, pairs, samples=samples, measure=_measure)


def test_guided_arms_are_sampled_at_every_scale_once(checkpoints, tmp_path):
    seen: list[str] = []
    points = _sweep(checkpoints, tmp_path, seen)
    assert [(point["arm"], point["scale"]) for point in points] == [("robust", 0.0), ("robust", 2.0)]
    assert points[0]["kid"]["value"] != points[1]["kid"]["value"]
    again: list[str] = []
    assert _sweep(checkpoints, tmp_path, again) == points
    assert again == [], "what is there is not sampled again"
    more: list[str] = []
    _sweep(checkpoints, tmp_path, more, scales=(0.0, 2.0, 1.0))
    assert set(more) == {"sampling at scale 1"}


def test_bad_scales_and_unguided_arms_are_refused(checkpoints, tmp_path):
    with pytest.raises(ValueError, match="none below 0"):
        _sweep(checkpoints, tmp_path, [], scales=(-1.0,))
    with pytest.raises(ValueError, match="no arm is guided"):
        _sweep(checkpoints, tmp_path, [], names=("plain",))


def _point(arm, scale, kid):
    return {"arm": arm, "scale": scale, "kid": {"value": kid, "ci95": None if kid is None else [kid, kid], "n": 9}}


POINTS = [_point("a", 0.5, 0.3), _point("a", 1.0, 0.1), _point("a", 2.0, None), _point("b", 1.0, 0.2)]


def test_the_best_scale_is_that_of_the_lowest_kid():
    assert best_scales(POINTS) == {"a": 1.0, "b": 1.0}


def test_a_best_scale_at_the_end_of_those_tried_is_said_to_be_so():
    assert best_in_words({"a": 1.0, "b": 2.0}, [0.5, 2.0, 1.0]) == {
        "a": "1",
        "b": "2, the largest tried: larger ones may be better",
    }


def test_scales_are_spaced_by_octaves_with_zero_before_the_smallest():
    axes = curve_figure([_point("a", scale, 0.1) for scale in (0.0, 0.5, 1.0, 8.0)]).draw().axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.5", "1", "8"]
    at = axes.transData.transform([(scale, 0.1) for scale in (0.0, 0.5, 1.0, 2.0)])[:, 0]
    assert at[2] - at[1] == pytest.approx(at[3] - at[2])
    assert at[0] < at[1]


def test_curves_are_a_table_and_a_panel_a_metric():
    rows = list(csv.reader(io.StringIO(curve_table(POINTS))))
    assert rows[0] == ["arm", "scale", "kid", "kid_low", "kid_high"]
    assert rows[3] == ["a", "2.0", "", "", ""]
    spec = curve_figure(POINTS)
    assert "a at 1 0.100" in spec.description
    assert [axes.get_title() for axes in spec.draw().axes if axes.get_visible()] == ["KID (lower is better)"]


def _seeded(*kids):
    return [_point("a", 0.5, kid) | {"seed": seed} for seed, kid in enumerate(kids)]


def test_several_seeds_are_drawn_as_their_mean_from_the_smallest_to_the_largest():
    points = _seeded(0.1, 0.4, 0.4)
    (mean,) = curve_over_seeds(points)
    assert mean["kid"]["value"] == pytest.approx(0.3)
    assert mean["kid"]["range"] == [0.1, 0.4]
    spec = curve_figure(points)
    assert "a at 0.5 0.300" in spec.description
    assert "mean of 3 training seeds, smallest to largest" in spec.title
    assert spec.n == "9 images an arm and scale of each seed"
    (axes,) = (axes for axes in spec.draw().axes if axes.get_visible())
    line, bar = axes.get_lines()
    assert line.get_ydata().tolist() == pytest.approx([0.3])
    assert list(bar.get_ydata()) == [0.1, 0.4]
    rows = list(csv.DictReader(io.StringIO(curve_table(points))))
    assert [(row["seed"], row["kid"]) for row in rows] == [("0", "0.1"), ("1", "0.4"), ("2", "0.4")]


def test_a_scale_that_one_seed_refuses_has_no_mean():
    (mean,) = curve_over_seeds([*_seeded(0.1), _point("a", 0.5, None) | {"seed": 1}])
    assert mean["kid"]["value"] is None
    assert best_scales([mean]) == {}


def test_one_seed_keeps_its_intervals():
    assert curve_over_seeds(_seeded(0.1))[0]["kid"]["ci95"] == [0.1, 0.1]
