"""Gradients against analytic classifiers and Gaussian denoisers whose scores are known in closed form."""

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion.schedule import NoiseSchedule
from generation.figures.gradients import (
    alignment_bands,
    band_timesteps,
    class_gradients,
    figure_noise,
    gradient_alignment,
    implied_class_score,
    intermediate_estimates,
    maximise_class_probability,
    min_max_normalised,
)
from generation.sampling.sampler import GuidedArm

_SCHEDULE = NoiseSchedule.named("linear", 100)
_MEANS = torch.tensor([-0.15, 0.15])  # of two classes: every pixel is N(mean, 0.4^2) in x_start
_DEVIATION = 0.4


def _moments(t: Tensor) -> tuple[Tensor, Tensor]:
    abar = torch.from_numpy(_SCHEDULE.alphas_cumprod).float()[t].view(-1, 1, 1, 1)
    return abar.sqrt(), abar * _DEVIATION**2 + 1.0 - abar


def _conditional(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """The exact denoiser of one class: eps = -sqrt(1 - abar) * score of N(sqrt(abar) mean, variance)."""
    signal, variance = _moments(t)
    score = -(x - signal * _MEANS[y].view(-1, 1, 1, 1)) / variance
    return -_SCHEDULE.at("sqrt_one_minus_alphas_cumprod", t, x) * score


def _logits(x: Tensor, t: Tensor) -> Tensor:
    """The exact posterior of the two classes, equally likely."""
    signal, variance = _moments(t)
    squares = [(x - signal * mean).square() / (2 * variance) for mean in _MEANS]
    return torch.stack([-square.flatten(1).sum(dim=1) for square in squares], dim=1)


def _unconditional(x: Tensor, t: Tensor) -> Tensor:
    """The exact denoiser of the mixture: the classes' estimates weighted by their posterior."""
    weight = torch.softmax(_logits(x, t), dim=1)
    estimates = [_conditional(x, t, torch.full((len(x),), y)) for y in range(2)]
    return sum(weight[:, y].view(-1, 1, 1, 1) * estimates[y] for y in range(2))


def _images(n: int = 40) -> tuple[Tensor, Tensor]:
    y = torch.arange(n) % 2
    return (_MEANS[y].view(-1, 1, 1, 1) + _DEVIATION * figure_noise(9, (n, 1, 2, 2))).clamp(-1, 1), y


def test_exact_classifier_is_the_gradient_that_exact_denoisers_imply():
    x, y = _images()
    t = torch.arange(40) * 2
    x_t = _SCHEDULE.q_sample(x, t, figure_noise(1, x.shape))
    implied = implied_class_score(_conditional, _unconditional, _SCHEDULE, x_t, t, y)
    with torch.enable_grad():
        rows = x_t.requires_grad_(True)
        log_p = torch.log_softmax(_logits(rows, t), dim=1).gather(1, y.view(-1, 1)).sum()
        exact = torch.autograd.grad(log_p, rows)[0]
    torch.testing.assert_close(implied, exact, rtol=1e-3, atol=1e-4)


def test_alignment_of_the_exact_classifier_is_one_at_scale_one():
    x, y = _images()
    found = gradient_alignment({"exact": _logits}, _conditional, _unconditional, _SCHEDULE, x, y, bands=4)["exact"]
    assert [band.n for band in found] == [40] * 4
    for band in found:
        assert band.cosine == pytest.approx(1.0, abs=1e-3)
        assert band.relative_error == pytest.approx(0.0, abs=1e-3)
        assert band.scale == pytest.approx(1.0, abs=1e-2)


def test_alignment_tells_a_weak_and_a_wrong_classifier_from_a_good_one():
    x, y = _images()

    def weak(x: Tensor, t: Tensor) -> Tensor:
        return _logits(x, t) * 0.5 + 4.0 * torch.sin(11.0 * x.flatten(1)[:, :2])

    arms = {"exact": _logits, "weak": weak, "wrong": lambda x, t: -_logits(x, t)}
    found = gradient_alignment(arms, _conditional, _unconditional, _SCHEDULE, x, y, bands=3)
    for exact, weak_band, wrong in zip(found["exact"], found["weak"], found["wrong"], strict=True):
        assert exact.cosine > weak_band.cosine > wrong.cosine
        assert wrong.scale < 0.0
        assert exact.relative_error < weak_band.relative_error <= 1.0
        assert exact.first_timestep == weak_band.first_timestep


def test_alignment_does_not_depend_on_the_batch_size_and_is_json_ready():
    x, y = _images(10)
    one = gradient_alignment({"a": _logits}, _conditional, _unconditional, _SCHEDULE, x, y, bands=2, batch_size=3)
    two = gradient_alignment({"a": _logits}, _conditional, _unconditional, _SCHEDULE, x, y, bands=2, batch_size=10)
    rows, others = alignment_bands(one)["a"], alignment_bands(two)["a"]
    for row, other in zip(rows, others, strict=True):
        assert row["cosine"] == pytest.approx(other["cosine"], rel=1e-5)
        assert isinstance(row["ci95"], list)


def test_band_timesteps_cover_every_band_once_per_image():
    t = band_timesteps(_SCHEDULE, 10, 50, seed=3)
    assert t.shape == (10, 50)
    assert (t // 10 == torch.arange(10).view(-1, 1)).all()
    with pytest.raises(ValueError, match="bands"):
        band_timesteps(_SCHEDULE, 101, 3)


def test_class_gradients_are_those_of_the_noised_images():
    x, y = _images(4)
    noise = figure_noise(2, x.shape)
    found = class_gradients({"exact": _logits}, _SCHEDULE, x, y, [0, 50], noise)["exact"]
    assert found.shape == (2, 4, 1, 2, 2)
    t = torch.full((4,), 50)
    x_t = _SCHEDULE.q_sample(x, t, noise)
    step = 1e-2
    moved = x_t.clone()
    moved[:, 0, 1, 0] += step

    def log_p(rows: Tensor) -> Tensor:
        return torch.log_softmax(_logits(rows.double(), t), dim=1).gather(1, y.view(-1, 1)).squeeze(1)

    difference = (log_p(moved) - log_p(x_t)) / step
    torch.testing.assert_close(found[1][:, 0, 1, 0].double(), difference, rtol=0.05, atol=1e-2)
    with pytest.raises(ValueError, match="timesteps"):
        class_gradients({"exact": _logits}, _SCHEDULE, x, y, [100], noise)


def test_ascent_raises_the_probability_and_stays_in_ball_and_box():
    x, y = _images(6)
    found = maximise_class_probability(_logits, x, 1 - y, radius=0.8, steps=20)
    assert (found.log_probability_after > found.log_probability_before).all()
    assert (found.images - x).flatten(1).norm(dim=1).max() <= 0.8 + 1e-5
    assert found.images.abs().max() <= 1.0 + 1e-6
    torch.testing.assert_close(found.log_probability_before.exp() + _log_p_of(x, y).exp(), torch.ones(6))


def _log_p_of(x: Tensor, y: Tensor) -> Tensor:
    return torch.log_softmax(_logits(x, torch.zeros(len(x), dtype=torch.int64)), dim=1).gather(1, y.view(-1, 1))[:, 0]


@pytest.mark.parametrize("bad", [{"radius": 0.0}, {"radius": 1.0, "steps": 0}, {"radius": 1.0, "step_size": -1.0}])
def test_impossible_ascents_are_refused(bad: dict):
    x, y = _images(2)
    with pytest.raises(ValueError, match="above 0"):
        maximise_class_probability(_logits, x, y, **bad)


def test_intermediate_estimates_are_evenly_spaced_and_end_with_the_image():
    schedule = _SCHEDULE.respaced("10")
    y = torch.tensor([0, 1, 1])
    noise = figure_noise(4, (10, 3, 1, 2, 2))
    arms = [GuidedArm(name="plain"), GuidedArm(name="guided", classifier=_logits, classifier_scale=1.0)]
    t, found = intermediate_estimates(
        lambda x, t, y: _conditional(x, t, y.repeat(len(x) // len(y))),
        schedule,
        arms,
        noise[0],
        y,
        noise.__getitem__,
        columns=4,
        variance="fixed_small",
    )
    assert t == sorted(t, reverse=True)
    assert (t[0], t[-1]) == (99, 0)
    assert found["plain"].shape == found["guided"].shape == (4, 3, 1, 2, 2)
    assert not torch.equal(found["plain"][-1], found["guided"][-1])
    assert (found["plain"][-1].mean(dim=(1, 2, 3)).sign() == _MEANS[y].sign()).all()
    with pytest.raises(ValueError, match="columns"):
        intermediate_estimates(_conditional, schedule, arms, noise[0], y, noise.__getitem__, columns=11)


def test_normalisation_is_per_image_and_keeps_constant_images_grey():
    images = torch.stack([torch.tensor([[[-3.0, 1.0]]]), torch.tensor([[[5.0, 5.0]]])])
    np.testing.assert_allclose(min_max_normalised(images), [[[[0.0, 1.0]]], [[[0.5, 0.5]]]])


def test_figure_noise_is_normal_repeatable_and_apart_by_stream():
    noise = figure_noise(0, (40, 3, 15, 15))
    assert abs(noise.mean().item()) < 0.02
    assert noise.std().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(noise, figure_noise(0, (40, 3, 15, 15)))
    assert not torch.equal(noise, figure_noise(0, (40, 3, 15, 15), stream=1))
