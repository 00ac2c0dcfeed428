"""Enqueue, announce, cancel, retry, reap. Each change of state is one conditional UPDATE: races have one winner."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnreachable
from kombu.pools import ProducerPool, producers

from jobs.lease import State, claimable, lease_time
from jobs.models import Job

__all__ = ["job_announce", "job_cancel", "job_enqueue", "job_retry", "jobs_reap"]

log = logging.getLogger(__name__)

# Sent by name: enqueueing loads no task, and whoever enqueues needs no worker's modules. A test checks the name.
RUN_JOB = "jobs.tasks.run_job"
# Whoever enqueues, a web page say, waits no longer for a broker that is away or does not answer. Workers, whose reads
# wait for work, keep Celery's own patience; kombu's is seconds of retries even where `retry` is off.
_SECONDS = 1
_IMPATIENT = {
    "max_retries": 0,
    "socket_connect_timeout": _SECONDS,
    "socket_timeout": _SECONDS,
    "read_timeout": _SECONDS,
    "write_timeout": _SECONDS,
}
# By address of a broker: until when, on this process's clock, nobody asks it again. One request may enqueue many jobs.
_away_until: dict[str, float] = {}
_REST_SECONDS = 5


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


def job_announce(job: Job) -> bool:
    """Send the job's id to the broker and return whether it took it; without a broker ``run_jobs`` finds the row.

    A broker that is away is no error: the reaper announces again what stays queued.
    """
    address = settings.CELERY_BROKER_URL
    if not address:
        return True
    if time.monotonic() < _away_until.get(address, 0.0):
        return False
    try:
        with _producers().acquire(block=True, timeout=_SECONDS) as producer:
            current_app.send_task(RUN_JOB, args=[str(job.pk)], queue=job.queue, retry=False, producer=producer)
    except (BrokerUnreachable, OSError):
        _away_until[address] = time.monotonic() + _REST_SECONDS
        log.warning("%s: the broker cannot be reached; the reaper will announce it again", job)
        return False
    Job.objects.filter(pk=job.pk).update(announced_at=timezone.now())
    return True


def _producers() -> ProducerPool:
    """Return this process's connections for sending, whose waits are short."""
    return producers[current_app.connection_for_write(connect_timeout=_SECONDS, transport_options=_IMPATIENT)]


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

    Return how many; a broker that is away is not asked for the rest.
    """
    now = timezone.now()
    patience = now - lease_time()
    untold = (
        Q(announced_at__isnull=True, created_at__lt=patience)
        | Q(announced_at__lt=patience)
        | Q(announced_at__lt=F("not_before"))
    )
    lost = Q(state=State.RUNNING) | untold
    count = 0
    for job in Job.objects.filter(claimable(now) & lost).order_by("created_at").iterator(chunk_size=500):
        if not job_announce(job):
            break
        count += 1
    return count
