"""The Celery app. A message only wakes a worker: the row in ``jobs.Job`` is the truth."""

import os
from contextlib import suppress
from signal import SIGTERM
from typing import Any

from celery import Celery
from celery.signals import heartbeat_sent, worker_init, worker_process_init, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

app = Celery("blindpair")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Handlers are found when a job asks for them (jobs/registry.py): the web image has no torch for the GPU's.
app.autodiscover_tasks(["jobs"])


@heartbeat_sent.connect
def _show_that_it_lives(**kwargs) -> None:
    from jobs.heartbeat import heartbeat_touch

    heartbeat_touch()


# On SIGTERM Celery takes no more messages and waits for the running ones, which know nothing of it. So the parent tells
# the processes of its pool, and the job at hand saves itself and goes back to the queue (jobs/leaving.py). Celery's own
# REMAP_SIGTERM waits a fixed time instead and then drops the work; it is also read before this module is.
_worker: list[Any] = []


@worker_init.connect
def _remember_the_worker(sender: Any, **kwargs) -> None:
    _worker[:] = [sender]


@worker_process_init.connect
def _listen(**kwargs) -> None:
    from jobs.leaving import TELL, leave_on

    # A scheduler such as Slurm sends SIGTERM to these processes too.
    leave_on(TELL, SIGTERM)


@worker_shutting_down.connect
def _tell_the_pool(**kwargs) -> None:
    from jobs.leaving import TELL, leave_soon

    leave_soon()
    for pid in _worker[0].pool.info.get("processes", []) if _worker else []:
        with suppress(ProcessLookupError):
            os.kill(pid, TELL)
