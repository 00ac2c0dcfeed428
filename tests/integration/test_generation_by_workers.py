"""Shards of pairs on two real worker processes, one of which dies in the middle of its work."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command

from generation.models import GenerationRun
from generation.selectors import run_progress
from jobs.models import Job
from jobs.services import jobs_reap
from survey.models import PairImage, Study
from tests.generation.conftest import checkpoints, draft  # noqa: F401  fixtures
from tests.workers import celery_worker, kill, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PAIRS = 8


def made(study: Study) -> dict[tuple[str, str], str]:
    rows = PairImage.objects.filter(pair__study=study).values_list("pair__key", "arm__name", "sha256", "file")
    assert all(default_storage.exists(file) for *_, file in rows)
    return {(key, arm): sha256 for key, arm, sha256, _ in rows}


def generate(slug: str, **options) -> None:
    call_command("generate_pairs", study=slug, pairs=PAIRS, batch=1, shard=4, verbosity=0, **options)


def kill_in_the_middle(workers: list[subprocess.Popen]) -> Job | None:
    """Kill a worker that has made a part of its shard, and return the shard's job; None while there is no such worker.

    The worker is stopped first: without that it could finish between the look and the kill.
    """
    middle = Job.objects.filter(state=Job.State.RUNNING, progress_done__gte=1, progress_done__lt=4)
    victim = middle.first()
    if victim is None:
        return None
    group = os.getpgid(int(victim.lease_owner.rpartition(":")[2]))
    os.killpg(group, signal.SIGSTOP)
    if not middle.filter(pk=victim.pk).exists():
        os.killpg(group, signal.SIGCONT)
        return None
    kill(next(worker for worker in workers if worker.pid == group))
    return victim


def test_killed_worker_leaves_exactly_the_pairs_of_an_undisturbed_run(draft, broker_url: str, tmp_path: Path) -> None:  # noqa: F811
    undisturbed = draft(slug="undisturbed", spacing="40")
    disturbed = draft(slug="disturbed", spacing="40")
    generate("undisturbed")
    with celery_worker(broker_url, tmp_path / "one.log") as one, celery_worker(broker_url, tmp_path / "two.log") as two:
        generate("disturbed", queue=True)
        victim = wait_until(lambda: kill_in_the_middle([one, two]), "a shard is half made")
        victim.refresh_from_db()
        assert victim.state == Job.State.RUNNING
        run = GenerationRun.objects.get(study=disturbed)
        half_made = [run.spec_at(position).key for position in victim.generation_shard.positions]
        assert not disturbed.pairs.filter(key__in=half_made).exists()
        survivor_done = lambda: jobs_reap() >= 0 and run_progress(run).done == PAIRS  # noqa: E731
        wait_until(survivor_done, "the other worker has made everything")
        # The pairs are there a moment before the worker reports its job.
        wait_until(lambda: Job.objects.get(pk=victim.pk).is_over, "the survivor has reported")
    victim.refresh_from_db()
    assert (victim.state, victim.attempt) == (Job.State.SUCCEEDED, 2)
    assert made(disturbed) == made(undisturbed)
    assert len(made(disturbed)) == 2 * PAIRS
