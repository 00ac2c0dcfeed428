"""Noise schedules against values worked out by hand or from the defining formula in another arithmetic."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest
import torch

from diffusion.schedule import NoiseSchedule
from diffusion.spacing import space_timesteps


@pytest.fixture
def three_steps() -> NoiseSchedule:
    return NoiseSchedule(
        name="linear", original_timesteps=3, betas=np.array([0.1, 0.2, 0.5]), timestep_map=np.arange(3)
    )


def test_linear_schedule_has_published_ends_and_decimal_cumulative_product():
    schedule = NoiseSchedule.named("linear")
    assert schedule.betas[0] == pytest.approx(1e-4, rel=1e-15)
    assert schedule.betas[-1] == pytest.approx(0.02, rel=1e-15)
    getcontext().prec = 40
    product = Decimal(1)
    for index in range(1000):
        product *= 1 - (Decimal("0.0001") + (Decimal("0.02") - Decimal("0.0001")) * index / 999)
    assert schedule.alphas_cumprod[-1] == pytest.approx(float(product), rel=1e-11)


def test_linear_schedule_of_another_length_is_rescaled():
    assert NoiseSchedule.named("linear", 250).betas[[0, -1]] == pytest.approx([4e-4, 0.08])


def test_cosine_schedule_follows_squared_cosine_until_the_cap():
    schedule = NoiseSchedule.named("cosine")
    f = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    assert schedule.alphas_cumprod[:-1] == pytest.approx(f[1:-1] / f[0], rel=1e-9)
    assert schedule.betas[-1] == 0.999
    assert schedule.betas[0] == pytest.approx(4.128e-05, rel=1e-3)


def test_tables_of_three_steps_match_hand_computation(three_steps):
    assert three_steps.alphas_cumprod == pytest.approx([0.9, 0.72, 0.36])
    assert three_steps.alphas_cumprod_prev == pytest.approx([1.0, 0.9, 0.72])
    # beta (1 - abar_prev) / (1 - abar): 0.2 * 0.1 / 0.28 and 0.5 * 0.28 / 0.64
    assert three_steps.posterior_variance == pytest.approx([0.0, 1 / 14, 0.21875])
    assert np.exp(three_steps.posterior_log_variance_clipped) == pytest.approx([1 / 14, 1 / 14, 0.21875])
    # beta sqrt(abar_prev) / (1 - abar) and (1 - abar_prev) sqrt(alpha) / (1 - abar)
    assert three_steps.posterior_mean_coef1 == pytest.approx([1.0, 0.6776309271789385, 0.6629126073623884])
    assert three_steps.posterior_mean_coef2 == pytest.approx([0.0, 0.3194382824999699, 0.3093592167691145])
    assert three_steps.fixed_large_variance == pytest.approx([1 / 14, 0.2, 0.5])
    assert three_steps.sqrt_recip_alphas_cumprod[2] == pytest.approx(5 / 3)
    assert three_steps.sqrt_recipm1_alphas_cumprod[2] == pytest.approx(4 / 3)


def test_q_sample_mixes_signal_and_noise(three_steps):
    x_start, noise = torch.full((2, 1, 1, 1), 0.5), torch.full((2, 1, 1, 1), -1.0)
    x_t = three_steps.q_sample(x_start, torch.tensor([2, 0]), noise)
    # sqrt(.36) * .5 - sqrt(.64); sqrt(.9) * .5 - sqrt(.1)
    assert x_t.flatten().tolist() == pytest.approx([0.3 - 0.8, 0.47434165 - 0.31622777])
    assert x_t.dtype == torch.float32


def test_q_sample_refuses_noise_of_another_shape(three_steps):
    with pytest.raises(ValueError, match=r"noise has shape \(1, 1\)"):
        three_steps.q_sample(torch.zeros(2, 1), torch.tensor([0, 1]), torch.zeros(1, 1))


def test_spacing_250_keeps_both_ends_and_rounds_half_to_even():
    kept = space_timesteps(1000, "250")
    assert (len(kept), kept[0], kept[-1]) == (250, 0, 999)
    assert kept[:6] == (0, 4, 8, 12, 16, 20)
    assert set(np.diff(kept)) == {4, 5}
    assert space_timesteps(6, "3") == (0, 2, 5)  # 2.5 rounds to the even 2


def test_spacing_with_sections_spends_counts_where_asked():
    assert space_timesteps(10, "2,3") == (0, 4, 5, 7, 9)
    assert space_timesteps(11, "1,1") == (0, 6)  # the first section takes the odd timestep


def test_ddim_spacing_is_an_integer_stride_that_stops_short_of_the_end():
    kept = space_timesteps(1000, "ddim25")
    assert kept == tuple(range(0, 1000, 40))
    assert kept[-1] == 960


def test_a_section_of_no_timesteps_is_left_out_as_published():
    assert space_timesteps(300, "10,0,5") == (
        *space_timesteps(100, "10"),
        *(200 + t for t in space_timesteps(100, "5")),
    )
    assert space_timesteps(300, [10, 0, 5]) == space_timesteps(300, "10,0,5")
    assert NoiseSchedule.named("linear").respaced([0, 3]).timestep_map.tolist() == [500, 750, 999]
    with pytest.raises(ValueError, match="keeps no timestep"):
        space_timesteps(300, "0,0")


@pytest.mark.parametrize("t", [-1, 10])
def test_a_timestep_out_of_range_is_an_error_and_not_one_from_the_end(t):
    schedule, x = NoiseSchedule.named("cosine", 10), torch.zeros(2, 3, 4, 4)
    steps = torch.tensor([0, t])
    for call in (lambda: schedule.q_sample(x, steps, x), lambda: schedule.network_timesteps(steps)):
        with pytest.raises(ValueError, match="timesteps of this process are 0 to 9"):
            call()


def test_no_spacing_keeps_everything():
    assert space_timesteps(7, "") == tuple(range(7))
    assert space_timesteps(4, None) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("spacing", "complaint"),
    [
        ("0", "keeps no timestep"),
        ("a", "'a' is not a number"),
        ("-1", "counts of 0 or more"),
        ("10,", "'' is not a number"),
        ("11", "section 1 has 10 timesteps, fewer than the 11"),
        ("ddim7", "no integer stride gives exactly 7 of 10"),
        ("ddim", "'' is not a number"),
    ],
)
def test_unreadable_spacing_is_refused_with_the_remedy(spacing, complaint):
    with pytest.raises(ValueError, match=complaint):
        space_timesteps(10, spacing)


@pytest.mark.parametrize("spacing", ["250", "ddim25", "10,20,30", "1"])
def test_respacing_keeps_cumulative_product_at_every_kept_timestep(spacing):
    full = NoiseSchedule.named("linear")
    short = full.respaced(spacing)
    assert short.alphas_cumprod == pytest.approx(full.alphas_cumprod[short.timestep_map], rel=1e-12)
    assert short.num_timesteps == len(short.timestep_map)
    assert short.original_timesteps == 1000


def test_respaced_betas_match_hand_computation(three_steps):
    kept = three_steps.respaced("2")
    assert kept.timestep_map.tolist() == [0, 2]
    assert kept.betas == pytest.approx([0.1, 1 - 0.36 / 0.9])


def test_respacing_twice_is_refused():
    with pytest.raises(ValueError, match="already respaced to '250'"):
        NoiseSchedule.named("linear").respaced("250").respaced("25")


def test_networks_see_the_original_timestep():
    t = torch.tensor([0, 24])
    shown = NoiseSchedule.named("linear").respaced("ddim25").network_timesteps(t)
    assert shown.dtype == torch.int64
    assert shown.tolist() == [0, 960]
    rescaled = NoiseSchedule.named("cosine", 4000, rescale_timesteps=True).respaced("2").network_timesteps(t[:1] + 1)
    assert rescaled.dtype == torch.float32
    assert rescaled.tolist() == [3999 * 0.25]


def test_gathered_tables_are_float64_tables_rounded_once():
    schedule = NoiseSchedule.named("cosine")
    t = torch.arange(1000)
    gathered = schedule.at("sqrt_recipm1_alphas_cumprod", t, torch.zeros(1000, 3, 4, 4))
    assert gathered.shape == (1000, 1, 1, 1)
    assert (gathered.flatten().numpy() == schedule.sqrt_recipm1_alphas_cumprod.astype(np.float32)).all()


def test_schedule_cannot_be_altered(three_steps):
    with pytest.raises(ValueError, match="read-only"):
        three_steps.betas[0] = 0.3
    with pytest.raises(AttributeError):
        three_steps.name = "cosine"


def test_unknown_schedule_names_the_choices():
    with pytest.raises(ValueError, match="'sigmoid' is unknown; choose one of linear, cosine"):
        NoiseSchedule.named("sigmoid")


@pytest.mark.parametrize(("name", "least"), [("linear", 21), ("cosine", 2)])
def test_a_schedule_too_short_to_keep_anything_of_the_image_is_refused(name, least):
    assert np.isfinite(NoiseSchedule.named(name, least).posterior_variance).all()
    with pytest.raises(ValueError, match=f"a {name} schedule needs at least {least}"):
        NoiseSchedule.named(name, least - 1)
