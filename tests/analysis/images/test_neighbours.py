"""Manifold metrics on constructed sets and against a plain float64 restatement, whatever the block size."""

import numpy as np
import pytest

from analysis.images import manifold_metrics, nearest_squared_distances
from analysis.images.halves import half_samples
from analysis.images.neighbours import recall_of_halves


def _restated(generated: np.ndarray, reference: np.ndarray, k: int, coverage_k: int) -> tuple[float, ...]:
    """The ADM evaluator's algorithm and Naeem's, written with full float64 distance tables."""

    def table(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack([np.square(b.astype(np.float64) - row.astype(np.float64)).sum(axis=1) for row in a])

    def radii(a: np.ndarray, order: int) -> np.ndarray:
        return np.sort(table(a, a), axis=1)[:, order]  # column 0 is the row itself

    pairs = table(generated, reference)
    in_reference = pairs <= radii(reference, k)[None, :]
    in_generated = pairs <= radii(generated, k)[:, None]
    in_balls = pairs <= radii(reference, coverage_k)[None, :]
    return (
        in_reference.any(axis=1).mean(),
        in_generated.any(axis=0).mean(),
        in_balls.sum() / (coverage_k * len(generated)),
        in_balls.any(axis=0).mean(),
    )


def _sets(seed: int, *, offset: float = 0.0, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        (rng.normal(size=(230, 12)) * 0.9 + 0.2 + offset).astype(dtype),
        (rng.normal(size=(310, 12)) + offset).astype(dtype),
    )


@pytest.mark.parametrize("memory_bytes", [8 * 7**2, 8 * 64**2, 256 * 2**20])
@pytest.mark.parametrize(("offset", "dtype"), [(0.0, np.float32), (0.0, np.float64), (3e3, np.float32)])
def test_metrics_equal_the_restated_algorithm_in_any_block_size(memory_bytes: int, offset: float, dtype: type):
    generated, reference = _sets(0, offset=offset, dtype=dtype)
    found = manifold_metrics(generated, reference, k=3, coverage_k=5, memory_bytes=memory_bytes)
    expected = _restated(generated, reference, 3, 5)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected, abs=1e-15)


def test_integer_grids_full_of_ties_are_decided_exactly():
    """On a lattice most comparisons are equalities, which float32 distances alone would decide at random."""
    rng = np.random.default_rng(1)
    generated = rng.integers(0, 3, size=(150, 4)) + 1e3
    reference = rng.integers(0, 3, size=(170, 4)) + 1e3
    found = manifold_metrics(generated, reference, memory_bytes=8 * 50**2)
    expected = _restated(generated, reference, 3, 5)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected, abs=1e-15)


def test_identical_sets_have_precision_recall_and_coverage_one():
    reference = _sets(2)[1]
    found = manifold_metrics(reference, reference)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)


def test_far_sets_have_nothing_in_common():
    generated, reference = _sets(3)
    found = manifold_metrics(generated + 100.0, reference)
    assert (found.precision, found.recall, found.density, found.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_a_generator_of_one_mode_has_precision_without_recall():
    """Reference: two distant clusters. Generated: images near the first alone."""
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(100, 3)), rng.normal(size=(100, 3)) + 50.0
    found = manifold_metrics(first[:60] * 0.5, np.concatenate([first, second]))
    assert found.precision == 1.0
    assert found.recall <= 0.5
    assert found.coverage <= 0.5


def test_swapping_the_sets_swaps_precision_and_recall():
    generated, reference = _sets(5)
    there, back = manifold_metrics(generated, reference), manifold_metrics(reference, generated)
    assert (there.precision, there.recall) == (back.recall, back.precision)


def test_order_of_images_does_not_matter():
    generated, reference = _sets(6)
    rng = np.random.default_rng(0)
    shuffled = manifold_metrics(
        generated[rng.permutation(len(generated))], reference[rng.permutation(len(reference))], memory_bytes=8 * 40**2
    )
    assert shuffled == manifold_metrics(generated, reference)


@pytest.mark.parametrize("memory_bytes", [8 * 5**2, 8 * 33**2, 2**28])
def test_nearest_distances_equal_a_full_sort(memory_bytes: int):
    points = _sets(7)[1]
    table = np.square(points[:, None].astype(np.float64) - points[None]).sum(axis=2)
    expected = np.sort(table, axis=1)[:, 1:6]
    np.testing.assert_allclose(nearest_squared_distances(points, 5, memory_bytes=memory_bytes), expected, rtol=1e-14)


def test_close_neighbours_far_from_the_origin_are_not_lost_to_rounding():
    """Clusters of radius 1e-4 at distance 1e4: float32 distances inside a cluster are pure noise."""
    rng = np.random.default_rng(8)
    centres = rng.normal(size=(6, 4)) * 1e4
    points = (centres[:, None] + rng.normal(size=(6, 20, 4)) * 1e-4).reshape(-1, 4)
    table = np.square(points[:, None] - points[None]).sum(axis=2)
    found = nearest_squared_distances(points, 3, memory_bytes=8 * 16**2)
    np.testing.assert_allclose(found, np.sort(table, axis=1)[:, 1:4], rtol=1e-12)


def test_an_equal_image_is_a_neighbour_at_distance_zero():
    points = np.array([[0.0], [0.0], [3.0]])
    np.testing.assert_array_equal(nearest_squared_distances(points, 2), [[0.0, 9.0], [0.0, 9.0], [9.0, 9.0]])


def test_a_memory_map_gives_the_same_answer(tmp_path):
    generated, reference = _sets(9)
    np.save(tmp_path / "reference.npy", reference)
    mapped = np.load(tmp_path / "reference.npy", mmap_mode="r")
    assert manifold_metrics(generated, mapped) == manifold_metrics(generated, reference)


def test_bad_input_is_refused():
    generated, reference = _sets(10)
    with pytest.raises(ValueError, match="k is 0"):
        nearest_squared_distances(reference, 0)
    with pytest.raises(ValueError, match="k is 310"):
        nearest_squared_distances(reference, 310)
    with pytest.raises(ValueError, match="at least 6"):
        manifold_metrics(generated[:5], reference)
    with pytest.raises(ValueError, match="one network"):
        manifold_metrics(generated[:, :3], reference)
    reference[12, 3] = np.nan
    with pytest.raises(ValueError, match="image 12"):
        manifold_metrics(generated, reference)


def test_recall_of_halves_is_that_of_each_half_alone():
    rng = np.random.default_rng(8)
    generated, reference = rng.normal(size=(61, 5)), 1.2 * rng.normal(size=(90, 5))
    halves = half_samples(61, 12, seed=2)
    found = recall_of_halves(generated, reference, halves, k=3)
    assert found.tolist() == [manifold_metrics(generated[half], reference, k=3).recall for half in halves]
