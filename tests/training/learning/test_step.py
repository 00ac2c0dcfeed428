"""One training step with everything random given is what a run does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion.schedule import NoiseSchedule
from tests.training.learning.test_loop import ATTACK, config
from training.attack.config import AttackConfig
from training.data.batches import Batch
from training.data.streams import Purpose, torch_seed
from training.learning.distributed import Processes
from training.learning.learner import Learner
from training.learning.meters import Meter
from training.learning.step import training_step

CASES = {
    "vanilla": {},
    "robust": {"attack": ATTACK},
    "random start and targets": {"attack": {**ATTACK, "random_start": True, "targeted": True}},
    "dropout": {"network": {"dropout": 0.3}},
    "denoiser": {"task": "denoiser", "network": {"dropout": 0.1}},
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_is_that_of_a_run(case, images):
    settings = config(images, **CASES[case])
    learner, other = (Learner(settings, Processes(0, 1, torch.device("cpu"))) for _ in range(2))
    rng = torch.Generator().manual_seed(4)
    numbers = np.arange(8)
    x, noise = (torch.randn((8, 3, 8, 8), generator=rng) for _ in range(2))
    y = torch.arange(8) % 3
    t, _ = learner.timesteps.draw(numbers)
    schedule = NoiseSchedule.named("linear")
    learner.step(Batch(x, y, noise, numbers), Meter(1000, learner.processes))
    losses = training_step(
        other.network,
        other.optimizer,
        x,
        y,
        t,
        noise,
        schedule=schedule,
        attack=settings.attack,
        dropout_keys=torch.tensor([torch_seed(3, Purpose.DROPOUT, n) for n in range(8)]),
        generators=[torch.Generator().manual_seed(torch_seed(3, Purpose.ATTACK, n)) for n in range(8)],
    )
    assert losses.loss.shape == (8,)
    for name, tensor in learner.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name]), name


def test_what_a_denoiser_cannot_do_and_a_bad_timestep_are_refused(images):
    learner = Learner(config(images, task="denoiser"), Processes(0, 1, torch.device("cpu")))
    x, y = torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64)
    given = (learner.network, learner.optimizer, x, y)
    with pytest.raises(ValueError, match="without attack"):
        training_step(*given, y, x, schedule=learner.schedule, attack=AttackConfig())
    with pytest.raises(ValueError, match="timesteps of this process are 0 to 999"):
        training_step(*given, y - 1, x, schedule=learner.schedule)
