"""Run a claimed job to the end of a slice, and store how it ended."""

from __future__ import annotations

import errno
import logging
import traceback
import uuid
from collections.abc import Callable
from datetime import timedelta

from django.db import InterfaceError, OperationalError
from django.db.models import F
from django.utils import timezone

from jobs.exceptions import JobCancelled, JobError, LeaseLost, WorkerLeaving, error_text
from jobs.lease import Lease, State, claimable, job_claim, lease_time
from jobs.leaving import work_begin, work_end
from jobs.log_context import log_context
from jobs.models import Job
from jobs.registry import handler_of
from jobs.services import job_announce

log = logging.getLogger(__name__)
__all__ = ["Unfinished", "job_next", "job_run"]


class Unfinished(dict):
    """A handler returns it when its slice is over but not its work: the job is queued again at no cost in attempts."""


Progress = Callable[[float, float, str], None]


def job_run(
    job_id: uuid.UUID | str,
    *,
    on_error: Callable[[Exception], None] | None = None,
    on_progress: Progress | None = None,
) -> Job | None:
    """Claim a job and do it to the end of a slice; None when it was not free.

    An exception is stored with the job: a temporary one sends it back to the queue while attempts are left.
    """
    token = log_context.set(f"job-{job_id}")
    work_begin()
    try:
        return _run(job_id, on_error, on_progress)
    finally:
        work_end()
        log_context.reset(token)


def _run(
    job_id: uuid.UUID | str, on_error: Callable[[Exception], None] | None, on_progress: Progress | None
) -> Job | None:
    lease = job_claim(job_id)
    if lease is None:
        return None
    lease.on_progress = on_progress
    job = lease.job
    try:
        with lease.kept_alive():
            result = handler_of(job.kind)(lease, **job.parameters)
    except LeaseLost:
        log.warning("%s: lease lost, nothing written", job)
    except JobCancelled:
        lease.finish(State.CANCELLED)
    except WorkerLeaving:
        _give_back(lease)
    except (KeyboardInterrupt, SystemExit):
        _give_back(lease)
        raise
    except Exception as error:
        _record_failure(lease, error)
        if on_error is not None:
            on_error(error)
    else:
        if isinstance(result, Unfinished):
            # A slice that ended in good order is progress: only deaths in a row count as attempts.
            if lease.finish(State.QUEUED, attempt=0, result=dict(result)):
                job_announce(job)
        else:
            lease.finish(State.SUCCEEDED, result=result or {}, error="", progress_done=F("progress_total"))
    job.refresh_from_db()
    return job


def _give_back(lease: Lease) -> None:
    """Queue the job again at once, instead of letting the lease run out, and at no cost: it did nothing wrong."""
    if lease.finish(State.QUEUED, attempt=F("attempt") - 1):
        job_announce(lease.job)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _is_outage(error: BaseException | None) -> bool:
    """Return whether an error, or what it was raised from, is the machine's trouble and passes by itself."""
    while error is not None:
        if isinstance(error, OperationalError | InterfaceError) or (
            isinstance(error, OSError) and error.errno in _FULL
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _record_failure(lease: Lease, error: Exception) -> None:
    job = lease.job
    log.exception("%s: attempt %d failed", job, job.attempt)
    if _is_outage(error):
        # A full disk or a database that is away is no fault of the job: it waits, at no cost in attempts.
        later = timezone.now() + lease_time()
        lease.finish(State.QUEUED, attempt=F("attempt") - 1, not_before=later, error=str(error)[:2000])
        return
    # Bad input is not cured by repetition; neither is a bug that every attempt will meet at once.
    permanent = isinstance(error, ValueError | LookupError | TypeError) or (
        isinstance(error, JobError) and error.permanent
    )
    message = f"{error_text(error)}\n\n{''.join(traceback.format_tb(error.__traceback__)[-6:])}"
    if permanent or job.attempt >= job.max_attempts:
        lease.finish(State.FAILED, error=message)
    elif wait := getattr(error, "wait_seconds", 0):
        # Nobody is told now: the reaper (or, without a broker, `run_jobs`) comes to it when its time has come.
        lease.finish(State.QUEUED, error=message, not_before=timezone.now() + timedelta(seconds=wait))
    elif lease.finish(State.QUEUED, error=message):
        job_announce(job)


def job_next(queues: list[str]) -> Job | None:
    """Return the oldest job that a worker of these queues could claim now."""
    return Job.objects.filter(claimable(timezone.now()), queue__in=queues).order_by("created_at").first()
