"""The forward process: noise schedules, their respacing, and what timestep a network is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from diffusion.settings import LEAST_TIMESTEPS, SCHEDULE_NAMES
from diffusion.spacing import space_timesteps

__all__ = ["NoiseSchedule", "cosine_betas", "linear_betas"]


def linear_betas(timesteps: int) -> np.ndarray:
    """Betas rising linearly from 1e-4 to 0.02, rescaled by 1000/T so that other lengths end at a similar noise level.

    References
    ----------
    Ho et al. 2020 (arXiv 2006.11239), section 4.
    """
    scale = 1000.0 / timesteps
    return np.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=np.float64)


def cosine_betas(timesteps: int, max_beta: float = 0.999) -> np.ndarray:
    """Betas whose cumulative product follows a squared cosine.

    References
    ----------
    Nichol and Dhariwal 2021 (arXiv 2102.09672), equation 17, s = 0.008.
    """

    def alpha_bar(u: float) -> float:
        # Equation 17 of Nichol and Dhariwal (2021); the offset keeps beta from vanishing near t = 0.
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    ratios = [alpha_bar((i + 1) / timesteps) / alpha_bar(i / timesteps) for i in range(timesteps)]
    return np.array([min(1.0 - ratio, max_beta) for ratio in ratios], dtype=np.float64)


_BUILDERS = {"linear": linear_betas, "cosine": cosine_betas}


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseSchedule:
    """A discrete forward process and the tables of its posterior, all computed in float64.

    Build one with :meth:`named`; shorten it with :meth:`respaced`. Timestep arguments ``t`` are indices of *this*
    process (0 .. num_timesteps - 1); :meth:`network_timesteps` turns them into what a network was trained to be shown.

    Parameters
    ----------
    name : str
        ``"linear"`` or ``"cosine"``.
    original_timesteps : int
        Length of the process before respacing.
    betas : ndarray (num_timesteps,), float64 in (0, 1]
    timestep_map : ndarray (num_timesteps,), int64
        Index in the original process of every timestep of this one.
    spacing : str or None
        How this process was shortened; None for the original.
    rescale_timesteps : bool
        Whether networks are shown ``t * 1000 / T`` as float instead of the integer index.
    """

    name: str
    original_timesteps: int
    betas: np.ndarray
    timestep_map: np.ndarray
    spacing: str | None = None
    rescale_timesteps: bool = False
    _device_tables: dict = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        betas = np.array(self.betas, dtype=np.float64)
        timestep_map = np.array(self.timestep_map, dtype=np.int64)
        if betas.ndim != 1 or betas.size == 0 or not ((betas > 0).all() and (betas <= 1).all()):
            raise ValueError("betas must be one row of numbers in (0, 1]")
        if timestep_map.shape != betas.shape:
            raise ValueError(f"timestep_map has shape {timestep_map.shape}, betas {betas.shape}; they must agree")
        # The cached tables would silently contradict betas that somebody changed.
        for table in (betas, timestep_map):
            table.setflags(write=False)
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "timestep_map", timestep_map)

    @classmethod
    def named(cls, name: str, timesteps: int = 1000, *, rescale_timesteps: bool = False) -> NoiseSchedule:
        """The full-length schedule of that name.

        Raises
        ------
        ValueError
            If the name is unknown or there are fewer than ``LEAST_TIMESTEPS``.
        """
        if name not in _BUILDERS:
            raise ValueError(f"noise schedule {name!r} is unknown; choose one of {', '.join(SCHEDULE_NAMES)}")
        if timesteps < LEAST_TIMESTEPS[name]:
            raise ValueError(f"timesteps is {timesteps}; a {name} schedule needs at least {LEAST_TIMESTEPS[name]}")
        return cls(
            name=name,
            original_timesteps=timesteps,
            betas=_BUILDERS[name](timesteps),
            timestep_map=np.arange(timesteps),
            rescale_timesteps=rescale_timesteps,
        )

    def respaced(self, spacing: str | Sequence[int] | None) -> NoiseSchedule:
        """The process over a subset of timesteps, with betas that keep the cumulative product at each kept one.

        Parameters
        ----------
        spacing : str, sequence of int, or None
            As in :func:`diffusion.spacing.space_timesteps`; None returns this schedule unchanged.

        Raises
        ------
        ValueError
            If this schedule is already respaced, or the spacing does not fit its length.
        """
        if spacing is None or spacing == "":
            return self
        spacing = spacing if isinstance(spacing, str) else ",".join(map(str, spacing))
        if self.spacing is not None:
            raise ValueError(
                f"this schedule is already respaced to {self.spacing!r}; respace the full-length one instead"
            )
        kept = np.array(space_timesteps(self.num_timesteps, spacing), dtype=np.int64)
        kept_cumprod = self.alphas_cumprod[kept]
        betas = 1.0 - kept_cumprod / np.append(1.0, kept_cumprod[:-1])
        return NoiseSchedule(
            name=self.name,
            original_timesteps=self.original_timesteps,
            betas=betas,
            timestep_map=kept,
            spacing=spacing,
            rescale_timesteps=self.rescale_timesteps,
        )

    @property
    def num_timesteps(self) -> int:
        """Number of timesteps of this (possibly shortened) process."""
        return int(self.betas.size)

    def describe(self) -> dict[str, object]:
        """What a manifest or a checkpoint card records of the schedule."""
        return {
            "name": self.name,
            "timesteps": self.original_timesteps,
            "spacing": self.spacing,
            "rescale_timesteps": self.rescale_timesteps,
        }

    @cached_property
    def alphas_cumprod(self) -> np.ndarray:
        """Cumulative product of ``1 - betas``; float64 (num_timesteps,)."""
        return np.cumprod(1.0 - self.betas)

    @cached_property
    def alphas_cumprod_prev(self) -> np.ndarray:
        """``alphas_cumprod`` one timestep earlier, 1 before the first."""
        return np.append(1.0, self.alphas_cumprod[:-1])

    @cached_property
    def sqrt_alphas_cumprod(self) -> np.ndarray:
        return np.sqrt(self.alphas_cumprod)

    @cached_property
    def sqrt_one_minus_alphas_cumprod(self) -> np.ndarray:
        return np.sqrt(1.0 - self.alphas_cumprod)

    @cached_property
    def sqrt_recip_alphas_cumprod(self) -> np.ndarray:
        return np.sqrt(1.0 / self.alphas_cumprod)

    @cached_property
    def sqrt_recipm1_alphas_cumprod(self) -> np.ndarray:
        return np.sqrt(1.0 / self.alphas_cumprod - 1.0)

    @cached_property
    def posterior_variance(self) -> np.ndarray:
        """Variance of q(x_{t-1} | x_t, x_0): Ho et al. 2020, equation 7. Zero at the first timestep."""
        return self.betas * (1.0 - self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> np.ndarray:
        """Log of the posterior variance with the zero at the first timestep replaced by its neighbour."""
        variance = self.posterior_variance
        # The log of zero would be minus infinity; the neighbour is the published replacement.
        first = variance[1] if variance.size > 1 else self.betas[0]
        return np.log(np.append(first, variance[1:]))

    @cached_property
    def fixed_large_variance(self) -> np.ndarray:
        """The upper choice of Ho et al. 2020, section 3.2: beta_t, but the posterior's at the first timestep."""
        first = self.posterior_variance[1] if self.betas.size > 1 else self.betas[0]
        return np.append(first, self.betas[1:])

    @cached_property
    def log_betas(self) -> np.ndarray:
        return np.log(self.betas)

    @cached_property
    def log_fixed_large_variance(self) -> np.ndarray:
        return np.log(self.fixed_large_variance)

    @cached_property
    def posterior_mean_coef1(self) -> np.ndarray:
        """Weight of x_0 in the posterior mean: Ho et al. 2020, equation 7."""
        return self.betas * np.sqrt(self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> np.ndarray:
        """Weight of x_t in the posterior mean: Ho et al. 2020, equation 7."""
        return (1.0 - self.alphas_cumprod_prev) * np.sqrt(1.0 - self.betas) / (1.0 - self.alphas_cumprod)

    def at(self, table: str, t: Tensor, x: Tensor) -> Tensor:
        """Values of a table at ``t``, shaped to multiply ``x``.

        The table is rounded from float64 to float32 once per device and kept there: rounding before or after the gather
        gives the same numbers, and no float64 reaches the device.

        Parameters
        ----------
        table : str
            Name of a table of this class, such as ``"posterior_mean_coef1"``.
        t : Tensor (B,), int64 in [0, num_timesteps)
        x : Tensor (B, ...)

        Returns
        -------
        Tensor (B, 1, ...), float32
        """
        return self._gathered(self._table(table, t.device), t).view(-1, *([1] * (x.ndim - 1)))

    def _gathered(self, table: Tensor, t: Tensor) -> Tensor:
        """Return the entries at ``t``; a negative timestep is an error, not one from the end."""
        # Looking at values would make a GPU wait; there, `index_select` itself stops at what is out of range.
        if t.device.type == "cpu" and t.numel() and not (int(t.min()) >= 0 and int(t.max()) < self.num_timesteps):
            raise ValueError(
                f"t holds {int(t.min())} to {int(t.max())}; timesteps of this process are 0 to {self.num_timesteps - 1}"
            )
        return table.index_select(0, t)

    def _table(self, table: str, device: torch.device) -> Tensor:
        key = (table, device)
        if key not in self._device_tables:
            # Computed in float64 and rounded once, as published: products of a thousand float32 factors drift.
            self._device_tables[key] = torch.from_numpy(getattr(self, table).astype(np.float32)).to(device)
        return self._device_tables[key]

    def q_sample(self, x_start: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Diffuse images to timestep ``t``: Ho et al. 2020, equation 4.

        Parameters
        ----------
        x_start : Tensor (B, C, H, W), float32 in [-1, 1]
        t : Tensor (B,), int64 in [0, num_timesteps)
        noise : Tensor like x_start, standard normal

        Returns
        -------
        Tensor (B, C, H, W)
            ``sqrt(alphas_cumprod) * x_start + sqrt(1 - alphas_cumprod) * noise``.

        Raises
        ------
        ValueError
            If ``noise`` has another shape than ``x_start``, or ``t`` (on a CPU) is out of range.
        """
        if noise.shape != x_start.shape:
            raise ValueError(f"noise has shape {tuple(noise.shape)}, x_start {tuple(x_start.shape)}; they must agree")
        signal = self.at("sqrt_alphas_cumprod", t, x_start) * x_start
        return signal + self.at("sqrt_one_minus_alphas_cumprod", t, x_start) * noise

    def network_timesteps(self, t: Tensor) -> Tensor:
        """What networks are shown for ``t``: the index in the original process, or its rescaled float.

        Parameters
        ----------
        t : Tensor (B,), int64 in [0, num_timesteps)

        Returns
        -------
        Tensor (B,)
            int64 original index; with ``rescale_timesteps`` float32 in [0, 1000).
        """
        key = ("timestep_map", t.device)
        if key not in self._device_tables:
            self._device_tables[key] = torch.from_numpy(self.timestep_map.copy()).to(t.device)
        original = self._gathered(self._device_tables[key], t)
        if self.rescale_timesteps:
            return original.float() * (1000.0 / self.original_timesteps)
        return original
