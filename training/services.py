"""Order, watch, cancel and continue training. No torch: the web process calls these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from diffusion.files import is_locked
from jobs.exceptions import JobCancelled, LeaseLost, WorkerLeaving, error_text
from jobs.models import Job
from jobs.services import job_cancel, job_enqueue, job_retry
from training.learning.config import config_from_dict
from training.models import Checkpoint, TrainingRun
from training.presets import INTAKE_SETTINGS, LENGTH_SETTINGS, ConfigError, differing, read_settings, with_changes

__all__ = [
    "checkpoint_record",
    "run_begin",
    "run_cancel",
    "run_create",
    "run_enqueue",
    "run_errors_recorded",
    "run_extend",
    "run_finish",
    "run_progress",
    "run_restart",
    "run_settings",
]

JOB_KIND = "training.train"
# More than the pixels of a chart could show, few enough to read at every view of the page.
MAXIMUM_CURVE_ROWS = 400
State = TrainingRun.State
Fence = Callable[[], AbstractContextManager]


def run_create(
    *, name: str, preset: str, changes: Mapping[str, Any] | None = None, processes: int = 1, actor: Any = None
) -> TrainingRun:
    """Return the run of this name; a new one, or the same order again to be continued.

    Raises
    ------
    ConfigError
        Naming the setting, the preset or the name that cannot be used, or saying how the order differs from the run.
    """
    order = {"preset": str(preset), "settings": read_settings(preset), "changes": dict(changes or {})}
    asked = with_changes(order["settings"], order["changes"])
    # Before anything is stored: a bad setting must not take a run's name.
    config_from_dict(asked)
    with transaction.atomic():
        # Two who begin a run of one name at the same time must not both find that it is new or idle.
        run = TrainingRun.objects.select_for_update().filter(name=name).first()
        if run is None:
            by = actor if getattr(actor, "pk", None) else None
            run = TrainingRun(name=name, processes=processes, created_by=by, **order)
            _check_fields(run)
            run.save()
            return run
    # An order says nothing of what the run was extended by since.
    differs = {
        setting: values
        for setting, values in differing(run_settings(run), asked).items()
        if setting not in LENGTH_SETTINGS or values[1] is not None
    }
    for setting, (begun, wanted) in differs.items():
        if setting not in INTAKE_SETTINGS:
            raise ConfigError(
                f"run {name!r} was begun with {setting} = {begun!r}, asked for {wanted!r}; "
                "choose another --name, or start it afresh with --no-resume"
            )
    if differs or not run.settings:
        extended = {name: value for name, value in run.changes.items() if name in LENGTH_SETTINGS}
        run.preset, run.settings, run.changes = order["preset"], order["settings"], extended | order["changes"]
        run.save(update_fields=["preset", "settings", "changes"])
    return run


def run_extend(run: TrainingRun, *, iterations: int) -> None:
    """Let a run go on for so many iterations beyond those that it was to have.

    Raises
    ------
    ConfigError
        The number is not above 0, the run has not begun, or a process trains it at the moment.
    """
    if iterations < 1:
        raise ConfigError(f"--extend is {iterations}; it must be at least 1")
    if not run.iteration:
        raise ConfigError(f"run {run.name!r} has not begun; set optimizer.iterations instead of --extend")
    _refuse_in_use(run)
    settings = run_settings(run)
    extension = settings.get("optimizer", {}).get("extension", 0) + iterations
    run.changes = run.changes | {"optimizer.extension": extension}
    run.state, run.finished_at = State.WAITING, None
    run.save(update_fields=["changes", "state", "finished_at"])


def _refuse_in_use(run: TrainingRun) -> None:
    if is_locked(run.folder):
        raise ConfigError(f"run {run.name!r} is being trained by another process; wait for it to end, or stop it")


def run_settings(run: TrainingRun) -> dict[str, Any]:
    """Return the nested settings of a run: as they were when it was made, whatever its file says now.

    Runs of earlier releases know their file by name alone.
    """
    return with_changes(run.settings, run.changes) if run.settings else read_settings(run.preset, changes=run.changes)


def _check_fields(run: TrainingRun) -> None:
    try:
        run.clean_fields()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise ConfigError(f"{field} is {getattr(run, field)!r}: {messages[0]}") from error


def run_restart(run: TrainingRun, *, preset: str, changes: Mapping[str, Any]) -> None:
    """Forget how far a run is and take new settings; its files are replaced when it starts.

    Raises
    ------
    ConfigError
        A process trains the run at the moment.
    """
    _refuse_in_use(run)
    config_from_dict(read_settings(preset, changes=changes))
    run.preset, run.settings, run.changes = str(preset), read_settings(preset), dict(changes)
    run.iteration, run.curve, run.config, run.error, run.note = 0, [], {}, "", ""
    run.state, run.finished_at = State.WAITING, None
    run.save()


def run_enqueue(run: TrainingRun, *, actor: Any = None) -> Job:
    """Leave a run to the GPU workers; one that was cancelled or failed continues from its last saved state."""
    with transaction.atomic():
        job = job_enqueue(
            kind=JOB_KIND,
            parameters={"run": run.name},
            queue="gpu",
            dedupe_key=f"training:{run.pk}",
            created_by=actor if getattr(actor, "pk", None) else None,
        )
        TrainingRun.objects.filter(pk=run.pk).update(job=job)
        run.job = job
        again = TrainingRun.objects.filter(pk=run.pk, state__in=[State.CANCELLED, State.FAILED])
        again.update(state=State.WAITING, error="")
    if job.state in {Job.State.FAILED, Job.State.CANCELLED}:
        job = job_retry(job)
    run.refresh_from_db()
    return job


def run_cancel(run: TrainingRun) -> None:
    """Stop a run at its next look, keeping what it has learned; `run_enqueue` or the command continues it."""
    if run.job is not None:
        job_cancel(run.job)
    over = [State.FINISHED, State.FAILED]
    # In one statement: a worker may finish the run between a look and a write.
    TrainingRun.objects.filter(pk=run.pk).exclude(state__in=over).update(state=State.CANCELLED)
    run.refresh_from_db()


def run_begin(run: TrainingRun, *, config: dict[str, Any], iterations: int) -> None:
    """Record that a process trains the run now."""
    run.state, run.config, run.iterations, run.error, run.finished_at = State.RUNNING, config, iterations, "", None
    run.save(update_fields=["state", "config", "iterations", "error", "finished_at"])


def run_progress(run: TrainingRun, *, row: dict[str, Any], note: str) -> None:
    """Record a row of the log, beside what the same iteration has; rows are dropped when there are too many to draw."""
    # A resumed run repeats iterations since its last save: their rows are replaced.
    before = [kept for kept in run.curve if kept["iteration"] < row["iteration"]]
    same = next((kept for kept in run.curve if kept["iteration"] == row["iteration"]), {})
    run.curve = _thinned([*before, same | row])
    run.iteration, run.note = row["iteration"], note[:200]
    run.save(update_fields=["curve", "iteration", "note"])


def _thinned(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop every second row of too many; measurements on held-out images, which are few, go last."""
    if len(curve) <= MAXIMUM_CURVE_ROWS:
        return curve
    held_out = [row for row in curve if any(name.startswith("validation_") for name in row)]
    kept = {id(row) for row in (held_out if len(held_out) <= MAXIMUM_CURVE_ROWS // 2 else held_out[::2])}
    return [row for place, row in enumerate(curve) if place % 2 == 0 or id(row) in kept or row is curve[-1]]


def run_finish(run: TrainingRun, state: str, *, iteration: int | None = None, error: str = "") -> None:
    """Record how a slice of training ended."""
    run.state, run.error = state, error
    run.iteration = run.iteration if iteration is None else iteration
    run.finished_at = timezone.now() if state == State.FINISHED else None
    run.save(update_fields=["state", "error", "iteration", "finished_at"])


@contextmanager
def run_errors_recorded(run: TrainingRun, *, fence: Fence = nullcontext) -> Iterator[None]:
    """Record on the run whatever error ends the block. A cancel, a lost lease or a leaving worker is none."""
    try:
        yield
    except (JobCancelled, LeaseLost, WorkerLeaving):
        raise
    except Exception as error:
        with fence():
            run_finish(run, State.FAILED, error=error_text(error))
        raise


def checkpoint_record(run: TrainingRun, *, role: str, path: str, card: dict[str, Any]) -> Checkpoint:
    """Record the weights that stand at a path now."""
    values = {"path": path, "kind": card["kind"], "sha256": card["sha256"], "card": card}
    checkpoint, _ = Checkpoint.objects.update_or_create(run=run, role=role, defaults=values)
    return checkpoint
