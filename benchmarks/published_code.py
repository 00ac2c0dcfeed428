"""Networks of the published code itself, from a checkout of guided-diffusion, with our weights."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from diffusion.encoder import Encoder
from diffusion.unet import Denoiser

__all__ = ["published_network"]


def published_network(network: Encoder, checkout: Path, *, use_fp16: bool = False) -> nn.Module:
    """Build the published network of the same settings and give it the same weights, strictly by key and shape.

    Its UNet without resampling residual blocks is improved-diffusion's, of which the code is a later version.

    Parameters
    ----------
    network : Denoiser or Classifier
    checkout : path
        The root of guided-diffusion's repository.
    use_fp16 : bool
        The published fp16 mode; the weights are then copied, otherwise shared.
    """
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    from guided_diffusion.unet import EncoderUNetModel, UNetModel

    config = network.config
    if isinstance(network, Denoiser):
        kind, more = UNetModel, {"out_channels": config.out_channels, "num_classes": config.num_classes}
    else:
        kind, more = EncoderUNetModel, {"out_channels": config.num_classes, "pool": config.pool}
    with torch.device("meta"):
        built = kind(
            image_size=config.image_size,
            in_channels=config.in_channels,
            model_channels=config.model_channels,
            num_res_blocks=config.num_res_blocks,
            channel_mult=config.channel_mult,
            attention_resolutions=tuple(config.image_size // side for side in config.attention_resolutions),
            num_heads=config.num_heads,
            num_head_channels=config.num_head_channels or -1,
            use_scale_shift_norm=config.use_scale_shift_norm,
            resblock_updown=config.resblock_updown,
            use_new_attention_order=config.use_new_attention_order,
            dropout=config.dropout,
            use_fp16=use_fp16,
            **more,
        )
    weights = {key: value.float() for key, value in network.state_dict().items()}
    built.load_state_dict(weights, strict=True, assign=True)
    if use_fp16:
        built.convert_to_fp16()
    return built.eval()
