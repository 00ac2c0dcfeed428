"""Serve the application to the proxy: ``python deploy/serve.py``, at ``BLINDPAIR_BIND``, ``WEB_CONCURRENCY`` workers.

SIGTERM lets what is under way end; SIGHUP replaces the workers one by one; one that dies is started again.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from granian.constants import HTTPModes, Interfaces  # noqa: E402 - the application's folder comes first
from granian.http import HTTP1Settings  # noqa: E402
from granian.log import LogLevels  # noqa: E402
from granian.server import Server, mp  # noqa: E402

from deploy.later import answering_later, pause  # noqa: E402

# Seconds that a worker may take to end; the longest that the proxy waits for an answer is as much.
_LAST_ANSWERS = 65
# MiB of a worker, some three times what it needs: no leak grows for ever.
_MOST_MEMORY = 512


def main() -> None:
    # Loaded before the port opens, and shared by the workers, which are forked: the proxy would wait for a process that
    # is still loading, not go elsewhere.
    import_module("config.wsgi")
    from django.db import connection

    from survey.services.blinding.timing import wait_by

    # A granian that no longer asks for its wrapper by this name would leave the pauses asleep, as they are elsewhere.
    mp._wsgi_call_wrap = answering_later
    wait_by(pause)
    # Each has a connection to the database. Most of what raters ask for is Python, where more only wait for one
    # another, and for SQLite, where one writes at a time; researchers' uploads wait for their senders.
    threads = "2" if connection.vendor == "sqlite" else "4"
    host, _, port = os.environ.get("BLINDPAIR_BIND", "0.0.0.0:8000").rpartition(":")
    Server(
        "config.wsgi:application",
        address=host.strip("[]"),
        port=int(port),
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=int(os.environ.get("WEB_CONCURRENCY", os.cpu_count() or 1)),
        blocking_threads=int(os.environ.get("WEB_THREADS", threads)),
        # An idle connection is closed after this time. The proxy must do so first (nginx.conf, keepalive_timeout), or
        # it would send a vote down one that closes: a 502.
        http1_settings=HTTP1Settings(header_read_timeout=60_000),
        respawn_failed_workers=True,
        respawn_interval=0.1,
        workers_kill_timeout=_LAST_ANSWERS,
        workers_max_rss=_MOST_MEMORY,
        log_level=LogLevels.warning,
    ).serve()


if __name__ == "__main__":
    main()
