"""How well a classifier's gradients agree with the class score that two denoisers imply.

Every function takes networks as plain callables and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from diffusion.classifier import classifier_gradient
from diffusion.posterior import split_output
from diffusion.schedule import NoiseSchedule

__all__ = ["AlignmentBand", "alignment_at", "alignment_bands", "implied_class_score", "without_class"]


def without_class(denoiser: Callable[[Tensor, Tensor, Tensor], Tensor], null_label: int) -> Callable:
    """Return the unconditional side of a denoiser that was trained with dropped labels: it always sees `null_label`."""

    def unconditional(x: Tensor, t: Tensor) -> Tensor:
        return denoiser(x, t, torch.full((x.shape[0],), null_label, dtype=torch.int64, device=x.device))

    return unconditional


def implied_class_score(
    conditional: Callable[[Tensor, Tensor, Tensor], Tensor],
    unconditional: Callable[[Tensor, Tensor], Tensor],
    schedule: NoiseSchedule,
    x_t: Tensor,
    t: Tensor,
    class_label: Tensor,
) -> Tensor:
    """Return grad_x log p(y | x_t) as two denoisers imply it.

    By Bayes it is ``grad log p(x_t | y) - grad log p(x_t) = -(eps(x_t, t, y) - eps(x_t, t)) / sqrt(1 - abar_t)``.

    Parameters
    ----------
    conditional, unconditional : callable
        Denoisers with and without the class; one trained with dropped labels serves as both.
    schedule : NoiseSchedule
    x_t : Tensor (B, C, H, W)
    t : Tensor (B,), int64, indices of ``schedule``
    class_label : Tensor (B,), int64
    """
    network_t = schedule.network_timesteps(t)
    with torch.no_grad():
        # Only the noise estimates imply a score; a learned variance says nothing about the class.
        with_class, _ = split_output(conditional(x_t, network_t, class_label).float(), x_t.shape[1])
        without, _ = split_output(unconditional(x_t, network_t).float(), x_t.shape[1])
    # Bayes: grad log p(y|x) = score(x|y) - score(x), and a noise estimate is -sqrt(1 - abar) times its score.
    return (without - with_class) / schedule.at("sqrt_one_minus_alphas_cumprod", t, x_t)


#: Images at a noise level and their timesteps to logits or noise.
Network = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class AlignmentBand:
    """Agreement of one classifier's gradients with the denoisers' class score in one band of timesteps.

    ``cosine`` is the mean over images of the cosine similarity, ``ci95`` its 95 % t-interval; ``relative_error`` the
    squared error over the squared length of the denoisers' score once the gradients are scaled by the one best
    ``scale``.
    """

    first_timestep: int
    last_timestep: int
    n: int
    cosine: float
    ci95: tuple[float, float] | None
    relative_error: float
    scale: float


def alignment_at(
    classifiers: Mapping[str, Network],
    conditional: Callable[[Tensor, Tensor, Tensor], Tensor],
    unconditional: Callable[[Tensor, Tensor], Tensor],
    schedule: NoiseSchedule,
    x_start: Tensor,
    class_label: Tensor,
    *,
    timesteps: Tensor,
    noise: Callable[[int], Tensor],
    batch_size: int = 64,
    on_cosines: Callable[[str, np.ndarray], None] | None = None,
) -> dict[str, list[AlignmentBand]]:
    """Compare classifier gradients with the score that conditional and unconditional denoiser imply, band by band.

    All classifiers are measured at the same x_t.

    Parameters
    ----------
    classifiers : mapping of str to callable
    conditional, unconditional : callable
        See :func:`implied_class_score`.
    schedule : NoiseSchedule
    x_start : Tensor (n, C, H, W), float32 in [-1, 1]
    class_label : Tensor (n,), int64
    timesteps : Tensor (bands, n), int64
        Every image is seen once in each band.
    noise : callable
        The band's number to standard normal noise like ``x_start``.
    batch_size : int
    on_cosines : callable, optional
        Gets a classifier's name and the cosines of all images, band after band.

    Returns
    -------
    dict of str to list of AlignmentBand
    """
    found: dict[str, list[AlignmentBand]] = {name: [] for name in classifiers}
    for band, row in enumerate(timesteps):
        t = row.to(x_start.device)
        x_t = schedule.q_sample(x_start, t, noise(band).to(x_start))

        # Bound as defaults: a closure made in a loop would otherwise see the variables of its last turn.
        def implied(rows: slice, x_t: Tensor = x_t, t: Tensor = t) -> Tensor:
            return implied_class_score(conditional, unconditional, schedule, x_t[rows], t[rows], class_label[rows])

        score = _by_batch(implied, x_start.shape[0], batch_size)
        for name, classifier in classifiers.items():

            def gradient_of(rows: slice, x_t: Tensor = x_t, t: Tensor = t, classifier: Network = classifier) -> Tensor:
                return classifier_gradient(
                    classifier, x_t[rows], schedule.network_timesteps(t[rows]), class_label[rows]
                )

            gradient = _by_batch(gradient_of, x_start.shape[0], batch_size)
            cosines, band_found = _compare(gradient, score, row)
            found[name].append(band_found)
            if on_cosines:
                on_cosines(name, cosines)
    return found


def _by_batch(compute: Callable[[slice], Tensor], n: int, size: int) -> Tensor:
    return torch.cat([compute(slice(start, start + size)).flatten(1) for start in range(0, n, size)])


def _compare(gradient: Tensor, score: Tensor, t: Tensor) -> tuple[np.ndarray, AlignmentBand]:
    # Sums over all values of all images: in float32 small gradients would be lost beside large ones.
    g, d = gradient.double().cpu(), score.double().cpu()
    cosines = torch.nn.functional.cosine_similarity(g, d, dim=1).numpy()
    inner, own, wanted = float((g * d).sum()), float(g.square().sum()), float(d.square().sum())
    # The factor that brings the gradient closest to the score (least squares): guidance scales are free.
    scale = inner / own if own > 0 else 0.0
    return cosines, AlignmentBand(
        first_timestep=int(t.min()),
        last_timestep=int(t.max()),
        n=len(cosines),
        cosine=float(cosines.mean()),
        ci95=_t_interval(cosines),
        relative_error=1.0 - scale * inner / wanted if wanted > 0 else 1.0,
        scale=scale,
    )


def _t_interval(values: np.ndarray) -> tuple[float, float] | None:
    # One image has no spread, hence no interval.
    if values.size < 2:
        return None
    half = float(stats.t.ppf(0.975, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return float(values.mean()) - half, float(values.mean()) + half


def alignment_bands(found: Mapping[str, Sequence[AlignmentBand]]) -> dict[str, list[dict]]:
    """Return JSON-ready rows of an alignment, by classifier."""
    return {
        name: [{**vars(band), "ci95": band.ci95 and list(band.ci95)} for band in bands] for name, bands in found.items()
    }
