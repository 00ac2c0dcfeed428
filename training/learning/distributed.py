"""The processes of one run: alone, or started by torchrun."""

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

# torch takes it for every exchange, not for the start alone: a process that died holds the others no longer.
START_TIMEOUT = timedelta(minutes=10)


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls, device: str) -> "Processes":
        """Join the run that torchrun describes in the environment, or stand alone.

        With several processes and device "cuda", each takes the GPU of its local rank.
        """
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls(0, 1, torch.device(device))
        rank = int(os.environ["RANK"])
        on_gpu = device.startswith("cuda")
        place = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device(device)
        if on_gpu:
            torch.cuda.set_device(place)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if on_gpu else "gloo", timeout=START_TIMEOUT)
        return cls(rank, count, place)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Average gradients over the processes after every backward pass."""
        if self.count == 1:
            return network
        ids = [self.device.index] if self.device.type == "cuda" else None
        # Group norm keeps no statistics: there are no buffers to hand round at every step.
        return DistributedDataParallel(network, device_ids=ids, broadcast_buffers=False)

    def sum(self, values: Tensor) -> Tensor:
        """Add a tensor over the processes."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def gather(self, values: Tensor) -> Tensor:
        """Concatenate a tensor of equal shape over the processes, by rank."""
        if self.count == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.count)]
        dist.all_gather(parts, values)
        return torch.cat(parts)

    def agree(self, wish: bool) -> bool:
        """Return the first process's wish in all of them."""
        if self.count == 1:
            return wish
        # One clock decides: processes that stop at different iterations would wait for each other for ever.
        flag = torch.tensor([int(wish)], device=self.device)
        dist.broadcast(flag, src=0)
        return bool(flag.item())

    def wait(self) -> None:
        """Wait for the others."""
        if self.count > 1:
            dist.barrier()
