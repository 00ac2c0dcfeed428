from __future__ import annotations

import itertools
import os

import pytest
from django.core.servers.basehttp import WSGIRequestHandler
from hypothesis import HealthCheck, settings

# The live server answers in two writes; without this each answer waits 40 ms for the acknowledgement of the first.
WSGIRequestHandler.disable_nagle_algorithm = True

# The same examples in every run, however slow the machine is while they are made.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _same_start(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give each test that touches the database its own storage, pages that count anew, and visits drawn alike.

    What a slow machine keeps in the cache would outlive the rows of a test.
    """
    has_database = request.node.get_closest_marker("django_db") is not None
    if has_database or {"db", "transactional_db", "live_server"} & set(request.fixturenames):
        settings = request.getfixturevalue("settings")
        settings.MEDIA_ROOT = tmp_path_factory.mktemp("media")
        monkeypatch = request.getfixturevalue("monkeypatch")
        monkeypatch.setattr("survey.services.results.progress.SLOW_SECONDS", float("inf"))
        # The same trials for the first visit, the second and so on in every run.
        seeds = itertools.count(1)
        monkeypatch.setattr("survey.services.visit.session.new_seed", lambda: next(seeds))


@pytest.fixture
def broker_url(settings, worker_id: str) -> str:
    """A database of the broker for this test process alone."""
    number = 1 + int(worker_id.removeprefix("gw")) % 14 if worker_id != "master" else 0
    settings.CELERY_BROKER_URL = f"{os.environ['TEST_BROKER_URL']}/{number}"
    from config.celery import app

    app.conf.broker_url = settings.CELERY_BROKER_URL
    return settings.CELERY_BROKER_URL
