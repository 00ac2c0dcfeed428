"""Matched pairs: one class and one noise, one image of every arm. Nothing but the recipes can tell the images apart."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion.checkpoints import library_versions
from diffusion.schedule import NoiseSchedule
from generation.recipes.distance import DISTANCE_NAME, pair_distances
from generation.recipes.noise import NOISE_VERSION, PairNoise, PairSpec, noise_sha256
from generation.recipes.recipe import GUIDANCE_FACTORS, ArmRecipe, check_matched
from generation.sampling.encoding import encode_png, pixels_sha256, to_uint8
from generation.sampling.networks import NetworkStore, PreparedArm, check_class, class_names, prepare_arms
from generation.sampling.refine import refine_images
from generation.sampling.sampler import GuidedArm, guided_trajectory

__all__ = ["GeneratedImage", "GeneratedPair", "NoiseFeed", "PairSpec", "class_name", "generate_pairs", "guided_arm"]


@dataclass(frozen=True, kw_only=True)
class GeneratedImage:
    """One arm's image of a pair.

    Parameters
    ----------
    pixels : ndarray (H, W, C), uint8
    png : bytes
    sha256 : str
        Of ``png``.
    record : dict
        How it was made: recipe, seeds, digests, versions, device; JSON-ready.
    """

    pixels: np.ndarray
    png: bytes
    sha256: str
    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class GeneratedPair:
    """The images of all arms from one class and one noise.

    Parameters
    ----------
    spec : PairSpec
    class_name : str
        As the checkpoints name the class; empty where they do not.
    noise_sha256 : str
        Of x_T, which all arms share.
    images : dict of str to GeneratedImage
    distances : dict of (str, str) to float
        How different every two arms' images look.
    """

    spec: PairSpec
    class_name: str
    noise_sha256: str
    images: dict[str, GeneratedImage]
    distances: dict[tuple[str, str], float]


class NoiseFeed:
    """x_T and step noise of a micro-batch, drawn ahead in a thread while the networks work, and digested on the way.

    Parameters
    ----------
    specs : sequence of PairSpec
    shape : tuple of int
        One image, (C, H, W).
    schedule : NoiseSchedule
        Steps are asked for by index of this (respaced) process and drawn by timestep of the original one.
    device : torch.device
    """

    def __init__(
        self, specs: Sequence[PairSpec], shape: tuple[int, ...], schedule: NoiseSchedule, device: torch.device
    ):
        self._noises = [PairNoise(spec, shape) for spec in specs]
        self._timesteps = schedule.timestep_map
        self._device = device
        self._digests = [hashlib.sha256() for _ in specs]
        # One thread: draws are digested in the order of the steps, and the processor belongs to the networks.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="noise")
        self._ahead: tuple[int, Future] | None = None
        self.initial_sha256 = [""] * len(specs)

    def initial(self) -> Tensor:
        """x_T: Tensor (B, C, H, W), float32."""
        draws = [noise.initial() for noise in self._noises]
        self.initial_sha256 = [noise_sha256(draw) for draw in draws]
        return self._digested(draws)

    def step(self, index: int) -> Tensor:
        """Noise added at timestep ``index`` of the respaced process: Tensor (B, C, H, W), float32."""
        is_ready = self._ahead is not None and self._ahead[0] == index
        draws = self._ahead[1].result() if is_ready else self._draw(index)
        # Samplers walk down by one; nothing is added at index 0, so nothing is drawn for it.
        self._ahead = (index - 1, self._pool.submit(self._draw, index - 1)) if index > 1 else None
        return self._digested(draws)

    def digests(self) -> list[str]:
        """Per pair, the digest of every draw handed out so far, in order."""
        return [digest.hexdigest() for digest in self._digests]

    def close(self) -> None:
        """Let the thread end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _draw(self, index: int) -> list[np.ndarray]:
        timestep = int(self._timesteps[index])
        return [noise.at_timestep(timestep) for noise in self._noises]

    def _digested(self, draws: list[np.ndarray]) -> Tensor:
        for digest, draw in zip(self._digests, draws, strict=True):
            # Little-endian on every machine, or the digests would tell hosts apart and not noise.
            digest.update(np.ascontiguousarray(draw, dtype="<f4"))
        return torch.from_numpy(np.stack(draws)).to(self._device)


