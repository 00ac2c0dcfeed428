"""What `manage.py check --deploy` says of the reference deployment, and of deployments that are none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the compose file's web service, with the secrets that make-secrets.sh makes."""
    folder = tmp_path_factory.mktemp("deployment")
    (folder / "deploy").mkdir()
    shutil.copy(ROOT / "deploy/make-secrets.sh", folder / "deploy")
    subprocess.run(["sh", str(folder / "deploy/make-secrets.sh")], check=True, capture_output=True)
    given = {name: str(value) for name, value in COMPOSE["services"]["web"]["environment"].items()}
    for name, value in given.items():
        value = value.replace("${BLINDPAIR_HOST:?the public host name}", "study.example.org")
        value = value.replace("${BLINDPAIR_HOST}", "study.example.org").replace("${BLINDPAIR_SENTRY_DSN:-}", "")
        given[name] = value.replace("/run/secrets/", f"{folder}/secrets/")
    assert not any("${" in value for value in given.values())
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | given | {"TMPDIR": str(folder)}


def checked(environment: dict[str, str]) -> tuple[int, str]:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_reference_deployment_is_clean(deployed) -> None:
    status, text = checked(deployed)
    assert (status, "no issues" in text) == (0, True), text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"BLINDPAIR_SECRET_KEY_FILE": ""}, "BLINDPAIR_SECRET_KEY is not set"),
        ({"BLINDPAIR_SECRET_KEY": "short"}, "BLINDPAIR_SECRET_KEY is too weak"),
        ({"BLINDPAIR_ALLOWED_HOSTS": ""}, "BLINDPAIR_ALLOWED_HOSTS is not set"),
        ({"BLINDPAIR_PUBLIC_URL": "http://study.example.org"}, "blindpair.E001"),
        ({"BLINDPAIR_DATABASE_URL_FILE": ""}, "blindpair.W001"),
        ({"BLINDPAIR_BROKER_URL_FILE": ""}, "blindpair.W002"),
        (
            {
                "BLINDPAIR_S3_BUCKET": "images",
                "BLINDPAIR_S3_ACCESS_KEY": "test-access",
                "BLINDPAIR_S3_SECRET_KEY": "test-secret-0123456789",
            },
            "blindpair.E002",
        ),
    ],
)
def test_a_deployment_that_is_none_is_refused_with_the_reason(deployed, changed: dict[str, str], said: str) -> None:
    status, text = checked(deployed | changed)
    assert status != 0
    assert said in text
