"""Batches for training: which image comes when, cropped and mirrored how, with which noise.

Batch i is a function of (seed, i) alone (see `training.data.streams`), so that a resumed run, or one split over several
processes, sees the same images.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from analysis.pictures.class_names import match_classes
from analysis.pictures.errors import PictureError
from training.data.array_files import Split
from training.data.config import DataConfig
from training.data.crops import ImageSizeError, Placement, place
from training.data.image_sets import CorruptImage, DataError, ImageSource
from training.data.sources import LabelledAnew, brings_validation, open_source, with_names
from training.data.streams import Purpose, sample_noise, stream

log = logging.getLogger(__name__)
# One for all runs: a classifier must not be tested on what another was trained on.
SPLIT_SEED = 0
T = TypeVar("T")


class Dataset(NamedTuple):
    """A source and the images of it that belong to one split."""

    source: ImageSource
    indices: np.ndarray


class Batch(NamedTuple):
    """Training images.

    `x` (B, C, H, W) float32 in [-1, 1]; `y` (B,) int64; `noise` like x; `numbers` (B,) the samples' numbers in the run.
    """

    x: Tensor
    y: Tensor
    noise: Tensor
    numbers: np.ndarray

    def to(self, device: torch.device) -> "Batch":
        """Copy to a device; from pinned memory the copy is not waited for."""
        x, y, noise = (part.to(device, non_blocking=True) for part in self[:3])
        return Batch(x, y, noise, self.numbers)

    def pinned(self) -> "Batch":
        """Copy to memory that a GPU reads by itself."""
        x, y, noise = (part.pin_memory() for part in self[:3])
        return Batch(x, y, noise, self.numbers)


def open_data(
    config: DataConfig,
    *,
    split: Split,
    index_folder: Path | None = None,
    class_names: Sequence[str] | None = None,
    reader: str = "the training set",
    class_map: Mapping[str, str] | str = "",
) -> Dataset:
    """Find the images of a split.

    Parameters
    ----------
    config : DataConfig
    split : {"train", "validation"}
        A validation split may be empty.
    index_folder : path, optional
        Where listings of image folders are kept between runs.
    class_names : sequence of str, optional
        Of the network that reads the images: labels are its numbers then, found by name. Without it those of the
        training images.
    reader : str
        Whose class names these are, for messages.
    class_map : mapping of str to str, or "ranks"
        See `analysis.pictures.class_names.match_classes`.

    Raises
    ------
    DataError
        No images, a class without images, fewer than two classes, unreadable files, or classes that the reader does
        not know.
    """
    is_own_set = split == "validation" and (bool(config.validation_path) or brings_validation(config.kind, config.path))
    path = config.validation_path if is_own_set and config.validation_path else config.path
    if config.kind != "digits" and not path:
        raise DataError(f"data.path is empty; give the {config.kind}'s path (--data)")
    source = _open(config, path, split, index_folder)
    if not is_own_set:
        _refuse_lacking(source, path)
    elif class_names is None:
        class_names = _open(config, config.path, "train", index_folder).class_names
    # By the set's own labels, as training chose: under a reader's labels other images would be held out.
    held_out = _held_out(source.labels, config.validation_share)
    if class_names is not None:
        source = _matched(source, tuple(class_names), images=path or config.kind, reader=reader, renamed=class_map)
    if is_own_set or config.validation_path or brings_validation(config.kind, config.path):
        return Dataset(source, np.arange(len(source)))
    return Dataset(source, np.flatnonzero(held_out if split == "validation" else ~held_out))


def _open(config: DataConfig, path: str, split: Split, index_folder: Path | None) -> ImageSource:
    index = index_folder / f"index_{split}.json" if index_folder else None
    source = open_source(config.kind, path, split=split, label_from=config.label_from, index=index)
    # A set to measure on may lack a class that the map names.
    known = {name: new for name, new in config.classes.items() if split == "train" or name in source.class_names}
    return with_names(source, known)


def _refuse_lacking(source: ImageSource, path: str) -> None:
    """Refuse a training set of one class, or one that names a class of which it has no image."""
    names = source.class_names
    if len(names) < 2:
        raise DataError(f"{path} has one class ({names[0]!r}); a classifier needs at least two")
    counts = np.bincount(source.labels, minlength=len(names))
    if len(empty := np.flatnonzero(counts == 0)):
        raise DataError(
            f"{path} has no image of class {names[empty[0]]!r} ({len(empty)} of {len(names)} classes); add images, or "
            "remove the class"
        )


def _matched(
    source: ImageSource, wanted: tuple[str, ...], *, images: str, reader: str, renamed: Mapping[str, str] | str
) -> ImageSource:
    """Return a source whose labels are those of the wanted classes of the same names."""
    if tuple(source.class_names) == wanted:
        return source
    try:
        match = match_classes(source.class_names, wanted, images=images, reader=reader, renamed=renamed)
    except PictureError as error:
        raise DataError(f"{error} (data.classes, or --classes FILE)") from error
    for note in match.notes:
        log.warning("%s", note)
    notes = (*getattr(source, "notes", ()), *match.notes)
    names = wanted or tuple(source.class_names)
    return LabelledAnew(source, np.array(match.labels)[source.labels], names, notes)


def _held_out(labels: np.ndarray, share: float) -> np.ndarray:
    """Choose the same share of every class; independent of a run's seed, so that runs can be compared."""
    chosen = np.zeros(len(labels), dtype=bool)
    rng = stream(SPLIT_SEED, Purpose.SPLIT)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen[members[: round(share * len(members))]] = True
    return chosen


