"""The Celery app. A message only wakes a worker: the row in ``jobs.Job`` is the truth."""

import os

from celery import Celery
from celery.signals import heartbeat_sent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
# SIGTERM lets the running slice reach its next checkpoint instead of waiting for the whole task.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

app = Celery("blindpair")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Handlers are found when a job asks for them (jobs/registry.py): the web image has no torch for the GPU's.
app.autodiscover_tasks(["jobs"])


@heartbeat_sent.connect
def _show_that_it_lives(**kwargs) -> None:
    from jobs.heartbeat import heartbeat_touch

    heartbeat_touch()
