"""The worker's side of an order: load and pin the networks, make shards, store what comes out. Torch included."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

import numpy as np
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from PIL import Image

from diffusion.device import chosen_device
from generation.models import GenerationRun
from generation.recipes.class_labels import class_text
from generation.recipes.distance import structural_dissimilarity
from generation.recipes.noise import PairSpec
from generation.recipes.recipe import FILE_FIELDS, GUIDANCE_FACTORS, ArmRecipe, NetworkFile, differing_fields
from generation.sampling.encoding import write_manifest
from generation.sampling.networks import NetworkStore, PreparedArm, check_class, prepare_arms
from generation.sampling.pairs import GeneratedPair, generate_pairs
from generation.selectors import arms_present, run_complete_pairs
from generation.services.order import State, run_finish, run_start
from jobs.exceptions import JobError, WorkerLeaving
from survey.models import ImagePair, PairImage
from survey.selectors.version import comparisons_of
from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register

__all__ = ["DiskFull", "make_pairs", "run_plan", "run_settle", "store_for"]

Progress = Callable[[float, int, str], None]
Fence = Callable[[], AbstractContextManager]


class DiskFull(JobError):
    """No room is left where images are stored. Free some space, then run the same command again, or retry the shard."""


_store: NetworkStore | None = None


def store_for(run: GenerationRun) -> NetworkStore:
    """The networks of the run last worked on: the shards of a run load them once per process."""
    global _store
    device = chosen_device(settings.TORCH_DEVICE)
    files = [recipe.get(kind) for recipe in run.recipes.values() for kind in FILE_FIELDS]
    wanted = {file["path"] for file in files if file}
    # Networks of other runs are let go: two sets at once may not fit into one GPU.
    if _store is None or _store.device != device or not _store.paths <= wanted:
        _store = NetworkStore(device)
    return _store


def run_plan(run: GenerationRun, store: NetworkStore) -> list[PreparedArm]:
    """Check an order against its networks and pin it: digests of the files, schedule, classes.

    Raises
    ------
    CheckpointError, NetworkMismatch, ValueError
        If a file cannot be read, networks do not fit together, a class is out of range, or images that are there were
        made by other weights.
    """
    recipes = [ArmRecipe.from_json(name, recipe) for name, recipe in run.recipes.items()]
    arms = prepare_arms(recipes, store)
    classes = run.classes if run.classes is not None else _all_classes(arms)
    for label in classes:
        check_class(arms, label)
    _check_same_recipe(run, arms)
    run_start(run, classes=classes, recipes={arm.recipe.name: arm.recipe.to_json() for arm in arms})
    return arms


def _all_classes(arms: list[PreparedArm]) -> list[int]:
    counts = []
    for arm in arms:
        for loaded in arm.networks:
            classes = loaded.network.config.num_classes
            if classes is not None:
                counts.append(classes - (loaded is arm.denoiser and arm.null_label == classes - 1))
    # Networks without classes still need a label to tell pairs apart.
    return list(range(min(counts))) if counts else [0]


def _check_same_recipe(run: GenerationRun, arms: list[PreparedArm]) -> None:
    """Refuse to add to an arm whose images came from other weights or settings."""
    for arm in arms:
        name = arm.recipe.name
        made = PairImage.objects.filter(pair__study=run.study, arm__name=name).order_by("pk").first()
        if made is None:
            continue
        if "recipe" not in made.recipe:
            raise ValueError(f"arm {name!r} has imported images; generated ones belong to an arm of their own")
        if differences := _told_apart(ArmRecipe.from_json(name, made.recipe["recipe"]), arm.recipe):
            raise ValueError(
                f"arm {name!r} has images made by other weights or settings: {differences}; "
                "restore what made them, or make a new arm"
            )


def _told_apart(before: ArmRecipe, now: ArmRecipe) -> str:
    """Say in what two recipes differ, files by their digests."""
    told = []
    for name in differing_fields([before, now]):
        one, other = getattr(before, name), getattr(now, name)
        if isinstance(one, NetworkFile) and isinstance(other, NetworkFile):
            told.append(one.replaced_by(other))
        else:
            told.append(f"{name} is {other!r}, was {one!r}")
    return "; ".join(filter(None, told))


def make_pairs(
    run: GenerationRun,
    positions: Iterable[int],
    *,
    store: NetworkStore,
    fence: Fence = transaction.atomic,
    progress: Progress | None = None,
) -> int:
    """Make what is missing at these positions of an order, and register it in one transaction; return how many pairs.

    Image files are stored as they come, under their digest, so a killed worker leaves files that the next one finds.
    A worker that is told to go registers what it has made.

    Raises
    ------
    DiskFull
        If the storage has no room left; nothing is registered.
    """
    specs = [run.spec_at(position) for position in positions]
    recipes = {name: ArmRecipe.from_json(name, recipe) for name, recipe in run.recipes.items()}
    groups = _by_missing_arms(run, specs, list(recipes))
    shared = _Shared(sum(len(missing) for missing in groups.values()), run.micro_batch, progress)
    new: list[NewPair] = []
    leaving = None
    try:
        for pair in _made(run, recipes, groups, store, shared):
            new.append(pair)
    # What is made is stored first: the next worker goes on with the rest.
    except WorkerLeaving as told:
        leaving = told
    # One transaction under the lease: a worker that has lost it stores nothing, and no pair stands half.
    with fence():
        pairs_register(study=run.study, pairs=new)
        _judge(run, new, is_arm_added=any(len(names) < len(recipes) for names in groups))
    if leaving is not None:
        raise leaving
    return len(new)


def _made(
    run: GenerationRun,
    recipes: dict[str, ArmRecipe],
    groups: dict[tuple[str, ...], list[PairSpec]],
    store: NetworkStore,
    shared: _Shared,
) -> Iterator[NewPair]:
    """Yield the pairs one after the other, their images stored; what is shown of it may end the work between two."""
    comparisons = [(one.name, other.name) for one, other in comparisons_of(run.study)]
    for names, missing in groups.items():
        made = generate_pairs(
            [recipes[name] for name in names],
            missing,
            micro_batch=run.micro_batch,
            store=store,
            factors=[*GUIDANCE_FACTORS, *run.factors],
            on_step=shared.step,
        )
        for pair in made:
            yield _stored(run, pair, comparisons)
            shared.pair()


def _judge(run: GenerationRun, new: list[NewPair], *, is_arm_added: bool) -> None:
    """Bring the distance of pairs up to date that got a further arm, and keep pairs out whose images look the same."""
    rows = ImagePair.objects.filter(study=run.study, key__in=[pair.key for pair in new])
    if is_arm_added:
        distances = {pair.key: pair.distance for pair in new}
        changed = list(rows)
        for row in changed:
            row.distance = distances[row.key]
        ImagePair.objects.bulk_update(changed, ["distance"], batch_size=500)
    if run.minimum_distance is not None:
        # Marked and not deleted: the metrics of the arms need every pair.
        rows.filter(distance__lt=run.minimum_distance).update(is_selected=False)


def _by_missing_arms(
    run: GenerationRun, specs: list[PairSpec], names: list[str]
) -> dict[tuple[str, ...], list[PairSpec]]:
    """Pairs by the arms they lack: all of them as a rule, one where an arm was added later."""
    groups: dict[tuple[str, ...], list[PairSpec]] = {}
    for spec, present in arms_present(run.study, specs).items():
        if lacking := tuple(name for name in names if name not in present):
            groups.setdefault(lacking, []).append(spec)
    return groups


class _Shared:
    """Progress of a shard: a batch works on all its pairs at once, so each step brings all of them forward."""

    def __init__(self, total: int, batch: int, progress: Progress | None):
        self.total, self.batch, self.progress = total, batch, progress
        self.stored = self.told = 0

    def step(self, step: int, steps: int) -> None:
        # In parts of a pair: whole ones alone would put the time left off by the time of one.
        self._tell(self.stored + min(self.batch, self.total - self.stored) * step / steps, f"step {step} of {steps}")

    def pair(self) -> None:
        self.stored += 1
        self._tell(self.stored, "stored")

    def _tell(self, done: float, note: str) -> None:
        # The pairs of a batch are stored one by one after its last step: they count once.
        self.told = max(self.told, done)
        if self.progress is not None:
            self.progress(self.told, self.total, note)


def _stored(run: GenerationRun, pair: GeneratedPair, comparisons: list[tuple[str, str]]) -> NewPair:
    images = {}
    for name, image in pair.images.items():
        height, width = image.pixels.shape[:2]
        try:
            file, sha256 = image_store(image.png)
        except OSError as error:
            # Quotas fail like full disks; other errors of a disk are no matter of space.
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(f"pair {pair.spec.key}: {DiskFull.__doc__} ({error})") from error
            raise
        images[name] = NewImage(file=file, sha256=sha256, width=width, height=height, recipe=image.record)
    return NewPair(
        key=pair.spec.key,
        images=images,
        class_label=class_text(pair.spec.class_label),
        class_name=pair.class_name,
        seed=pair.spec.study_seed,
        index=pair.spec.index,
        noise_sha256=pair.noise_sha256,
        distance=_distance(run, pair, comparisons),
    )


def _distance(run: GenerationRun, pair: GeneratedPair, comparisons: list[tuple[str, str]]) -> float | None:
    """The smallest difference among the arms that raters compare: a pair is as good as its weakest comparison."""
    pixels = {name: image.pixels for name, image in pair.images.items()}
    # Arms made earlier are read back, for the distance is over all that raters compare.
    pixels |= {name: _stored_pixels(run, pair, name) for name in run.recipes if name not in pixels}
    distances = [
        structural_dissimilarity(pixels[one], pixels[other])
        for one, other in comparisons
        if pixels.get(one) is not None and pixels.get(other) is not None
    ]
    return min(distances, default=None)


def _stored_pixels(run: GenerationRun, pair: GeneratedPair, arm: str) -> np.ndarray | None:
    image = PairImage.objects.filter(pair__study=run.study, pair__key=pair.spec.key, arm__name=arm).first()
    if image is None:
        return None
    with default_storage.open(image.file) as file, Image.open(file) as picture:
        pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def run_settle(run: GenerationRun) -> bool:
    """Close a run once nothing is missing, with its manifest; True for the one call that does so.

    The manifest comes first: a worker that dies over it leaves an open run, which the next one closes.
    """
    # The first count reads one table and is wrong only where an arm is missing; most shards end here.
    if ImagePair.objects.filter(run.wanted, study=run.study).count() < run.pairs:
        return False
    if run_complete_pairs(run).count() < run.pairs:
        return False
    run.manifest_file, run.manifest_sha256 = _manifest(run)
    run.save(update_fields=["manifest_file", "manifest_sha256"])
    return run_finish(run, State.COMPLETE)


def _manifest(run: GenerationRun) -> tuple[str, str]:
    """Write a JSON line per image of the run: file, digest and record. Rows are streamed: memory stays constant."""
    images = PairImage.objects.filter(pair__in=run_complete_pairs(run), arm__name__in=list(run.recipes))
    rows = images.order_by("pair__key", "arm__name").values_list("file", "sha256", "recipe")
    name = f"manifests/{run.study.slug}/{run.pk}.jsonl"
    records = (record | {"file": stored, "sha256": sha256} for stored, sha256, record in rows.iterator(chunk_size=500))
    with tempfile.TemporaryFile() as file:
        digest = write_manifest(file, records)
        file.seek(0)
        # Through a temporary file: the storage takes a whole file, and the rows are never all in memory.
        default_storage.save(name, File(file))
    return name, digest
