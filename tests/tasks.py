"""A job for tests of workers: slow enough to be killed in the middle."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from jobs.lease import Lease
from jobs.registry import handles


@handles("tests.count")
def count(lease: Lease, *, trace: str, up_to: int) -> dict[str, int]:
    for number in range(up_to):
        lease.progress(number, up_to)
        with Path(trace).open("a") as file:
            file.write(f"{number}\n")
        time.sleep(0.2)
    return {"counted": up_to}


@handles("tests.die")
def die(lease: Lease) -> None:
    """Die at once, on every attempt, as a job does that needs more memory than there is."""
    os.kill(os.getpid(), signal.SIGKILL)
