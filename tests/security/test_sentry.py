"""What leaves for Sentry when requests and jobs fail in production: read at a local server that stands for Sentry."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEY = "k3-" + "aB9xQ7rT2mV5" * 5
TYPED, ADDRESS, BROWSER = "typed by somebody", "203.0.113.77", "Telltale/1.0"
PROBE = """
import json, sys, django
django.setup()
from unittest import mock
from django.conf import settings
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.test import RequestFactory
from config.wsgi import application
from jobs.registry import handles
from jobs.runner import job_run; from jobs.services import job_enqueue
from survey.services.visit.session import session_start
from survey.tokens import session_token
from tests.factories import make_running
token = session_token(session_start(study=make_running().study).pk)
typed, address, browser = sys.argv[1:]
request = RequestFactory(SERVER_NAME="study.example.org", HTTP_USER_AGENT=browser, REMOTE_ADDR=address).post(
    f"/r/{token}/api/votes", json.dumps({"choice": typed}), content_type="application/json", secure=True
)
statuses = []
with mock.patch("survey.api.rater.session_id_of", side_effect=RuntimeError(typed)):
    b"".join(application(request.environ, lambda status, headers, error=None: statuses.append(int(status[:3]))))
@handles("jobs.breaks")
def breaks(lease, *, name):
    raise LookupError(f"no such person: {name}")
job = job_run(job_enqueue(kind="jobs.breaks", parameters={"name": typed}).pk)
if settings.SENTRY_DSN:
    import sentry_sdk
    sentry_sdk.flush(timeout=60)
print(json.dumps({"status": statuses[0], "job": job.state, "job_error": job.error, "token": token,
                  "loaded": "sentry_sdk" in sys.modules}))
"""


class _Project(BaseHTTPRequestHandler):
    """Keeps what a Sentry project is sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def project() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Project) as server:
        server.received = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(folder: Path, dsn: str) -> dict:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "BLINDPAIR_SECRET_KEY": KEY,
        "BLINDPAIR_DATA_DIR": str(folder),
        "BLINDPAIR_ALLOWED_HOSTS": "study.example.org",
        "BLINDPAIR_SENTRY_DSN": dsn,
    }
    command = [sys.executable, "-c", PROBE, TYPED, ADDRESS, BROWSER]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    assert (seen["status"], seen["job"]) == (500, "failed")
    assert TYPED in seen["job_error"]
    return seen | {"log": [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]}


@pytest.fixture(scope="module")
def seen(project: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory) -> dict:
    dsn = f"http://public@127.0.0.1:{project.server_address[1]}/7"
    return run(tmp_path_factory.mktemp("sentry"), dsn) | {"sent": list(project.received)}


def events(seen: dict) -> list[dict]:
    lines = [json.loads(line) for envelope in seen["sent"] for line in envelope.splitlines()]
    return [line for line in lines if "exception" in line]


def test_failed_requests_and_jobs_are_reported_by_type_and_place(seen) -> None:
    found = {event["exception"]["values"][-1]["type"]: event for event in events(seen)}
    assert set(found) == {"RuntimeError", "LookupError"}
    request, job = found["RuntimeError"], found["LookupError"]
    assert request["transaction"] == "/r/{token}/api/votes"
    assert request["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"]
    assert job["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "breaks"


def test_a_report_names_the_request_under_which_the_logs_hold_the_rest(seen) -> None:
    contexts = {entry["context"] for entry in seen["log"] if TYPED in entry.get("error", "") and "context" in entry}
    reported = {event["tags"]["context"] for event in events(seen)}
    assert {context.partition("-")[0] for context in contexts} == {"request", "job"}
    assert contexts <= reported


def test_reports_hold_no_person_token_address_browser_or_text_of_an_error(seen) -> None:
    assert len(seen["sent"]) >= 2
    for secret in (TYPED, ADDRESS, BROWSER, seen["token"], seen["token"][:16], KEY, "study.example.org"):
        assert not any(secret.encode() in envelope for envelope in seen["sent"]), secret


def test_without_an_address_nothing_is_reported_or_even_loaded(tmp_path: Path) -> None:
    assert not run(tmp_path, "")["loaded"]
