"""Exact k-nearest-neighbour manifolds in bounded memory.

Precision and recall: Kynkaanniemi et al. 2019, eqs. 1-2; density and coverage: Naeem et al. 2020, eqs. 3 and 6.

Distances are first computed block by block in float32 with ``|x|^2 + |y|^2 - 2 x.y`` on centred features. A bound on
the rounding error of that expression tells which comparisons it cannot decide; only those are computed again in
float64 from the difference of the rows. The answers are those of float64 throughout, at the speed of float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analysis.images.arrays import as_feature_rows, row_blocks

__all__ = ["ManifoldMetrics", "manifold_metrics", "nearest_squared_distances", "recall_of_halves"]

# Of float32: half the gap between 1 and the next number.
_UNIT_ROUNDOFF = 2.0**-24
_BYTES_PER_DISTANCE = 8  # float32 distances, two boolean masks and what partitioning copies
# Candidates beyond k, checked in float64: rounding in float32 may swap the order of near ones.
_SPARE_CANDIDATES = 5
_PAIRS_AT_ONCE = 4 * 2**20  # float64 numbers held when pairs are computed again


@dataclass(frozen=True, kw_only=True)
class ManifoldMetrics:
    """Counts and shares from one pass over all pairs of a generated and a reference image.

    ``precision``: share of generated images inside a reference ball; ``recall``: the reverse; ``density``: mean number
    of reference balls around a generated image over k; ``coverage``: share of reference balls that hold a generated
    image.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    n: int
    n_reference: int
    #: (n,) bool: which generated images lie inside a reference ball.
    is_inside: np.ndarray = field(compare=False, repr=False)


class _Rows:
    """Feature rows with what the fast pass needs: a common centre and the norms about it."""

    def __init__(self, rows: np.ndarray, centre: np.ndarray, name: str) -> None:
        self.rows, self.centre, self.n = rows, centre, rows.shape[0]
        norms = [np.square(block - centre).sum(axis=1) for block in row_blocks(rows, name=name)]
        self.squared_norms = np.concatenate(norms)
        self.norms = np.sqrt(self.squared_norms)

    def fast(self, part: slice) -> np.ndarray:
        return (np.asarray(self.rows[part], dtype=np.float64) - self.centre).astype(np.float32)

    def exact(self, index: np.ndarray) -> np.ndarray:
        return np.asarray(self.rows[index], dtype=np.float64)


def _centre_of(rows: np.ndarray, name: str) -> np.ndarray:
    return sum(block.sum(axis=0) for block in row_blocks(rows, name=name)) / rows.shape[0]


def _fast_distances(a: _Rows, part_a: slice, fast_a: np.ndarray, b: _Rows, part_b: slice) -> np.ndarray:
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b: one matrix product, of which the rounding is bounded below.
    distances = (fast_a * np.float32(-2.0)) @ b.fast(part_b).T  # doubling is exact
    distances += a.squared_norms[part_a].astype(np.float32)[:, None]
    distances += b.squared_norms[part_b].astype(np.float32)
    return distances


def _rounding_bound(dimension: int, norm_a: np.ndarray | float, norm_b: np.ndarray | float) -> np.ndarray:
    """Return a bound on |fast - true| squared distance: dot product d u |x||y|, casts and sums 8 u (|x| + |y|)^2."""
    return 1.01 * (dimension / 2.0 + 8.0) * _UNIT_ROUNDOFF * np.square(norm_a + norm_b)


