"""The arithmetic of one reverse step, once denoiser and classifiers have spoken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from diffusion.posterior import ReverseStep, p_mean_variance, predict_noise
from diffusion.schedule import NoiseSchedule
from generation.sampling.guidance import shift_mean, shift_score

__all__ = ["SOLVERS", "Solver", "TrajectoryState"]


@dataclass
class TrajectoryState:
    """All branches' rows below each other, and which branch each arm is on.

    Parameters
    ----------
    x : Tensor (branches * B, C, H, W), float32
    branch_of : list of int
        Branch of every arm.
    previous_x_start, pred_x_start : Tensor like x, or None
        Estimates of x_0 at the last step (kept by multistep solvers) and at this one.
    """

    x: Tensor
    branch_of: list[int]
    previous_x_start: Tensor | None = None
    pred_x_start: Tensor | None = field(default=None, repr=False)


class Solver:
    """One step of a sampler: call it with what the networks returned and it moves the state on.

    Parameters
    ----------
    schedule : NoiseSchedule
    variance : str
        Kind of variance of the ancestral sampler.
    clip_x_start : bool
    eta : float
        Noise of DDIM.
    """

    adds_noise = False

    def __init__(self, schedule: NoiseSchedule, *, variance: str, clip_x_start: bool, eta: float):
        self.schedule = schedule
        self.variance = variance
        self.clip_x_start = clip_x_start
        self.eta = eta

    def __call__(
        self,
        state: TrajectoryState,
        output: Tensor,
        scaled_gradient: Tensor | None,
        t: Tensor,
        index: int,
        noise: Tensor | None,
    ) -> None:
        """Replace ``state.x`` by the state one timestep earlier.

        Parameters
        ----------
        state : TrajectoryState
        output : Tensor (rows, C or 2C, H, W)
            Of the denoiser at ``state.x``.
        scaled_gradient : Tensor (rows, C, H, W) or None
            Scale times the classifier's gradient at ``state.x``.
        t : Tensor (rows,), int64
            ``index`` for every row.
        index : int
        noise : Tensor (rows, C, H, W) or None
        """
        raise NotImplementedError

    def _reverse(self, state: TrajectoryState, output: Tensor, t: Tensor, variance: str) -> ReverseStep:
        return p_mean_variance(self.schedule, output, state.x, t, variance=variance, clip_x_start=self.clip_x_start)

    def _guided_estimate(
        self, state: TrajectoryState, output: Tensor, scaled_gradient: Tensor | None, t: Tensor
    ) -> tuple[Tensor, Tensor]:
        # Solvers of the probability flow use no variance, so any denoiser will do.
        step = self._reverse(state, output, t, "fixed_small")
        return shift_score(self.schedule, step.pred_x_start, state.x, t, scaled_gradient)


class Ancestral(Solver):
    """Ho et al. 2020, algorithm 2, with the mean shifted by the classifier."""

    adds_noise = True

    def __call__(self, state, output, scaled_gradient, t, index, noise) -> None:
        step = self._reverse(state, output, t, self.variance)
        if scaled_gradient is not None:
            step = shift_mean(step, scaled_gradient)
        state.pred_x_start = step.pred_x_start
        # No noise at the last step: it would stay in the finished image.
        state.x = step.mean if noise is None else step.mean + torch.exp(0.5 * step.log_variance) * noise


class Ddim(Solver):
    """Song et al. 2021 (arXiv 2010.02502), equation 12, from the guided estimate of x_0.

    The coefficients are worked out in float32 on the device, and the noise is derived again from the guided x_0, as the
    published sampler does: at high noise a unit in the last place of one coefficient moves an image by a few 1e-5.
    """

    def __init__(self, schedule: NoiseSchedule, **settings):
        super().__init__(schedule, **settings)
        self.adds_noise = self.eta > 0

    def __call__(self, state, output, scaled_gradient, t, index, noise) -> None:
        x = state.x
        _, pred_x_start = self._guided_estimate(state, output, scaled_gradient, t)
        pred_noise = predict_noise(self.schedule, x, t, pred_x_start)
        current = self.schedule.at("alphas_cumprod", t, x)
        previous = self.schedule.at("alphas_cumprod_prev", t, x)
        # Equation 16.
        sigma = self.eta * torch.sqrt((1 - previous) / (1 - current)) * torch.sqrt(1 - current / previous)
        # Rounding may take it just below zero.
        direction = torch.sqrt((1 - previous - sigma**2).clamp(min=0.0))
        state.pred_x_start = pred_x_start
        state.x = pred_x_start * torch.sqrt(previous) + direction * pred_noise
        if noise is not None:
            state.x = state.x + sigma * noise


class DpmSolver2M(Solver):
    """DPM-Solver++(2M): second order in the log signal-to-noise ratio, one denoiser call per step.

    With ``lambda = log(sqrt(abar) / sqrt(1 - abar))``, ``h`` its growth over this step and ``r`` the last growth over
    this one, ``D = (1 + 1/2r) x0 - 1/2r x0_before`` and
    ``x = sigma'/sigma x - alpha' (exp(-h) - 1) D`` (Lu et al. 2022, arXiv 2211.01095, algorithm 2). The first step has
    no predecessor and the last one ends where lambda is infinite: both are first order, the last returning x0 itself.
    """

    def __init__(self, schedule: NoiseSchedule, **settings):
        super().__init__(schedule, **settings)
        self.signal = schedule.sqrt_alphas_cumprod
        self.sigma = schedule.sqrt_one_minus_alphas_cumprod
        self.half_log_snr = [math.log(a / s) for a, s in zip(self.signal, self.sigma, strict=True)]

    def __call__(self, state, output, scaled_gradient, t, index, noise) -> None:
        _, pred_x_start = self._guided_estimate(state, output, scaled_gradient, t)
        state.pred_x_start = pred_x_start
        # At the end sigma is 0 and the log signal-to-noise ratio infinite: the limit is the estimate itself.
        state.x = pred_x_start if index == 0 else self._advance(state, pred_x_start, index)
        state.previous_x_start = pred_x_start

    def _advance(self, state: TrajectoryState, pred_x_start: Tensor, index: int) -> Tensor:
        growth = self.half_log_snr[index - 1] - self.half_log_snr[index]
        direction = pred_x_start
        if state.previous_x_start is not None:
            ratio = (self.half_log_snr[index] - self.half_log_snr[index + 1]) / growth
            # Lu et al. 2022 (arXiv 2211.01095), algorithm 2: extrapolation to the middle of the step.
            direction = (1 + 0.5 / ratio) * pred_x_start - (0.5 / ratio) * state.previous_x_start
        kept = float(self.sigma[index - 1] / self.sigma[index])
        # expm1: small steps would lose their digits in exp(-h) - 1.
        return kept * state.x - float(self.signal[index - 1]) * math.expm1(-growth) * direction


SOLVERS: dict[str, Callable[..., Solver]] = {"ancestral": Ancestral, "ddim": Ddim, "dpm_solver_2m": DpmSolver2M}
