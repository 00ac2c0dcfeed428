"""A claimed job in the hands of one worker: claimed by one conditional UPDATE, renewed, fenced, given up."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from jobs.exceptions import JobCancelled, LeaseLost, WorkerLeaving
from jobs.leaving import is_leaving
from jobs.models import Job

__all__ = ["Lease", "State", "claimable", "job_claim", "lease_time", "worker_name"]

log = logging.getLogger(__name__)


State = Job.State


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
        # Whoever runs the job at a console and shows how far it is.
        self.on_progress: Callable[[float, float, str], None] | None = None
        self._part: tuple[int, int] | None = None

    def should_stop(self) -> bool:
        """Return True once the work should end, for whatever reason; cheap enough for an inner loop."""
        return self._is_lost or self._is_cancelled or is_leaving()

    def check(self) -> None:
        """Raise LeaseLost, JobCancelled or WorkerLeaving when :meth:`should_stop` would be True."""
        if self._is_lost:
            raise LeaseLost(f"{self.job}: the lease went to another worker")
        if self._is_cancelled:
            raise JobCancelled(f"{self.job}: cancelled on request")
        if is_leaving():
            raise WorkerLeaving(f"{self.job}: the worker was asked to stop")

    def progress(self, done: float, total: float, note: str = "", *, force: bool = False) -> None:
        """Store how far the work is, at most once a second, and raise when it should stop."""
        if self.on_progress is not None:
            self.on_progress(done, total, note)
        self.check()
        if force or time.monotonic() - self._shown_at >= 1.0:
            self._shown_at = time.monotonic()
            self._beat(**self._pace(int(done), int(total)), progress_note=note[:200])
            self.check()

    def _pace(self, done: int, total: int) -> dict[str, Any]:
        """Return how far the work is, and where its part that runs began: each part has a pace of its own."""
        now = timezone.now()
        shown = {"progress_done": done, "progress_total": total, "progress_at": now}
        if self._part is None or total != self._part[0] or done < self._part[1]:
            self._part = (total, done)
            shown |= {"progress_began_at": now, "progress_began_done": done}
        return shown

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
        held = self._mine.update(heartbeat_at=now, lease_expires_at=now + lease_time(), **fields)
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


def lease_time() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def claimable(now: datetime) -> Q:
    """Return which jobs a worker may take."""
    is_due = Q(not_before__isnull=True) | Q(not_before__lte=now)
    return Q(state=State.QUEUED) & is_due | Q(state=State.RUNNING, lease_expires_at__lt=now)


def job_claim(job_id: uuid.UUID | str) -> Lease | None:
    """Take a queued job, or a running one whose lease has expired; None when another has it or its time is to come."""
    now = timezone.now()
    free = claimable(now)
    with transaction.atomic():
        spent = Job.objects.filter(free, pk=job_id, attempt__gte=F("max_attempts"))
        if spent.update(state=State.FAILED, finished_at=now, lease_token=None, error=_POISON):
            return None
        claimed = Job.objects.filter(free, pk=job_id).update(
            state=State.RUNNING,
            attempt=F("attempt") + 1,
            lease_token=uuid.uuid4(),
            lease_owner=worker_name(),
            lease_expires_at=now + lease_time(),
            heartbeat_at=now,
            started_at=now,
        )
        return Lease(Job.objects.get(pk=job_id)) if claimed else None


_POISON = (
    "The worker died on every attempt (killed, out of memory, or lost its machine). "
    "Look at the worker's log of the last attempt, lower the batch size or repair the input, then retry."
)
