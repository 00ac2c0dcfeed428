"""Auto-PGD: an attack that finds its own step sizes, on the cross-entropy or towards one class after the other.

Like `pgd` it runs on x_t at its own timestep and knows no pixel range. Its steps begin at twice the radius, carry
momentum, and are halved from the best point found wherever the loss stops rising, so that nothing but the number of
steps is to be chosen. With the targeted difference-of-logits-ratio loss it also defeats classifiers whose
cross-entropy gives no gradient.

References
----------
Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks"
(arXiv 2003.01690): algorithm 1, and equation 8 for the targeted loss. Where its text and the published code (fra31/
auto-attack) differ, this follows the code; each such place says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.schedule import NoiseSchedule
from training.attack.config import Norm
from training.attack.pgd import frozen, loss_gradient, per_image
from training.attack.threat_model import Generators, drawn, threat_of

__all__ = ["Apgd", "ApgdLoss", "ApgdResult", "apgd", "apgd_attack", "boundary_start", "dlr_targeted"]

ApgdLoss = Literal["ce", "dlr-targeted"]
# A step is kept whole where this share of a window's steps raised the loss (rho).
RISING = 0.75
# Of a new step in the next point; the rest is momentum (alpha).
STEP_SHARE = 0.75
DLR_FLOOR = 1e-12
# The ratio's denominator takes the fourth largest logit.
DLR_CLASSES = 4

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Apgd:
    """An Auto-PGD attack.

    Parameters
    ----------
    loss : {"ce", "dlr-targeted"}
        Away from the true class by its cross-entropy, or towards the most likely other classes, one run each.
    norm : {"l2", "linf"}
    epsilon : float
        Radius in units of x_t.
    steps : int
        Per run; published: 100.
    targets : int
        Classes to aim at in turn with "dlr-targeted", at most as many as there are others; published: 9.
    """

    loss: ApgdLoss = "ce"
    norm: Norm = "l2"
    epsilon: float = 0.5
    steps: int = 100
    targets: int = 9

    def __post_init__(self) -> None:
        for name, kind in (("loss", ApgdLoss), ("norm", Norm)):
            if getattr(self, name) not in get_args(kind):
                allowed = ", ".join(get_args(kind))
                raise ValueError(f"attack.{name} is {getattr(self, name)!r}; it must be one of {allowed}")
        if not self.epsilon >= 0:
            raise ValueError(f"attack.epsilon is {self.epsilon!r}; it must be 0 or more (units of x_t)")
        for name in ("steps", "targets"):
            if getattr(self, name) < 1:
                raise ValueError(f"attack.{name} is {getattr(self, name)!r}; it must be at least 1")

    def aims(self, classes: int) -> int:
        """Return how many runs one restart takes."""
        if self.loss == "ce":
            return 1
        if classes < DLR_CLASSES:
            raise ValueError(
                f"the classifier has {classes} classes; the targeted loss of APGD needs {DLR_CLASSES} or more: "
                "use apgd-ce"
            )
        return min(self.targets, classes - 1)


@dataclass(frozen=True)
class ApgdResult:
    """What a run gives.

    Parameters
    ----------
    x_adv : Tensor (B, C, H, W)
        Where an image was misclassified, else where its loss was highest.
    fooled : Tensor (B,), bool
        Whether the image was misclassified at any point of the run.
    best_loss : Tensor (B,)
    image_passes : int
        Images sent forward through the network.
    """

    x_adv: Tensor
    fooled: Tensor
    best_loss: Tensor
    image_passes: int


def apgd_attack(
    classifier: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    t: Tensor,
    *,
    config: Apgd,
    schedule: NoiseSchedule,
    generator: Generators = None,
    restarts: int = 1,
    on_run: Callable[[], None] | None = None,
) -> Tensor:
    """Attack images of true classes `y` and return which withstood every run: Tensor (B,), bool.

    `t` (B,) int64 indexes `schedule`. A run starts at a new point that `generator` draws, and only images that
    withstood all runs before are sent through it. `on_run` is called after each.
    """
    network_t = schedule.network_timesteps(t)
    with torch.no_grad():
        logits = classifier(x, network_t).float()
    withstands = logits.argmax(-1).eq(y)
    # The likeliest class is the true one wherever there is anything left to attack.
    likeliest = logits.argsort(dim=-1, descending=True, stable=True)
    for aim in range(1, config.aims(logits.shape[1]) + 1):
        for _ in range(restarts):
            # Drawn for all, also for images that need it no more: what is left to attack moves no start.
            start = boundary_start(config.norm, x, config.epsilon, generator)
            rows = withstands.nonzero()[:, 0]
            if len(rows):
                result = apgd(
                    classifier,
                    x[rows],
                    y[rows],
                    network_t[rows],
                    norm=config.norm,
                    epsilon=config.epsilon,
                    steps=config.steps,
                    start=start[rows],
                    target=likeliest[rows, aim] if config.loss == "dlr-targeted" else None,
                )
                withstands[rows[result.fooled]] = False
            if on_run:
                on_run()
    return withstands


def apgd(
    classifier: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    t: Tensor,
    *,
    norm: Norm,
    epsilon: Tensor | float,
    steps: int,
    start: Tensor,
    target: Tensor | None = None,
    early_stop: bool = True,
) -> ApgdResult:
    """Run Auto-PGD once.

    Parameters
    ----------
    classifier : callable (x, t) -> logits
    x : Tensor (B, C, H, W), float32
        Noisy images x_t, any range.
    y : Tensor (B,), int64
        True class labels.
    t : Tensor (B,)
        Timestep of every image.
    norm : {"l2", "linf"}
    epsilon : Tensor (B,) or float
        Units of x_t.
    steps : int
    start : Tensor (B, C, H, W)
        The first perturbation, see `boundary_start`.
    target : Tensor (B,), int64, optional
        Climb the targeted loss towards these classes instead of the cross-entropy of `y`.
    early_stop : bool
        Leave an image alone once it is misclassified. The published code goes on, which changes nothing in `fooled`.
    """
    threat, radius, rises_wanted = threat_of(norm), per_image(epsilon, x, "epsilon"), _windows(steps)
    x_adv, passes = x + start, 0
    fooled, best_loss = torch.zeros_like(y, dtype=torch.bool), x.new_full((len(x),), -torch.inf)
    with frozen(classifier):
        state = _State.at(x.detach(), start, radius)
        for step in range(steps + 1):
            if step:
                state.move(threat, first=step == 1)
            rows = state.rows
            loss = _loss_of(y[rows], None if target is None else target[rows])
            gradient, logits = loss_gradient(classifier, state.x + state.delta, t[rows], loss=loss)
            passes += len(rows)
            state.look(gradient, loss(logits), first=step == 0)
            wrong = logits.argmax(-1).ne(y[rows])
            fooled[rows] |= wrong
            best_loss[rows] = state.best_loss
            settled = fooled[rows]
            place = state.x + torch.where(_wide(wrong), state.delta, state.best)
            # A misclassified point is kept until a later one takes its place.
            x_adv[rows] = torch.where(_wide(settled & ~wrong), x_adv[rows], place)
            if step in rises_wanted:
                state.check(rises_wanted[step])
            if early_stop:
                state.keep(~settled)
            if not len(state.rows):
                break
    return ApgdResult(x_adv, fooled, best_loss, passes)


def boundary_start(norm: Norm, x: Tensor, epsilon: float, generator: Generators = None) -> Tensor:
    """Return a perturbation on the surface of the ball, in a random direction, as published."""
    if norm == "l2":
        direction = drawn(torch.randn, x.shape, generator).to(x)
        return epsilon * direction / _wide(torch.linalg.vector_norm(direction.flatten(1), dim=1))
    direction = 2 * drawn(torch.rand, x.shape, generator).to(x) - 1
    return epsilon * direction / _wide(direction.flatten(1).abs().amax(dim=1))


def dlr_targeted(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return the targeted difference of logits ratio of every image: Tensor (B,).

    ``-(z_y - z_target) / (z_1 - (z_3 + z_4) / 2)`` with z_k the k-th largest logit: the shift and scale of the logits
    change nothing.
    """
    ranked = logits.topk(DLR_CLASSES, dim=-1).values
    difference = logits.gather(1, y[:, None]) - logits.gather(1, target[:, None])
    return -difference[:, 0] / (ranked[:, 0] - 0.5 * (ranked[:, 2] + ranked[:, 3]) + DLR_FLOOR)


