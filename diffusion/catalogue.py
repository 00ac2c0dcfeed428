"""The published networks by name: their noise schedules and the digests of their files. No torch: the web reads it too.

Configurations stand in `diffusion.published`, which has the same names.
"""

from __future__ import annotations

__all__ = ["DIGESTS", "NAMES", "SCHEDULES"]

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
# {SHA-256 of a file: name}. The publishers give no digests, and those that go round name other files: a digest belongs
# here once it has been taken from the published address itself. `load_network` tells a file's digest when it is named.
DIGESTS: dict[str, str] = {}
