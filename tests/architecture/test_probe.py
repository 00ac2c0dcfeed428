"""The health check of containers without a port, as the container runs it, on what a real process touches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.workers import wait_until

ROOT = Path(__file__).parents[2]


def probe(what: Path) -> int:
    return subprocess.run([sys.executable, "deploy/probe.py", str(what)], cwd=ROOT, check=False).returncode


def test_a_file_is_a_sign_of_life_while_it_is_young(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    assert probe(file) == 1
    file.touch()
    assert probe(file) == 0
    os.utime(file, (0, 0))
    assert probe(file) == 1


def test_the_reaper_shows_that_it_lives(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.dev",
        "BLINDPAIR_DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "BLINDPAIR_DATA_DIR": str(tmp_path),
        "BLINDPAIR_ALIVE_PATH": str(file),
    }
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=ROOT, env=environment, check=True)
    reaper = subprocess.Popen([*manage, "reap_jobs", "--every", "0.1"], cwd=ROOT, env=environment)
    try:
        wait_until(file.exists, "the reaper has touched its file")
        os.utime(file, (0, 0))
        wait_until(lambda: probe(file) == 0, "the reaper has touched it again")
    finally:
        reaper.kill()
        reaper.wait()