def _exact_distances(a: _Rows, index_a: np.ndarray, b: _Rows, index_b: np.ndarray) -> np.ndarray:
    """Return float64 squared distances of the pairs (index_a[i], index_b[i]), a bounded number at a time."""
    result = np.empty(index_a.size)
    # In steps: where many images coincide nearly all pairs may be in doubt.
    step = max(1, _PAIRS_AT_ONCE // a.rows.shape[1])
    for start in range(0, index_a.size, step):
        part = slice(start, start + step)
        result[part] = np.square(a.exact(index_a[part]) - b.exact(index_b[part])).sum(axis=1)
    return result


def _parts(n: int, memory_bytes: int) -> list[slice]:
    size = max(1, int((memory_bytes / _BYTES_PER_DISTANCE) ** 0.5))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def nearest_squared_distances(features: np.ndarray, k: int, *, memory_bytes: int = 256 * 2**20) -> np.ndarray:
    """Return the squared distances from every row to its 1st ... k-th nearest other row, exact to float64.

    Parameters
    ----------
    features : array (n, d), floating
        Memory maps are read block by block.
    k : int
        Neighbours, 1 <= k < n; a row is not its own neighbour, an equal row is.
    memory_bytes : int
        Rough limit for one block of distances.

    Returns
    -------
    array (n, k), float64
        Ascending along the second axis.

    Raises
    ------
    ValueError
        If k is out of range or a feature is NaN or infinite.
    """
    rows = as_feature_rows(features, minimum=2)
    if not 1 <= k < rows.shape[0]:
        raise ValueError(f"k is {k}; expected 1 <= k < {rows.shape[0]} images")
    points = _Rows(rows, _centre_of(rows, "features"), "features")
    kept = min(k + _SPARE_CANDIDATES, points.n - 1)
    fast, index = _candidates(points, kept, _parts(points.n, memory_bytes))
    who = np.repeat(np.arange(points.n), kept)
    exact = np.sort(_exact_distances(points, who, points, index.ravel()).reshape(points.n, kept), axis=1)[:, :k]
    if kept == points.n - 1:
        return exact
    # A row that was not kept is at least as far as the last one kept, less the rounding error.
    bound = _rounding_bound(rows.shape[1], points.norms, float(points.norms.max()))
    for row in np.flatnonzero(exact[:, -1] > fast.max(axis=1) - bound):
        exact[row] = _nearest_of_one(points, int(row), k)
    return exact


def _nearest_of_one(points: _Rows, row: int, k: int) -> np.ndarray:
    others = np.delete(np.arange(points.n), row)
    distances = _exact_distances(points, np.full(others.size, row), points, others)
    return np.sort(np.partition(distances, k - 1)[:k])


def _candidates(points: _Rows, kept: int, parts: list[slice]) -> tuple[np.ndarray, np.ndarray]:
    """Return fast distances and indices (n, kept) of the nearest other rows; every block of pairs is computed once."""
    fast = np.full((points.n, kept), np.inf, dtype=np.float32)
    index = np.zeros((points.n, kept), dtype=np.int64)
    for i, part in enumerate(parts):
        mine = points.fast(part)
        # Distances are symmetric: a block serves both of its sides.
        for other in parts[i:]:
            distances = _fast_distances(points, part, mine, points, other)
            if other == part:
                # An image is not its own neighbour.
                np.fill_diagonal(distances, np.inf)
            else:
                _keep_nearest(fast, index, other, np.ascontiguousarray(distances.T), part.start)
            _keep_nearest(fast, index, part, distances, other.start)
    return fast, index


def _keep_nearest(fast: np.ndarray, index: np.ndarray, part: slice, distances: np.ndarray, offset: int) -> None:
    """Merge a block of distances (rows of ``part`` x other rows from ``offset``) into the nearest kept so far."""
    kept = fast.shape[1]
    # After the first blocks few rows have anything nearer; only those are sorted again.
    better = np.flatnonzero((distances < fast[part].max(axis=1)[:, None]).any(axis=1))
    if better.size == 0:
        return
    block = distances[better] if better.size < distances.shape[0] else distances
    if block.shape[1] > kept:
        nearest = np.argpartition(block, kept - 1, axis=1)[:, :kept]
    else:
        nearest = np.broadcast_to(np.arange(block.shape[1]), block.shape)
    rows = part.start + better
    merged = np.concatenate([fast[rows], np.take_along_axis(block, nearest, axis=1)], axis=1)
    merged_index = np.concatenate([index[rows], nearest + offset], axis=1)
    order = np.argpartition(merged, kept - 1, axis=1)[:, :kept]
    fast[rows] = np.take_along_axis(merged, order, axis=1)
    index[rows] = np.take_along_axis(merged_index, order, axis=1)


def manifold_metrics(
    generated: np.ndarray,
    reference: np.ndarray,
    *,
    k: int = 3,
    coverage_k: int = 5,
    memory_bytes: int = 256 * 2**20,
) -> ManifoldMetrics:
    """Return precision, recall, density and coverage, exact to float64 and in bounded memory.

    Parameters
    ----------
    generated, reference : array (n, d) and (m, d), floating
        Memory maps are read block by block.
    k : int
        Neighbour that sets the radius for precision and recall (3 in the ADM evaluator).
    coverage_k : int
        The same for density and coverage (5 by Naeem et al.).
    memory_bytes : int
        Rough limit for one block of distances.

    Raises
    ------
    ValueError
        If the dimensions differ, a side has not more than max(k, coverage_k) images, or a feature is not finite.

    Example
    -------
    >>> line = np.arange(8.0)[:, None]
    >>> manifold_metrics(line, line).precision
    1.0
    """
    generated = as_feature_rows(generated, name="generated", minimum=max(k, coverage_k) + 1)
    reference = as_feature_rows(reference, name="reference", minimum=max(k, coverage_k) + 1)
    if generated.shape[1] != reference.shape[1]:
        raise ValueError(
            f"generated has {generated.shape[1]} features, reference {reference.shape[1]}; use one network"
        )
    most = max(k, coverage_k)
    of_reference = nearest_squared_distances(reference, most, memory_bytes=memory_bytes)
    of_generated = nearest_squared_distances(generated, k, memory_bytes=memory_bytes)
    # About a common centre norms are small, and with them the rounding of float32.
    centre = _centre_of(reference, "reference")
    a, b = _Rows(generated, centre, "generated"), _Rows(reference, centre, "reference")
    precise, recalled = np.zeros(a.n, dtype=bool), np.zeros(b.n, dtype=bool)
    covered, balls = np.zeros(b.n, dtype=bool), 0
    for part_a in _parts(a.n, memory_bytes):
        fast_a = a.fast(part_a)
        for part_b in _parts(b.n, memory_bytes):
            pairs = _Block(a, part_a, b, part_b, _fast_distances(a, part_a, fast_a, b, part_b))
            precise[part_a] |= pairs.within(of_reference[part_b, k - 1][None, :]).any(axis=1)
            recalled[part_b] |= pairs.within(of_generated[part_a, k - 1][:, None]).any(axis=0)
            inside = pairs.within(of_reference[part_b, coverage_k - 1][None, :])
            covered[part_b] |= inside.any(axis=0)
            balls += int(np.count_nonzero(inside))
    return ManifoldMetrics(
        precision=float(precise.mean()),
        recall=float(recalled.mean()),
        density=balls / (coverage_k * a.n),
        coverage=float(covered.mean()),
        n=a.n,
        n_reference=b.n,
        is_inside=precise,
    )


def recall_of_halves(generated: np.ndarray, reference: np.ndarray, halves: np.ndarray, *, k: int = 3) -> np.ndarray:
    """Return the recall of random halves of the generated images: balls and neighbours are those of the half.

    For spreads: distances are float64 without the exactness in ties that :func:`manifold_metrics` has.

    Parameters
    ----------
    generated, reference : array (n, d) and (m, d)
        A few thousand rows at most: all their distances are held.
    halves : array (B, n), bool
        More than k members each.
    k : int
        Neighbour that sets the radius.

    Returns
    -------
    array (B,), float64
    """
    generated, reference = (np.asarray(rows, dtype=np.float64) for rows in (generated, reference))
    centre = reference.mean(axis=0)
    generated, reference = generated - centre, reference - centre
    among = _squared_distances(generated, generated)
    np.fill_diagonal(among, np.inf)
    # The k-th neighbour within a half is hardly ever further than this among all.
    kept = min(generated.shape[0] - 1, 10 * k)
    nearest = np.argpartition(among, kept - 1, axis=1)[:, :kept]
    distances = np.take_along_axis(among, nearest, axis=1)
    order = np.argsort(distances, axis=1)
    nearest, distances = np.take_along_axis(nearest, order, axis=1), np.take_along_axis(distances, order, axis=1)
    across = _squared_distances(generated, reference)
    # One pair a row: which reference image could lie in the ball of which generated one, in any half.
    ball, point = np.nonzero(across <= distances[:, -1:])
    apart = across[ball, point]
    found = np.empty(len(halves))
    for place, half in enumerate(halves):
        seen = np.cumsum(half[nearest], axis=1)
        last = np.where(seen[:, -1] >= k, np.argmax(seen >= k, axis=1), kept - 1)
        radius = np.where(half, distances[np.arange(len(half)), last], -1.0)
        found[place] = np.bincount(point[apart <= radius[ball]], minlength=reference.shape[0]).astype(bool).mean()
    return found


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2.0 * (a @ b.T)
    return np.maximum(squared, 0.0)


class _Block:
    """One block of fast distances between generated and reference rows, and the exact answer to "inside a ball?"."""

    def __init__(self, a: _Rows, part_a: slice, b: _Rows, part_b: slice, distances: np.ndarray) -> None:
        self.a, self.b, self.distances = a, b, distances
        self.first_a, self.first_b = part_a.start, part_b.start
        norms = float(a.norms[part_a].max()), float(b.norms[part_b].max())
        self.bound = float(_rounding_bound(a.rows.shape[1], *norms))

    def within(self, squared_radii: np.ndarray) -> np.ndarray:
        """Return distances <= radii (broadcast along the block), decided in float64 wherever float32 is in doubt."""
        lowest, highest = np.float32(-np.inf), np.float32(np.inf)
        # Rounded outwards: the cast of the radius to float32 must not narrow the band of doubt.
        surely = self.distances <= np.nextafter((squared_radii - self.bound).astype(np.float32), lowest)
        possibly = self.distances <= np.nextafter((squared_radii + self.bound).astype(np.float32), highest)
        row, column = np.nonzero(possibly & ~surely)
        if row.size:
            exact = _exact_distances(self.a, self.first_a + row, self.b, self.first_b + column)
            radii = np.broadcast_to(squared_radii, self.distances.shape)[row, column]
            surely[row, column] = exact <= radii
        return surely
