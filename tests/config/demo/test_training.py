"""The demo trains side by side in processes of their own: told apart, stopped and continued, never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config.management.demo.recipe import EARLIER, NOW, DemoRecipe
from config.management.demo.training import recipe_of_this_demo
from diffusion.files import is_locked
from tests.workers import wait_until
from training.learning.config import read_config
from training.models import TrainingRun

ROOT = Path(__file__).parents[3]
# Trains as the demo does, without what comes before and after.
TRAIN = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.dev"
import django
django.setup()
from django.core.management import CommandError, call_command
from config.management.demo.recipe import Network
from config.management.demo.serving import interrupt_on_signals
from config.management.demo.training import train_side_by_side
from jobs.console import Board
call_command("migrate", verbosity=0)
interrupt_on_signals()
networks = [Network(f"train the {path.split('/')[-1]}", "train_classifier", path) for path in sys.argv[1:]]
try:
    with Board([network.title for network in networks], sys.stdout) as board:
        train_side_by_side(networks, board, cores=2)
except CommandError as error:
    sys.exit(f"error: {error}")
except KeyboardInterrupt:
    sys.exit(130)
"""
PRESET = """
base = "digits_vanilla"
name = "{name}"

[network]
image_size = 8
channel_mult = [1]
attention_resolutions = []
num_classes = {classes}

[data]
crop = "center"
workers = 0

[optimizer]
iterations = {iterations}
batch_size = 4

[run]
save_every = 10
validation_images = 10
"""


