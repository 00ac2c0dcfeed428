"""The deployment files name commands, variables and ports that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ["web", "desk", "worker", "reaper", "gpu", "migrate"]


def settings_variables() -> set[str]:
    """Every variable that a settings module reads."""
    source = "".join(path.read_text() for path in (ROOT / "config/settings").glob("*.py"))
    return set(re.findall(r'env\.\w+\(\s*"(BLINDPAIR_\w+)"', source))


def test_documented_variables_are_those_the_settings_read() -> None:
    table = (ROOT / "docs/deployment.md").read_text().split("## Environment")[1].split("## Watching")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(BLINDPAIR_\w+)`", row.split("|")[1])}
    assert len(documented) > 15
    assert documented == settings_variables()


@pytest.mark.parametrize("service", OURS)
def test_compose_sets_only_variables_that_are_read(service: str) -> None:
    known = settings_variables() | {"DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR", "TMPDIR", "HOME"}
    known |= set(re.findall(r'environ\.get\("(\w+)"', (ROOT / "deploy/serve.py").read_text()))
    given = {name.removesuffix("_FILE") for name in COMPOSE["services"][service]["environment"]}
    assert given <= known


@pytest.mark.parametrize("service", OURS)
def test_compose_commands_exist_and_run_unprivileged(service: str) -> None:
    entry = COMPOSE["services"][service]
    command = entry["command"]
    if command[:2] == ["python", "manage.py"]:
        assert command[2] in get_commands()
    elif command[0] == "celery":
        assert command[1:4] == ["-A", "config", "worker"]
        assert command[command.index("--queues") + 1] in {"default", "gpu"}
    else:
        assert command == ["python", "deploy/serve.py"]
    assert entry["user"] == "10001:10001"


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_every_service_is_confined_watched_and_started_again(service: str) -> None:
    entry = COMPOSE["services"][service]
    assert entry["read_only"] is True
    assert int(entry["user"].split(":")[0]) > 0
    assert entry["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in entry["security_opt"]
    if service == "migrate":
        # It ends, and the others wait for that.
        assert entry["restart"] == "no"
        return
    assert entry["restart"] == "unless-stopped"
    assert entry["healthcheck"]["test"]
    assert entry["deploy"]["resources"]["limits"]["memory"]


def test_health_checks_look_where_the_processes_show_that_they_live() -> None:
    services = COMPOSE["services"]
    for name in ("worker", "gpu", "reaper"):
        *probe, file = services[name]["healthcheck"]["test"]
        assert probe == ["CMD", "python", "deploy/probe.py"]
        assert file == services[name]["environment"]["BLINDPAIR_ALIVE_PATH"]
    for name in ("web", "desk"):
        assert services[name]["healthcheck"]["test"][-1] == "http://127.0.0.1:8000/readyz"
    assert services["proxy"]["healthcheck"]["test"][-1] == "http://127.0.0.1:8080/proxy-health"
    assert "location = /proxy-health" in (ROOT / "deploy/nginx.conf").read_text()


def test_what_is_too_large_for_memory_goes_to_a_folder_that_the_images_have() -> None:
    folder = COMPOSE["services"]["web"]["environment"]["TMPDIR"]
    for image in ("web", "gpu"):
        assert f"mkdir -p {folder} " in (ROOT / f"deploy/{image}.Dockerfile").read_text()


def test_ports_and_paths_agree_between_the_files() -> None:
    nginx = (ROOT / "deploy/nginx.conf").read_text()
    environment = COMPOSE["services"]["web"]["environment"]
    assert 'os.environ.get("BLINDPAIR_BIND", "0.0.0.0:8000")' in (ROOT / "deploy/serve.py").read_text()
    for pool in ("web", "desk"):
        assert f"upstream {pool} {{ server {pool}:8000" in nginx
        assert pool in environment["BLINDPAIR_ALLOWED_HOSTS"].split(",")
    assert f"location {environment['BLINDPAIR_IMAGE_ACCEL']} {{" in nginx
    assert f"location ~ ^{environment['BLINDPAIR_PAIR_ACCEL']}(" in nginx
    assert f"alias {environment['BLINDPAIR_MEDIA_ROOT']}/;" in nginx
    assert {port.split(":")[1] for port in COMPOSE["services"]["proxy"]["ports"]} == set(
        re.findall(r"listen (\d+)", nginx)
    )


def test_one_service_builds_each_image_and_no_registry_is_asked_for_ours() -> None:
    of_ours = [service for name, service in COMPOSE["services"].items() if name in OURS]
    built = [service["image"] for service in of_ours if "build" in service]
    assert sorted(built) == sorted({service["image"] for service in of_ours})
    assert all(service.get("pull_policy") == "never" for service in of_ours if "build" not in service)


def test_every_image_is_pinned_and_every_secret_is_a_file() -> None:
    for name, service in COMPOSE["services"].items():
        assert re.search(r":[\w.${}:-]*\d", service["image"]), name
        assert "latest" not in service["image"], name
    made = (ROOT / "deploy/make-secrets.sh").read_text()
    for secret in COMPOSE["secrets"].values():
        assert f"keep {Path(secret['file']).name} " in made
