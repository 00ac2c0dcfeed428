"""Guided reverse trajectories: ancestral, DDIM and DPM-Solver++(2M), for one arm or several at once.

Arms share x_T, labels and the noise of every step. As long as nothing has told two arms apart they are one set of rows;
from then on they are neighbours in the same denoiser call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.posterior import predict_x_start, split_output
from diffusion.schedule import NoiseSchedule
from generation.sampling.guidance import (
    Classifier,
    GradientAverage,
    classifier_gradient,
    combine_class_free,
    is_guided,
    lead_away,
    scale_factor,
)
from generation.sampling.solvers import SOLVERS, Solver, TrajectoryState

__all__ = ["GuidedArm", "SamplingStopped", "StepView", "guided_trajectory"]

Denoiser = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Takes x_t, the network's timesteps and class labels (None: without class); returns (B, C or 2C, H, W)."""


class SamplingStopped(Exception):
    """Somebody asked a trajectory to stop; nothing of it is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GuidedArm:
    """What sets one arm apart from its neighbours.

    Parameters
    ----------
    name : str
    classifier : callable or None
        None, or a scale of 0, leaves the arm unguided by a classifier.
    classifier_scale : float
    class_free_scale : float or None
        Classifier-free guidance; None or 1 is the plain class-conditional denoiser.
    guidance_interval : (int, int) or None
        First and last timestep of the original process at which guidance of either kind acts; None for all.
    guidance_point : {"noisy", "denoised"}
        Where the classifier's gradient is taken: at x_t and t, or at the estimate of x_0 and t = 0.
    guidance_averaging : float in [0, 1)
        Decay of the gradients' moving average; see :class:`generation.sampling.guidance.GradientAverage`.
    scale_schedule : {"constant", "linear", "cosine"}
        See :func:`generation.sampling.guidance.scale_factor`.
    weak_denoiser : callable or None
        What autoguidance leads away from.
    weak_scale : float
        Of autoguidance; 1 is the plain denoiser.
    """

    name: str
    classifier: Classifier | None = None
    classifier_scale: float = 0.0
    class_free_scale: float | None = None
    guidance_interval: tuple[int, int] | None = None
    guidance_point: str = "noisy"
    guidance_averaging: float = 0.0
    scale_schedule: str = "constant"
    weak_denoiser: Denoiser | None = None
    weak_scale: float = 1.0


@dataclass(frozen=True)
class StepView:
    """What an observer of a trajectory may look at after each step.

    Parameters
    ----------
    index : int
        Timestep of the respaced process that was just undone, counting down to 0.
    timestep : int
        The same in the original process.
    x : dict of str to Tensor (B, C, H, W)
        Every arm's state after the step.
    pred_x_start : dict of str to Tensor (B, C, H, W)
        Every arm's estimate of x_0 at this step.
    """

    index: int
    timestep: int
    x: dict[str, Tensor]
    pred_x_start: dict[str, Tensor]


@dataclass(frozen=True)
class _Branch:
    """Rows that go through one step together: where they come from, and what guides them."""

    source: int
    classifier: Classifier | None
    scale: float
    class_free_scale: float | None
    point: str = "noisy"
    averaging: float = 0.0
    weak_denoiser: Denoiser | None = None
    weak_scale: float = 1.0


def guided_trajectory(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    arms: Sequence[GuidedArm],
    x_T: Tensor,
    class_label: Tensor,
    step_noise: Callable[[int], Tensor] | None = None,
    *,
    sampler: str = "ancestral",
    eta: float = 0.0,
    variance: str = "learned_range",
    clip_x_start: bool = True,
    is_class_conditional: bool = True,
    null_label: int | None = None,
    on_step: Callable[[StepView], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Tensor]:
    """Walk from x_T to images, every arm from the same noise and for the same classes.

    Parameters
    ----------
    denoiser : callable
    schedule : NoiseSchedule
        Respaced to the timesteps that are to be visited.
    arms : sequence of GuidedArm
        At least one; names are unique.
    x_T : Tensor (B, C, H, W), float32
    class_label : Tensor (B,), int64
    step_noise : callable or None
        ``step_noise(i)`` gives the noise added at timestep ``i`` of the respaced process, like ``x_T``; called once per
        step for i > 0, and only by samplers that add noise. For a tensor (steps, B, C, H, W) give its ``__getitem__``.
    sampler : {"ancestral", "ddim", "dpm_solver_2m"}
    eta : float in [0, 1]
        Noise of DDIM: 0 is deterministic, 1 the DDPM-like variance.
    variance : {"learned_range", "fixed_small", "fixed_large"}
        Of the ancestral sampler.
    clip_x_start : bool
        Clamp the denoiser's estimate of x_0 to [-1, 1], before guidance.
    is_class_conditional : bool
        Whether the denoiser is given ``class_label``.
    null_label : int or None
        Label that stands for "no class" in a denoiser trained with dropped labels; needed for classifier-free guidance.
    on_step : callable, optional
        Told after every step.
    should_stop : callable, optional
        Asked before every step.

    Returns
    -------
    dict of str to Tensor (B, C, H, W), float32
        The final state per arm, not clipped.

    Raises
    ------
    ValueError
        If an argument does not fit: no arms, a repeated name, an unknown sampler, missing noise, classifier-free
        guidance without a null label.
    SamplingStopped
        If ``should_stop`` said so.

    References
    ----------
    Ho et al. 2020, algorithm 2; Dhariwal and Nichol 2021, algorithms 1 and 2; Song et al. 2021 (arXiv 2010.02502),
    equation 12; Lu et al. 2022 (arXiv 2211.01095), algorithm 2.
    """
    _check(schedule, arms, x_T, class_label, step_noise, sampler, eta, is_class_conditional, null_label)
    walk = _Walk(denoiser, schedule, class_label if is_class_conditional else None, class_label, null_label)
    solver = SOLVERS[sampler](schedule, variance=variance, clip_x_start=clip_x_start, eta=eta)
    # All arms begin on one branch, for x_T is the same.
    state = TrajectoryState(x_T.float(), [0] * len(arms))
    with torch.no_grad():
        for index in reversed(range(schedule.num_timesteps)):
            if should_stop is not None and should_stop():
                raise SamplingStopped(f"stopped before timestep {index} of {schedule.num_timesteps}")
            noise = step_noise(index) if step_noise is not None and index > 0 and solver.adds_noise else None
            walk.step(state, arms, index, noise, solver)
            if on_step is not None:
                on_step(_view(state, arms, schedule, index))
    return _per_arm(state.x, state.branch_of, arms)


def _check(schedule, arms, x_T, class_label, step_noise, sampler, eta, is_class_conditional, null_label) -> None:
    names = [arm.name for arm in arms]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"arms are {names}; give at least one, each with its own name")
    if sampler not in SOLVERS:
        raise ValueError(f"sampler is {sampler!r}; choose one of {', '.join(SOLVERS)}")
    if not 0.0 <= eta <= 1.0:
        raise ValueError(f"eta is {eta}; it must lie in [0, 1]")
    if class_label.shape != x_T.shape[:1]:
        raise ValueError(f"class_label has shape {tuple(class_label.shape)} for {x_T.shape[0]} rows of x_T")
    needs_noise = sampler == "ancestral" or (sampler == "ddim" and eta > 0)
    if needs_noise and step_noise is None and schedule.num_timesteps > 1:
        raise ValueError(f"sampler {sampler!r} adds noise at every step: give step_noise")
    class_free = [arm.name for arm in arms if arm.class_free_scale not in (None, 1.0)]
    if class_free and (null_label is None or not is_class_conditional):
        raise ValueError(
            f"arm {class_free[0]!r} asks for classifier-free guidance, but the denoiser has no label for 'no class'; "
            "use a denoiser trained with dropped labels, or class_free_scale null"
        )


def _per_arm(rows: Tensor, branch_of: list[int], arms: Sequence[GuidedArm]) -> dict[str, Tensor]:
    parts = rows.chunk(max(branch_of) + 1)
    return {arm.name: parts[branch] for arm, branch in zip(arms, branch_of, strict=True)}


def _view(state: TrajectoryState, arms: Sequence[GuidedArm], schedule: NoiseSchedule, index: int) -> StepView:
    return StepView(
        index,
        int(schedule.timestep_map[index]),
        _per_arm(state.x, state.branch_of, arms),
        _per_arm(state.pred_x_start, state.branch_of, arms),
    )


def _branches(
    arms: Sequence[GuidedArm], branch_of: list[int], timestep: int, index: int, steps: int
) -> tuple[list[_Branch], list[int]]:
    """Split the arms of a branch as soon as their guidance differs, and not before."""
    branches: list[_Branch] = []
    new_branch_of = []
    for arm, source in zip(arms, branch_of, strict=True):
        active = is_guided(arm.guidance_interval, timestep)
        # A scale of 0 adds nothing; asking for its gradient would cost the most expensive call of the step.
        classifier = arm.classifier if active and arm.classifier_scale != 0 else None
        class_free = arm.class_free_scale if active and arm.class_free_scale != 1.0 else None
        scale = arm.classifier_scale * scale_factor(arm.scale_schedule, index, steps) if classifier else 0.0
        is_led_away = active and arm.weak_scale != 1.0
        branch = _Branch(
            source,
            classifier,
            scale,
            class_free,
            point=arm.guidance_point if classifier else "noisy",
            averaging=arm.guidance_averaging if classifier else 0.0,
            weak_denoiser=arm.weak_denoiser if is_led_away else None,
            weak_scale=arm.weak_scale if is_led_away else 1.0,
        )
        # Arms of one state and equal guidance walk together: their denoiser calls are paid for once.
        if branch not in branches:
            branches.append(branch)
        new_branch_of.append(branches.index(branch))
    return branches, new_branch_of


class _Walk:
    """One step for all arms: one denoiser call, one call per classifier, then the solver's arithmetic."""

    def __init__(self, denoiser, schedule, denoiser_label, class_label, null_label):
        self.denoiser = denoiser
        self.schedule = schedule
        self.denoiser_label = denoiser_label
        self.class_label = class_label
        self.null_label = null_label
        self.batch = class_label.shape[0]
        # Of every arm: arms on one branch have one past, and take it with them when they part.
        self.averages: dict[int, GradientAverage] = {}

    def step(
        self, state: TrajectoryState, arms: Sequence[GuidedArm], index: int, noise: Tensor | None, solver: Solver
    ) -> None:
        timestep = int(self.schedule.timestep_map[index])
        branches, branch_of = _branches(arms, state.branch_of, timestep, index, self.schedule.num_timesteps)
        t = torch.full((state.x.shape[0],), index, device=state.x.device, dtype=torch.int64)
        network_t = self.schedule.network_timesteps(t)
        output = self._denoise(state.x, network_t, branches)
        output = self._led_away(output, state.x, network_t, branches)
        gradients = self._gradients(state.x, network_t, branches)
        sources = [branch.source for branch in branches]
        state.x = self._rows_of(state.x, sources)
        if any(branch.point == "denoised" for branch in branches):
            estimates = self._estimates(state.x, output, t, clipped=solver.clip_x_start)
            gradients |= self._denoised_gradients(estimates, network_t, branches)
        scaled_gradient = self._scaled_gradient(gradients, branches, branch_of, state.x)
        if state.previous_x_start is not None:
            state.previous_x_start = self._rows_of(state.previous_x_start, sources)
        state.branch_of = branch_of
        # The same noise for every branch: what the arms differ in is guidance alone.
        noise = None if noise is None else noise.to(state.x).repeat(len(branches), 1, 1, 1)
        rows_t = t[:1].expand(state.x.shape[0])
        solver(state, output, scaled_gradient, rows_t, index, noise)

    def _rows_of(self, rows: Tensor, sources: list[int]) -> Tensor:
        if sources == list(range(rows.shape[0] // self.batch)):
            return rows
        parts = rows.split(self.batch)
        return torch.cat([parts[source] for source in sources])

    def _denoise(self, x: Tensor, network_t: Tensor, branches: list[_Branch]) -> Tensor:
        """Denoiser output for every branch: conditional rows of every source, and unconditional ones where wanted."""
        groups = x.shape[0] // self.batch
        bare = sorted({branch.source for branch in branches if branch.class_free_scale is not None})
        label = None if self.denoiser_label is None else self.denoiser_label.repeat(groups)
        if not bare:
            output = self.denoiser(x, network_t, label).float()
            return self._rows_of(output, [branch.source for branch in branches])
        bare_x = self._rows_of(x, bare)
        bare_label = torch.full((bare_x.shape[0],), self.null_label, device=x.device, dtype=torch.int64)
        all_t = torch.cat([network_t, network_t[: bare_x.shape[0]]])
        # One call for both: two smaller ones would use the device less well.
        output = self.denoiser(torch.cat([x, bare_x]), all_t, torch.cat([label, bare_label])).float()
        parts = output.split(self.batch)
        without_class = dict(zip(bare, parts[groups:], strict=True))
        return torch.cat([self._guided_output(parts[b.source], without_class.get(b.source), b, x) for b in branches])

    @staticmethod
    def _guided_output(conditional: Tensor, unconditional: Tensor | None, branch: _Branch, x: Tensor) -> Tensor:
        """Classifier-free guidance acts on the noise; learned variances stay those of the condition."""
        if branch.class_free_scale is None:
            return conditional
        noise, variance_values = split_output(conditional, x.shape[1])
        bare_noise, _ = split_output(unconditional, x.shape[1])
        noise = combine_class_free(noise, bare_noise, branch.class_free_scale)
        return noise if variance_values is None else torch.cat([noise, variance_values], dim=1)

    def _led_away(self, output: Tensor, x: Tensor, network_t: Tensor, branches: list[_Branch]) -> Tensor:
        """Autoguidance on the noise estimate of the branches that ask for it; learned variances stay the denoiser's."""
        if all(branch.weak_denoiser is None for branch in branches):
            return output
        parts = list(output.split(self.batch))
        sources = x.split(self.batch)
        for place, branch in enumerate(branches):
            if branch.weak_denoiser is not None:
                weak = branch.weak_denoiser(sources[branch.source], network_t[: self.batch], self.denoiser_label)
                noise, variance_values = split_output(parts[place], x.shape[1])
                noise = lead_away(noise, split_output(weak.float(), x.shape[1])[0], branch.weak_scale)
                parts[place] = noise if variance_values is None else torch.cat([noise, variance_values], dim=1)
        return torch.cat(parts)

    def _gradients(self, x: Tensor, network_t: Tensor, branches: list[_Branch]) -> dict[int, Tensor]:
        """Gradient at x_t by branch; branches that share state and classifier share the gradient."""
        gradients: dict[int, Tensor] = {}
        at_noisy = [(place, b) for place, b in enumerate(branches) if b.classifier and b.point == "noisy"]
        # By identity: whatever can be called will do, also what cannot be hashed.
        for classifier in {id(b.classifier): b.classifier for _, b in at_noisy}.values():
            mine = [(place, b.source) for place, b in at_noisy if b.classifier is classifier]
            wanted = sorted({source for _, source in mine})
            rows = self._rows_of(x, wanted)
            gradient = classifier_gradient(
                classifier, rows, network_t[: rows.shape[0]], self.class_label.repeat(len(wanted))
            )
            parts = dict(zip(wanted, gradient.split(self.batch), strict=True))
            gradients |= {place: parts[source] for place, source in mine}
        return gradients

    def _estimates(self, x: Tensor, output: Tensor, t: Tensor, *, clipped: bool) -> Tensor:
        noise, _ = split_output(output, x.shape[1])
        found = predict_x_start(self.schedule, x, t[:1].expand(x.shape[0]), noise)
        return found.clamp(-1, 1) if clipped else found

    def _denoised_gradients(self, estimates: Tensor, network_t: Tensor, branches: list[_Branch]) -> dict[int, Tensor]:
        """Gradient at the one-step estimate of x_0, which stands for x_t: the denoiser is not differentiated.

        References
        ----------
        Vaeth et al. 2025 (arXiv 2507.00687).
        """
        parts = estimates.split(self.batch)
        # A finished image has no noise: to the classifier its timestep is 0.
        clean = torch.zeros_like(network_t[: self.batch])
        return {
            place: classifier_gradient(b.classifier, parts[place], clean, self.class_label)
            for place, b in enumerate(branches)
            if b.classifier and b.point == "denoised"
        }

    def _scaled_gradient(
        self, gradients: dict[int, Tensor], branches: list[_Branch], branch_of: list[int], x: Tensor
    ) -> Tensor | None:
        """Scale times (averaged) gradient for every branch, None where nothing is guided."""
        if not gradients:
            return None
        steadied = dict(gradients)
        for arm, place in enumerate(branch_of):
            if branches[place].averaging:
                average = self.averages.setdefault(arm, GradientAverage(branches[place].averaging))
                # Arms of one branch have one past: whichever comes last says the same.
                steadied[place] = average(gradients[place])
        nothing = torch.zeros_like(x[: self.batch])
        return torch.cat([b.scale * steadied.get(place, nothing) for place, b in enumerate(branches)])
