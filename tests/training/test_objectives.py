import copy

import pytest
import torch
import torch.nn.functional as F

from diffusion.schedule import NoiseSchedule
from tests.training.networks import tiny_batch, tiny_classifier
from training.attack import AttackConfig, attack
from training.objectives import ClassifierObjective, classifier_objective
from training.row_gradients import RowGradients

SCHEDULE = NoiseSchedule.named("linear")
FIXED = {"step_rule": "fixed", "step_size": 0.5}
ATTACKS = {
    "l2": AttackConfig(epsilon=1.5, **FIXED),
    "linf": AttackConfig(norm="linf", epsilon=0.1, step_rule="cifar10"),
    "targeted": AttackConfig(epsilon=4.0, targeted=True, **FIXED),
    "random start": AttackConfig(epsilon=2.0, steps=4, random_start=True, **FIXED),
    "no early stop": AttackConfig(epsilon=1.0, steps=2, early_stop=False, **FIXED),
    "no steps": AttackConfig(steps=0),
    "vanilla": None,
}
FIRST_WRONG = [0, 2, 3, 7, 10]


def generator():
    return torch.Generator().manual_seed(4)


def batch(network, wrong=FIRST_WRONG):
    x, _, t = tiny_batch()
    y = predicted(network, x, t)
    y[wrong] = (y[wrong] + 1) % 4
    return x, y, t


def in_two_passes(network, config, x, y, t, weights):
    """Attack with frozen parameters, then train on the result in one pass."""
    if config:
        x = attack(network, x, y, t, config=config, schedule=SCHEDULE, classes=4, generator=generator()).x_adv
    loss = F.cross_entropy(network(x, t), y, reduction="none")
    (loss * weights).sum().backward()
    return x, loss.detach()


def objective(network, config, **options):
    return ClassifierObjective(SCHEDULE, config, 4, network, **options)


def run(objective, network, x, y, t, weights):
    return objective(network, x, y=y, t=t, x_start=x, noise=x, weights=weights, generator=generator())


def predicted(network, x, t):
    with torch.no_grad():
        return network(x, t).argmax(-1)


def assert_same_gradients(network, other, *, tolerance=2e-5):
    largest = max(parameter.grad.abs().max().item() for parameter in other.parameters())
    for (name, one), two in zip(network.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=tolerance * largest, msg=name)


@pytest.mark.parametrize("name", ATTACKS)
def test_training_in_passing_equals_an_attack_and_then_a_training_pass(name):
    plain = tiny_classifier()
    x, y, t = batch(plain)
    weights = torch.linspace(0.5, 2, len(y)) / len(y)
    network = copy.deepcopy(plain)
    x_adv, loss = in_two_passes(plain, ATTACKS[name], x, y, t, weights)

    ours = objective(network, ATTACKS[name], gradients=RowGradients(network))
    losses = run(ours, network, x, y, t, weights)

    torch.testing.assert_close(losses.x, x_adv, rtol=0, atol=2e-5)
    torch.testing.assert_close(losses.loss, loss, rtol=1e-4, atol=1e-4)
    assert torch.equal(losses.facts["accuracy"], predicted(plain, x_adv, t).eq(y).float())
    assert_same_gradients(network, plain)


def watched(network):
    """Return the network as a function, and the list of how many images each call saw."""
    seen = []

    def call(x, t):
        seen.append(len(x))
        return network(x, t)

    return call, seen


def test_image_that_stops_is_not_sent_forward_again():
    network = tiny_classifier()
    x, y, t = batch(network)
    call, seen = watched(network)
    last, trained = watched(network)
    # A step too small to fool any other image.
    config = AttackConfig(epsilon=1e-4, steps=3)

    losses = run(objective(call, config, gradients=RowGradients(network)), last, x, y, t, torch.ones(12))

    assert (seen, trained, losses.image_passes) == ([12, 7, 7], [7], 33)


def test_one_image_is_left_to_the_pass_in_which_processes_average():
    plain = tiny_classifier()
    x, y, t = batch(plain, wrong=list(range(12)))
    network = copy.deepcopy(plain)
    last, trained = watched(network)
    in_two_passes(plain, ATTACKS["l2"], x, y, t, torch.ones(12))

    ours = objective(network, ATTACKS["l2"], gradients=RowGradients(network))
    run(ours, last, x, y, t, torch.ones(12))

    assert trained == [1]
    assert_same_gradients(network, plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_trains_in_passing_too(dtype):
    plain = tiny_classifier()
    x, y, t = batch(plain)
    network = copy.deepcopy(plain)
    # As a loss scale does it.
    weights = torch.full((12,), 1024.0 / 12)
    config = AttackConfig(epsilon=1e-4, steps=3)
    in_two_passes(plain, config, x, y, t, weights)

    run(objective(network, config, autocast=dtype, gradients=RowGradients(network)), network, x, y, t, weights)

    found, expected = (
        torch.cat([parameter.grad.flatten() for parameter in one.parameters()]) for one in (network, plain)
    )
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 0.1 * expected.norm()


def test_passes_are_of_the_kind_that_suits_the_network():
    def made(*, is_compiled=False, **settings):
        network = tiny_classifier(**settings)
        compiled = torch.compile(network, backend="eager") if is_compiled else None
        return classifier_objective(network, SCHEDULE, None, compiled=compiled, batch_size=128)

    assert made().gradients
    assert made(dropout=0.1).gradients is None
    assert (made(is_compiled=True).gradients, made(is_compiled=True).bucket) == (None, 16)
