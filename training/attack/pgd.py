"""Projected gradient descent on the input of a time-dependent classifier.

The attack runs on x_t at its own timestep, as published for robust classifier guidance: no random start, no clamp to a
pixel range, and an image stops as soon as it is misclassified. Published code keeps sending stopped images through the
network; here only images still in play go through the next step. Images of a batch never interact (group norm,
no dropout while attacking), so that the result is the same image for image.

References
----------
Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", section 2.
Kawar, Ganz, Elad 2023, "Enhancing Diffusion-Based Image Synthesis with Robust Classifier Guidance" (arXiv 2208.08664).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion.schedule import NoiseSchedule
from training.attack.config import AttackConfig, Norm
from training.attack.threat_model import Generators, drawn, threat_of

# Half-precision input gradients would underflow; both threat models are free of the gradient's scale.
HALF_PRECISION_SCALE = 2.0**12


@dataclass(frozen=True)
class AttackResult:
    """What an attack gives, with what its passes cost nothing more to know.

    Parameters
    ----------
    x_adv : Tensor (B, C, H, W), float32
    clean_logits : Tensor (B, K) or None
        Logits of the unperturbed images; None with a random start or without steps.
    active : list of Tensor (B,), bool
        Images that moved, per step. Their mean is the active share.
    image_passes : int
        Images sent forward through the network, padding included; the published code sends B per step.
    """

    x_adv: Tensor
    clean_logits: Tensor | None
    active: list[Tensor]
    image_passes: int


def attack(
    classifier: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    t: Tensor,
    *,
    config: AttackConfig,
    schedule: NoiseSchedule,
    classes: int | None = None,
    generator: Generators = None,
    **options,
) -> AttackResult:
    """Run the attack that a configuration describes on images of true classes `y`.

    `t` (B,) int64 indexes `schedule`; the rest is as in `pgd`. A targeted attack aims at another one of so many
    `classes`, drawn from `generator`.
    """
    epsilon = config.epsilon_at(t, schedule)
    if config.targeted:
        if classes is None or classes < 2:
            raise ValueError(f"classes is {classes}; a targeted attack needs to know of at least 2")
        # An offset of 1 to classes - 1: uniform over the other classes, never the true one.
        y = (y + drawn(partial(torch.randint, 1, classes), y.shape, generator).to(y)) % classes
    return pgd(
        classifier,
        x,
        y,
        schedule.network_timesteps(t),
        norm=config.norm,
        epsilon=epsilon,
        step_size=config.relative_step * epsilon,
        steps=config.steps,
        random_start=config.random_start,
        targeted=config.targeted,
        early_stop=config.early_stop,
        generator=generator,
        **options,
    )


def pgd(
    classifier: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    t: Tensor,
    *,
    norm: Norm,
    epsilon: Tensor | float,
    step_size: Tensor | float,
    steps: int,
    random_start: bool = False,
    targeted: bool = False,
    early_stop: bool = True,
    generator: Generators = None,
    bucket: int = 1,
    autocast: torch.dtype | None = None,
    top_k: int = 1,
) -> AttackResult:
    """Perturb x_t inside a ball so that the classifier errs.

    Parameters
    ----------
    classifier : callable (x, t) -> logits
        A module's parameters receive no gradient; its train or eval mode is left as it is.
    x : Tensor (B, C, H, W), float32
        Noisy images x_t, any range.
    y : Tensor (B,), int64
        True class labels, or the targets of a targeted attack.
    t : Tensor (B,)
        Timestep of every image.
    norm : {"l2", "linf"}
    epsilon, step_size : Tensor (B,) or float
        Units of x_t.
    steps : int
    random_start : bool
        Start uniformly inside the ball.
    targeted : bool
        Descend on the loss of `y` instead of ascending.
    early_stop : bool
        Freeze an image once its prediction is as wanted. There is no check after the last step, as published.
    generator : torch.Generator, or one an image, optional
        CPU generators of the random start.
    bucket : int
        Pad the set of moving images to a multiple, so that compiled code sees few shapes.
    autocast : torch.dtype, optional
        Run the classifier in this type; losses, steps and projection stay float32.
    top_k : int
        An image is misclassified once so many classes are ahead of the true one. Above 1 the attack climbs that margin:
        the k-th largest logit of the other classes less the true class's. It needs more than `top_k` classes.

    Returns
    -------
    AttackResult

    Raises
    ------
    ValueError
        Unknown norm, negative radius, shapes that do not agree, or a targeted attack with `top_k` above 1.
    """
    if targeted and top_k > 1:
        raise ValueError(f"top_k is {top_k}; a targeted attack aims at the first place, give 1")
    threat = threat_of(norm)
    epsilon, step_size = (per_image(v, x, name) for v, name in ((epsilon, "epsilon"), (step_size, "step_size")))
    if y.shape != x.shape[:1] or t.shape != x.shape[:1]:
        raise ValueError(f"y {tuple(y.shape)} and t {tuple(t.shape)} must be ({x.shape[0]},), one value per image")
    x = x.detach()
    delta = threat.start(x, epsilon, generator) if random_start else torch.zeros_like(x)
    rows = torch.arange(len(x), device=x.device)
    clean_logits, active, passes = None, [], 0
    with frozen(classifier):
        for step in range(steps):
            # Compiled code is made anew for every shape; few sizes keep it from compiling at each step.
            padded = _pad(rows, bucket)
            gradient, logits = input_gradient(
                classifier, (x + delta)[padded], y[padded], t[padded], autocast=autocast, top_k=top_k
            )
            passes += len(padded)
            logits, gradient = logits[: len(rows)], gradient[: len(rows)]
            if step == 0 and not random_start:
                clean_logits = logits
            # Images that err already stay where they are: all passes go to those that still withstand.
            if early_stop:
                keep = is_among_top(logits, y[rows], top_k) != targeted
                rows, gradient = rows[keep], gradient[keep]
            # Before any break: the share of images still attacked is counted at every step that was paid for.
            active.append(torch.zeros(len(x), dtype=torch.bool, device=x.device).index_fill_(0, rows, True))
            if len(rows) == 0:
                break
            direction = -1.0 if targeted else 1.0
            moved = delta[rows] + direction * step_size[rows] * threat.steepest(gradient)
            # Into the ball alone: unlike x_0, a noised image has no box of valid pixels to clamp to.
            delta[rows] = threat.project(moved, epsilon[rows])
    return AttackResult(x + delta, clean_logits, active, passes)


def input_gradient(
    classifier: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    t: Tensor,
    *,
    autocast: torch.dtype | None = None,
    top_k: int = 1,
) -> tuple[Tensor, Tensor]:
    """Return the gradient of every image's own loss by that image, and the logits (detached, float32).

    The loss is the cross-entropy or, with `top_k` above 1, the margin that `pgd` describes.
    """

    def loss(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, y, reduction="none") if top_k == 1 else _margins(logits, y, top_k)

    return loss_gradient(classifier, x, t, loss=loss, autocast=autocast)


def loss_gradient(
    classifier: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    t: Tensor,
    *,
    loss: Callable[[Tensor], Tensor],
    autocast: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradient of every image's own `loss` (logits to (B,)) by that image, and the logits."""
    scale = HALF_PRECISION_SCALE if autocast else 1.0
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        with torch.autocast(x.device.type, dtype=autocast) if autocast else nullcontext():
            logits = classifier(x, t)
        # Never half: losses and their order need the digits.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        # A sum, not a mean: the gradient of an image must not depend on how many are in its batch.
        (gradient,) = torch.autograd.grad(scale * loss(logits).sum(), x)
    # Taken out again in float32, where the small values no longer vanish.
    return gradient / scale, logits.detach()


