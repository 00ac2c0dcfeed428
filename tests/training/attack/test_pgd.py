import pytest
import torch
import torch.nn.functional as F

from benchmarks.published_attack import published_l2, published_linf
from diffusion.schedule import NoiseSchedule
from tests.training.networks import tiny_batch, tiny_classifier
from training.attack.config import AttackConfig
from training.attack.pgd import attack, input_gradient, pgd

PUBLISHED = {"l2": published_l2, "linf": published_linf}
SETTINGS = {
    "l2": {"epsilon": 1.5, "step_size": 0.5, "steps": 7},
    "linf": {"epsilon": 0.1, "step_size": 2.5 * 0.1 / 7, "steps": 7},
}
NORMS = list(PUBLISHED)


def predicted(network, x, t):
    with torch.no_grad():
        return network(x, t).argmax(-1)


def length(delta, norm):
    flat = delta.flatten(1)
    return flat.norm(dim=1) if norm == "l2" else flat.abs().amax(dim=1)


def half_right(network):
    """Return a batch on half of which the network is right, so that early stopping matters from the first step."""
    x, _, t = tiny_batch()
    y = predicted(network, x, t)
    y[::2] = (y[::2] + 1) % 4
    return x, y, t


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_result_equals_the_published_algorithm_image_for_image(norm, seed):
    network = tiny_classifier(seed)
    x, y, t = half_right(network)
    expected = PUBLISHED[norm](network, x, y, t, **SETTINGS[norm])

    result = pgd(network, x, y, t, norm=norm, **SETTINGS[norm])

    torch.testing.assert_close(result.x_adv, expected, rtol=0, atol=1e-5)
    moved = (expected != x).flatten(1).any(1)
    assert 0 < moved.sum() <= 6
    stopped_early = torch.stack(result.active).sum(0)[moved] < 7
    assert stopped_early.any(), "no image was fooled before the last step: the case is too easy to be a test"


