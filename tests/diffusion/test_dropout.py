from __future__ import annotations

import pytest
import torch

from diffusion.dropout import KeyedDropout, kept_values, keyed_dropout, without_dropout

KEYS = torch.tensor([1, 2, 3, 2**62, 1])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_kept_and_images_layers_and_places_are_independent(share):
    kept = torch.stack([kept_values(KEYS, layer, 40_000, share) for layer in range(6)]).float()
    assert (kept.mean(dim=2) - (1 - share)).abs().max() < 5 * (share * (1 - share) / 40_000) ** 0.5
    assert torch.equal(kept[:, 0], kept[:, 4])
    rows = kept[:, :4].reshape(24, -1)
    shifted = torch.cat([rows, rows.roll(1, dims=1)])
    correlation = torch.corrcoef(shifted) - torch.eye(48)
    assert correlation.abs().max() < 0.03


def test_masks_belong_to_keys_and_not_to_the_batch():
    layer, x = KeyedDropout(0.4), torch.ones(5, 3, 4, 4)
    network = torch.nn.Sequential(layer)
    with keyed_dropout(network, KEYS):
        whole = network(x)
    for row in range(5):
        with keyed_dropout(network, KEYS[row : row + 1]):
            assert torch.equal(network(x[:1])[0], whole[row])
    assert whole.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    with keyed_dropout(network, KEYS[:2]), pytest.raises(ValueError, match="2 dropout keys for 5 images"):
        network(x)


def test_without_keys_or_in_eval_mode_it_is_ordinary_dropout():
    layer, x = KeyedDropout(0.4), torch.ones(5, 40)
    torch.manual_seed(0)
    ours = layer(x)
    torch.manual_seed(0)
    assert torch.equal(ours, torch.nn.Dropout(0.4)(x))
    with without_dropout(layer):
        assert torch.equal(layer(x), x)
    assert layer.training
    with keyed_dropout(layer, KEYS):
        assert torch.equal(layer.eval()(x), x)
