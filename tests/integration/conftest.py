from __future__ import annotations

import os

import pytest


@pytest.fixture
def broker_url(settings, worker_id: str) -> str:
    """A database of the broker for this test process alone."""
    number = 1 + int(worker_id.removeprefix("gw")) % 14 if worker_id != "master" else 0
    settings.CELERY_BROKER_URL = f"{os.environ['TEST_BROKER_URL']}/{number}"
    from config.celery import app

    app.conf.broker_url = settings.CELERY_BROKER_URL
    return settings.CELERY_BROKER_URL
