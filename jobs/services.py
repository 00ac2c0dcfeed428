"""Enqueue, claim, prove alive, finish. Each change of state is one conditional UPDATE: races have one winner."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from jobs.context import log_context
from jobs.exceptions import JobCancelled, JobError, LeaseLost
from jobs.models import Job
from jobs.registry import handler_of

__all__ = [
    "Lease",
    "Unfinished",
    "job_announce",
    "job_cancel",
    "job_claim",
    "job_enqueue",
    "job_next",
    "job_retry",
    "job_run",
    "jobs_reap",
]

log = logging.getLogger(__name__)
State = Job.State


class Unfinished(dict):
    """A handler returns it when its slice is over but not its work: the job is queued again at no cost in attempts."""


class Lease:
    """A claimed job in the hands of one worker.

    Handlers call :meth:`progress` often (it is rate limited) and wrap every write of a result in :meth:`fenced`.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._token = job.lease_token
        self._mine = Job.objects.filter(pk=job.pk, lease_token=self._token, state=State.RUNNING)
        self._stop = threading.Event()
        self._is_lost = False
        self._is_cancelled = False
        self._shown_at = 0.0

    def should_stop(self) -> bool:
        """Return True once the lease is lost or a cancel was asked for; cheap enough for an inner loop."""
        return self._is_lost or self._is_cancelled

    def check(self) -> None:
        """Raise LeaseLost or JobCancelled when :meth:`should_stop` would be True."""
        if self._is_lost:
            raise LeaseLost(f"{self.job}: the lease went to another worker")
        if self._is_cancelled:
            raise JobCancelled(f"{self.job}: cancelled on request")

    def progress(self, done: int, total: int, note: str = "", *, force: bool = False) -> None:
        """Store how far the work is, at most once a second, and raise when it should stop."""
        self.check()
        if force or time.monotonic() - self._shown_at >= 1.0:
            self._shown_at = time.monotonic()
            self._beat(progress_done=done, progress_total=total, progress_note=note[:200])
            self.check()

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """Open a transaction that commits only while this lease is still held.

        Raises
        ------
        LeaseLost
            If another worker has claimed the job since; nothing of the block is kept.
        """
        with transaction.atomic():
            if not self._mine.select_for_update().exists():
                self._is_lost = True
                raise LeaseLost(f"{self.job}: the lease went to another worker")
            yield

    def _beat(self, **fields: Any) -> None:
        now = timezone.now()
        held = self._mine.update(heartbeat_at=now, lease_expires_at=now + _lease_time(), **fields)
        self._is_lost = self._is_lost or not held
        if held:
            self._is_cancelled = Job.objects.filter(pk=self.job.pk, is_cancel_requested=True).exists()

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Renew the lease from a thread while the block runs."""
        # Its warnings name the job too: a new thread knows no context by itself.
        renew = partial(copy_context().run, self._renew)
        thread = threading.Thread(target=renew, name=f"lease-{self.job.pk}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _renew(self) -> None:
        pause = settings.JOB_LEASE_SECONDS / 4
        try:
            while not self._stop.wait(pause):
                try:
                    self._beat()
                except Exception:
                    # A database that is away for a moment must not end the work: the lease outlives several beats.
                    log.warning("%s: heartbeat failed", self.job, exc_info=True)
                    connection.close()
                if self._is_lost:
                    return
        finally:
            connection.close()

    def finish(self, state: str, **fields: Any) -> bool:
        """Give the lease up with a final state (or back to the queue); False when it was lost before."""
        over = {"finished_at": timezone.now()} if state != State.QUEUED else {}
        changed = self._mine.update(
            state=state, lease_token=None, lease_owner="", lease_expires_at=None, **over, **fields
        )
        return bool(changed)


def _lease_time() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def job_enqueue(
    *,
    kind: str,
    parameters: dict[str, Any] | None = None,
    queue: str = "default",
    dedupe_key: str | None = None,
    subject: str | None = None,
    created_by: Any = None,
    announce: bool = True,
    max_attempts: int | None = None,
) -> Job:
    """Store a job and, once the transaction commits, tell the broker. The same ``dedupe_key`` returns the same job."""
    fields = {
        "kind": kind,
        "parameters": parameters or {},
        "queue": queue,
        "subject": subject,
        "created_by": created_by,
        "max_attempts": max_attempts or settings.JOB_MAX_ATTEMPTS,
    }
    if dedupe_key is None:
        job, is_new = Job.objects.create(**fields), True
    else:
        job, is_new = Job.objects.get_or_create(dedupe_key=dedupe_key, defaults=fields)
    if announce and is_new:
        transaction.on_commit(lambda: job_announce(job))
    return job


def job_announce(job: Job) -> None:
    """Send the job's id to the broker; without a broker ``run_jobs`` finds the row by itself.

    A broker that is away is no error: the reaper announces again what stays queued.
    """
    if not settings.CELERY_BROKER_URL:
        return
    from jobs.tasks import run_job

    try:
        run_job.apply_async(args=[str(job.pk)], queue=job.queue, retry=False)
    except run_job.OperationalError:
        log.warning("%s: the broker cannot be reached; the reaper will announce it again", job)
    else:
        Job.objects.filter(pk=job.pk).update(announced_at=timezone.now())


def _free(now: datetime) -> Q:
    """Return which jobs a worker may take."""
    is_due = Q(not_before__isnull=True) | Q(not_before__lte=now)
    return Q(state=State.QUEUED) & is_due | Q(state=State.RUNNING, lease_expires_at__lt=now)


def job_claim(job_id: uuid.UUID | str) -> Lease | None:
    """Take a queued job, or a running one whose lease has expired; None when another has it or its time is to come."""
    now = timezone.now()
    free = _free(now)
    with transaction.atomic():
        spent = Job.objects.filter(free, pk=job_id, attempt__gte=F("max_attempts"))
        if spent.update(state=State.FAILED, finished_at=now, lease_token=None, error=_POISON):
            return None
        claimed = Job.objects.filter(free, pk=job_id).update(
            state=State.RUNNING,
            attempt=F("attempt") + 1,
            lease_token=uuid.uuid4(),
            lease_owner=worker_name(),
            lease_expires_at=now + _lease_time(),
            heartbeat_at=now,
            started_at=now,
        )
        return Lease(Job.objects.get(pk=job_id)) if claimed else None


_POISON = (
    "The worker died on every attempt (killed, out of memory, or lost its machine). "
    "Look at the worker's log of the last attempt, lower the batch size or repair the input, then retry."
)


def job_run(job_id: uuid.UUID | str, *, on_error: Callable[[Exception], None] | None = None) -> Job | None:
    """Claim a job and do it to the end of a slice; None when it was not free.

    An exception is stored with the job: a temporary one sends it back to the queue while attempts are left.
    """
    token = log_context.set(f"job-{job_id}")
    try:
        return _run(job_id, on_error)
    finally:
        log_context.reset(token)


def _run(job_id: uuid.UUID | str, on_error: Callable[[Exception], None] | None) -> Job | None:
    lease = job_claim(job_id)
    if lease is None:
        return None
    job = lease.job
    try:
        with lease.kept_alive():
            result = handler_of(job.kind)(lease, **job.parameters)
    except LeaseLost:
        log.warning("%s: lease lost, nothing written", job)
    except JobCancelled:
        lease.finish(State.CANCELLED)
    except (KeyboardInterrupt, SystemExit):
        # A worker that is told to leave gives the job back at once instead of letting the lease run out.
        if lease.finish(State.QUEUED, attempt=F("attempt") - 1):
            job_announce(job)
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
        later = timezone.now() + _lease_time()
        lease.finish(State.QUEUED, attempt=F("attempt") - 1, not_before=later, error=str(error)[:2000])
        return
    # Bad input is not cured by repetition; neither is a bug that every attempt will meet at once.
    permanent = isinstance(error, ValueError | LookupError | TypeError) or (
        isinstance(error, JobError) and error.permanent
    )
    # What refuses a job on purpose says so in its own words; of anything else the type is half of the message.
    told = str(error) if isinstance(error, JobError | ValueError) else f"{type(error).__name__}: {error}"
    message = f"{told}\n\n{''.join(traceback.format_tb(error.__traceback__)[-6:])}"
    if permanent or job.attempt >= job.max_attempts:
        lease.finish(State.FAILED, error=message)
    elif wait := getattr(error, "wait_seconds", 0):
        # Nobody is told now: the reaper (or, without a broker, `run_jobs`) comes to it when its time has come.
        lease.finish(State.QUEUED, error=message, not_before=timezone.now() + timedelta(seconds=wait))
    elif lease.finish(State.QUEUED, error=message):
        job_announce(job)


def job_next(queues: list[str]) -> Job | None:
    """Return the oldest job that a worker of these queues could claim now."""
    return Job.objects.filter(_free(timezone.now()), queue__in=queues).order_by("created_at").first()


def job_cancel(job: Job) -> Job:
    """Stop a job: a queued one at once, a running one at its next look."""
    stopped = Job.objects.filter(pk=job.pk, state=State.QUEUED).update(
        state=State.CANCELLED, finished_at=timezone.now(), is_cancel_requested=True
    )
    if not stopped:
        Job.objects.filter(pk=job.pk, state=State.RUNNING).update(is_cancel_requested=True)
    job.refresh_from_db()
    return job


def job_retry(job: Job) -> Job:
    """Queue a failed or cancelled job again with all its attempts; anything else stays as it is."""
    with transaction.atomic():
        again = Job.objects.filter(pk=job.pk, state__in=[State.FAILED, State.CANCELLED]).update(
            state=State.QUEUED, attempt=0, is_cancel_requested=False, error="", finished_at=None, not_before=None
        )
        if again:
            transaction.on_commit(lambda: job_announce(job))
    job.refresh_from_db()
    return job


def jobs_reap() -> int:
    """Announce what no live worker holds: expired leases, jobs put off until now, and queued ones the broker forgot.

    Return how many.
    """
    now = timezone.now()
    patience = now - _lease_time()
    untold = (
        Q(announced_at__isnull=True, created_at__lt=patience)
        | Q(announced_at__lt=patience)
        | Q(announced_at__lt=F("not_before"))
    )
    lost = Q(state=State.RUNNING) | untold
    count = 0
    for job in Job.objects.filter(_free(now) & lost).order_by("created_at").iterator(chunk_size=500):
        job_announce(job)
        count += 1
    return count
