"""Time and exactness of the image metrics, each against the textbook form in the same process.

python benchmarks/image_metrics.py                # Frechet distance in 2048 dimensions, manifolds of 10,000 images
python benchmarks/image_metrics.py --images 50000 # the size of published evaluations, the recorded run with --record
python benchmarks/image_metrics.py --dimension 1024 --images 4000   # a minute on a busy laptop
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import mpmath
import numpy as np
from scipy import linalg

# Run as a script, this folder comes first on the path, and its analysis.py would hide the package.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from analysis.images import (
    fit_gaussian,
    frechet_distance,
    frechet_distance_of_features,
    gaussian_from_moments,
    manifold_metrics,
    moments_of,
)

RECORD: dict[str, object] = {}


def timed(compute: Callable) -> tuple[float, object]:
    started = time.perf_counter()
    result = compute()
    return time.perf_counter() - started, result


def textbook(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 sqrtm(S1 S2))."""
    root = linalg.sqrtm(cov_a @ cov_b)
    return float(np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root).real)


def features(rng: np.random.Generator, n: int, d: int, scale: np.ndarray) -> np.ndarray:
    """Non-negative features with a falling spectrum, as a pooled ReLU layer has."""
    shared = rng.normal(size=(64, d)) * 0.1
    return np.abs(rng.normal(size=(n, 64)) @ shared + rng.normal(size=(n, d)) * scale).astype(np.float32)


def benchmark_frechet(d: int) -> None:
    rng = np.random.default_rng(0)
    scale = np.exp(rng.normal(size=d)) * 0.1
    a, b = (moments_of(features(rng, 2 * d, d, scale)) for _ in range(2))
    covariances = a.covariance(), b.covariance()
    ours, value = timed(
        lambda: frechet_distance(
            gaussian_from_moments(a.mean, covariances[0]), gaussian_from_moments(b.mean, covariances[1])
        )
    )
    theirs, expected = timed(lambda: textbook(a.mean, covariances[0], b.mean, covariances[1]))
    print(f"Frechet distance, {d} features: {ours:.2f} s; sqrtm {theirs:.2f} s; {theirs / ours:.1f} times faster")
    print(f"  difference {abs(value - expected):.1e} of {expected:.4g}")
    RECORD["frechet"] = {"features": d, "seconds": ours, "sqrtm_seconds": theirs, "difference": abs(value - expected)}


