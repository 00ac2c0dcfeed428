"""A feature network with random weights, for tests alone: its name keeps its numbers out of every export."""

import numpy as np
import torch

from analysis.images import FeatureIdentity
from generation.features.networks import FeatureBatch, FeatureNetwork


class RandomConvFeatures(FeatureNetwork):
    """Eight channels of one fixed random convolution, averaged and squared-averaged: 16 features, any image size."""

    def __init__(self, *, is_inception: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        network = torch.nn.Conv2d(3, 8, 3, padding=1).requires_grad_(False)
        network.weight.copy_(torch.randn(network.weight.shape, generator=generator) * 0.1)
        network.bias.zero_()
        self.calls = self.images = 0
        identity = FeatureIdentity(name="fd_random_conv_v1", sha256="0" * 64)
        if is_inception:
            identity = FeatureIdentity(name="inception-2015-12-05", sha256="6726825d" + "0" * 56)
        super().__init__(identity, network, torch.device("cpu"))

    def _extract(self, pixels: torch.Tensor) -> FeatureBatch:
        self.calls += 1
        self.images += len(pixels)
        maps = torch.tanh(self.network(pixels.float() / 127.5 - 1.0))
        pool = torch.cat([maps.mean(dim=(2, 3)), maps.square().mean(dim=(2, 3))], dim=1).numpy()
        return FeatureBatch(pool.astype(np.float32))
