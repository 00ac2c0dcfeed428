"""What an adversary may do, as settings: plain values with their rules, read without torch.

References
----------
Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["AttackConfig", "EpsilonRule", "Norm", "StepRule"]

Norm = Literal["l2", "linf"]
StepRule = Literal["imagenet", "cifar10", "fixed"]
EpsilonRule = Literal["constant", "signal", "noise"]


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

    def epsilon_at(self, t: Any, schedule: Any) -> Any:
        """Return the radius of every image at its timestep `t` (B,) of a `NoiseSchedule`: Tensor (B,), float32."""
        table = {"signal": "sqrt_alphas_cumprod", "noise": "sqrt_one_minus_alphas_cumprod"}.get(self.epsilon_rule)
        # Ones like t, but no whole numbers, without a call of torch.
        factor = 0.0 * t + 1.0 if table is None else schedule.at(table, t, t)
        return self.epsilon * factor
