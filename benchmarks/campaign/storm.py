"""The damage: processes killed or told to go, a full disk, a wrong clock, a database that hangs, slow senders."""

from __future__ import annotations

import itertools
import os
import random
import resource
import signal
import subprocess
import time
from contextlib import ExitStack, suppress

import psutil

from benchmarks.lab import Lab, Process
from benchmarks.machinery import wait_until

__all__ = ["ALL_KINDS", "KILLS", "Disk", "Storm"]

KILLS = ("web", "worker", "child", "postgresql", "broker", "disk")
# Those that need the proxy, or a clock that can be set.
ALL_KINDS = (*KILLS, "nginx", "told to go", "clock", "slow database", "slow senders", "rolling restart")
HOUR = 3600
HANGS_SECONDS = 30
HELD = 100
# One address for each rule of deploy/nginx.conf.
HELD_ON = (
    "/",
    "/s/x/start",
    "/r/x/api/votes",
    "/i/x.png",
    "/admin/login/",
    "/api/v1/studies/",
    "/api/v1/studies/x/import/",
)


class Disk:
    """The folder of the images, on a file system small enough to fill where this user may mount one."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        mount = ["mount", "-t", "tmpfs", "-o", "size=48m,mode=777", "tmpfs", str(lab.media)]
        self.is_mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        self._filler = lab.media / "filler"

    def fill(self, seconds: float) -> None:
        """Leave no byte free for a while; without a file system of its own, forbid the workers to write."""
        if not self.is_mounted:
            self._forbid(seconds)
            return
        with suppress(OSError), self._filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        time.sleep(seconds)
        self._filler.unlink()

    def _forbid(self, seconds: float) -> None:
        children = [child for worker in self._lab.workers for child in worker.children()]
        for limit in (0, resource.RLIM_INFINITY):
            for child in children:
                with suppress(OSError):
                    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            time.sleep(seconds if limit == 0 else 0)

    @property
    def kind(self) -> str:
        return "a file system of its own, filled" if self.is_mounted else "workers forbidden to write"

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self._lab.media)], check=False)


class Storm:
    """Does the damage, and starts again what has died."""

    def __init__(self, lab: Lab, disk: Disk, seed: int, kinds: tuple[str, ...] = KILLS) -> None:
        self._lab, self._full_disk, self._random = lab, disk, random.Random(seed)
        order = list(kinds)
        self._random.shuffle(order)
        self._order = itertools.cycle(order)

    def strike(self) -> str:
        kind = next(self._order)
        getattr(self, "_" + kind.replace(" ", "_"))()
        self._lab.restart_dead()
        return kind

    def _web(self) -> None:
        self._kill(self._lab.web)

    def _nginx(self) -> None:
        self._kill(self._lab.nginx)

    def _worker(self) -> None:
        self._kill(self._random.choice(self._lab.workers))

    def _child(self) -> None:
        wait_until(self._kill_a_child, "a worker has a child to kill")

    def _postgresql(self) -> None:
        self._lab.database.kill()
        time.sleep(self._random.uniform(0, 1))
        self._lab.database.start()

    def _broker(self) -> None:
        self._lab.broker.kill()
        time.sleep(self._random.uniform(0, 1))
        self._lab.broker.start()

    def _disk(self) -> None:
        self._full_disk.fill(self._random.uniform(0.5, 2))

    def _kill(self, process: Process) -> None:
        """Kill a process that runs: what an earlier fault has killed may not be back yet."""
        wait_until(process.is_alive, f"{process.name} runs again")
        process.kill()

    def _kill_a_child(self) -> bool:
        children = [child for worker in self._lab.workers for child in worker.children()]
        try:
            self._random.choice(children).send_signal(signal.SIGKILL)
        except (IndexError, psutil.NoSuchProcess):
            return False
        return True

    def _told_to_go(self) -> None:
        """Send SIGTERM to each process in the middle of its work, one after the other, as a deployment does."""
        for process in self._lab.processes:
            wait_until(process.is_alive, f"{process.name} runs again")
            process.terminate()
            self._lab.restart_dead()

    def _clock(self) -> None:
        """Let every process of ours live an hour later, and then in the present again."""
        for offset in (HOUR, 0):
            self._lab.set_clock(offset)
            time.sleep(self._random.uniform(2, 4))

    def _slow_database(self) -> None:
        """Let the database answer nothing for half a minute; what was asked is answered then."""
        server = psutil.Process(self._lab.database.pid)
        stopped = [server, *server.children(recursive=True)]
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(HANGS_SECONDS)
        for process in reversed(stopped):
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _slow_senders(self) -> None:
        """Hold connections on every location, each with half a request, for as long as the proxy lets them."""
        with ExitStack() as held:
            for path in HELD_ON:
                for number in range(HELD):
                    with suppress(OSError):
                        line = self._lab.proxy.half_sent(path, length=60_000, source=f"127.0.1.{1 + number % 100}")
                        held.callback(line.close)
            time.sleep(12)

    def _rolling_restart(self) -> None:
        """Replace every process, one after the other, each once the one before serves again."""
        for process in self._lab.processes:
            process.wait_ready()
        for process in self._lab.processes:
            process.terminate()
            process.start().wait_ready()
