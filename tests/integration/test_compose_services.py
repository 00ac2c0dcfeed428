"""The services of docker-compose.yml as it starts them: command, variables, secrets and health check, without torch."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from django.core.management import call_command

from benchmarks.machinery import free_port
from jobs.models import Job
from jobs.services import job_announce, job_enqueue
from survey.models import RaterSession
from tests.factories import make_running
from tests.training.conftest import images, preset  # noqa: F401  fixtures
from tests.workers import kill, process_environment, wait_until
from training.learning.state import RunFolder
from training.models import TrainingRun

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@dataclass
class Container:
    """What a service of the compose file runs, with the places of this machine in it."""

    environment: dict[str, str]
    command: list[str]
    probe: list[str]


def secrets_of(folder: Path, *, database_url: str, broker_url: str) -> Path:
    """Make the deployment's secrets by its own script; only the servers they lead to are those of the tests."""
    (folder / "deploy").mkdir()
    script = shutil.copy(ROOT / "deploy/make-secrets.sh", folder / "deploy")
    subprocess.run(["sh", script], check=True, stdout=subprocess.DEVNULL)
    (folder / "secrets/database_url").write_text(database_url)
    (folder / "secrets/broker_url").write_text(broker_url)
    return folder / "secrets"


@pytest.fixture
def container(tmp_path: Path, broker_url: str) -> Callable[[str], Container]:
    """Return what reads a service from the compose file, made for one service of a test."""

    def read(service: str) -> Container:
        ours = process_environment()
        secrets = secrets_of(tmp_path, database_url=ours["BLINDPAIR_DATABASE_URL"], broker_url=broker_url)
        entry = SERVICES[service]
        for name in ("data/tmp", "memory", "without"):
            (tmp_path / name).mkdir(parents=True)
        if entry["image"].startswith("blindpair-web"):
            # Its image has no torch: whatever imports it fails here as it would there.
            (tmp_path / "without/torch.py").write_text("raise ModuleNotFoundError('the web image has no torch')\n")
        port = free_port()
        places = {
            "/run/secrets": str(secrets),
            "/data": str(tmp_path / "data"),
            "/tmp": str(tmp_path / "memory"),
            "/app/static": str(tmp_path / "static"),
            "127.0.0.1:8000": f"127.0.0.1:{port}",
        }
        place = re.compile("|".join(rf"{re.escape(deployed)}\b" for deployed in places))

        def here(text: str) -> str:
            text = re.sub(r"\$\{BLINDPAIR_HOST[^}]*\}", "study.example.org", text)
            text = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text)
            return place.sub(lambda match: places[match[0]], text)

        program, *arguments = entry["command"]
        _, _, *probe = entry["healthcheck"]["test"]
        return Container(
            environment={name: here(value) for name, value in entry["environment"].items()}
            | {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{tmp_path / 'without'}:{ROOT}",
                "BLINDPAIR_BIND": f"127.0.0.1:{port}",
            },
            command=[sys.executable, *([] if program == "python" else ["-m", program]), *arguments],
            probe=[sys.executable, *map(here, probe)],
        )

    return read


@contextmanager
def started(made: Container, log: Path) -> Iterator[subprocess.Popen]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            made.command, cwd=ROOT, env=made.environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        kill(process)


@pytest.mark.parametrize("service", ["web", "worker", "reaper"])
def test_a_service_becomes_healthy_as_the_compose_file_starts_it(
    service: str, container: Callable[[str], Container], tmp_path: Path
) -> None:
    made = container(service)
    log = tmp_path / "service.log"
    with started(made, log) as process:

        def is_healthy() -> bool:
            assert process.poll() is None, log.read_text()[-3000:]
            return subprocess.run(made.probe, cwd=ROOT, capture_output=True, check=False).returncode == 0

        wait_until(is_healthy, f"{service} is healthy ({log})", seconds=300)
    assert not re.search(r"ERROR|CRITICAL|Traceback", log.read_text()), log.read_text()[-3000:]


def test_a_study_is_rehearsed_in_the_web_container(container: Callable[[str], Container]) -> None:
    version = make_running()
    environment = container("web").environment
    # The image's build collects the static files; then an operator types the command.
    for arguments in (["collectstatic", "--noinput"], ["simulate_raters", "--study", version.study.slug, "--raters=2"]):
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert RaterSession.objects.filter(is_simulated=True, state=RaterSession.State.COMPLETED).count() == 2


def told_to_go(process: subprocess.Popen, log: Path) -> None:
    """Send SIGTERM as `docker stop` does, to the first process alone; it must be gone before docker would kill it."""
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(timeout=45) == 0, log.read_text()[-3000:]
    except subprocess.TimeoutExpired:
        pytest.fail(f"still there: {log.read_text()[-3000:]}")


def is_queued_at_no_cost(job: Job) -> bool:
    job.refresh_from_db()
    return (job.state, job.attempt, job.lease_token) == (Job.State.QUEUED, 0, None)


def test_a_worker_that_is_stopped_gives_its_job_back_at_no_cost(
    container: Callable[[str], Container], tmp_path: Path
) -> None:
    made, trace, log = container("worker"), tmp_path / "trace", tmp_path / "service.log"
    job = job_enqueue(kind="tests.count", parameters={"trace": str(trace), "up_to": 1000})
    job_announce(job)
    with started(made, log) as process:
        wait_until(lambda: trace.exists() and len(trace.read_text().split()) >= 3, f"it counts ({log})")
        told_to_go(process, log)
    assert is_queued_at_no_cost(job), (job.state, job.attempt)


def test_training_that_is_stopped_has_saved_its_last_step(
    preset: str,  # noqa: F811
    container: Callable[[str], Container],
    settings,
    tmp_path: Path,
) -> None:
    made, log = container("gpu"), tmp_path / "service.log"
    settings.DATA_DIR = tmp_path / "data"
    changes = ["--set", "optimizer.iterations=20000", "--set", "run.save_every=20000", "--set", "attack.steps=1"]
    call_command("train_classifier", "--config", preset, "--queue", *changes, verbosity=0)
    run = TrainingRun.objects.get()
    job, folder = Job.objects.get(pk=run.job_id), RunFolder(run.folder)
    job_announce(job)
    made.environment["BLINDPAIR_DEVICE"] = "cpu"
    with started(made, log) as process:
        wait_until(lambda: len(folder.read_log()) > 3, f"it trains ({log})", seconds=180)
        told_to_go(process, log)
    assert is_queued_at_no_cost(job), (job.state, job.attempt, job.error)
    run.refresh_from_db()
    saved = folder.read_state(torch.device("cpu"))["iteration"]
    assert run.state == TrainingRun.State.PAUSED
    assert saved == folder.read_log()[-1]["iteration"] == run.iteration > 3
