"""The production settings in a process of their own: what headers, cookies, passwords and logs really are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = """
import json, os, django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from survey.services.visit.session import session_start
from survey.tokens import session_token
from tests.factories import make_running, make_study
user = get_user_model().objects.create_superuser("ada", password="correct horse battery")
frames = {"provider": "mturk"}
framed = make_running(make_study(owner=user, pairs=3, recruitment=frames)) if os.environ.get("FRAMED") else None
plain = make_running(make_study(owner=user, pairs=3))
token = session_token(session_start(study=plain.study).pk)
client = Client(SERVER_NAME="study.example.org", raise_request_exception=False)
def get(path, **extra):
    answer = client.get(path, **({"secure": True} | extra))
    return {"status": answer.status_code, "headers": dict(answer.headers)}
pages = {
    "open line": get("/admin/login/", secure=False),
    "health": get("/healthz", secure=False),
    "login": get("/admin/login/"),
    "landing": get(f"/s/{plain.study.slug}/"),
    "visit": get(f"/r/{token}/"),
    "metrics": get("/metrics"),
    "strange host": get("/admin/login/", SERVER_NAME="evil.example.org"),
    "refused": get(f"/r/{token}x/"),
}
if framed is not None:
    pages["framed"] = get(f"/s/{framed.study.slug}/")
client.post(f"/r/{token}/api/votes", "x", content_type="application/json", secure=True,
            HTTP_USER_AGENT="Telltale/1.0", REMOTE_ADDR="203.0.113.77")
client.post("/admin/login/", {"username": "ada", "password": "hunter22hunter22"}, secure=True)
client.post("/admin/login/", {"username": "ada", "password": "correct horse battery"}, secure=True)
flags = ("secure", "httponly", "samesite")
cookies = {name: {flag: morsel[flag] for flag in flags} for name, morsel in client.cookies.items()}
password = get_user_model().objects.get().password
print(json.dumps({"pages": pages, "cookies": cookies, "password": password, "token": token,
                  "session": client.cookies["sessionid"].value}))
"""
KEY = "k3-" + "aB9xQ7rT2mV5" * 5


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("production")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "BLINDPAIR_SECRET_KEY": KEY,
        "BLINDPAIR_DATA_DIR": str(folder),
        "BLINDPAIR_ALLOWED_HOSTS": "study.example.org",
        "BLINDPAIR_METRICS_TOKEN": "metrics-token-of-the-tests",
        "BLINDPAIR_LOG_LEVEL": "DEBUG",
        "FRAMED": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1]) | {"log": done.stderr}


def headers(seen: dict, page: str) -> dict[str, str]:
    return seen["pages"][page]["headers"]


def policy(seen: dict, page: str) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in headers(seen, page)["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("page", ["login", "landing", "visit", "refused"])
def test_every_page_has_the_strict_headers(seen, page: str) -> None:
    rules = policy(seen, page)
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert not any("unsafe" in value or "*" in value or "http:" in value for value in rules.values())
    assert (rules["base-uri"], rules["frame-ancestors"]) == ("'none'", "'none'")
    given = headers(seen, page)
    assert given["X-Frame-Options"] == "DENY"
    assert given["X-Content-Type-Options"] == "nosniff"
    assert given["Referrer-Policy"] == "same-origin"
    assert given["Cross-Origin-Opener-Policy"] == "same-origin"
    assert given["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


def test_an_open_line_is_sent_to_tls_and_health_checks_are_not(seen) -> None:
    assert seen["pages"]["open line"]["status"] == 301
    assert headers(seen, "open line")["Location"].startswith("https://study.example.org/")
    assert seen["pages"]["health"]["status"] == 200


def test_frames_are_allowed_for_the_panel_of_that_study_alone(seen) -> None:
    assert "mturk" in policy(seen, "framed")["frame-ancestors"]
    assert "X-Frame-Options" not in headers(seen, "framed")
    assert policy(seen, "landing")["frame-ancestors"] == "'none'"


def test_pages_of_a_visit_stay_out_of_every_cache(seen) -> None:
    assert "no-store" in headers(seen, "visit")["Cache-Control"]
    assert "no-store" in headers(seen, "landing")["Cache-Control"]


def test_cookies_travel_over_tls_alone_and_scripts_cannot_read_the_session(seen) -> None:
    assert set(seen["cookies"]) == {"csrftoken", "sessionid"}
    assert all(cookie["secure"] and cookie["samesite"] in {"Lax", "Strict"} for cookie in seen["cookies"].values())
    assert seen["cookies"]["sessionid"]["httponly"]


def test_passwords_are_stored_by_argon2(seen) -> None:
    assert seen["password"].startswith("argon2$argon2id$")


def test_unknown_hosts_and_unnamed_scrapers_get_nothing(seen) -> None:
    assert seen["pages"]["strange host"]["status"] == 400
    assert seen["pages"]["metrics"]["status"] == 404


def test_logs_hold_no_token_address_password_or_browser(seen) -> None:
    lines = [line for line in seen["log"].splitlines() if line.startswith("{")]
    assert any("/r/..." in line for line in lines), "a refused request must have been logged"
    for secret in (
        seen["token"],
        seen["session"],
        KEY,
        "203.0.113.77",
        "Telltale",
        "hunter22",
        "correct horse",
        "metrics-token-of-the-tests",
    ):
        assert secret not in seen["log"], secret
    assert all(json.loads(line)["message"] for line in lines)
