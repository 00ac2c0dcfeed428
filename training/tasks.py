"""What a GPU worker does for training. Only worker processes import this module: it loads torch."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from jobs.exceptions import JobCancelled, WorkerLeaving
from jobs.lease import Lease
from jobs.registry import handles
from jobs.runner import Unfinished
from training.models import TrainingRun
from training.services import JOB_KIND, State, run_finish
from training.worker import train_run

__all__ = ["train_slice"]


@handles(JOB_KIND)
def train_slice(lease: Lease, *, run: str) -> dict[str, Any]:
    """Train one slice of a run from its saved state; the job is queued again until the run is finished.

    A worker that was killed loses the iterations since the last saved state at most; one whose lease went to another
    worker stops without saving.
    """
    row = TrainingRun.objects.get(name=run)

    def should_stop() -> bool:
        try:
            lease.check()
        except (JobCancelled, WorkerLeaving):
            return True
        return False

    result = train_run(
        row,
        max_seconds=settings.TRAINING_SLICE_SECONDS,
        should_stop=should_stop,
        on_progress=lambda progress: _show(lease, progress),
        fence=lease.fenced,
    )
    facts = {"iteration": result.iteration, "checkpoint": str(result.checkpoint), "metrics": result.metrics}
    if result.state == "finished":
        return facts
    try:
        lease.check()
    except JobCancelled:
        with lease.fenced():
            run_finish(row, State.CANCELLED, iteration=result.iteration)
        raise
    except WorkerLeaving:
        pass
    return Unfinished(facts)


def _show(lease: Lease, progress: Any) -> None:
    """Store the job's progress; a wish to stop is left to `should_stop`, which lets training save first."""
    try:
        lease.progress(progress.iteration, progress.iterations, str(progress))
    except (JobCancelled, WorkerLeaving):
        return
