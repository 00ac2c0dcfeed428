"""Small networks whose outputs mean something, for the tests of attacks and training."""

import dataclasses

import torch

from diffusion.classifier import Classifier, ClassifierConfig

TINY = ClassifierConfig(
    image_size=8,
    model_channels=32,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_resolutions=(4,),
    num_head_channels=32,
    num_classes=4,
)


def tiny_classifier(seed: int = 0, *, spread: float = 1.0, **settings) -> Classifier:
    """Return a classifier whose residual branches are not zero, so that its gradients are those of a trained one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = dataclasses.replace(TINY, **settings).build()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                scale = spread * 1.5 / parameter[0].numel() ** 0.5
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return network


def tiny_batch(size: int = 12, seed: int = 1):
    """Return x_t, labels and timesteps."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, 3, 8, 8, generator=generator)
    return x, torch.randint(0, 4, (size,), generator=generator), torch.randint(0, 1000, (size,), generator=generator)
