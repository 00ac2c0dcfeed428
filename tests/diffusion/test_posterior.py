"""The reverse Gaussian of one timestep against hand-computed values and against Bayes' rule done numerically."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffusion.posterior import p_mean_variance, predict_noise, predict_x_start, q_posterior, split_output
from diffusion.schedule import NoiseSchedule


@pytest.fixture
def three_steps() -> NoiseSchedule:
    return NoiseSchedule(
        name="linear", original_timesteps=3, betas=np.array([0.1, 0.2, 0.5]), timestep_map=np.arange(3)
    )


def image(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


T_LAST = torch.tensor([2])


def test_predict_x_start_matches_hand_computation(three_steps):
    # 5/3 * 0.6 - 4/3 * 0.3
    assert predict_x_start(three_steps, image(0.6), T_LAST, image(0.3)).item() == pytest.approx(0.6)


def test_predict_noise_inverts_predict_x_start(three_steps):
    x_start = predict_x_start(three_steps, image(0.6), T_LAST, image(0.3))
    assert predict_noise(three_steps, image(0.6), T_LAST, x_start).item() == pytest.approx(0.3)


def test_q_posterior_agrees_with_bayes_rule_on_a_grid(three_steps):
    """q(x_1 | x_2, x_0) is proportional to q(x_2 | x_1) q(x_1 | x_0); integrate that product on a fine grid."""
    x_start, x_t = 0.4, -0.7
    grid = np.linspace(-6, 6, 20001)
    density = np.exp(-((x_t - math.sqrt(0.5) * grid) ** 2) / (2 * 0.5))
    density *= np.exp(-((grid - math.sqrt(0.72) * x_start) ** 2) / (2 * 0.28))
    density /= density.sum()
    grid_mean = (grid * density).sum()
    grid_variance = ((grid - grid_mean) ** 2 * density).sum()
    mean, variance, log_variance = q_posterior(three_steps, image(x_start), image(x_t), T_LAST)
    assert mean.item() == pytest.approx(grid_mean, rel=1e-5)
    assert variance.item() == pytest.approx(grid_variance, rel=1e-5)
    assert log_variance.exp().item() == pytest.approx(grid_variance, rel=1e-5)


def test_learned_range_interpolates_in_log_variance_without_clamping(three_steps):
    for value, expected in [(-1.0, 0.21875), (1.0, 0.5), (0.0, math.sqrt(0.21875 * 0.5)), (3.0, 0.5**2 / 0.21875)]:
        output = torch.cat([image(0.3), image(value)], dim=1)
        step = p_mean_variance(three_steps, output, image(0.6), T_LAST)
        assert step.variance.item() == pytest.approx(expected, rel=1e-5)
        assert step.log_variance.item() == pytest.approx(math.log(expected), rel=1e-5)


def test_learned_range_at_the_first_timestep_uses_the_clipped_posterior(three_steps):
    step = p_mean_variance(three_steps, torch.cat([image(0.0), image(-1.0)], dim=1), image(0.6), torch.tensor([0]))
    assert step.variance.item() == pytest.approx(1 / 14, rel=1e-6)


def test_first_log_variance_of_the_published_schedule_is_that_of_the_second_timestep():
    """With 250 of 1000 linear timesteps: -9.36, where an unclipped log would be minus infinity."""
    kept = [0, 4]
    alphas_cumprod = [
        math.prod(1 - (1e-4 + (0.02 - 1e-4) * index / 999) for index in range(timestep + 1)) for timestep in kept
    ]
    beta = 1 - alphas_cumprod[1] / alphas_cumprod[0]
    expected = math.log(beta * (1 - alphas_cumprod[0]) / (1 - alphas_cumprod[1]))
    assert expected == pytest.approx(-9.3646, abs=1e-4)
    output = torch.cat([image(0.0), image(-1.0)], dim=1)
    schedule = NoiseSchedule.named("linear").respaced("250")
    step = p_mean_variance(schedule, output, image(0.0), torch.tensor([0]))
    assert step.log_variance.item() == pytest.approx(expected, rel=1e-6)


def test_mean_is_formed_from_the_clipped_estimate(three_steps):
    output = torch.cat([image(-3.0), image(0.0)], dim=1)
    clipped = p_mean_variance(three_steps, output, image(0.6), T_LAST)
    assert clipped.pred_x_start.item() == 1.0  # 5/3 * 0.6 + 4 before clipping
    assert clipped.mean.item() == pytest.approx(0.6629126 + 0.6 * 0.3093592, rel=1e-5)
    free = p_mean_variance(three_steps, output, image(0.6), T_LAST, clip_x_start=False)
    assert free.pred_x_start.item() == pytest.approx(5.0)
    assert free.mean.item() == pytest.approx(5 * 0.6629126 + 0.6 * 0.3093592, rel=1e-5)


def test_fixed_variances_are_the_two_published_choices(three_steps):
    small = p_mean_variance(three_steps, image(0.3), image(0.6), torch.tensor([0]), variance="fixed_small")
    large = p_mean_variance(three_steps, image(0.3), image(0.6), torch.tensor([0]), variance="fixed_large")
    assert small.variance.item() == 0.0
    assert small.log_variance.exp().item() == pytest.approx(1 / 14)
    assert large.variance.item() == pytest.approx(1 / 14)
    later = p_mean_variance(three_steps, image(0.3), image(0.6), T_LAST, variance="fixed_large")
    assert later.variance.item() == pytest.approx(0.5)


def test_rows_of_a_batch_may_be_at_different_timesteps(three_steps):
    x_t, output = torch.randn(3, 2, 4, 4), torch.randn(3, 4, 4, 4)
    t = torch.tensor([2, 0, 1])
    together = p_mean_variance(three_steps, output, x_t, t)
    for row in range(3):
        alone = p_mean_variance(three_steps, output[row : row + 1], x_t[row : row + 1], t[row : row + 1])
        assert torch.equal(together.mean[row : row + 1], alone.mean)
        assert torch.equal(together.log_variance[row : row + 1], alone.log_variance)


def test_half_precision_output_is_taken_up_in_float32(three_steps):
    step = p_mean_variance(three_steps, torch.randn(1, 2, 1, 1).half(), image(0.6), T_LAST)
    assert step.mean.dtype == step.log_variance.dtype == step.pred_x_start.dtype == torch.float32


def test_output_of_wrong_width_is_named():
    with pytest.raises(ValueError, match=r"returned 5 channels for images of 3; expected 3 .* or 6"):
        split_output(torch.zeros(1, 5, 2, 2), 3)


def test_learned_range_refuses_a_denoiser_without_variance(three_steps):
    with pytest.raises(ValueError, match="needs a denoiser with 2 output channels"):
        p_mean_variance(three_steps, image(0.3), image(0.6), T_LAST)


def test_unknown_variance_names_the_choices(three_steps):
    with pytest.raises(ValueError, match="choose one of learned_range, fixed_small, fixed_large"):
        p_mean_variance(three_steps, image(0.3), image(0.6), T_LAST, variance="learned")