def _loss_of(y: Tensor, target: Tensor | None) -> Loss:
    if target is None:
        return partial(F.cross_entropy, target=y, reduction="none")
    return partial(dlr_targeted, y=y, target=target)


def _windows(steps: int) -> dict[int, float]:
    """Return after which steps the step size is checked, and how many rises in the window before do not keep it.

    The first window is 22 % of the steps, each next one 3 % shorter, down to 6 %.
    """
    length, shorter, shortest = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    wanted, end = {}, length
    while end <= steps:
        wanted[end] = RISING * length
        length = max(length - shorter, shortest)
        end += length
    return wanted


@dataclass
class _State:
    """The images still in play, a row each: where they are, where they were best, how far they step."""

    rows: Tensor
    x: Tensor
    radius: Tensor
    delta: Tensor
    before: Tensor
    gradient: Tensor
    step: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    last_loss: Tensor
    rises: Tensor
    checked_loss: Tensor
    was_halved: Tensor

    @classmethod
    def at(cls, x: Tensor, start: Tensor, radius: Tensor) -> _State:
        none = x.new_zeros(len(x))
        return cls(
            rows=torch.arange(len(x), device=x.device),
            x=x,
            radius=radius,
            delta=start.clone(),
            before=start.clone(),
            gradient=torch.zeros_like(x),
            step=2 * radius,
            best=start.clone(),
            best_gradient=torch.zeros_like(x),
            best_loss=none - torch.inf,
            # The published code compares the first step with zero, not with the start.
            last_loss=none.clone(),
            rises=none.clone(),
            checked_loss=none.clone(),
            # At the first check there is no check before to have gained nothing since.
            was_halved=torch.ones(len(x), dtype=torch.bool, device=x.device),
        )

    def move(self, threat, *, first: bool) -> None:
        """Take a step along the steepest direction, with momentum, and stay inside the ball."""
        momentum, self.before = self.delta - self.before, self.delta
        ahead = threat.project(self.delta + self.step * threat.steepest(self.gradient), self.radius)
        share = 1.0 if first else STEP_SHARE
        mixed = self.delta + share * (ahead - self.delta) + (1 - share) * momentum
        self.delta = threat.project(mixed, self.radius)

    def look(self, gradient: Tensor, loss: Tensor, *, first: bool) -> None:
        """Take in what the network says at this point."""
        self.gradient = gradient
        better = loss > self.best_loss
        self.best = torch.where(_wide(better), self.delta, self.best)
        self.best_gradient = torch.where(_wide(better), gradient, self.best_gradient)
        self.best_loss = torch.where(better, loss, self.best_loss)
        if first:
            self.checked_loss = self.best_loss
            return
        self.rises = self.rises + (loss > self.last_loss)
        self.last_loss = loss

    def check(self, rises_wanted: float) -> None:
        """Halve the step and go back to the best point where too few steps rose, or none since the last check."""
        stuck = ~self.was_halved & (self.checked_loss >= self.best_loss)
        halved = (self.rises <= rises_wanted) | stuck
        self.was_halved, self.checked_loss = halved, self.best_loss
        self.step = torch.where(_wide(halved), self.step / 2, self.step)
        self.delta = torch.where(_wide(halved), self.best, self.delta)
        self.gradient = torch.where(_wide(halved), self.best_gradient, self.gradient)
        self.rises = torch.zeros_like(self.rises)

    def keep(self, kept: Tensor) -> None:
        """Drop the other images."""
        if not bool(kept.all()):
            for field in fields(self):
                setattr(self, field.name, getattr(self, field.name)[kept])


def _wide(values: Tensor) -> Tensor:
    """Return a value per image as (B, 1, 1, 1)."""
    return values.reshape(-1, 1, 1, 1)