def ill_conditioned(d: int, condition: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two covariances that do not commute, with eigenvalues from 1 down to 1 / condition."""
    rng = np.random.default_rng(seed)
    pair = []
    for values in (np.logspace(0, -np.log10(condition), d), np.logspace(-np.log10(condition), 0, d)):
        basis = linalg.qr(rng.normal(size=(d, d)))[0]
        whole = (basis * values) @ basis.T
        pair.append((whole + whole.T) / 2)
    return pair[0], pair[1]


def exact_distance(first: np.ndarray, second: np.ndarray) -> mpmath.mpf:
    """The distance of two zero-mean Gaussians in 60 digits: of these very numbers, not of what they were made from."""
    with mpmath.workdps(60):
        a, b = mpmath.matrix(first.tolist()), mpmath.matrix(second.tolist())
        lower = mpmath.cholesky(a)
        roots = mpmath.eigsy(lower.T * b * lower, eigvals_only=True)
        traces = sum(a[i, i] + b[i, i] for i in range(a.rows))
        return traces - 2 * sum(mpmath.sqrt(root) for root in roots)


def benchmark_exactness(d: int = 24, seeds: int = 6) -> None:
    mean, found = np.zeros(d), {}
    for condition in (1e4, 1e8, 1e10, 1e12):
        errors = []
        for seed in range(seeds):
            first, second = ill_conditioned(d, condition, seed)
            exact = exact_distance(first, second)
            ours = frechet_distance(gaussian_from_moments(mean, first), gaussian_from_moments(mean, second))
            errors.append([float(abs(exact - value)) for value in (ours, textbook(mean, first, mean, second))])
        off, off_sqrtm = np.median(errors, axis=0)
        print(f"  condition number {condition:.0e}, 60-digit reference: off by {off:.1e}, sqrtm by {off_sqrtm:.1e}")
        found[f"{condition:.0e}"] = {"off_by": float(off), "sqrtm_off_by": float(off_sqrtm)}
    RECORD["exactness"] = {"features": d, "seeds": seeds, "median_by_condition_number": found}


def benchmark_low_rank(d: int) -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.normal(size=(d // 4, d)) for _ in range(2))
    ours, value = timed(lambda: frechet_distance_of_features(x, y))
    whole, by_covariance = timed(
        lambda: frechet_distance(
            gaussian_from_moments(x.mean(0), np.cov(x, rowvar=False)),
            gaussian_from_moments(y.mean(0), np.cov(y, rowvar=False)),
        )
    )
    print(f"Low-rank form, {d // 4} images in {d} features: {ours:.2f} s; by covariances {whole:.2f} s; ", end="")
    print(f"difference {abs(value - by_covariance):.1e}")
    RECORD["low_rank"] = {"features": d, "images": d // 4, "seconds": ours, "by_covariances_seconds": whole}


def feature_file(path: Path, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, 1000):
        rows[start : start + 1000] = features(rng, len(rows[start : start + 1000]), d, np.full(d, 0.1))
    rows.flush()
    return np.load(path, mmap_mode="r")


def benchmark_manifold(n: int, d: int) -> None:
    """Half the images and all of them: the ratio tells how the work grows."""
    rng = np.random.default_rng(2)
    with TemporaryDirectory() as folder:
        maps = [feature_file(Path(folder) / f"{name}.npy", n, d, rng) for name in ("generated", "reference")]
        moments_seconds, _ = timed(lambda: fit_gaussian(maps[0]))
        sizes = []
        for size in (n // 2, n):
            used = time.process_time()
            seconds, found = timed(lambda size=size: manifold_metrics(maps[0][:size], maps[1][:size]))
            sizes.append({"images": size, "seconds": seconds, "cpu_seconds": time.process_time() - used})
            print(
                f"Precision, recall, density, coverage of {size} x {size} images, {d} features: {seconds:.1f} s, ",
                end="",
            )
            print(f"{sizes[-1]['cpu_seconds']:.1f} s of processor time\n  {found}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    half, whole = (entry["cpu_seconds"] for entry in sizes)
    RECORD["manifold"] = {"features": d, "sizes": sizes, "moments_seconds": moments_seconds, "peak_gib": peak}
    print(f"Moments of {n} x {d}: {moments_seconds:.1f} s")
    print(f"  peak resident memory of the process {peak:.2f} GiB, mapped feature files included")
    if n < 50_000:
        exponent = np.log2(whole / half)
        # The quadratic part dominates from here on; 2 is the larger of the two and its limit.
        minutes = whole * (50_000 / n) ** max(exponent, 2.0) / 60
        print(f"  processor time grows by the power {exponent:.2f}: {minutes:.1f} minutes of it at 50,000 x 50,000")
        RECORD["manifold"] |= {"exponent": float(exponent), "cpu_minutes_at_50000": float(minutes)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the numbers as JSON")
    options = parser.parse_args()
    benchmark_manifold(options.images, options.dimension)
    benchmark_frechet(options.dimension)
    benchmark_exactness()
    benchmark_low_rank(options.dimension)
    if options.record:
        load = os.getloadavg()[0]
        threads = os.environ.get("OPENBLAS_NUM_THREADS", "all")
        host = {
            "cores": os.cpu_count(),
            "blas_threads": threads,
            "machine": platform.machine(),
            "load": load,
            "numpy": np.__version__,
        }
        options.record.write_text(json.dumps({"host": host} | RECORD, indent=1) + "\n")
