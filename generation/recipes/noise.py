"""The noise of a matched pair: a function of (study seed, class, index, timestep), bit-identical on every host.

Random bits come from the counter-based generator Philox4x64-10, whose raw words are fixed by its definition. They
become normals by the Box-Muller transform written in IEEE-exact operations only (add, multiply, divide, square root):
the logarithm and sine of a numerical library differ in the last bit between processors and versions, so they are not
used.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from generation.recipes.class_labels import CLASS_LIMIT

__all__ = [
    "INITIAL_STREAM",
    "NOISE_VERSION",
    "PairNoise",
    "PairSpec",
    "standard_normals",
    "timestep_stream",
    "uniform_words",
]

NOISE_VERSION = "philox4x64-10/box-muller-1"
"""Written into every manifest. Any change of a single bit of the noise must change this name."""

INITIAL_STREAM = 0
# What a 64-bit column holds, and what leaves the label 24 bits of a 64-bit key.
SEED_LIMIT = 2**63
INDEX_LIMIT = 2**40
_BLOCK = 8192  # words worked on at once: the temporaries of one block stay in the processor's cache


@dataclass(frozen=True, order=True)
class PairSpec:
    """What a pair is: the study's seed, the class asked for, and the pair's number within that class.

    Parameters
    ----------
    study_seed : int in [0, 2**63)
    class_label : int in [0, 2**24)
    index : int in [0, 2**40)

    Raises
    ------
    ValueError
        If a number is outside its range.
    """

    study_seed: int
    class_label: int
    index: int

    def __post_init__(self) -> None:
        limits = {"study_seed": SEED_LIMIT, "class_label": CLASS_LIMIT, "index": INDEX_LIMIT}
        for name, limit in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < limit:
                raise ValueError(f"{name} is {value!r}; it must be a whole number from 0 to {limit - 1}")

    @property
    def philox_key(self) -> tuple[int, int]:
        """The generator's 128-bit key: pairs of different class never share noise, whatever their index."""
        # 24 bits of class above 40 of index: no two pairs of a study can meet in one key.
        return self.study_seed, (self.class_label << 40) | self.index

    @property
    def key(self) -> str:
        """The pair's name inside its study, sortable as text within a class."""
        return f"{self.class_label}-{self.index:06d}"


def uniform_words(key: tuple[int, int], stream: int, count: int) -> np.ndarray:
    """Raw 64-bit words of one stream.

    Word 4j + i is output word i of Philox4x64-10 at counter (j + 1, 0, 0, stream), lowest counter word first.

    Parameters
    ----------
    key : (int, int)
        Two 64-bit words.
    stream : int in [0, 2**64)
    count : int

    Returns
    -------
    ndarray (count,), uint64

    References
    ----------
    Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3 (SC11).
    """
    generator = np.random.Philox(
        key=np.array(key, dtype=np.uint64), counter=np.array([0, 0, 0, stream], dtype=np.uint64)
    )
    return generator.random_raw(count)


def standard_normals(words: np.ndarray) -> np.ndarray:
    """Box-Muller transform of 64-bit words, the same bits everywhere.

    Words 2k and 2k+1 give normals 2k and 2k+1: with ``u = (w[2k] // 2**11 + 1) / 2**53`` in (0, 1] and
    ``v = (w[2k+1] // 2**11) / 2**53`` in [0, 1) they are ``sqrt(-2 ln u) * cos(2 pi v)`` and ``... * sin(2 pi v)``.

    Parameters
    ----------
    words : ndarray (even number,), uint64

    Returns
    -------
    ndarray, float32
        Rounded once from float64; the largest possible magnitude is 8.6.
    """
    normals = np.empty(words.size, dtype=np.float32)
    for start in range(0, words.size, _BLOCK):
        # The upper 53 bits: what a float64 holds exactly.
        block = words[start : start + _BLOCK] >> np.uint64(11)
        # From 1 to 2**53: zero has no logarithm.
        radius = np.sqrt(-2.0 * _log_of_fraction(block[0::2] + np.uint64(1)))
        cosine, sine = _cos_sin_of_turn(block[1::2])
        normals[start : start + _BLOCK : 2] = radius * cosine
        normals[start + 1 : start + _BLOCK : 2] = radius * sine
    return normals


# The nearest float64 as digits: a function of the library could round otherwise.
_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476
_ATANH_SERIES = [1.0 / (2 * k + 1) for k in range(11, -1, -1)]
_SINE_SERIES = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(8, -1, -1)]
_COSINE_SERIES = [(-1.0) ** k / math.factorial(2 * k) for k in range(8, -1, -1)]


def _polynomial(coefficients: list[float], x: np.ndarray) -> np.ndarray:
    """Horner's rule, one rounding per operation: each line is its own array pass, so nothing can be fused."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total


def _log_of_fraction(numerator: np.ndarray) -> np.ndarray:
    """ln(numerator / 2**53) for whole numbers from 1 to 2**53: the exponent apart, 2 atanh for the mantissa."""
    mantissa, exponent = np.frexp(numerator.astype(np.float64))
    is_low = mantissa < _SQRT_HALF
    # Around 1 instead of from 1/2 up: there the series needs few terms.
    mantissa = np.where(is_low, 2.0 * mantissa, mantissa)
    exponent = (exponent - is_low - 53).astype(np.float64)
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    series = _polynomial(_ATANH_SERIES, ratio * ratio)
    series *= ratio
    series *= 2.0
    exponent *= _LN2
    return exponent + series


def _cos_sin_of_turn(numerator: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of 2 pi numerator / 2**53: the nearest quarter turn comes off exactly, Taylor for the rest."""
    quarters = numerator.astype(np.float64) * 2.0**-51
    # Not rint, whose ties depend on a rounding mode; the subtraction below is exact.
    nearest = np.floor(quarters + 0.5)
    angle = (quarters - nearest) * (math.pi / 2)
    square = angle * angle
    sine = _polynomial(_SINE_SERIES, square)
    sine *= angle
    cosine = _polynomial(_COSINE_SERIES, square)
    quadrant = nearest.astype(np.int64) & 3
    is_odd = (quadrant & 1) == 1
    first, second = np.where(is_odd, sine, cosine), np.where(is_odd, cosine, sine)
    np.negative(first, out=first, where=(quadrant == 1) | (quadrant == 2))
    np.negative(second, out=second, where=quadrant >= 2)
    return first, second


def timestep_stream(timestep: int) -> int:
    """Stream of the noise added at a timestep of the ORIGINAL process: the same whatever the respacing."""
    return timestep + 1


@dataclass(frozen=True)
class PairNoise:
    """Every draw of one pair, each by its own name; no draw depends on another having been made.

    Parameters
    ----------
    spec : PairSpec
    shape : tuple of int
        Shape of one image, (C, H, W).
    """

    spec: PairSpec
    shape: tuple[int, ...]

    def stream(self, stream: int) -> np.ndarray:
        """One draw of standard normals: ndarray of ``shape``, float32."""
        count = math.prod(self.shape)
        words = uniform_words(self.spec.philox_key, stream, count + count % 2)
        return standard_normals(words)[:count].reshape(self.shape)

    def initial(self) -> np.ndarray:
        """x_T."""
        return self.stream(INITIAL_STREAM)

    def at_timestep(self, timestep: int) -> np.ndarray:
        """Noise that the sampler adds at this timestep of the original process."""
        return self.stream(timestep_stream(timestep))


def noise_sha256(noise: np.ndarray) -> str:
    """Digest of a draw: SHA-256 of its little-endian float32 bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(noise, dtype="<f4").tobytes()).hexdigest()
