"""The reverse process of one timestep: from a denoiser's output to the Gaussian p(x_{t-1} | x_t)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from diffusion.schedule import NoiseSchedule

__all__ = [
    "VARIANCE_KINDS",
    "ReverseStep",
    "p_mean_variance",
    "predict_noise",
    "predict_x_start",
    "q_posterior",
    "split_output",
]

LEARNED_RANGE = "learned_range"
FIXED_SMALL = "fixed_small"
FIXED_LARGE = "fixed_large"
VARIANCE_KINDS = (LEARNED_RANGE, FIXED_SMALL, FIXED_LARGE)


@dataclass(frozen=True)
class ReverseStep:
    """The Gaussian p(x_{t-1} | x_t) and the image it is built on.

    Parameters
    ----------
    mean, variance, log_variance : Tensor (B, C, H, W), float32
        With ``fixed_small`` the variance of the first timestep is 0 while its log-variance is clipped, as published.
    pred_x_start : Tensor (B, C, H, W), float32
        Estimate of x_0, clipped if asked.
    """

    mean: Tensor
    variance: Tensor
    log_variance: Tensor
    pred_x_start: Tensor


def predict_x_start(schedule: NoiseSchedule, x_t: Tensor, t: Tensor, pred_noise: Tensor) -> Tensor:
    """x_0 implied by a noise estimate: ``sqrt(1/abar) x_t - sqrt(1/abar - 1) noise`` (Ho et al. 2020, equation 15)."""
    scaled = schedule.at("sqrt_recip_alphas_cumprod", t, x_t) * x_t
    return scaled - schedule.at("sqrt_recipm1_alphas_cumprod", t, x_t) * pred_noise


def predict_noise(schedule: NoiseSchedule, x_t: Tensor, t: Tensor, x_start: Tensor) -> Tensor:
    """Noise implied by an estimate of x_0; inverse of :func:`predict_x_start`."""
    scaled = schedule.at("sqrt_recip_alphas_cumprod", t, x_t) * x_t
    return (scaled - x_start) / schedule.at("sqrt_recipm1_alphas_cumprod", t, x_t)


def q_posterior(schedule: NoiseSchedule, x_start: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and clipped log-variance of q(x_{t-1} | x_t, x_0).

    Parameters
    ----------
    x_start, x_t : Tensor (B, C, H, W), float32
    t : Tensor (B,), int64 in [0, num_timesteps)

    Returns
    -------
    mean : Tensor (B, C, H, W)
    variance, log_variance : Tensor (B, 1, 1, 1)

    References
    ----------
    Ho et al. 2020 (arXiv 2006.11239), equations 6 and 7.
    """
    weighted_start = schedule.at("posterior_mean_coef1", t, x_t) * x_start
    mean = weighted_start + schedule.at("posterior_mean_coef2", t, x_t) * x_t
    variance = schedule.at("posterior_variance", t, x_t)
    return mean, variance, schedule.at("posterior_log_variance_clipped", t, x_t)


def split_output(network_output: Tensor, channels: int) -> tuple[Tensor, Tensor | None]:
    """Noise estimate and, where the denoiser learns its variance, the interpolation values.

    Raises
    ------
    ValueError
        If the network's channels are neither ``channels`` nor twice as many.
    """
    if network_output.shape[1] == channels:
        return network_output, None
    if network_output.shape[1] == 2 * channels:
        pred_noise, variance_values = network_output.split(channels, dim=1)
        return pred_noise, variance_values
    raise ValueError(
        f"the denoiser returned {network_output.shape[1]} channels for images of {channels}; "
        f"expected {channels} (fixed variance) or {2 * channels} (learned variance)"
    )


def p_mean_variance(
    schedule: NoiseSchedule,
    network_output: Tensor,
    x_t: Tensor,
    t: Tensor,
    *,
    variance: str = LEARNED_RANGE,
    clip_x_start: bool = True,
) -> ReverseStep:
    """p(x_{t-1} | x_t) from what the denoiser returned for ``x_t``.

    Parameters
    ----------
    network_output : Tensor (B, C or 2C, H, W)
        Noise estimate, followed by the variance values where the variance is learned. Computed on in float32.
    x_t : Tensor (B, C, H, W), float32
    t : Tensor (B,), int64 in [0, num_timesteps)
        Index of this (respaced) process.
    variance : {"learned_range", "fixed_small", "fixed_large"}
        ``learned_range`` interpolates between log posterior variance and log beta of the respaced process by
        ``(v + 1) / 2``, without clamping v. The fixed kinds ignore learned values if the denoiser returns them.
    clip_x_start : bool
        Clamp the estimate of x_0 to [-1, 1] before the mean is formed.

    Raises
    ------
    ValueError
        If the variance is unknown, or ``learned_range`` is asked of a denoiser that returns no variance.

    References
    ----------
    Nichol and Dhariwal 2021 (arXiv 2102.09672), equation 15.
    """
    pred_noise, variance_values = split_output(network_output.float(), x_t.shape[1])
    pred_x_start = predict_x_start(schedule, x_t, t, pred_noise)
    # Pixels lie in [-1, 1]; an estimate beyond, common at large t, would be carried on by every step.
    if clip_x_start:
        pred_x_start = pred_x_start.clamp(-1.0, 1.0)
    mean, _, _ = q_posterior(schedule, pred_x_start, x_t, t)
    step_variance, log_variance = _variance(schedule, variance, variance_values, x_t, t)
    return ReverseStep(mean, step_variance, log_variance, pred_x_start)


def _variance(
    schedule: NoiseSchedule, kind: str, variance_values: Tensor | None, x_t: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    if kind == LEARNED_RANGE:
        if variance_values is None:
            raise ValueError(
                f"variance 'learned_range' needs a denoiser with {2 * x_t.shape[1]} output channels; "
                "this one returns only the noise: choose 'fixed_small' or 'fixed_large'"
            )
        # Nichol and Dhariwal (2021), equation 15: the network's -1..1 goes from the lower to the upper bound, in logs.
        share = (variance_values + 1.0) / 2.0
        upper = schedule.at("log_betas", t, x_t)
        lower = schedule.at("posterior_log_variance_clipped", t, x_t)
        log_variance = share * upper + (1.0 - share) * lower
        return log_variance.exp(), log_variance
    if kind == FIXED_SMALL:
        tables = ("posterior_variance", "posterior_log_variance_clipped")
    elif kind == FIXED_LARGE:
        tables = ("fixed_large_variance", "log_fixed_large_variance")
    else:
        raise ValueError(f"variance is {kind!r}; choose one of {', '.join(VARIANCE_KINDS)}")
    step_variance, log_variance = (schedule.at(table, t, x_t).expand_as(x_t) for table in tables)
    return step_variance, log_variance