class Batches:
    """The training batches of one process.

    Parameters
    ----------
    data : Dataset
    config : DataConfig
    batch_size : int
        Images per batch over all processes; a multiple of `processes`.
    side, channels : int
        What the network takes; one channel reads images as grey.
    seed : int
    process, processes : int
        This process takes the `process`-th block of every batch.
    pin : bool
        Prepare batches in pinned memory, for a GPU.
    """

    def __init__(
        self,
        data: Dataset,
        config: DataConfig,
        *,
        batch_size: int,
        side: int,
        channels: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
        pin: bool = False,
    ):
        if batch_size % processes:
            raise ValueError(f"batch_size is {batch_size}; it must be a multiple of the {processes} processes")
        if channels not in (1, 3):
            raise ValueError(f"the network takes {channels} channels; images have 1 (grey) or 3")
        self.data, self.config, self.seed = data, config, seed
        self.batch_size, self.side, self.channels, self.pin = batch_size, side, channels, pin
        # Consecutive rows of the one global batch: what is learned does not depend on the number of processes.
        share = batch_size // processes
        self.rows = np.arange(process * share, (process + 1) * share)
        self.skipped: set[str] = set()
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def batch(self, iteration: int) -> Batch:
        """Prepare this process's part of a batch."""
        numbers = iteration * self.batch_size + self.rows
        images, labels = zip(*(self._sample(int(number)) for number in numbers), strict=True)
        # By the sample's number, not by a running generator: a resumed run sees the noise that it would have seen.
        noise = sample_noise(self.seed, numbers, (self.channels, self.side, self.side))
        batch = Batch(to_signed(np.stack(images)), torch.tensor(labels), noise, numbers)
        return batch.pinned() if self.pin else batch

    def run(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield batches `start` to `stop - 1`, prepared ahead in threads."""
        return ahead(self.batch, range(start, stop), workers=self.config.workers)

    def _sample(self, number: int) -> tuple[np.ndarray, int]:
        epoch, position = divmod(number, len(self.data.indices))
        # Always four draws, used or not: changing one setting leaves the others' draws alone.
        draws = stream(self.seed, Purpose.AUGMENT, number).random(4)
        # The next image of the epoch stands in for a corrupt one: every batch keeps its size.
        for attempt in range(len(self.data.indices)):
            index = int(self._epoch_order(epoch)[(position + attempt) % len(self.data.indices)])
            try:
                return self._pixels(index, Placement(*draws)), int(self.data.source.labels[index])
            except CorruptImage as error:
                self._report(index, error)
        raise DataError(f"none of the {len(self.data.indices)} images can be decoded")

    def _pixels(self, index: int, at: Placement) -> np.ndarray:
        return read_pixels(self.data.source, index, self.config, side=self.side, channels=self.channels, at=at)

    def _report(self, index: int, error: CorruptImage) -> None:
        if self.config.corrupt == "refuse":
            raise error
        if (where := self.data.source.where(index)) not in self.skipped:
            self.skipped.add(where)
            log.warning("skipped: %s", error)

    def _epoch_order(self, epoch: int) -> np.ndarray:
        # Threads may race here; each computes the same order, and the pair is replaced as one.
        known, order = self._order
        if known != epoch:
            order = stream(self.seed, Purpose.ORDER, epoch).permutation(self.data.indices)
            self._order = (epoch, order)
        return order


def read_pixels(
    source: ImageSource,
    index: int,
    config: DataConfig,
    *,
    side: int,
    channels: int,
    at: Placement | None = None,
) -> np.ndarray:
    """Read one image as the network takes it: ndarray (side, side, channels), uint8.

    Raises
    ------
    CorruptImage, DataError
        The file cannot be decoded, or the image has the wrong size.
    """
    image = source.image(index, mode="L" if channels == 1 else "RGB")
    try:
        return place(image, side=side, crop=config.crop, flip=config.flip, at=at, upscale=config.upscale)
    except ImageSizeError as error:
        raise DataError(f"{source.where(index)} {error}") from error


def to_signed(pixels: np.ndarray) -> Tensor:
    """Scale pixels (B, H, W, C) uint8 to images (B, C, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)


def evaluation_images(
    data: Dataset, config: DataConfig, *, side: int, channels: int, limit: int | None = None
) -> tuple[Tensor, Tensor]:
    """Read images to measure on, centred and unmirrored: (N, C, H, W) float32 in [-1, 1] and labels (N,).

    With a limit, the images are evenly spaced over the split, so that every class is met. Images that cannot be
    decoded are left out and reported where `config.corrupt` says so.
    """
    indices = data.indices
    if limit is not None and limit < len(indices):
        # Evenly over the set, which is often ordered by class: the first images would be of few classes.
        indices = indices[np.linspace(0, len(indices) - 1, limit).astype(int)]
    images, kept = [], []
    for index in indices:
        try:
            images.append(read_pixels(data.source, int(index), config, side=side, channels=channels))
        except CorruptImage as error:
            if config.corrupt == "refuse":
                raise
            log.warning("skipped: %s", error)
        else:
            kept.append(index)
    if not kept:
        raise DataError(f"none of the {len(indices)} images to measure on can be decoded")
    return to_signed(np.stack(images)), torch.from_numpy(data.source.labels[kept])


def ahead(make: Callable[[int], T], items: range, *, workers: int) -> Iterator[T]:
    """Yield `make(item)` in order, computing up to two per worker ahead of time in threads."""
    if workers == 0:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                # Two per worker: one at work and one ready, while memory stays bounded.
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Whoever stops reading must not wait for batches that nobody will take.
            for future in waiting:
                future.cancel()


@dataclass(frozen=True)
class DataReport:
    """What a check of all images found.

    Parameters
    ----------
    images : int
    class_counts : dict of str to int
    problems, skipped : tuple of (image, what)
        What stops a run, and what it leaves out.
    repeats : tuple of (image, image)
        Images whose pixels an earlier one has, with that one.
    seen : dict of bytes to str
        An image for every digest of pixels.
    """

    images: int
    class_counts: dict[str, int]
    problems: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]
    repeats: tuple[tuple[str, str], ...]
    seen: dict[bytes, str]


