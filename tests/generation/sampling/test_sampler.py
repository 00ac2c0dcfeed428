"""Trajectories against independent restatements from the formulas, and against distributions known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffusion.schedule import NoiseSchedule
from generation.sampling.sampler import GuidedArm, SamplingStopped, guided_trajectory
from tests.generation.toys import GaussianMixture, tiny_classifier, tiny_denoiser

BATCH = 3
LABEL = torch.tensor([0, 2, 3])


@pytest.fixture(scope="module")
def denoiser():
    return tiny_denoiser()


@pytest.fixture(scope="module")
def classifiers():
    return tiny_classifier(1), tiny_classifier(2)


@pytest.fixture(scope="module")
def schedule():
    return NoiseSchedule.named("cosine", rescale_timesteps=True).respaced("12")


def draws(schedule: NoiseSchedule, shape=(BATCH, 1, 8, 8), seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(schedule.num_timesteps, *shape, generator=generator)
    return torch.randn(shape, generator=generator), noise


def restated_alphas(kept: list[int]) -> list[float]:
    """Cumulative products of the cosine schedule at kept timesteps, one factor at a time."""
    products, product = [], 1.0
    for i in range(1000):
        ratio = math.cos(((i + 1) / 1000 + 0.008) / 1.008 * math.pi / 2) / math.cos(
            (i / 1000 + 0.008) / 1.008 * math.pi / 2
        )
        product *= 1 - min(1 - ratio**2, 0.999)
        products.append(product)
    return [products[timestep] for timestep in kept]


def restated_gradient(classifier, x, t, scale):
    x = x.clone().requires_grad_(True)
    logits = classifier(x, t)
    loss = torch.nn.functional.cross_entropy(logits, LABEL, reduction="sum")
    return -scale * torch.autograd.grad(loss, x)[0]


def restated_sampling(denoiser, classifier, scale, x, noise, kept, *, ddim_eta: float | None) -> torch.Tensor:
    """The published loop in scalars: ancestral (Ho; Nichol and Dhariwal) or DDIM (Song), one arm alone."""
    abars = restated_alphas(kept)
    for i in reversed(range(len(kept))):
        abar, before = abars[i], abars[i - 1] if i else 1.0
        beta = 1 - abar / before
        t = torch.full((BATCH,), float(kept[i]))
        noise_estimate, values = denoiser(x, t, LABEL).chunk(2, dim=1)
        x_start = ((x - math.sqrt(1 - abar) * noise_estimate) / math.sqrt(abar)).clamp(-1, 1)
        gradient = restated_gradient(classifier, x, t, scale) if classifier else torch.zeros_like(x)
        if ddim_eta is not None:
            direction = (x - math.sqrt(abar) * x_start) / math.sqrt(1 - abar) - math.sqrt(1 - abar) * gradient
            x_start = (x - math.sqrt(1 - abar) * direction) / math.sqrt(abar)
            sigma = ddim_eta * math.sqrt((1 - before) / (1 - abar) * beta)
            x = math.sqrt(before) * x_start + math.sqrt(1 - before - sigma**2) * direction
            x = x + sigma * noise[i] if i else x
            continue
        small = beta * (1 - before) / (1 - abar)
        if i == 0:
            following = 1 - abars[1] / abars[0]
            small = following * (1 - abars[0]) / (1 - abars[1])
        variance = torch.exp((values + 1) / 2 * math.log(beta) + (1 - values) / 2 * math.log(small))
        mean = (math.sqrt(before) * beta * x_start + math.sqrt(1 - beta) * (1 - before) * x) / (1 - abar)
        x = mean + variance * gradient + (variance.sqrt() * noise[i] if i else 0.0)
    return x


@pytest.mark.parametrize("ddim_eta", [None, 0.0, 0.7], ids=["ancestral", "ddim", "ddim-eta"])
def test_guided_trajectory_equals_the_formulas_written_out(denoiser, classifiers, schedule, ddim_eta):
    """Compared from a moderate noise level: at t = 999 of the cosine schedule rounding is multiplied by 2e4."""
    kept = [0, 91, 182, 272, 363, 454, 545, 636, 727]
    part = NoiseSchedule(
        name="cosine",
        original_timesteps=1000,
        betas=1 - np.array(restated_alphas(kept)) / np.append(1.0, restated_alphas(kept)[:-1]),
        timestep_map=np.array(kept),
        rescale_timesteps=True,
    )
    assert schedule.timestep_map[: len(kept)].tolist() == kept
    x_T, noise = draws(part)
    arms = [
        GuidedArm(name="vanilla", classifier=classifiers[0], classifier_scale=0.5),
        GuidedArm(name="robust", classifier=classifiers[1], classifier_scale=4.0),
        GuidedArm(name="unguided"),
    ]
    sampler = {"sampler": "ancestral"} if ddim_eta is None else {"sampler": "ddim", "eta": ddim_eta}
    images = guided_trajectory(denoiser, part, arms, x_T, LABEL, noise.__getitem__, **sampler)
    for arm in arms:
        expected = restated_sampling(
            denoiser, arm.classifier, arm.classifier_scale, x_T, noise, kept, ddim_eta=ddim_eta
        )
        torch.testing.assert_close(images[arm.name], expected, rtol=0, atol=2e-5)
    assert (images["vanilla"] - images["unguided"]).abs().max() > 1e-3
    assert (images["robust"] - images["vanilla"]).abs().max() > 1e-2


MEANS = torch.tensor([[-0.6, 0.3], [0.5, 0.4], [0.2, -0.7]])
SPREAD = 0.2


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": "ancestral", "variance": "fixed_small"},
        {"sampler": "ancestral", "variance": "fixed_large"},
        {"sampler": "ddim"},
        {"sampler": "ddim", "eta": 1.0},
        {"sampler": "dpm_solver_2m"},
    ],
    ids=["ancestral-small", "ancestral-large", "ddim", "ddim-eta-1", "dpm-solver-2m"],
)
@pytest.mark.parametrize("by", ["classifier", "class-free"])
def test_guided_samples_meet_the_distribution_known_in_closed_form(settings, by):
    """A mixture guided at scale 1 by its own classifier must give one component: mean, spread and no correlation.

    With 250 of 1000 steps exact networks leave 0.02 in the mean and 16 % in the variance; with all 1000, half of it.
    """
    schedule = NoiseSchedule.named("linear").respaced("250")
    mixture = GaussianMixture(schedule, MEANS, SPREAD)
    rows = 6000
    x_T, noise = draws(schedule, (rows, 2, 1, 1), seed=11)
    label = torch.arange(rows) % 3
    if by == "classifier":
        arm = GuidedArm(name="guided", classifier=mixture.classifier, classifier_scale=1.0)
        conditional = {"is_class_conditional": False}
    else:
        arm = GuidedArm(name="guided", class_free_scale=1.0001)  # 1 exactly is not classifier-free guidance
        conditional = {"null_label": 3}
    images = guided_trajectory(
        mixture.denoiser, schedule, [arm], x_T, label, noise.__getitem__, clip_x_start=False, **settings, **conditional
    )["guided"].flatten(1)
    for component in range(3):
        points = images[label == component]
        assert (points.mean(0) - MEANS[component]).abs().max() < 0.025
        covariance = torch.cov(points.T)
        assert (covariance - SPREAD**2 * torch.eye(2)).abs().max() < 0.17 * SPREAD**2


def test_unguided_samples_meet_the_whole_mixture():
    schedule = NoiseSchedule.named("linear").respaced("100")
    mixture = GaussianMixture(schedule, MEANS, SPREAD)
    x_T, _ = draws(schedule, (6000, 2, 1, 1), seed=12)
    label = torch.zeros(6000, dtype=torch.int64)
    arm = GuidedArm(name="unguided")
    images = guided_trajectory(
        mixture.denoiser, schedule, [arm], x_T, label, sampler="ddim", clip_x_start=False, is_class_conditional=False
    )["unguided"].flatten(1)
    nearest = torch.cdist(images, MEANS).argmin(1)
    assert torch.bincount(nearest, minlength=3).float().div(6000).sub(1 / 3).abs().max() < 0.02


def flow_error(sampler: str, steps: int, target: int = 200) -> float:
    """Distance at one timestep from the exact probability flow of a Gaussian, which is a linear map.

    Not at timestep 0: there one step spans most of the logarithmic scale, whatever their number.
    """
    schedule = NoiseSchedule.named("linear").respaced(f"ddim{steps}")
    mixture = GaussianMixture(schedule, MEANS[:1], SPREAD)
    x_T, _ = draws(schedule, (50, 2, 1, 1), seed=13)
    states = {}
    guided_trajectory(
        mixture.denoiser,
        schedule,
        [GuidedArm(name="flow")],
        x_T,
        torch.zeros(50, dtype=torch.int64),
        sampler=sampler,
        clip_x_start=False,
        is_class_conditional=False,
        on_step=lambda view: states.__setitem__(view.index - 1, view.x["flow"]),
    )
    reached = schedule.timestep_map.tolist().index(target)
    now, start = schedule.alphas_cumprod[[reached, -1]]
    widths = [math.sqrt(a * SPREAD**2 + 1 - a) for a in (now, start)]
    mean = MEANS[0].view(1, 2, 1, 1)
    exact = math.sqrt(now) * mean + widths[0] / widths[1] * (x_T - math.sqrt(start) * mean)
    return (states[reached] - exact).abs().max().item()


def test_dpm_solver_is_of_second_order_where_ddim_is_of_first():
    ddim = [flow_error("ddim", steps) for steps in (25, 50, 100)]
    second_order = [flow_error("dpm_solver_2m", steps) for steps in (25, 50, 100)]
    assert 1.7 < ddim[1] / ddim[2] < 2.3
    assert 3.2 < second_order[1] / second_order[2] < 4.8
    assert second_order[0] < ddim[0] / 3


@pytest.fixture(scope="module")
def two_arms(classifiers):
    return [
        GuidedArm(name="vanilla", classifier=classifiers[0], classifier_scale=0.5),
        GuidedArm(name="robust", classifier=classifiers[1], classifier_scale=2.0),
    ]


def test_scale_zero_in_both_arms_gives_identical_images(denoiser, classifiers, schedule):
    x_T, noise = draws(schedule)
    arms = [GuidedArm(name=str(i), classifier=c, classifier_scale=0.0) for i, c in enumerate(classifiers)]
    images = guided_trajectory(denoiser, schedule, arms, x_T, LABEL, noise.__getitem__)
    unguided = guided_trajectory(denoiser, schedule, [GuidedArm(name="u")], x_T, LABEL, noise.__getitem__)
    assert torch.equal(images["0"], images["1"])
    assert torch.equal(images["0"], unguided["u"])


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm_solver_2m"])
def test_swapping_arms_changes_no_bit(denoiser, two_arms, schedule, sampler):
    x_T, noise = draws(schedule)
    one = guided_trajectory(denoiser, schedule, two_arms, x_T, LABEL, noise.__getitem__, sampler=sampler)
    other = guided_trajectory(denoiser, schedule, two_arms[::-1], x_T, LABEL, noise.__getitem__, sampler=sampler)
    assert not torch.equal(one["vanilla"], one["robust"])
    for name in one:
        assert torch.equal(one[name], other[name])


def arm_by_arm(network):
    """Call a denoiser with the rows of one arm at a time: every call has the shape that an arm alone would give it."""

    def call(*arguments):
        return torch.cat([network(*part) for part in zip(*(a.split(BATCH) for a in arguments), strict=True)])

    return call


@pytest.mark.parametrize(
    ("name", "spacing", "settings"),
    [
        ("cosine", "12", {}),
        ("linear", "ddim25", {"sampler": "ddim"}),
        ("linear", "25", {"sampler": "ddim", "eta": 1.0}),
        ("linear", "50", {}),
    ],
    ids=["cosine", "ddim", "ddim-eta", "linear"],
)
def test_arms_together_are_the_arms_alone(denoiser, two_arms, name, spacing, settings):
    """Twice the rows in a call round differently, about 1e-6 a call. Steps without noise add that up; nothing else."""
    schedule = NoiseSchedule.named(name, rescale_timesteps=True).respaced(spacing)
    x_T, noise = draws(schedule)
    rest = x_T, LABEL, noise.__getitem__
    together = guided_trajectory(denoiser, schedule, two_arms, *rest, **settings)
    same_shape = guided_trajectory(arm_by_arm(denoiser), schedule, two_arms, *rest, **settings)
    for arm in two_arms:
        alone = guided_trajectory(denoiser, schedule, [arm], *rest, **settings)[arm.name]
        print(f"{name} {spacing} {arm.name}: {(together[arm.name] - alone).abs().max():.1e}")
        assert (same_shape[arm.name] - alone).abs().max() < 1e-6
        assert (together[arm.name] - alone).abs().max() < 2e-4


def counted(network):
    rows = []

    def call(x, *arguments):
        rows.append(x.shape[0])
        return network(x, *arguments)

    return call, rows


def test_arms_share_rows_until_their_guidance_differs(denoiser, classifiers, schedule):
    """Guidance from timestep 500 down: before it both arms are one, and the classifiers are not asked."""
    x_T, noise = draws(schedule)
    call, denoiser_rows = counted(denoiser)
    counts = [counted(classifier) for classifier in classifiers]
    arms = [
        GuidedArm(name=name, classifier=count[0], classifier_scale=1.0, guidance_interval=(0, 500))
        for name, count in zip(("vanilla", "robust"), counts, strict=True)
    ]
    guided_trajectory(call, schedule, arms, x_T, LABEL, noise.__getitem__)
    timesteps = schedule.timestep_map[::-1].tolist()
    inside = sum(timestep <= 500 for timestep in timesteps)
    # The step that first tells them apart still has one common state.
    assert denoiser_rows == [BATCH] * (len(timesteps) - inside + 1) + [2 * BATCH] * (inside - 1)
    assert [rows for _, rows in counts] == [[BATCH] * inside] * 2


def test_one_classifier_at_two_scales_is_called_once_per_step(denoiser, classifiers, schedule):
    call, rows = counted(classifiers[0])
    x_T, noise = draws(schedule)
    arms = [GuidedArm(name=str(s), classifier=call, classifier_scale=s) for s in (0.5, 1.0, 2.0)]
    images = guided_trajectory(denoiser, schedule, arms, x_T, LABEL, noise.__getitem__)
    assert rows == [BATCH] + [3 * BATCH] * (schedule.num_timesteps - 1)
    assert len({tuple(image.flatten().tolist()) for image in images.values()}) == 3


def test_interval_outside_the_process_leaves_the_arm_unguided(denoiser, classifiers, schedule):
    x_T, noise = draws(schedule)
    arms = [
        GuidedArm(name="never", classifier=classifiers[0], classifier_scale=3.0, guidance_interval=(1000, 2000)),
        GuidedArm(name="unguided"),
    ]
    images = guided_trajectory(denoiser, schedule, arms, x_T, LABEL, noise.__getitem__)
    assert torch.equal(images["never"], images["unguided"])


def test_class_free_arm_and_plain_arm_differ_and_share_one_call(schedule):
    denoiser = tiny_denoiser(num_classes=5)
    call, rows = counted(denoiser)
    x_T, noise = draws(schedule)
    arms = [GuidedArm(name="plain"), GuidedArm(name="free", class_free_scale=2.0)]
    images = guided_trajectory(call, schedule, arms, x_T, LABEL, noise.__getitem__, null_label=4)
    assert rows == [2 * BATCH] + [3 * BATCH] * (schedule.num_timesteps - 1)
    assert (images["plain"] - images["free"]).abs().max() > 1e-3


def test_observer_sees_every_step_of_every_arm(denoiser, two_arms, schedule):
    x_T, noise = draws(schedule)
    views = []
    images = guided_trajectory(denoiser, schedule, two_arms, x_T, LABEL, noise.__getitem__, on_step=views.append)
    assert [view.index for view in views] == list(reversed(range(schedule.num_timesteps)))
    assert [view.timestep for view in views] == schedule.timestep_map[::-1].tolist()
    assert torch.equal(views[0].pred_x_start["vanilla"], views[0].pred_x_start["robust"])
    assert not torch.equal(views[-1].pred_x_start["vanilla"], views[-1].pred_x_start["robust"])
    assert torch.equal(views[-1].x["robust"], images["robust"])


def test_trajectory_stops_when_told(denoiser, two_arms, schedule):
    asked = iter([False, False, True])
    x_T, noise = draws(schedule)
    with pytest.raises(SamplingStopped, match="stopped before timestep 9 of 12"):
        guided_trajectory(denoiser, schedule, two_arms, x_T, LABEL, noise.__getitem__, should_stop=lambda: next(asked))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"arms": []}, "give at least one"),
        ({"arms": [GuidedArm(name="a"), GuidedArm(name="a")]}, "each with its own name"),
        ({"sampler": "heun"}, "choose one of ancestral, ddim, dpm_solver_2m"),
        ({"eta": 1.5, "sampler": "ddim"}, r"eta is 1.5; it must lie in \[0, 1\]"),
        ({"class_label": torch.tensor([0])}, r"class_label has shape \(1,\) for 3 rows"),
        ({"step_noise": None}, "sampler 'ancestral' adds noise at every step"),
        ({"step_noise": None, "sampler": "ddim", "eta": 0.5}, "sampler 'ddim' adds noise"),
        ({"arms": [GuidedArm(name="free", class_free_scale=2.0)]}, "arm 'free' asks for classifier-free guidance"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(denoiser, schedule, changes, complaint):
    x_T, noise = draws(schedule)
    arguments = {"arms": [GuidedArm(name="a")], "class_label": LABEL, "step_noise": noise.__getitem__} | changes
    with pytest.raises(ValueError, match=complaint):
        guided_trajectory(denoiser, schedule, x_T=x_T, **arguments)
