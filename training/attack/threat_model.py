"""What a norm means to an attack: the steepest step, the projection back into the ball, a random start.

References
----------
Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["NORM_FLOOR", "Generators", "drawn", "threat_of"]

# On the CPU: one for all images, or one an image, so that its draws are the same in any batch.
Generators = torch.Generator | Sequence[torch.Generator] | None
# Added to gradient and perturbation norms by the published code.
NORM_FLOOR = 1e-10


def drawn(draw: Callable[..., Tensor], shape: Sequence[int], generator: Generators) -> Tensor:
    """Return random numbers of a shape (B, ...) from one generator, or row by row from one an image.

    Raises
    ------
    ValueError
        The number of generators is not that of the images.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return draw(tuple(shape), generator=generator)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for {shape[0]} images; give one an image, or one for all")
    return torch.stack([draw(tuple(shape[1:]), generator=one) for one in generator])


def _norms(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.flatten(1), dim=1).reshape(-1, 1, 1, 1)


class _L2:
    """Euclidean ball: step along the normalised gradient, scale back onto the ball."""

    @staticmethod
    def steepest(gradient: Tensor) -> Tensor:
        return gradient / (_norms(gradient) + NORM_FLOOR)

    @staticmethod
    def project(delta: Tensor, epsilon: Tensor) -> Tensor:
        # Inside the ball the maximum is epsilon itself, and the perturbation stays as it is.
        return delta * epsilon / (torch.maximum(_norms(delta), epsilon) + NORM_FLOOR)

    @staticmethod
    def start(x: Tensor, epsilon: Tensor, generator: Generators) -> Tensor:
        direction = drawn(torch.randn, x.shape, generator).to(x)
        # The radius of a uniform point of a d-dimensional ball is u^(1/d).
        radius = drawn(torch.rand, (len(x), 1, 1, 1), generator).to(x) ** (1 / x[0].numel())
        return epsilon * radius * direction / _norms(direction)


class _Linf:
    """Largest change of any value: step along the sign of the gradient, clamp."""

    @staticmethod
    def steepest(gradient: Tensor) -> Tensor:
        return gradient.sign()

    @staticmethod
    def project(delta: Tensor, epsilon: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(delta, -epsilon), epsilon)

    @staticmethod
    def start(x: Tensor, epsilon: Tensor, generator: Generators) -> Tensor:
        return epsilon * (2 * drawn(torch.rand, x.shape, generator).to(x) - 1)


_THREATS = {"l2": _L2, "linf": _Linf}


def threat_of(norm: str) -> type[_L2] | type[_Linf]:
    if norm not in _THREATS:
        raise ValueError(f"norm is {norm!r}; choose one of {', '.join(_THREATS)}")
    return _THREATS[norm]