def check_data(
    data: Dataset,
    config: DataConfig,
    *,
    side: int,
    channels: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> DataReport:
    """Read every image as a run would and count the classes; problems name the file and what is wrong with it."""
    problems: list[tuple[str, str]] = []
    skipped: list[tuple[str, str]] = []
    repeats: list[tuple[str, str]] = []
    seen: dict[bytes, str] = {}

    def read(position: int) -> DataError | bytes:
        try:
            pixels = read_pixels(data.source, int(data.indices[position]), config, side=side, channels=channels)
        except DataError as error:
            return error
        return hashlib.blake2b(np.ascontiguousarray(pixels), digest_size=16).digest()

    total = len(data.indices)
    for position, found in enumerate(ahead(read, range(total), workers=config.workers)):
        where = data.source.where(int(data.indices[position]))
        if isinstance(found, bytes):
            if (first := seen.setdefault(found, where)) != where:
                repeats.append((where, first))
        else:
            is_left_out = isinstance(found, CorruptImage) and config.corrupt == "skip"
            # Apart from its image, so that what is said of many can be said once.
            (skipped if is_left_out else problems).append((where, str(found).removeprefix(where).strip()))
        if on_progress:
            on_progress(position + 1, total)
    if total and len(skipped) == total:
        problems.append(("", f"none of the {total} images can be read"))
    counts = np.bincount(data.source.labels[data.indices], minlength=len(data.source.class_names))
    named = dict(zip(data.source.class_names, counts.tolist(), strict=True))
    return DataReport(total, named, tuple(problems), tuple(skipped), tuple(repeats), seen)
