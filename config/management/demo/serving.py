"""The server of `make demo` and the worker beside it. Neither outlives the command."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management.base import CommandError
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application

__all__ = [
    "address_parsed",
    "address_require_free",
    "interrupt_on_signals",
    "serve",
    "server_on",
    "undisturbed",
    "worker_beside",
]

# A worker saves what it does; one that does not listen is killed after this.
_PATIENCE_SECONDS = 20
_TO_END = (signal.SIGINT, signal.SIGTERM)


def address_parsed(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``PORT``.

    Raises
    ------
    CommandError
        If there is no port.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise CommandError(f"--address is {address!r}; write HOST:PORT, for example 127.0.0.1:8000")
    return host or "127.0.0.1", int(port)


def address_require_free(host: str, port: int) -> None:
    """Refuse an address that cannot be served, before anything is trained for it.

    Raises
    ------
    CommandError
        Naming the address and another one to try.
    """
    with socket.socket() as trial:
        # As the server does: what a server that has just stopped leaves behind is no obstacle.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
            trial.listen()
        except OSError as error:
            raise CommandError(_refusal(host, port, error)) from None


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{host}:{port} is taken by another program. Stop it, or choose another port:\n"
            f"    make demo ARGS='--address {host}:{port + 1 if port < 65535 else 8000}'"
        )
    return f"{host}:{port} cannot be served: {error.strerror}. Choose another address with --address HOST:PORT."


class _Handler(WSGIRequestHandler):
    # Headers and body leave in two writes: without this, each answer waits for the acknowledgement of the first.
    disable_nagle_algorithm = True


def interrupt_on_signals() -> None:
    """Let SIGTERM end this process as Ctrl-C does; a shell may have had both ignored.

    Only the first signal interrupts: an impatient second one would break into what is ended in order.
    """
    for number in _TO_END:
        signal.signal(number, _interrupt)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hear no further signal to end for a while: what is ended is ended in order."""
    before = {number: signal.signal(number, _not_now) for number in _TO_END}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _TO_END:
        signal.signal(number, _not_now)
    raise KeyboardInterrupt


def _not_now(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. SIG_IGN in its place prints a warning for a signal that has arrived and is not handled yet."""


def server_on(host: str, port: int, *, access_log: bool) -> ThreadedWSGIServer:
    """Return a bound server of pages and static files; without ``access_log`` it only says what went wrong."""
    try:
        server = ThreadedWSGIServer((host, port), _Handler)
    except OSError as error:
        raise CommandError(_refusal(host, port, error)) from None
    # Threads of open connections must not keep the command alive.
    server.daemon_threads = True
    server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
    if not access_log:
        # After the application is loaded, which sets logging up anew.
        logging.getLogger("django.server").setLevel(logging.ERROR)
    return server


def serve(server: ThreadedWSGIServer) -> None:
    """Serve until Ctrl-C or SIGTERM, which is no error."""
    interrupt_on_signals()
    try:
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    finally:
        server.server_close()


@contextmanager
def worker_beside() -> Iterator[None]:
    """Work off reports and imports in a process of its own, which ends with this one, however this one ends.

    It is in a session of its own, so that Ctrl-C at the terminal reaches this process alone; a worker that loses its
    standard input (this process was killed) ends itself.
    """
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "run_jobs", "--with-parent"],
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        worker.terminate()
        try:
            worker.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
        worker.stdin.close()