def generate_pairs(
    arms: Sequence[ArmRecipe],
    pairs: Iterable[PairSpec],
    *,
    micro_batch: int,
    device: torch.device | str = "cpu",
    store: NetworkStore | None = None,
    factors: Sequence[str] = GUIDANCE_FACTORS,
    should_stop: Callable[[], bool] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[GeneratedPair]:
    """Make the images of all arms for each pair, in order.

    Every batch has the same shape: the last one is padded, and the padding thrown away. With one ``micro_batch`` and
    one kind of device an image's bytes are therefore the same in any order, shard or process; across batch shapes and
    devices the noise is the same to the bit and the images are equal within rounding. If memory runs out the batch is
    halved, for all later calls with this store too; an image's record says in which shape it was made.

    Parameters
    ----------
    arms : sequence of ArmRecipe
        May differ in ``factors`` only.
    pairs : iterable of PairSpec
        Read as it goes: memory does not grow with their number.
    micro_batch : int, >= 1
        Pairs worked on at once.
    device : torch.device or str
        Ignored when a store is given.
    store : NetworkStore, optional
        Where networks are loaded and kept; give one to use it for several calls.
    factors : sequence of str
        Fields of a recipe in which the arms may differ.
    should_stop : callable, optional
        Asked before every step.
    on_step : callable, optional
        ``on_step(done, total)`` after every step of a batch.

    Returns
    -------
    iterator of GeneratedPair

    Raises
    ------
    ValueError
        At once, if the arms do not match, do not fit their networks, or ``micro_batch`` is below 1; while iterating, if
        a class is out of range or an image is not finite.
    SamplingStopped
        While iterating, if ``should_stop`` said so.
    MemoryError
        While iterating, if not even one pair fits into memory.
    """
    if isinstance(micro_batch, bool) or not isinstance(micro_batch, int) or micro_batch < 1:
        raise ValueError(f"micro_batch is {micro_batch!r}; it must be a whole number of at least 1")
    check_matched(arms, factors)
    store = store or NetworkStore(device)
    prepared = prepare_arms(arms, store)
    return _Batches(prepared, store, micro_batch, should_stop, on_step).over(iter(pairs))


def class_name(arms: Sequence[PreparedArm], class_label: int) -> str:
    """What the arms' checkpoints call a class; empty where none names it."""
    names = next((names for arm in arms if (names := class_names(arm))), ())
    return names[class_label] if class_label < len(names) else ""


def guided_arm(arm: PreparedArm, store: NetworkStore) -> GuidedArm:
    """Return what sets an arm apart in a trajectory, as its recipe says."""
    recipe = arm.recipe
    return GuidedArm(
        name=recipe.name,
        classifier=None if arm.classifier is None else store.call(arm.classifier),
        classifier_scale=recipe.classifier_scale,
        class_free_scale=recipe.class_free_scale,
        guidance_interval=recipe.guidance_interval,
        guidance_point=recipe.guidance_point,
        guidance_averaging=recipe.guidance_averaging,
        scale_schedule=recipe.scale_schedule,
        weak_denoiser=None if arm.weak_denoiser is None else store.call(arm.weak_denoiser),
        weak_scale=recipe.weak_scale,
    )


class _Batches:
    def __init__(self, arms, store, micro_batch, should_stop, on_step):
        self.arms: list[PreparedArm] = arms
        self.store: NetworkStore = store
        # What did not fit before will not fit now: the store remembers it over shards.
        self.micro_batch: int = min(micro_batch, store.largest_batch or micro_batch)
        self.should_stop = should_stop
        self.on_step = on_step
        config = arms[0].denoiser.network.config
        self.shape = (config.in_channels, config.image_size, config.image_size)
        shared: dict[tuple, list[PreparedArm]] = {}
        for arm in arms:
            shared.setdefault(arm.recipe.sampling_key, []).append(arm)
        self.groups = list(shared.values())

    def over(self, pairs: Iterator[PairSpec]) -> Iterator[GeneratedPair]:
        waiting: list[PairSpec] = []
        while batch := waiting[: self.micro_batch] or list(islice(pairs, self.micro_batch)):
            waiting = waiting[len(batch) :]
            for spec in batch:
                check_class(self.arms, spec.class_label)
            try:
                made = self._generate(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
                # To the front: pairs come out in their order, whatever the batch size.
                waiting = batch + waiting
                continue
            yield from made

    def _halve(self, error: Exception) -> None:
        if self.micro_batch == 1:
            raise MemoryError(
                f"not even one pair fits into the memory of {self.store.device}; "
                "use a device with more memory, or half precision if the study's plan allows it"
            ) from error
        self.micro_batch = self.store.largest_batch = (self.micro_batch + 1) // 2
        if self.store.device.type == "cuda":
            # The cached blocks are of the larger batch's sizes and would stay unusable.
            torch.cuda.empty_cache()

    def _generate(self, batch: list[PairSpec]) -> list[GeneratedPair]:
        # Kernels differ by batch shape: padding keeps the last batch's bits those of a full one.
        padded = batch + [batch[-1]] * (self.micro_batch - len(batch))
        started = time.perf_counter()
        done = _StepCounter(self.on_step, sum(group[0].schedule.num_timesteps for group in self.groups))
        pixels: dict[str, np.ndarray] = {}
        noise: dict[str, list[str]] = {}
        initial: list[str] = []
        for group in self.groups:
            with closing(NoiseFeed(padded, self.shape, group[0].schedule, self.store.device)) as feed:
                states = self._sample(group, padded, feed, done)
                initial = feed.initial_sha256
                for arm in group:
                    name = arm.recipe.name
                    pixels[name], noise[name] = to_uint8(self._refined(arm, states[name], padded)), feed.digests()
        seconds = (time.perf_counter() - started) / len(batch)
        return [self._pair(spec, row, pixels, initial, noise, seconds) for row, spec in enumerate(batch)]

    def _sample(self, group, specs, feed: NoiseFeed, done: Callable[[object], None]) -> dict[str, Tensor]:
        first: PreparedArm = group[0]
        with repeatable(self.store.device):
            return self._walk(first, group, specs, feed, done)

    def _walk(self, first: PreparedArm, group, specs, feed: NoiseFeed, done) -> dict[str, Tensor]:
        label = torch.tensor([spec.class_label for spec in specs], device=self.store.device)
        return guided_trajectory(
            self.store.call(first.denoiser),
            first.schedule,
            [guided_arm(arm, self.store) for arm in group],
            feed.initial(),
            label,
            feed.step,
            sampler=first.recipe.sampler,
            eta=first.recipe.eta,
            variance=first.recipe.variance,
            clip_x_start=first.recipe.clip_x_start,
            is_class_conditional=first.denoiser.network.config.num_classes is not None,
            null_label=first.null_label,
            on_step=done,
            should_stop=self.should_stop,
        )

    def _refined(self, arm: PreparedArm, images: Tensor, specs: list[PairSpec]) -> Tensor:
        if arm.refiner is None:
            return images
        label = torch.tensor([spec.class_label for spec in specs], device=self.store.device)
        steps, epsilon = arm.recipe.refine_steps, arm.recipe.refine_epsilon
        with repeatable(self.store.device):
            return refine_images(self.store.call(arm.refiner), images, label, steps=steps, epsilon=epsilon)

    def _pair(self, spec, row: int, pixels, initial, noise, seconds: float) -> GeneratedPair:
        images = {}
        for arm in self.arms:
            name = arm.recipe.name
            image, png = pixels[name][row], encode_png(pixels[name][row])
            digests = {"x_T_sha256": initial[row], "noise_sha256": noise[name][row]}
            record = self._record(arm, spec, image, png) | digests | {"seconds": round(seconds, 3)}
            images[name] = GeneratedImage(pixels=image, png=png, sha256=record["sha256"], record=record)
        return GeneratedPair(
            spec=spec,
            class_name=class_name(self.arms, spec.class_label),
            noise_sha256=initial[row],
            images=images,
            distances=pair_distances({name: image.pixels for name, image in images.items()}),
        )

    def _record(self, arm: PreparedArm, spec: PairSpec, image: np.ndarray, png: bytes) -> dict[str, Any]:
        """Everything needed to make the image again, and to see that it is the same."""
        return {
            "schema": "blindpair.image/1",
            "pair": spec.key,
            "arm": arm.recipe.name,
            "study_seed": spec.study_seed,
            "class_label": spec.class_label,
            "class_name": class_name(self.arms, spec.class_label),
            "index": spec.index,
            "recipe": arm.recipe.to_json(),
            "recipe_sha256": arm.recipe.sha256,
            "sha256": hashlib.sha256(png).hexdigest(),
            "pixels_sha256": pixels_sha256(image),
            "noise_version": NOISE_VERSION,
            "distance_name": DISTANCE_NAME,
            "micro_batch": self.micro_batch,
            "arms_together": [other.recipe.name for other in self.arms],
            "device": device_name(self.store.device),
            "threads": torch.get_num_threads() if self.store.device.type == "cpu" else None,
            "compiled": self.store.compile,
            "versions": library_versions(),
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }


class _StepCounter:
    """Counts steps over the groups of a batch."""

    def __init__(self, on_step: Callable[[int, int], None] | None, total: int):
        self.on_step, self.total, self.done = on_step, total, 0

    def __call__(self, view: object) -> None:
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.total)


def device_name(device: torch.device) -> str:
    """The kind of device, as far as it decides bits."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}" if device.type == "cpu" else device.type


def repeatable(device: torch.device) -> AbstractContextManager:
    """Convolutions of a GPU that give the same bits again, and real float32 where a recipe says float32.

    Left alone, cuDNN may choose algorithms that add in any order, and rounds float32 inputs to 10 bits of mantissa.
    """
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # torch's allocator of the CPU has no error class of its own.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