def is_among_top(logits: Tensor, y: Tensor, top_k: int) -> Tensor:
    """Return whether each image's class `y` is among its `top_k` most likely ones: Tensor (B,), bool."""
    if top_k == 1:
        return logits.argmax(-1).eq(y)
    return logits.topk(min(top_k, logits.shape[1]), dim=-1).indices.eq(y[:, None]).any(-1)


def _margins(logits: Tensor, y: Tensor, top_k: int) -> Tensor:
    """Return by how much the k-th best other class is ahead of the true one: above 0, `y` has left the top k."""
    true = logits.gather(1, y[:, None])[:, 0]
    # Minus infinity keeps the true class out of the ranking of the others.
    others = logits.scatter(1, y[:, None], float("-inf"))
    return others.topk(top_k, dim=-1).values[:, -1] - true


@contextmanager
def frozen(classifier: Callable) -> Iterator[None]:
    """Switch parameter gradients off for a while, so that a backward pass computes the input's alone."""
    parameters = list(classifier.parameters()) if isinstance(classifier, nn.Module) else []
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def per_image(value: Tensor | float, x: Tensor, name: str) -> Tensor:
    """Return a radius or step size as (B, 1, 1, 1)."""
    value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    if value.ndim and value.shape != x.shape[:1]:
        raise ValueError(f"{name} has shape {tuple(value.shape)}; give a number or one per image ({x.shape[0]},)")
    if not bool((value >= 0).all()):
        raise ValueError(f"{name} is {value.min().item()}; it must be 0 or more")
    return value.expand(len(x)).reshape(-1, 1, 1, 1)


def _pad(rows: Tensor, bucket: int) -> Tensor:
    """Repeat the first row until their number is a multiple of `bucket`."""
    missing = -len(rows) % bucket
    return torch.cat([rows, rows[:1].expand(missing)]) if missing else rows
