"""Features of image sets on disk, found again by the digest of images and weights; memory does not grow with a set."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffusion.files import write_atomically
from generation.features.image_sets import ImageSet
from generation.features.networks import FeatureBatch, FeatureNetwork

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None

__all__ = ["StoredFeatures", "stored_features"]

#: Part of every cache key: raise it when features of the same images and weights would come out differently.
_FORMAT = "1"
_PARTS = ("pool", "spatial", "logits")
_KEEP_EVERY_S = 60.0  # what a killed worker loses at most

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class StoredFeatures:
    """Memory-mapped features of one image set under one network; row i of every array is image i."""

    pool: np.ndarray
    spatial: np.ndarray | None
    logits: np.ndarray | None
    labels: np.ndarray | None
    digest: str


def stored_features(
    source: ImageSet,
    network: FeatureNetwork,
    cache: Path,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> StoredFeatures:
    """Return the features of all images, computed now or found in the cache.

    Parameters
    ----------
    source : ImageSet
        At least one image.
    network : FeatureNetwork
    cache : Path
        Folder of earlier results; made where missing. A result is one folder named by the digest of images, weights and
        resize mode, and appears there complete or not at all. An interrupted call is continued; of two processes that
        want the same features one computes and the other waits.
    batch_size : int
        Images per call of the network; the last batch of a size may be smaller.
    progress : callable, optional
        Called with images done and images in all.

    Raises
    ------
    ValueError
        If an image cannot be read or does not fit the network; the message names it.
    """
    images = source.digest()
    identity = network.identity
    # Everything that decides the numbers and nothing else: batch size and device are no part of it.
    key = hashlib.sha256(f"{_FORMAT} {images} {identity.sha256} {identity.resize}".encode()).hexdigest()
    folder = Path(cache) / key
    if not (folder / "features.json").is_file():
        _compute(source, network, folder, images, batch_size, progress or (lambda done, total: None))
    return _open(folder)


def _compute(
    source: ImageSet, network: FeatureNetwork, folder: Path, images: str, batch_size: int, progress: Progress
) -> None:
    """Compute what is missing in a folder aside, then put it in place: complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside, lock = (folder.with_name(f".{folder.name}.{kind}") for kind in ("partial", "lock"))
    with _locked(lock):
        if (folder / "features.json").is_file():  # another process finished the same features meanwhile
            return
        try:
            _write(source, network, aside, images, batch_size, progress)
        except ValueError:
            # A bad image: the set will have another digest once it is fixed.
            shutil.rmtree(aside, ignore_errors=True)
            raise
        os.replace(aside, folder)
        lock.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends; without such locks (not POSIX) hold none."""
    with path.open("w") as file:
        if fcntl is not None:
            # Two evaluations of one set of images: the second waits and finds the features made.
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(
    source: ImageSet, network: FeatureNetwork, folder: Path, images: str, batch_size: int, progress: Progress
) -> None:
    """Compute features from the first image that an earlier, interrupted call has not stored."""
    folder.mkdir(exist_ok=True)
    total, seen = len(source), 0
    done, maps = _resumed(folder)
    labels = _map(folder, "labels", np.int64, (total,))
    kept_at = time.monotonic()
    try:
        for batch in source.batches(batch_size):
            first, seen = seen, seen + len(batch.images)
            # Read again but not computed: the networks are what costs.
            if seen <= done:
                continue
            # A batch may have been stored in part, where the batch size has changed since.
            fresh = slice(max(done - first, 0), None)
            found = network(batch.images[fresh])
            maps = maps or _new_maps(folder, found, total)
            for part, rows in maps.items():
                rows[first + fresh.start : seen] = getattr(found, part)
            labels[first + fresh.start : seen] = batch.labels[fresh]
            done = seen
            progress(done, total)
            if time.monotonic() - kept_at > _KEEP_EVERY_S:
                _keep(folder, done, maps, labels)
                kept_at = time.monotonic()
    finally:
        _keep(folder, done, maps, labels)
    if done != total:
        raise ValueError(f"{source.name}: {done} images came out of a set of {total}; is it being written to?")
    identity = network.identity
    facts = {"source": source.name, "images_sha256": images, "n": total, "features": identity.name}
    facts |= {"weights_sha256": identity.sha256, "resize": identity.resize, "parts": list(maps)}
    # Written last: its presence is what says that the features are complete.
    (folder / "features.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    (folder / "progress.json").unlink()


def _resumed(folder: Path) -> tuple[int, dict[str, np.memmap]]:
    """Return how many images an interrupted call has stored, and its arrays."""
    path = folder / "progress.json"
    if not path.is_file():
        return 0, {}
    kept = json.loads(path.read_text())
    return kept["done"], {part: np.load(folder / f"{part}.npy", mmap_mode="r+") for part in kept["parts"]}


def _keep(folder: Path, done: int, maps: dict[str, np.memmap], labels: np.memmap) -> None:
    # Data before the count: after a crash the count must not promise rows that are not on the disk.
    for array in (labels, *maps.values()):
        array.flush()
    text = json.dumps({"done": done, "parts": list(maps)})
    write_atomically(folder / "progress.json", [text.encode()])


def _map(folder: Path, part: str, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    path = folder / f"{part}.npy"
    # Without a count the rows cannot be trusted, whatever is in the file.
    if path.is_file() and (folder / "progress.json").is_file():
        return np.load(path, mmap_mode="r+")
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _new_maps(folder: Path, first: FeatureBatch, total: int) -> dict[str, np.memmap]:
    return {
        part: np.lib.format.open_memmap(
            folder / f"{part}.npy", mode="w+", dtype=np.float32, shape=(total, getattr(first, part).shape[1])
        )
        for part in _PARTS
        if getattr(first, part) is not None
    }


def _open(folder: Path) -> StoredFeatures:
    facts = json.loads((folder / "features.json").read_text())
    arrays = {part: np.load(folder / f"{part}.npy", mmap_mode="r") for part in facts["parts"]}
    labels = np.load(folder / "labels.npy")
    return StoredFeatures(
        pool=arrays["pool"],
        spatial=arrays.get("spatial"),
        logits=arrays.get("logits"),
        # One image of unknown class is enough to make figures by class misleading.
        labels=labels if labels.min() >= 0 else None,
        digest=facts["images_sha256"],
    )
