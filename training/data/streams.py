"""Random numbers that belong to a sample, not to a moment.

Every draw is keyed by (seed, purpose, index of the sample in the run), never by how many draws came before. Resuming,
another number of processes or another order of loading therefore sees the same numbers.
"""

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """What a stream is for; the values are part of what a seed means and never change."""

    ORDER = 1
    AUGMENT = 2
    TIMESTEP = 3
    NOISE = 4
    ATTACK = 5
    DROPOUT = 6
    SPLIT = 7
    INITIAL_WEIGHTS = 8
    VALIDATION = 9
    LABEL = 10


def stream(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """Return the generator of one sample (or epoch, or iteration)."""
    # Counter-based: any sample's stream is reached at once, and streams of other indices never overlap.
    return np.random.Generator(np.random.Philox(key=[seed, int(purpose)], counter=[0, 0, 0, index]))


def torch_seed(seed: int, purpose: Purpose, index: int = 0) -> int:
    """Return a 63-bit seed for a torch generator."""
    # Within what torch takes as a seed, signed or not.
    return int(stream(seed, purpose, index).integers(2**63))


def sample_noise(seed: int, indices: np.ndarray, shape: tuple[int, ...], purpose: Purpose = Purpose.NOISE) -> Tensor:
    """Return standard normal noise of the given samples: Tensor (len(indices), *shape), float32."""
    noise = np.empty((len(indices), *shape), dtype=np.float32)
    for row, index in enumerate(indices):
        stream(seed, purpose, int(index)).standard_normal(out=noise[row], dtype=np.float32)
    return torch.from_numpy(noise)


def sample_uniforms(seed: int, indices: np.ndarray, purpose: Purpose) -> np.ndarray:
    """Return one uniform number in [0, 1) per sample, float64."""
    return np.array([stream(seed, purpose, int(index)).random() for index in indices])
