"""Running means over a log interval, in total and per timestep band, kept on the device until asked for."""

from itertools import pairwise

import torch
from torch import Tensor

from training.learning.distributed import Processes

# Quarters of the schedule: their losses differ by orders of magnitude and would hide each other in one mean.
BANDS = 4


def band_of(t: Tensor, timesteps: int, bands: int = BANDS) -> Tensor:
    """Return the band (0 is least noisy) of every timestep: equal quarters of the process."""
    return (t * bands).div(timesteps, rounding_mode="floor").clamp(max=bands - 1)


def band_names(timesteps: int, bands: int = BANDS) -> list[str]:
    """Return the bands' ranges of timesteps, such as "0-249"."""
    edges = [-(-band * timesteps // bands) for band in range(bands + 1)]
    return [f"{low}-{high - 1}" for low, high in pairwise(edges)]


class Meter:
    """Sums of per-image facts by timestep band."""

    def __init__(self, timesteps: int, processes: Processes, *, bands: int = BANDS):
        self.timesteps, self.processes, self.bands = timesteps, processes, bands
        self._sums: dict[str, Tensor] = {}

    def add(self, t: Tensor, facts: dict[str, Tensor]) -> None:
        """Count a batch; does not wait for the device."""
        band = band_of(t, self.timesteps, self.bands)
        for name, values in facts.items():
            if name not in self._sums:
                # Float64: float32 sums of thousands of losses lose the digits that curves show.
                self._sums[name] = torch.zeros(2, self.bands, dtype=torch.float64, device=t.device)
            pair = torch.stack([values.detach().double(), torch.ones_like(values, dtype=torch.float64)])
            self._sums[name].index_add_(1, band, pair)

    def flush(self) -> dict[str, float | list[float | None]]:
        """Return means over all processes and start again; bands without images are None."""
        row: dict[str, float | list[float | None]] = {}
        for name, sums in sorted(self._sums.items()):
            total, count = self.processes.sum(sums).cpu()
            row[name] = float(total.sum() / count.sum())
            shares = zip(total.tolist(), count.tolist(), strict=True)
            row[f"{name}_by_band"] = [part / n if n else None for part, n in shares]
        self._sums = {}
        return row
