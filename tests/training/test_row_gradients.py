import copy

import pytest
import torch
from torch import nn

from diffusion.blocks import fuse_attention
from tests.training.networks import tiny_classifier
from training.row_gradients import RowGradients

SETTINGS = {
    "attention": {},
    "new attention order": {"use_new_attention_order": True},
    "adaptive": {"pool": "adaptive"},
    "spatial": {"pool": "spatial"},
    "spatial_v2": {"pool": "spatial_v2"},
    "added embedding": {"use_scale_shift_norm": False},
    "strided convolutions": {"resblock_updown": False},
    "halving without weights": {"resblock_updown": False, "conv_resample": False},
}


def losses_of(network, *inputs):
    output = network(*inputs)
    return (output * torch.linspace(-1, 1, output[0].numel())).flatten(1).sum(1).square()


def assert_rows_learn(network, x, *rest, rows, tolerance):
    """Compare with a backward pass through those rows alone, and the input's gradient with the whole batch's."""
    other = copy.deepcopy(network)
    leaf = x.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(losses_of(other, leaf, *rest).sum(), leaf)
    losses_of(other, x[rows], *(value[rows] for value in rest)).sum().backward()

    gradients = RowGradients(network)
    leaf = x.clone().requires_grad_(True)
    with gradients.watching():
        loss = losses_of(network, leaf, *rest).sum()
    found = gradients.backward(loss, leaf, rows)

    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * expected.abs().max().item())
    largest = max(parameter.grad.abs().max().item() for parameter in other.parameters())
    for (name, one), two in zip(network.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=tolerance * largest, msg=name)


def test_plain_layers_learn_to_the_last_digits():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.SiLU(), nn.Conv2d(8, 8, 3, stride=2, groups=2)]
        layers += [nn.Flatten(2), nn.Conv1d(8, 4, 1), nn.Flatten(), nn.Linear(4 * 9, 5)]
        network = nn.Sequential(*layers).double()
        x = torch.randn(6, 3, 8, 8, dtype=torch.float64)

    assert_rows_learn(network, x, rows=torch.tensor([4, 1, 2]), tolerance=1e-13)


@pytest.mark.parametrize("name", SETTINGS)
def test_chosen_images_teach_every_layer_of_a_classifier(name):
    network = tiny_classifier(**SETTINGS[name])
    x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(2))

    assert_rows_learn(network, x, torch.tensor([0, 300, 999, 5, 50]), rows=torch.tensor([0, 3]), tolerance=2e-5)


def test_gradients_add_up_and_no_rows_add_nothing():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    gradients = RowGradients(network)
    x = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))

    def learn(*rows):
        leaf = x.clone().requires_grad_(True)
        with gradients.watching():
            loss = network(leaf).sum()
        gradients.backward(loss, leaf, torch.tensor(rows, dtype=torch.int64))

    learn()
    assert network[0].weight.grad is None
    learn(0, 1)
    learn(3)
    torch.testing.assert_close(network[0].weight.grad, x[[0, 1, 3]].sum(0).expand(4, -1, -1, -1))


def test_frozen_parameters_stay_without_gradient():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    network[0].requires_grad_(False)
    network[2].bias.requires_grad_(False)
    gradients = RowGradients(network)
    leaf = torch.ones(2, 3, 3, 3, requires_grad=True)

    with gradients.watching():
        loss = network(leaf).sum()
    gradients.backward(loss, leaf, torch.tensor([0]))

    assert [parameter.grad is not None for parameter in network.parameters()] == [False, False, True, False]


def test_layer_that_is_not_called_is_named():
    network = fuse_attention(tiny_classifier())
    gradients = RowGradients(network)
    leaf = torch.ones(2, 3, 8, 8, requires_grad=True)

    with gradients.watching():
        loss = network(leaf, torch.zeros(2)).sum()
    with pytest.raises(RuntimeError, match="not called as modules: Conv1d"):
        gradients.backward(loss, leaf, torch.tensor([0]))


def test_network_is_watched_only_meanwhile():
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    with RowGradients(network).watching():
        assert network[0]._forward_hooks
    assert not network[0]._forward_hooks
