"""Methods compared with the paper's, each against the formulas written out or a case known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffusion.schedule import NoiseSchedule
from generation.sampling.guidance import GradientAverage, scale_factor
from generation.sampling.refine import refine_images
from generation.sampling.sampler import GuidedArm, guided_trajectory
from tests.generation.toys import GaussianMixture, tiny_classifier, tiny_denoiser

BATCH = 3
LABEL = torch.tensor([0, 2, 3])
# Of the cosine schedule, short of the end where rounding is multiplied by thousands.
KEPT = [0, 91, 182, 272, 363, 454, 545, 636]


def abar(timestep: int) -> float:
    """Product of 1 - beta of the cosine schedule up to a timestep, its betas capped as published."""

    def level(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    return math.prod(1 - min(1 - level((i + 1) / 1000) / level(i / 1000), 0.999) for i in range(timestep + 1))


@pytest.fixture(scope="module")
def abars() -> list[float]:
    return [abar(timestep) for timestep in KEPT]


@pytest.fixture(scope="module")
def schedule(abars) -> NoiseSchedule:
    return NoiseSchedule(
        name="cosine",
        original_timesteps=1000,
        betas=1 - np.array(abars) / np.append(1.0, abars[:-1]),
        timestep_map=np.array(KEPT),
    )


def gradient_of(classifier, x, timestep, label=LABEL):
    x = x.clone().requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(classifier(x, torch.full((len(x),), timestep)), label, reduction="sum")
    return -torch.autograd.grad(loss, x)[0]


def restated(abars, denoiser, classifier, x, *, scale=0.0, point="noisy", decay=0.0, factor=None, weak=None, w=1.0):
    """DDIM without noise (Song et al. 2021) with each method as its paper writes it, in scalars."""
    history, steps = torch.zeros_like(x), len(KEPT)
    for done, i in enumerate(reversed(range(steps)), start=1):
        t = torch.full((BATCH,), KEPT[i])
        noise = denoiser(x, t, LABEL)[:, :1]
        if weak is not None:
            bad = weak(x, t, LABEL)[:, :1]
            noise = w * noise + (1 - w) * bad
        x_start = ((x - math.sqrt(1 - abars[i]) * noise) / math.sqrt(abars[i])).clamp(-1, 1)
        gradient = torch.zeros_like(x)
        if classifier is not None:
            gradient = gradient_of(classifier, x, KEPT[i]) if point == "noisy" else gradient_of(classifier, x_start, 0)
        history = decay * history + (1 - decay) * gradient
        strength = scale * (factor(i / (steps - 1)) if factor else 1.0)
        steadied = history / (1 - decay**done)
        noise = (x - math.sqrt(abars[i]) * x_start) / math.sqrt(1 - abars[i])
        noise = noise - math.sqrt(1 - abars[i]) * strength * steadied
        x_start = (x - math.sqrt(1 - abars[i]) * noise) / math.sqrt(abars[i])
        before = abars[i - 1] if i else 1.0
        x = math.sqrt(before) * x_start + math.sqrt(1 - before) * noise
    return x


def start(seed: int = 5) -> torch.Tensor:
    return torch.randn((BATCH, 1, 8, 8), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("arm", "written"),
    [
        ({"guidance_point": "denoised"}, {"point": "denoised"}),
        ({"guidance_averaging": 0.9}, {"decay": 0.9}),
        ({"guidance_point": "denoised", "guidance_averaging": 0.8}, {"point": "denoised", "decay": 0.8}),
        ({"scale_schedule": "linear"}, {"factor": lambda share: 2 * (1 - share)}),
        ({"scale_schedule": "cosine"}, {"factor": lambda share: math.cos(math.pi * share) + 1}),
    ],
    ids=["denoised", "averaged", "denoised-averaged", "linear", "cosine"],
)
def test_each_switch_equals_its_formula_and_leaves_the_other_arms_alone(schedule, abars, arm, written):
    denoiser, classifier = tiny_denoiser(), tiny_classifier(1)
    plain = GuidedArm(name="plain", classifier=classifier, classifier_scale=4.0)
    other = GuidedArm(name="other", classifier=classifier, classifier_scale=4.0, **arm)
    images = guided_trajectory(denoiser, schedule, [plain, other], start(), LABEL, sampler="ddim")
    expected = restated(abars, denoiser, classifier, start(), scale=4.0, **written)
    torch.testing.assert_close(images["other"], expected, rtol=0, atol=2e-5)
    alone = restated(abars, denoiser, classifier, start(), scale=4.0)
    torch.testing.assert_close(images["plain"], alone, rtol=0, atol=2e-5)
    assert (images["other"] - images["plain"]).abs().max() > 1e-3


def test_an_arm_has_its_own_average_whoever_samples_beside_it(schedule):
    denoiser, classifier = tiny_denoiser(), tiny_classifier(1)
    steady = {"classifier": classifier, "classifier_scale": 4.0, "guidance_averaging": 0.9}
    arms = [
        GuidedArm(name="a", **steady),
        GuidedArm(name="b", **steady),
        GuidedArm(name="late", **steady, guidance_interval=(0, 400)),
    ]
    together = guided_trajectory(denoiser, schedule, arms, start(), LABEL, sampler="ddim")
    for arm in arms:
        alone = guided_trajectory(denoiser, schedule, [arm], start(), LABEL, sampler="ddim")
        torch.testing.assert_close(together[arm.name], alone[arm.name], rtol=0, atol=2e-5)
    assert torch.equal(together["a"], together["b"])


def test_an_average_begins_at_the_first_gradient_and_forgets_at_its_rate():
    average = GradientAverage(0.75)
    first, second = torch.tensor([4.0]), torch.tensor([-3.0])
    assert average(first).item() == pytest.approx(4.0)
    assert average(second).item() == pytest.approx((0.25 * 0.75 * 4.0 + 0.25 * -3.0) / (1 - 0.75**2))


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 7, 250])
def test_a_schedule_keeps_the_mean_scale_and_grows_towards_the_image(name, steps):
    factors = [scale_factor(name, index, steps) for index in reversed(range(steps))]
    assert np.mean(factors) == pytest.approx(1.0)
    assert factors == sorted(factors)


def test_autoguidance_equals_its_formula_and_is_nothing_between_equals(schedule, abars):
    strong, weak = tiny_denoiser(), tiny_denoiser(7)
    arms = [
        GuidedArm(name="plain"),
        GuidedArm(name="led", weak_denoiser=weak, weak_scale=1.5),
        GuidedArm(name="same", weak_denoiser=strong, weak_scale=3.0),
    ]
    images = guided_trajectory(strong, schedule, arms, start(), LABEL, sampler="ddim")
    expected = restated(abars, strong, None, start(), weak=weak, w=1.5)
    torch.testing.assert_close(images["led"], expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(images["same"], images["plain"], rtol=0, atol=2e-5)
    assert (images["led"] - images["plain"]).abs().max() > 1e-3


def test_autoguidance_between_two_gaussians_ends_where_the_closed_form_says():
    """Of two Gaussians of one spread the extrapolated score is that of a Gaussian whose mean is extrapolated alike."""
    schedule = NoiseSchedule.named("linear").respaced("250")
    strong, weak = (GaussianMixture(schedule, torch.tensor([mean]), 0.2) for mean in ([0.3, -0.1], [0.1, 0.2]))
    x_T = torch.randn((4000, 2, 1, 1), generator=torch.Generator().manual_seed(3))
    label = torch.zeros(4000, dtype=torch.int64)
    arm = GuidedArm(name="led", weak_denoiser=weak.denoiser, weak_scale=2.0)
    found = guided_trajectory(
        strong.denoiser, schedule, [arm], x_T, label, sampler="ddim", clip_x_start=False, variance="fixed_small"
    )["led"].flatten(1)
    torch.testing.assert_close(found.mean(dim=0), torch.tensor([0.5, -0.4]), rtol=0, atol=0.03)
    torch.testing.assert_close(found.std(dim=0), torch.full((2,), 0.2), rtol=0.1, atol=0)


def test_refinement_under_a_linear_classifier_is_a_straight_line_to_the_edge_of_the_ball():
    """With two classes the gradient of log p is a multiple of the difference of their weights, wherever it is taken."""
    weights = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    images = 0.2 * torch.randn((5, 1, 4, 4), generator=torch.Generator().manual_seed(2))
    label = torch.tensor([0, 1, 0, 1, 1])
    refined = refine_images(lambda x, t: x.flatten(1) @ weights.T, images, label, steps=6, epsilon=0.3)
    away = weights[label] - weights[1 - label]
    direction = (away / away.norm(dim=1, keepdim=True)).view_as(images)
    torch.testing.assert_close(refined, images + 0.3 * direction, rtol=0, atol=1e-6)


def test_refinement_raises_the_probability_within_ball_and_pixels_at_timestep_zero():
    classifier, seen = tiny_classifier(2), []

    def watched(x, t):
        seen.append(t)
        return classifier(x, t)

    images = 1.2 * start(8)
    before = images.clamp(-1, 1)
    refined = refine_images(watched, images, LABEL, steps=5, epsilon=0.5)
    assert (refined - before).flatten(1).norm(dim=1).max() <= 0.5 + 1e-5
    assert refined.abs().max() <= 1.0
    assert all((t == 0).all() for t in seen)
    clean = torch.zeros(BATCH, dtype=torch.int64)
    rates = [torch.log_softmax(classifier(x, clean), dim=1)[range(BATCH), LABEL] for x in (before, refined)]
    assert (rates[1] > rates[0]).all()
