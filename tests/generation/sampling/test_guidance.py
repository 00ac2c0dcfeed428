"""Guidance gradients against finite differences, and the two published ways of using them against the formulas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffusion.posterior import ReverseStep
from diffusion.schedule import NoiseSchedule
from generation.sampling.guidance import classifier_gradient, combine_class_free, is_guided, shift_mean, shift_score
from tests.generation.toys import NUM_CLASSES, tiny_classifier


def smooth_classifier(dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    """A small time-dependent classifier that keeps float64, unlike the real one's float32 norms."""
    generator = torch.Generator().manual_seed(9)
    first = torch.randn(64, 64, generator=generator, dtype=dtype) / 8
    last = torch.randn(64, NUM_CLASSES, generator=generator, dtype=dtype)
    return lambda x, t: torch.tanh(x.flatten(1) @ first + t[:, None] / 1000) @ last


@pytest.mark.parametrize(
    ("classifier", "dtype", "step", "tolerance"),
    [
        (smooth_classifier(torch.float64), torch.float64, 1e-5, 1e-7),
        (tiny_classifier(), torch.float32, 3e-2, 1e-2),
    ],
    ids=["float64", "adm-float32"],
)
def test_gradient_agrees_with_finite_differences_of_log_probability(classifier, dtype, step, tolerance):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1, 8, 8, generator=generator, dtype=dtype)
    t, label = torch.tensor([300, 300]), torch.tensor([1, 3])
    gradient = classifier_gradient(classifier, x, t, label)

    def log_probability(at: Tensor) -> Tensor:
        return torch.log_softmax(classifier(at, t), dim=-1)[[0, 1], label]

    size = gradient.flatten(1).norm(dim=1)
    assert size.min() > 1e-2
    directions = [torch.randn(x.shape, generator=generator, dtype=dtype) for _ in range(4)]
    for direction in [gradient, *directions]:
        unit = direction / direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        difference = (log_probability(x + step * unit) - log_probability(x - step * unit)) / (2 * step)
        along = (gradient * unit).sum(dim=(1, 2, 3))
        assert ((along - difference).abs() / size).max() < tolerance


def test_gradient_of_a_row_ignores_its_neighbours_and_leaves_no_trace():
    classifier = tiny_classifier()
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    t, label = torch.full((4,), 10), torch.tensor([0, 1, 2, 3])
    together = classifier_gradient(classifier, x, t, label)
    shuffled = classifier_gradient(classifier, x.flip(0), t, label.flip(0)).flip(0)
    assert torch.equal(together, shuffled)
    assert not together.requires_grad
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_gradients_of_all_classes_weighted_by_probability_cancel():
    """Sum over y of p(y) grad log p(y) is the gradient of 1."""
    classifier = tiny_classifier()
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(2)).expand(NUM_CLASSES, -1, -1, -1)
    t = torch.full((NUM_CLASSES,), 500)
    gradient = classifier_gradient(classifier, x, t, torch.arange(NUM_CLASSES))
    probability = torch.softmax(classifier(x[:1], t[:1]), dim=-1)[0]
    total = (probability[:, None, None, None] * gradient).sum(0)
    assert total.abs().max() < 1e-6 < gradient.abs().max()


def test_mean_is_shifted_by_variance_times_gradient():
    mean, variance, gradient = torch.randn(3, 2, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    step = ReverseStep(mean, variance, variance, mean)
    shifted = shift_mean(step, 2.0 * gradient)
    torch.testing.assert_close(shifted.mean, mean + 2.0 * variance * gradient)
    assert shifted.pred_x_start is step.pred_x_start


def test_score_is_shifted_and_x_start_follows_without_clipping():
    schedule = NoiseSchedule.named("linear").respaced("10")
    t = torch.tensor([9, 4])
    alphas_cumprod = torch.from_numpy(schedule.alphas_cumprod)[t].float().view(-1, 1, 1, 1)
    x_t, gradient = torch.randn(2, 2, 1, 4, 4, generator=torch.Generator().manual_seed(4))
    x_start = torch.zeros_like(x_t)
    noise, guided_start = shift_score(schedule, x_start, x_t, t, gradient)
    expected_noise = x_t / (1 - alphas_cumprod).sqrt() - (1 - alphas_cumprod).sqrt() * gradient
    torch.testing.assert_close(noise, expected_noise, rtol=1e-4, atol=1e-5)
    expected_start = (1 - alphas_cumprod) / alphas_cumprod.sqrt() * gradient
    torch.testing.assert_close(guided_start, expected_start, rtol=1e-3, atol=1e-3)
    assert guided_start.abs().max() > 1.0


def test_class_free_scale_extrapolates_from_the_unconditional_estimate():
    conditional, unconditional = torch.tensor([2.0]), torch.tensor([0.5])
    assert combine_class_free(conditional, unconditional, 1.0).item() == 2.0
    assert combine_class_free(conditional, unconditional, 0.0).item() == 0.5
    assert combine_class_free(conditional, unconditional, 3.0).item() == 5.0


@pytest.mark.parametrize(("timestep", "expected"), [(199, False), (200, True), (500, True), (800, True), (801, False)])
def test_interval_contains_both_its_ends(timestep, expected):
    assert is_guided((200, 800), timestep) is expected
    assert is_guided(None, timestep) is True
