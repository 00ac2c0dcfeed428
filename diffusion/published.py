"""Configurations of the published checkpoints, by name.

`adm*`: Dhariwal and Nichol's ImageNet networks (`128x128_diffusion.pt` is `adm128_denoiser`, and so on); the robust
ImageNet classifier has the layout of `adm128_classifier`. `cifar10_*`: the CIFAR-10 networks of the robust-guidance
experiments, the denoiser being improved-diffusion's.
"""

from diffusion.settings import ClassifierConfig, DenoiserConfig

# Channel multipliers of the published networks at these sizes.
_MULT_256 = (1, 1, 2, 2, 4, 4)
_MULT_512 = (0.5, 1, 1, 2, 2, 4, 4)


def _adm_denoiser(image_size: int, channel_mult: tuple[float, ...], *, classes: int | None = 1000) -> DenoiserConfig:
    return DenoiserConfig(
        image_size=image_size,
        model_channels=256,
        channel_mult=channel_mult,
        num_head_channels=64,
        num_classes=classes,
    )


def _adm_classifier(image_size: int, channel_mult: tuple[float, ...], *, blocks: int = 2) -> ClassifierConfig:
    return ClassifierConfig(
        image_size=image_size,
        model_channels=128,
        channel_mult=channel_mult,
        num_res_blocks=blocks,
        num_classes=1000,
    )


PUBLISHED: dict[str, ClassifierConfig | DenoiserConfig] = {
    "adm64_denoiser": DenoiserConfig(
        image_size=64,
        model_channels=192,
        channel_mult=(1, 2, 3, 4),
        num_res_blocks=3,
        num_head_channels=64,
        use_new_attention_order=True,
        num_classes=1000,
        dropout=0.1,
    ),
    "adm128_denoiser": DenoiserConfig(
        image_size=128, model_channels=256, channel_mult=(1, 1, 2, 3, 4), num_heads=4, num_classes=1000
    ),
    "adm256_denoiser": _adm_denoiser(256, _MULT_256),
    "adm256_denoiser_unconditional": _adm_denoiser(256, _MULT_256, classes=None),
    "adm512_denoiser": _adm_denoiser(512, _MULT_512),
    "adm64_classifier": _adm_classifier(64, (1, 2, 3, 4), blocks=4),
    "adm128_classifier": _adm_classifier(128, (1, 1, 2, 3, 4)),
    "adm256_classifier": _adm_classifier(256, _MULT_256),
    "adm512_classifier": _adm_classifier(512, _MULT_512),
    "cifar10_denoiser": DenoiserConfig(
        image_size=32,
        model_channels=128,
        channel_mult=(1, 2, 2, 2),
        num_res_blocks=3,
        attention_resolutions=(16, 8),
        num_heads=4,
        resblock_updown=False,
        num_classes=10,
        dropout=0.1,
    ),
    "cifar10_classifier": ClassifierConfig(
        image_size=32,
        model_channels=32,
        channel_mult=(1, 2, 2, 4),
        attention_resolutions=(16, 8),
        num_classes=10,
    ),
}
