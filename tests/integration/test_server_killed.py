"""Kill the web server with SIGKILL amid votes: every acknowledged one is there once, and the rest can be sent again."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.urls import reverse

from benchmarks.machinery import free_port, killed
from survey.models import Vote
from survey.tokens import session_token
from tests.factories import make_running
from tests.visits import TAB, active
from tests.workers import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

RATERS, VOTES = 40, 5


class Server:
    """The production server, on a port of its own, in a process group that can be killed at once."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.port = free_port()
        self._log = folder / "server.log"
        self._environment = os.environ | {
            "BLINDPAIR_DATABASE_URL": database_url,
            "BLINDPAIR_MEDIA_ROOT": str(settings.MEDIA_ROOT),
            "BLINDPAIR_ALLOWED_HOSTS": "*",
            "BLINDPAIR_BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": "2",
        }

    def start(self) -> None:
        command = [sys.executable, "deploy/serve.py"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._listens, f"the server listens ({self._log})", seconds=300)

    def _listens(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        # Waits for the workers too: one that has not died would take connections meant for the next server.
        killed(self.process.pid)
        self.process.wait()

    def post(self, path: str, body: dict) -> tuple[int, dict]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = client.getresponse()
            return response.status, json.loads(response.read())
        finally:
            client.close()


def database_url(folder: Path) -> str:
    """Return an address under which another process finds the test database."""
    if connection.vendor == "sqlite":
        # The test database lives in this process's memory.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(folder / "copy.sqlite3")])
        return f"sqlite:///{folder / 'copy.sqlite3'}"
    now = connection.settings_dict
    return f"postgresql://{now['USER']}:{now['PASSWORD']}@/{now['NAME']}?host={quote(now['HOST'], safe='')}"


def test_acknowledged_votes_survive_the_death_of_the_server(tmp_path) -> None:
    version = make_running(pairs=12, votes_per_pair=40, trials_per_session=VOTES, practice_trials=0, repeat_trials=0)
    plans = []
    for _ in range(RATERS):
        session = active(version)
        trials = list(session.trials.order_by("position").values_list("pk", flat=True))[:VOTES]
        path = reverse("survey:api-vote", args=[session_token(session.pk)])
        plans.append(
            (path, [{"tab": TAB, "trial": str(pk), "key": str(uuid.uuid4()), "choice": "left"} for pk in trials])
        )
    server = Server(tmp_path, database_url(tmp_path))
    server.start()
    acknowledged: set[str] = set()
    enough = threading.Event()

    def rate(plan) -> None:
        path, bodies = plan
        for body in bodies:
            try:
                status, _ = server.post(path, body)
            except (OSError, http.client.HTTPException, ValueError):
                return
            assert status == 200
            acknowledged.add(body["key"])
            if len(acknowledged) >= RATERS * VOTES // 3:
                enough.set()

    with ThreadPoolExecutor(RATERS) as pool:
        raters = [pool.submit(rate, plan) for plan in plans]
        assert enough.wait(timeout=300)
        server.kill()
        for rater in raters:
            rater.result(timeout=300)
    kept = set(acknowledged)
    assert RATERS * VOTES // 3 <= len(kept) < RATERS * VOTES
    server.start()
    try:
        replies: Counter[tuple[int, bool]] = Counter()
        for path, bodies in plans:
            for body in bodies:  # as a browser does that is not sure: send again, with the same key
                status, answer = server.post(path, body)
                assert status == 200, answer
                replies[body["key"] in kept, answer["stored"]["replay"]] += 1
    finally:
        server.kill()
    assert replies[True, False] == 0, "an acknowledged vote was gone"
    assert sum(replies.values()) == RATERS * VOTES
    if connection.vendor != "sqlite":
        assert Vote.objects.count() == Vote.objects.filter(is_current=True).count() == RATERS * VOTES
