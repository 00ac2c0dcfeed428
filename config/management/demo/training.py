"""The networks of `make demo`, trained side by side, each in a process of its own that ends with this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import IO

from django.conf import settings
from django.core.management.base import CommandError

from config.management.demo.recipe import EARLIER, NOW, DemoRecipe, Network
from config.management.demo.serving import undisturbed
from jobs.console import Board
from training.models import TrainingRun

__all__ = ["recipe_of_this_demo", "train_side_by_side", "usable_cores"]

# A training saves what it has learned; one that does not listen is killed after this.
_PATIENCE_SECONDS = 20
# A signal may reach one of the threads, which does not wake the main one, and only there does Python act on it.
_GLANCE_SECONDS = 0.5


def recipe_of_this_demo() -> DemoRecipe:
    """Return the recipe that this installation's demo was begun with; a new demo begins with today's.

    Networks of two recipes do not fit together, and images that were made belong to the recipe that made them.
    """
    begun = set(TrainingRun.objects.values_list("name", flat=True))
    for recipe in (NOW, EARLIER):
        if begun & {network.preset for network in recipe.networks}:
            return recipe
    return NOW


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def train_side_by_side(networks: Sequence[Network], board: Board, *, cores: int) -> None:
    """Train the networks that are not trained yet, as many at once as there are cores, in the order given.

    Images of 16 x 16 pixels are too small to be shared between cores: two trainings on a core each are done before one
    after the other on both. A network that was interrupted goes on from its last saved state.

    Raises
    ------
    CommandError
        One training failed; the message names it and says why. The others have saved what they learned and ended.
    """
    trained = {run.name for run in TrainingRun.objects.all() if run.is_trained}
    for network in networks:
        if network.preset in trained:
            with board.phase(network.title):
                pass
    waiting = [network for network in networks if network.preset not in trained]
    if not waiting:
        return
    at_once = min(len(waiting), cores)
    trainings = _Trainings(board, threads=cores // at_once)
    with ThreadPoolExecutor(at_once) as pool:
        under_way = {pool.submit(trainings.train, network) for network in waiting}
        try:
            while under_way:
                done, under_way = wait(under_way, timeout=_GLANCE_SECONDS, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()
        except BaseException:
            with undisturbed():
                trainings.end()
            raise


class _Trainings:
    """Processes that train; once `end` was called no other one begins."""

    def __init__(self, board: Board, *, threads: int) -> None:
        self._board, self._threads = board, threads
        self._lock, self._running, self._is_over = threading.Lock(), set[subprocess.Popen](), False

    def train(self, network: Network) -> None:
        """Train one network to its end and show how far it is."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            process = self._started(network, said)
            if process is None:
                return
            with process, self._board.phase(network.title) as report:
                for line in process.stdout:
                    if line.startswith("{"):
                        report(**json.loads(line))
                if process.wait():
                    said.seek(0)
                    raise _failure(network, process.returncode, said.read())

    def _started(self, network: Network, said: IO[str]) -> subprocess.Popen | None:
        # A session of its own keeps Ctrl-C at the terminal from it; it ends itself when its standard input does.
        with self._lock:
            if self._is_over:
                return None
            process = subprocess.Popen(
                [sys.executable, "manage.py", network.command, "--config", network.preset, "--json", "--with-parent"],
                cwd=settings.BASE_DIR,
                env={"OMP_NUM_THREADS": str(self._threads), **os.environ},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def end(self) -> None:
        """Let every training save and end."""
        with self._lock:
            self._is_over = True
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _failure(network: Network, code: int, said: str) -> CommandError:
    """Say which training ended and why: by the last line of what it wrote, or by the signal that ended it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if code < 0:
        why = f"its process was ended by {signal.Signals(-code).name}"
    else:
        why = lines[-1].removeprefix("CommandError: ") if lines else f"its process ended with code {code}"
    return CommandError(f"{network.title}, run {network.preset}: {why}\nmake demo goes on from what was saved.")
