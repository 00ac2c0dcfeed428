"""What a classifier's gradients look like and how well they agree with the denoiser's: the numbers behind the figures.

Every function takes networks as plain callables and its noise as an argument, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from diffusion.alignment import AlignmentBand, alignment_at, alignment_bands, implied_class_score
from diffusion.classifier import classifier_gradient
from diffusion.schedule import NoiseSchedule
from generation.recipes.noise import standard_normals, uniform_words
from generation.sampling.guidance import Classifier
from generation.sampling.sampler import GuidedArm, guided_trajectory

__all__ = [
    "AlignmentBand",
    "Ascent",
    "alignment_bands",
    "band_timesteps",
    "class_gradients",
    "figure_noise",
    "gradient_alignment",
    "implied_class_score",
    "intermediate_estimates",
    "maximise_class_probability",
    "min_max_normalised",
]

#: First word of the Philox key of figures' noise; pairs use the study's seed there, which is below 2**63.
_FIGURE_KEY = 2**63


def figure_noise(seed: int, shape: Sequence[int], *, stream: int = 0) -> Tensor:
    """Return standard normal noise of a shape, the same on every host and apart from all noise of pairs.

    Parameters
    ----------
    seed : int in [0, 2**63)
    shape : sequence of int
    stream : int
        Another stream of the same seed gives independent noise.

    Returns
    -------
    Tensor of that shape, float32
    """
    count = int(np.prod(shape))
    # Box-Muller turns words into normals in twos, hence an even number.
    words = uniform_words((_FIGURE_KEY + seed, 0), stream, count + count % 2)
    return torch.from_numpy(standard_normals(words)[:count].reshape(tuple(shape)))


def min_max_normalised(images: Tensor) -> Tensor:
    """Scale every image of a batch to [0, 1] by its own extremes; a constant image becomes 0.5.

    Parameters
    ----------
    images : Tensor (B, C, H, W)
    """
    flat = images.flatten(1)
    low, high = flat.amin(dim=1), flat.amax(dim=1)
    # Only keeps the division finite; where it acts, the result is replaced below.
    span = (high - low).clamp(min=torch.finfo(images.dtype).tiny)
    scaled = (images - low.view(-1, 1, 1, 1)) / span.view(-1, 1, 1, 1)
    return torch.where((high > low).view(-1, 1, 1, 1), scaled, torch.full_like(scaled, 0.5))


def class_gradients(
    classifiers: Mapping[str, Classifier],
    schedule: NoiseSchedule,
    x_start: Tensor,
    class_label: Tensor,
    timesteps: Sequence[int],
    noise: Tensor,
) -> dict[str, Tensor]:
    """Return the gradient of log p(y | x_t, t) of images on their own class at several timesteps (paper, Figure 3).

    Parameters
    ----------
    classifiers : mapping of str to callable
        By arm.
    schedule : NoiseSchedule
    x_start : Tensor (B, C, H, W), float32 in [-1, 1]
    class_label : Tensor (B,), int64
    timesteps : sequence of int
        Indices of ``schedule``.
    noise : Tensor like x_start
        The same noise at every timestep, so that a column differs by its noise level alone.

    Returns
    -------
    dict of str to Tensor (timesteps, B, C, H, W)

    Raises
    ------
    ValueError
        If a timestep is outside the schedule.
    """
    _check_timesteps(timesteps, schedule)
    found: dict[str, list[Tensor]] = {arm: [] for arm in classifiers}
    for timestep in timesteps:
        t = torch.full((x_start.shape[0],), timestep, dtype=torch.int64, device=x_start.device)
        x_t = schedule.q_sample(x_start, t, noise)
        for arm, classifier in classifiers.items():
            found[arm].append(classifier_gradient(classifier, x_t, schedule.network_timesteps(t), class_label))
    return {arm: torch.stack(gradients) for arm, gradients in found.items()}


def _check_timesteps(timesteps: Sequence[int], schedule: NoiseSchedule) -> None:
    outside = [timestep for timestep in timesteps if not 0 <= timestep < schedule.num_timesteps]
    if outside or not timesteps:
        raise ValueError(f"timesteps are {list(timesteps)}; expected some within 0..{schedule.num_timesteps - 1}")


@dataclass(frozen=True)
class Ascent:
    """Where climbing a class's probability led: images (B, C, H, W) and log p(target) before and after, (B,)."""

    images: Tensor
    log_probability_before: Tensor
    log_probability_after: Tensor


