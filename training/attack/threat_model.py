"""What an adversary may do: the norm, the radius at a timestep, the step, and the projection back into the ball.

References
----------
Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from diffusion.schedule import NoiseSchedule

__all__ = ["NORM_FLOOR", "AttackConfig", "EpsilonRule", "Generators", "Norm", "StepRule", "drawn", "threat_of"]

# On the CPU: one for all images, or one an image, so that its draws are the same in any batch.
Generators = torch.Generator | Sequence[torch.Generator] | None
Norm = Literal["l2", "linf"]


StepRule = Literal["imagenet", "cifar10", "fixed"]


EpsilonRule = Literal["constant", "signal", "noise"]


# Added to gradient and perturbation norms by the published code.
NORM_FLOOR = 1e-10


@dataclass(frozen=True, kw_only=True)
class AttackConfig:
    """A threat model and how hard to search it.

    Parameters
    ----------
    norm : {"l2", "linf"}
        Of the perturbation, per image.
    epsilon : float
        Radius of the ball around x_t, in units of x_t (pixels scaled to [-1, 1]).
    steps : int
        Attack steps; 0 leaves images as they are.
    step_rule : {"imagenet", "cifar10", "fixed"}
        "imagenet": epsilon / 6 whatever the number of steps; "cifar10": 2.5 epsilon / steps (both as published);
        "fixed": `step_size`.
    step_size : float or None
        For "fixed" only, in units of x_t.
    random_start : bool
        Start at a uniform point of the ball instead of at x_t.
    targeted : bool
        Move towards another class, drawn for every image, instead of away from the true one.
    early_stop : bool
        Stop an image once it is misclassified (or, targeted, classified as the target).
    epsilon_rule : {"constant", "signal", "noise"}
        Factor on epsilon at timestep t: 1, sqrt(abar_t), or sqrt(1 - abar_t). Published: constant.
    """

    norm: Norm = "l2"
    epsilon: float = 0.5
    steps: int = 7
    step_rule: StepRule = "imagenet"
    step_size: float | None = None
    random_start: bool = False
    targeted: bool = False
    early_stop: bool = True
    epsilon_rule: EpsilonRule = "constant"

    def __post_init__(self) -> None:
        for name, kind in (("norm", Norm), ("step_rule", StepRule), ("epsilon_rule", EpsilonRule)):
            self._require(getattr(self, name) in get_args(kind), name, f"one of {', '.join(get_args(kind))}")
        self._require(self.epsilon >= 0, "epsilon", "0 or more (units of x_t, pixels in [-1, 1])")
        self._require(self.steps >= 0, "steps", "0 or more")
        given = self.step_size is not None and self.step_size > 0
        fits = given if self.step_rule == "fixed" else self.step_size is None
        self._require(fits, "step_size", "positive with step_rule 'fixed', and absent otherwise")

    def _require(self, holds: bool, name: str, allowed: str) -> None:
        if not holds:
            raise ValueError(f"attack.{name} is {getattr(self, name)!r}; it must be {allowed}")

    @property
    def relative_step(self) -> float:
        """Step size as a share of epsilon (0 where epsilon is 0)."""
        if self.step_rule == "imagenet":
            return 0.5 / 3
        if self.step_rule == "cifar10":
            # Together the steps go 2.5 radii, more than across the ball: any point of it can be reached.
            return 2.5 / max(self.steps, 1)
        return self.step_size / self.epsilon if self.epsilon else 0.0

    def epsilon_at(self, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Return the radius of every image: Tensor (B,), float32."""
        table = {"signal": "sqrt_alphas_cumprod", "noise": "sqrt_one_minus_alphas_cumprod"}.get(self.epsilon_rule)
        factor = torch.ones(t.shape, device=t.device) if table is None else schedule.at(table, t, t)
        return self.epsilon * factor


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
