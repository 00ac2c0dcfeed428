"""Finished images refined by a robust classifier: BIGRoC (Ganz and Elad 2023, arXiv 2108.03702)."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.classifier import classifier_gradient
from generation.sampling.guidance import Classifier

__all__ = ["refine_images"]

#: Steps reach the edge of the ball and can still turn: the usual rule, 2.5 times the radius over the steps.
_STRIDE = 2.5
#: A gradient of length zero points nowhere.
_LEAST_NORM = 1e-12


def refine_images(classifier: Classifier, images: Tensor, class_label: Tensor, *, steps: int, epsilon: float) -> Tensor:
    """Move images towards their class inside an L2 ball, by projected gradient steps on log p(y | x, t = 0).

    Parameters
    ----------
    classifier : callable
        A robust one: gradients of others change pixels without meaning.
    images : Tensor (B, C, H, W), float32
        Finished images; values beyond [-1, 1], as samplers leave them, are clamped first.
    class_label : Tensor (B,), int64
    steps : int
        At least 1; each has length ``2.5 epsilon / steps``.
    epsilon : float
        Radius, in units of pixels in [-1, 1].

    Returns
    -------
    Tensor (B, C, H, W), float32 in [-1, 1]

    References
    ----------
    Ganz and Elad, TMLR 2023, algorithm 1; steps along the normalised gradient, as usual for the L2 ball.
    """
    start = images.clamp(-1.0, 1.0)
    clean = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    moved = torch.zeros_like(start)
    for _ in range(steps):
        gradient = classifier_gradient(classifier, start + moved, clean, class_label)
        moved = moved + _STRIDE * epsilon / steps * gradient / _norms(gradient).clamp(min=_LEAST_NORM)
        moved = moved * (epsilon / _norms(moved).clamp(min=_LEAST_NORM)).clamp(max=1.0)
        # Back into the range of pixels, so that what is seen is what was optimised.
        moved = (start + moved).clamp(-1.0, 1.0) - start
    return start + moved


def _norms(rows: Tensor) -> Tensor:
    return rows.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
