"""Which timesteps a batch trains on: uniform, or more often where the loss is large."""

import numpy as np
import torch
from torch import Tensor

from training.data.streams import Purpose, sample_uniforms
from training.learning.distributed import Processes

# Both of Nichol and Dhariwal (2021): ten losses a timestep, and no timestep ever left out.
HISTORY = 10
UNIFORM_SHARE = 0.001


class UniformTimesteps:
    """Every timestep alike; all weights are 1."""

    def __init__(self, timesteps: int, seed: int):
        self.timesteps, self.seed = timesteps, seed

    def draw(self, numbers: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return timesteps (B,) int64 and loss weights (B,) float32 for the samples of these numbers."""
        uniforms = sample_uniforms(self.seed, numbers, Purpose.TIMESTEP)
        t = torch.from_numpy((uniforms * self.timesteps).astype(np.int64))
        return t, torch.ones(len(t))

    def observe(self, t: Tensor, losses: Tensor, processes: Processes) -> None:
        """Learn nothing."""

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        pass


class LossSecondMoment(UniformTimesteps):
    """Timesteps drawn with p_t proportional to sqrt(E[L_t^2]), over the last ten losses of each.

    Uniform until every timestep has ten. Weights 1 / (T p_t) keep the expectation of the loss.

    References
    ----------
    Nichol and Dhariwal 2021 (arXiv 2102.09672), equation 18.
    """

    def __init__(self, timesteps: int, seed: int):
        super().__init__(timesteps, seed)
        self.losses = torch.zeros(timesteps, HISTORY, dtype=torch.float64)
        self.counts = torch.zeros(timesteps, dtype=torch.int64)

    def probabilities(self) -> np.ndarray:
        """Return p_t: ndarray (T,)."""
        # Until every timestep has its ten losses, an estimate of its second moment would be noise.
        if bool((self.counts < HISTORY).any()):
            return np.full(self.timesteps, 1 / self.timesteps)
        weights = self.losses.square().mean(dim=1).sqrt().numpy()
        share = weights / weights.sum() if weights.sum() > 0 else np.full(self.timesteps, 1 / self.timesteps)
        return (1 - UNIFORM_SHARE) * share + UNIFORM_SHARE / self.timesteps

    def draw(self, numbers: np.ndarray) -> tuple[Tensor, Tensor]:
        probabilities = self.probabilities()
        uniforms = sample_uniforms(self.seed, numbers, Purpose.TIMESTEP)
        t = np.minimum(np.searchsorted(np.cumsum(probabilities), uniforms, side="right"), self.timesteps - 1)
        # Importance weights: the expected gradient stays that of uniform timesteps.
        weights = 1 / (self.timesteps * probabilities[t])
        return torch.from_numpy(t), torch.from_numpy(weights.astype(np.float32))

    def observe(self, t: Tensor, losses: Tensor, processes: Processes) -> None:
        """Take in the unweighted losses of a batch, of all processes in the same order everywhere."""
        pairs = torch.stack([t.double(), losses.detach().double()], dim=1)
        for timestep, loss in processes.gather(pairs).cpu().tolist():
            row = int(timestep)
            self.losses[row, self.counts[row] % HISTORY] = loss
            self.counts[row] += 1

    def state_dict(self) -> dict[str, Tensor]:
        return {"losses": self.losses, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.losses, self.counts = state["losses"].cpu(), state["counts"].cpu()


SAMPLERS = {"uniform": UniformTimesteps, "loss_second_moment": LossSecondMoment}