def maximise_class_probability(
    classifier: Classifier,
    x_start: Tensor,
    target: Tensor,
    *,
    radius: float,
    steps: int = 50,
    step_size: float | None = None,
) -> Ascent:
    """Climb log p(target | x, t = 0) inside an L2 ball around the images (paper, Figure 4).

    Every step goes ``step_size`` along the gradient's direction, then back into the ball and into [-1, 1].

    Parameters
    ----------
    classifier : callable
    x_start : Tensor (B, C, H, W), float32 in [-1, 1]
    target : Tensor (B,), int64
    radius : float
        Of the ball, in units of pixels scaled to [-1, 1].
    steps : int
        At least 1.
    step_size : float, optional
        Length of a step; 2.5 radius / steps without it.

    Raises
    ------
    ValueError
        If radius, steps or step size are not positive.
    """
    # Enough to reach the sphere and move along it, as in the attacks.
    step_size = 2.5 * radius / max(steps, 1) if step_size is None else step_size
    if not radius > 0 or steps < 1 or not step_size > 0:
        raise ValueError(f"radius {radius}, steps {steps}, step_size {step_size}: all must be above 0")
    t = torch.zeros(x_start.shape[0], dtype=torch.int64, device=x_start.device)
    x = x_start.clone()
    for _ in range(steps):
        gradient = classifier_gradient(classifier, x, t, target)
        # Steps of one length: on confident classifiers raw gradients vanish and the ascent would stand still.
        x = x + step_size * gradient / _norms(gradient)
        # The box first: scaling towards x_start, which lies in the box, cannot leave it again.
        offset = x.clamp(-1.0, 1.0) - x_start
        x = x_start + offset * (radius / _norms(offset)).clamp(max=1.0)
    before, after = (_log_probability(classifier, images, t, target) for images in (x_start, x))
    return Ascent(x, before, after)


def _norms(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)


@torch.no_grad()
def _log_probability(classifier: Classifier, x: Tensor, t: Tensor, target: Tensor) -> Tensor:
    return torch.log_softmax(classifier(x, t).float(), dim=-1).gather(1, target.view(-1, 1)).squeeze(1)


def intermediate_estimates(
    denoiser: Callable,
    schedule: NoiseSchedule,
    arms: Sequence[GuidedArm],
    x_T: Tensor,
    class_label: Tensor,
    step_noise: Callable[[int], Tensor] | None,
    *,
    columns: int = 8,
    **options: object,
) -> tuple[list[int], dict[str, Tensor]]:
    """Return the estimates of the final image at evenly spaced steps of a guided trajectory (paper, Figure 5).

    Parameters
    ----------
    denoiser, schedule, arms, x_T, class_label, step_noise, options
        As in :func:`generation.sampling.sampler.guided_trajectory`.
    columns : int
        Steps to keep, first and last included; at least 2.

    Returns
    -------
    timesteps : list of int
        Of the original process, falling.
    estimates : dict of str to Tensor (columns, B, C, H, W)
    """
    if not 2 <= columns <= schedule.num_timesteps:
        raise ValueError(f"columns is {columns}; expected 2 to {schedule.num_timesteps}, the steps of the trajectory")
    wanted = {int(i) for i in np.linspace(0, schedule.num_timesteps - 1, columns).round()}
    timesteps: list[int] = []
    kept: dict[str, list[Tensor]] = {arm.name: [] for arm in arms}

    def keep(view) -> None:
        if view.index in wanted:
            timesteps.append(view.timestep)
            for arm, estimate in view.pred_x_start.items():
                # A copy of its own: the parts are views, which would keep every branch's rows in memory.
                kept[arm].append(estimate.clone())

    guided_trajectory(denoiser, schedule, arms, x_T, class_label, step_noise, on_step=keep, **options)
    return timesteps, {arm: torch.stack(estimates) for arm, estimates in kept.items()}


def band_timesteps(schedule: NoiseSchedule, bands: int, images: int, *, seed: int = 0) -> Tensor:
    """Return one random timestep per band and image: Tensor (bands, images), int64, uniform inside each band."""
    if not 1 <= bands <= schedule.num_timesteps:
        raise ValueError(f"bands is {bands}; expected 1 to {schedule.num_timesteps}")
    edges = np.linspace(0, schedule.num_timesteps, bands + 1).round().astype(int)
    rng = np.random.default_rng(seed)
    rows = [rng.integers(low, high, images) for low, high in pairwise(edges)]
    return torch.from_numpy(np.stack(rows))


def gradient_alignment(
    classifiers: Mapping[str, Classifier],
    conditional: Callable[[Tensor, Tensor, Tensor], Tensor],
    unconditional: Callable[[Tensor, Tensor], Tensor],
    schedule: NoiseSchedule,
    x_start: Tensor,
    class_label: Tensor,
    *,
    bands: int = 10,
    seed: int = 0,
    batch_size: int = 64,
) -> dict[str, list[AlignmentBand]]:
    """Compare classifier gradients with the score that conditional and unconditional denoiser imply, band by band.

    All arms are measured at the same x_t.

    Parameters
    ----------
    classifiers : mapping of str to callable
    conditional, unconditional : callable
        See :func:`diffusion.alignment.implied_class_score`.
    schedule : NoiseSchedule
    x_start : Tensor (n, C, H, W), float32 in [-1, 1]
    class_label : Tensor (n,), int64
    bands : int
        Equal bands of timesteps; every image is seen once in each.
    seed : int
        Of timesteps and noise.
    batch_size : int

    Returns
    -------
    dict of str to list of AlignmentBand
    """
    return alignment_at(
        classifiers,
        conditional,
        unconditional,
        schedule,
        x_start,
        class_label,
        timesteps=band_timesteps(schedule, bands, x_start.shape[0], seed=seed),
        noise=lambda band: figure_noise(seed, x_start.shape, stream=band),
        batch_size=batch_size,
    )
