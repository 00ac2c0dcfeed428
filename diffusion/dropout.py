"""Dropout whose masks belong to images: the same in any batch, process, microbatch or device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["KeyedDropout", "keyed_dropout", "without_dropout"]

# 2^32 over the golden ratio, which spreads counters; and the multipliers of MurmurHash3's finaliser, as signed numbers.
_GOLDEN = 0x9E3779B9 - 2**32
_MIX = (0x85EBCA6B - 2**32, 0xC2B2AE35 - 2**32)
_BITS = 24


class KeyedDropout(nn.Dropout):
    """Dropout that draws from torch's generator, or, inside `keyed_dropout`, from the keys of the images."""

    keys: Tensor | None = None
    layer: int = 0

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of `x` (B, ...) while training."""
        if self.keys is None or not self.training or self.p == 0:
            return super().forward(x)
        if len(self.keys) != len(x):
            raise ValueError(f"{len(self.keys)} dropout keys for {len(x)} images; give one an image")
        kept = kept_values(self.keys, self.layer, x[0].numel(), self.p).view(x.shape)
        # Divided here rather than at sampling, so that the expected value is the same in both modes.
        return x * kept.to(x.dtype) / (1 - self.p)


def kept_values(keys: Tensor, layer: int, count: int, share: float) -> Tensor:
    """Return which values of each image stay: Tensor (B, count), bool; a hash of key, layer and place decides.

    Parameters
    ----------
    keys : Tensor (B,), int64
    layer, count : int
    share : float
        Of the values that are dropped, in [0, 1).
    """
    # Another multiple for every layer: two layers of one size must not drop the same places.
    low, high = (keys + layer * 0x9E3779B97F4A7C15 % 2**63).view(torch.int32).view(-1, 2).unbind(1)
    place = torch.arange(count, device=keys.device, dtype=torch.int32) * _GOLDEN
    mixed = _mixed(_mixed(place + _mixed(low)[:, None]) ^ _mixed(high ^ _MIX[0])[:, None])
    return _shifted(mixed, 32 - _BITS) >= int(share * 2**_BITS)


def _mixed(z: Tensor) -> Tensor:
    """Mix the bits of 32-bit numbers (the finaliser of MurmurHash3, which is in the public domain)."""
    z = (z ^ _shifted(z, 16)) * _MIX[0]
    z = (z ^ _shifted(z, 13)) * _MIX[1]
    return z ^ _shifted(z, 16)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Shift to the right, filling with zeros."""
    return (z >> bits) & ((1 << (32 - bits)) - 1)


def _dropouts(network: Any) -> list[KeyedDropout]:
    modules = network.modules() if isinstance(network, nn.Module) else ()
    return [module for module in modules if isinstance(module, KeyedDropout)]


@contextmanager
def keyed_dropout(network: Any, keys: Tensor) -> Iterator[None]:
    """Draw dropout masks from keys (B,) int64, one an image, for a while; the device is that of the network's input."""
    layers = _dropouts(network)
    for number, layer in enumerate(layers):
        layer.keys, layer.layer = keys, number
    try:
        yield
    finally:
        for layer in layers:
            layer.keys = None


@contextmanager
def without_dropout(network: Any) -> Iterator[None]:
    """Drop nothing for a while, whatever mode the network is in."""
    layers = [layer for layer in _dropouts(network) if layer.training]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True