@pytest.mark.parametrize("norm", NORMS)
def test_only_images_in_play_are_sent_through_the_network(norm):
    network = tiny_classifier()
    x, y, t = half_right(network)
    seen = []

    def watched(x, t):
        seen.append(len(x))
        return network(x, t)

    result = pgd(watched, x, y, t, norm=norm, **SETTINGS[norm])

    active = [int(step.sum()) for step in result.active]
    assert seen == [12, *active[: len(seen) - 1]]
    assert result.image_passes == sum(seen) < 12 * 7
    torch.testing.assert_close(result.clean_logits, network(x, t).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_padding_to_a_bucket_changes_no_image(norm):
    network = tiny_classifier()
    x, y, t = half_right(network)

    plain = pgd(network, x, y, t, norm=norm, **SETTINGS[norm])
    padded = pgd(network, x, y, t, norm=norm, bucket=5, **SETTINGS[norm])

    torch.testing.assert_close(padded.x_adv, plain.x_adv, rtol=0, atol=1e-5)
    assert padded.image_passes % 5 == 0


@pytest.mark.parametrize("norm", NORMS)
def test_perturbation_stays_inside_every_images_own_ball(norm):
    network = tiny_classifier()
    x, y, t = tiny_batch()
    epsilon = torch.linspace(0, 0.8, len(x))

    result = pgd(network, x, y, t, norm=norm, epsilon=epsilon, step_size=epsilon, steps=5, early_stop=False)

    assert (length(result.x_adv - x, norm) <= epsilon + 1e-5).all()
    torch.testing.assert_close(length(result.x_adv - x, norm), epsilon, rtol=1e-4, atol=1e-5)


def test_attack_lowers_accuracy_and_leaves_wrong_images_alone():
    network = tiny_classifier()
    x, y, t = half_right(network)

    result = pgd(network, x, y, t, norm="l2", epsilon=3.0, step_size=1.0, steps=10)

    assert torch.equal(result.x_adv[::2], x[::2])
    assert (predicted(network, result.x_adv, t)[1::2] != y[1::2]).float().mean() > 0.5


def test_without_early_stop_every_image_takes_every_step():
    network = tiny_classifier()
    x, y, t = half_right(network)

    result = pgd(network, x, y, t, norm="l2", epsilon=1.0, step_size=0.25, steps=3, early_stop=False)

    assert all(step.all() for step in result.active)
    assert result.image_passes == 36


def test_targeted_attack_reaches_its_targets_and_stops_there():
    network = tiny_classifier()
    x, _, t = tiny_batch()
    target = (predicted(network, x, t) + 1) % 4

    result = pgd(network, x, target, t, norm="l2", epsilon=8.0, step_size=1.0, steps=20, targeted=True)

    assert (predicted(network, result.x_adv, t) == target).float().mean() > 0.9
    assert len(result.active) < 20 or not result.active[-1].all()


@pytest.mark.parametrize("norm", NORMS)
def test_random_start_is_inside_the_ball_and_belongs_to_the_generator(norm):
    network = tiny_classifier()
    x, y, t = tiny_batch(64)

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        options = {"norm": norm, "epsilon": 0.5, "step_size": 0.0, "steps": 1, "random_start": True}
        return pgd(network, x, y, t, generator=generator, **options).x_adv - x

    radius = length(run(0), norm)
    assert (radius <= 0.5 + 1e-6).all()
    assert radius.max() > 0.45
    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_random_start_of_the_l2_ball_is_uniform_in_volume():
    network = tiny_classifier()
    x, y, t = tiny_batch(2000)
    generator = torch.Generator().manual_seed(0)
    options = {"norm": "l2", "epsilon": 1.0, "step_size": 0.0, "steps": 0, "random_start": True}

    delta = pgd(network, x, y, t, generator=generator, **options).x_adv - x

    dimensions = 3 * 8 * 8
    assert delta.flatten(1).norm(dim=1).mean().item() == pytest.approx(dimensions / (dimensions + 1), abs=5e-4)


def test_input_gradient_agrees_with_finite_differences():
    network = tiny_classifier()
    x, y, t = tiny_batch(4)
    gradient, logits = input_gradient(network, x, y, t)
    generator = torch.Generator().manual_seed(5)

    def losses(x):
        with torch.no_grad():
            return F.cross_entropy(network(x, t), y, reduction="none")

    torch.testing.assert_close(logits, network(x, t).detach())
    for direction in (gradient, *torch.randn((3, *x.shape), generator=generator)):
        direction = direction / direction.flatten(1).norm(dim=1)[:, None, None, None]
        slope = (losses(x + 0.02 * direction) - losses(x - 0.02 * direction)) / 0.04
        torch.testing.assert_close((gradient * direction).flatten(1).sum(1), slope, rtol=0.01, atol=2e-3)


def test_images_gradients_do_not_depend_on_their_neighbours():
    network = tiny_classifier()
    x, y, t = tiny_batch()

    together, _ = input_gradient(network, x, y, t)
    alone = torch.cat([input_gradient(network, x[i : i + 1], y[i : i + 1], t[i : i + 1])[0] for i in range(len(x))])

    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_network_is_left_as_it_was(training):
    network = tiny_classifier().train(training)
    next(network.parameters()).requires_grad_(False)
    wanted = [parameter.requires_grad for parameter in network.parameters()]
    x, y, t = tiny_batch()

    with torch.no_grad():
        pgd(network, x, y, t, norm="l2", epsilon=0.5, step_size=0.1, steps=2)

    assert network.training is training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [parameter.requires_grad for parameter in network.parameters()] == wanted


def test_targeted_attack_on_the_top_few_is_refused():
    x, y, t = tiny_batch()
    with pytest.raises(ValueError, match="top_k is 2; a targeted attack aims at the first place"):
        pgd(tiny_classifier(), x, y, t, norm="l2", epsilon=0.5, step_size=0.1, steps=2, targeted=True, top_k=2)


def test_parameters_are_released_when_the_network_fails():
    network = tiny_classifier()
    x, y, t = tiny_batch()
    with pytest.raises(ValueError, match="t has shape"):
        input_gradient(network, x, y, t[:1])
    with pytest.raises(ValueError, match="x has shape"):
        pgd(network, x[:, :1], y, t, norm="l2", epsilon=0.5, step_size=0.1, steps=2)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_same_input_gives_the_same_bits():
    network = tiny_classifier()
    x, y, t = tiny_batch()
    first, second = (pgd(network, x, y, t, norm="l2", **SETTINGS["l2"]).x_adv for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("rule", "steps", "share"), [("imagenet", 7, 1 / 6), ("imagenet", 20, 1 / 6), ("cifar10", 7, 2.5 / 7)]
)
def test_step_sizes_are_those_of_the_published_scripts(rule, steps, share):
    assert AttackConfig(step_rule=rule, steps=steps).relative_step == pytest.approx(share)


def test_epsilon_schedule_follows_the_noise_level():
    schedule = NoiseSchedule.named("linear")
    t = torch.tensor([0, 500, 999])
    abar = torch.tensor(schedule.alphas_cumprod[t.numpy()], dtype=torch.float32)

    def at(rule):
        return AttackConfig(epsilon=2.0, epsilon_rule=rule).epsilon_at(t, schedule)

    torch.testing.assert_close(at("constant"), torch.full((3,), 2.0))
    torch.testing.assert_close(at("signal"), 2 * abar.sqrt())
    torch.testing.assert_close(at("noise"), 2 * (1 - abar).sqrt())


def test_configured_attack_is_the_plain_one():
    network = tiny_classifier()
    x, y, t = half_right(network)
    config = AttackConfig(norm="l2", epsilon=1.5, steps=7, step_rule="fixed", step_size=0.5)

    result = attack(network, x, y, t, config=config, schedule=NoiseSchedule.named("linear"))

    assert torch.equal(result.x_adv, pgd(network, x, y, t, norm="l2", **SETTINGS["l2"]).x_adv)


def test_configured_targeted_attack_aims_at_other_classes_that_the_generator_draws():
    network = tiny_classifier()
    x, _, t = tiny_batch(32)
    y = predicted(network, x, t)
    config = AttackConfig(epsilon=8.0, steps=20, step_rule="fixed", step_size=1.0, targeted=True)
    schedule = NoiseSchedule.named("linear")

    def reached(seed):
        generator = torch.Generator().manual_seed(seed)
        result = attack(network, x, y, t, config=config, schedule=schedule, classes=4, generator=generator)
        return predicted(network, result.x_adv, t)

    assert (reached(0) != y).float().mean() > 0.9
    assert torch.equal(reached(0), reached(0))
    assert (reached(0) != reached(1)).any()
    with pytest.raises(ValueError, match="classes is None"):
        attack(network, x, y, t, config=config, schedule=schedule)


def test_half_precision_attack_stays_close():
    network = tiny_classifier()
    x, y, t = half_right(network)
    exact = pgd(network, x, y, t, norm="l2", epsilon=1.0, step_size=0.5, steps=2)
    rough = pgd(network, x, y, t, norm="l2", epsilon=1.0, step_size=0.5, steps=2, autocast=torch.bfloat16)
    cosine = F.cosine_similarity((exact.x_adv - x)[1::2].flatten(1), (rough.x_adv - x)[1::2].flatten(1))
    assert cosine.min() > 0.9


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"norm": "l1"}, "attack.norm is 'l1'"),
        ({"epsilon": -1}, "attack.epsilon is -1"),
        ({"steps": -1}, "attack.steps is -1"),
        ({"step_rule": "fixed"}, "attack.step_size is None"),
        ({"step_size": 0.1}, "attack.step_size is 0.1"),
        ({"epsilon_rule": "x"}, "attack.epsilon_rule is 'x'"),
    ],
)
def test_config_refuses_a_bad_value_by_name(change, named):
    with pytest.raises(ValueError, match=named):
        AttackConfig(**change)


def test_arguments_are_checked():
    network = tiny_classifier()
    x, y, t = tiny_batch(2)
    good = {"norm": "l2", "epsilon": 0.5, "step_size": 0.1, "steps": 1}
    for change, named in [
        ({"norm": "l0"}, "norm is 'l0'"),
        ({"epsilon": torch.ones(3)}, "epsilon has shape"),
        ({"step_size": -1.0}, "step_size is -1"),
    ]:
        with pytest.raises(ValueError, match=named):
            pgd(network, x, y, t, **{**good, **change})
    with pytest.raises(ValueError, match="one value per image"):
        pgd(network, x, y[:1], t, **good)
