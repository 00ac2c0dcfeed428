"""The published networks by name: their noise schedules and the digests of their files. No torch: the web reads it too.

Configurations stand in `diffusion.published`, which has the same names.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DIGESTS", "FILES", "NAMES", "SCHEDULES", "PublishedFile"]

_LINEAR = {"name": "linear", "timesteps": 1000}
# The flags of their sampling commands; a classifier follows its denoiser.
SCHEDULES: dict[str, dict] = {
    "adm64_denoiser": {"name": "cosine", "timesteps": 1000},
    "adm128_denoiser": _LINEAR,
    "adm256_denoiser": _LINEAR,
    "adm256_denoiser_unconditional": _LINEAR,
    "adm512_denoiser": _LINEAR,
    "cifar10_denoiser": {**_LINEAR, "rescale_timesteps": True},
}
NAMES = (
    *SCHEDULES,
    "adm64_classifier",
    "adm128_classifier",
    "adm256_classifier",
    "adm512_classifier",
    "cifar10_classifier",
)


class PublishedFile(NamedTuple):
    """A file as its publishers serve it, and the network that its weights belong to."""

    name: str
    size: int
    sha256: str
    network: str


# The publishers give no digests. A file stands here once two sources that know nothing of each other agree on its name,
# size and SHA-256, and the size is that of the network's tensors with the few hundred bytes that `torch.save` writes
# beside each. One is always a copy on huggingface.co, whose Git LFS pointer holds the digest of the bytes uploaded.
# - 64x64_diffusion.pt: the copy in danaroth/guided_diffusion; a public sampler that fetches the publisher's file and
#   checks its size and digest.
# - 256x256_diffusion_uncond.pt: the copies in deepinv/diffunet and sj98/DiffuseIT; Disco Diffusion 5, which fetches the
#   publisher's. (Its earlier releases and their many copies give 983e3de6...: that is secondary_model_imagenet_2.pth.)
# For the others no more than one source is known.
FILES = (
    PublishedFile(
        "64x64_diffusion.pt",
        1_183_736_577,
        "a18558f9a2499615a3ff9759ad12299690ad36ee3378c395adbb94855e2b634f",
        "adm64_denoiser",
    ),
    PublishedFile(
        "256x256_diffusion_uncond.pt",
        2_211_383_297,
        "a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1",
        "adm256_denoiser_unconditional",
    ),
)
# {SHA-256 of a file: name}. `load_network` tells a file's digest where it must be named.
DIGESTS: dict[str, str] = {one.sha256: one.network for one in FILES}