class Trainings:
    """A folder with settings of small networks and what was trained of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"BLINDPAIR_DATA_DIR": str(folder), "OMP_NUM_THREADS": "1"}
        self.environment.pop("BLINDPAIR_DATABASE_URL", None)
        self.paths: list[str] = []
        self.process: subprocess.Popen | None = None
        self.children: list[psutil.Process] = []

    def add(self, name: str, *, iterations: int, classes: int = 10) -> None:
        path = self.folder / name
        text = PRESET.format(name=name, iterations=iterations, classes=classes)
        path.with_suffix(".toml").write_text(text)
        if str(path.with_suffix(".toml")) not in self.paths:
            self.paths.append(str(path.with_suffix(".toml")))

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAIN, *self.paths],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def saved(self, name: str) -> bool:
        return (self.folder / "training" / name / "state.pt").is_file()

    def wait_until_all_have_saved(self) -> None:
        names = [Path(path).stem for path in self.paths]
        wait_until(lambda: all(map(self.saved, names)) or self.process.poll() is not None, "both have saved a state")
        self.children = psutil.Process(self.process.pid).children()
        assert len(self.children) == len(names), "each trains in a process of its own"

    def ended(self) -> tuple[str, int]:
        said = self.process.communicate(timeout=180)[0]
        return said, self.process.returncode

    def kill(self) -> None:
        if self.process is None:
            return
        for one in [self.process, *self.children]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    trainings = Trainings(tmp_path)
    yield trainings
    trainings.kill()


@pytest.fixture
def long_trainings(trainings: Trainings) -> Trainings:
    """Two trainings that do not end by themselves, each with a saved state."""
    for name in ("one", "two"):
        trainings.add(name, iterations=100_000)
    trainings.start()
    trainings.wait_until_all_have_saved()
    return trainings


@pytest.mark.slow
def test_trainings_run_at_the_same_time_and_a_second_start_finds_them_done(trainings: Trainings) -> None:
    for name in ("one", "two"):
        trainings.add(name, iterations=30)
    trainings.start()
    said, code = trainings.ended()
    assert code == 0
    lines = said.splitlines()
    assert sorted(lines[:2]) == ["[1/2] train the one.toml", "[2/2] train the two.toml"], "both begin before one ends"
    assert sum("done in" in line for line in lines) == 2
    before = (trainings.folder / "training/one/last.safetensors").stat().st_mtime_ns
    trainings.start()
    assert trainings.ended()[1] == 0
    assert (trainings.folder / "training/one/last.safetensors").stat().st_mtime_ns == before


@pytest.mark.slow
def test_who_is_stopped_lets_every_training_save_and_end(long_trainings: Trainings) -> None:
    long_trainings.process.send_signal(signal.SIGINT)
    long_trainings.process.send_signal(signal.SIGTERM)  # an impatient second one breaks nothing
    said, code = long_trainings.ended()
    assert code == 130
    assert "Traceback" not in said
    assert psutil.wait_procs(long_trainings.children, timeout=10)[1] == []
    logs = [long_trainings.folder / "training" / name / "log.jsonl" for name in ("one", "two")]
    assert all(log.read_text().count("\n") >= 1 for log in logs)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="sends a signal to one thread of another process")
def test_a_signal_that_reaches_another_thread_than_the_main_one_is_heard(long_trainings: Trainings) -> None:
    # On a busy machine the kernel may do so by itself, with the second of two signals that follow each other.
    pid = long_trainings.process.pid
    other = next(thread.id for thread in psutil.Process(pid).threads() if thread.id != pid)
    assert ctypes.CDLL(None).tgkill(pid, other, signal.SIGINT) == 0
    assert long_trainings.ended()[1] == 130
    assert psutil.wait_procs(long_trainings.children, timeout=10)[1] == []


@pytest.mark.slow
def test_a_killed_demo_takes_its_trainings_along(long_trainings: Trainings) -> None:
    long_trainings.process.kill()
    long_trainings.process.communicate(timeout=30)
    assert psutil.wait_procs(long_trainings.children, timeout=60)[1] == []


@pytest.mark.slow
def test_a_killed_training_is_named_the_other_saves_and_the_same_command_goes_on(long_trainings: Trainings) -> None:
    (victim,) = (child for child in long_trainings.children if any("one.toml" in part for part in child.cmdline()))
    victim.kill()
    said, code = long_trainings.ended()
    assert code == 1
    assert "error: train the one.toml" in said
    assert "its process was ended by SIGKILL" in said
    assert psutil.wait_procs(long_trainings.children, timeout=10)[1] == []
    long_trainings.start()
    wait_until(lambda: len(psutil.Process(long_trainings.process.pid).children()) == 2, "both train again")


@pytest.mark.slow
def test_a_failed_training_is_named_with_its_reason_and_the_other_saves(trainings: Trainings) -> None:
    trainings.add("good", iterations=100_000)
    trainings.add("bad", iterations=10, classes=4)
    trainings.start()
    said, code = trainings.ended()
    assert code == 1
    assert "error: train the bad.toml" in said
    assert "the data has 10 classes, the network 4" in said
    assert "make demo goes on" in said
    assert not is_locked(trainings.folder / "training/good"), "nobody trains it any longer"


@pytest.mark.django_db
def test_a_demo_of_an_earlier_release_goes_on_with_the_networks_it_began_with() -> None:
    assert recipe_of_this_demo() is NOW
    TrainingRun.objects.create(name="digits_denoiser", preset="digits_denoiser")
    assert recipe_of_this_demo() is EARLIER
    TrainingRun.objects.create(name=NOW.run("denoiser"), preset=NOW.run("denoiser"))
    assert recipe_of_this_demo() is NOW


@pytest.mark.parametrize("recipe", [NOW, EARLIER], ids=["now", "earlier"])
def test_the_networks_of_a_recipe_fit_together(recipe: DemoRecipe) -> None:
    by_run = {network.preset: network.command for network in recipe.networks}
    configs = {role: read_config(recipe.run(role)) for role in ("denoiser", "vanilla", "robust", "judge")}
    assert by_run == {config.name: f"train_{config.task}" for config in configs.values()}
    assert len({(config.network.image_size, config.network.num_classes) for config in configs.values()}) == 1
    guided = [configs[role] for role in ("denoiser", "vanilla", "robust")]
    assert len({config.schedule for config in guided}) == 1, "a classifier guides at the noise it was trained on"
    robust, vanilla = configs["robust"], configs["vanilla"]
    assert robust.attack is not None
    assert vanilla.attack is None
    assert robust.network == vanilla.network
    assert recipe.scales.keys() == {"vanilla", "robust"}
