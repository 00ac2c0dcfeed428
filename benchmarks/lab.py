"""The reference deployment as processes of one machine, each of which can be killed: what faults.py and load.py drive.

PostgreSQL and Valkey come from PyPI wheels; RabbitMQ is used where ``rabbitmq-server`` is on the PATH and asked for.
Commands and variables are those of docker-compose.yml. A process that dies is started again, as a container would be.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.campaign.proxy import NGINX, Proxy
from benchmarks.machinery import Broker, PostgreSQL, free_port, killed, wait_until

__all__ = ["Lab", "Process", "running_lab"]

ROOT = Path(__file__).parents[1]


def clock_built(folder: Path, clock: Path) -> dict[str, str]:
    """Compile the wall clock that can be set; return the variables of a process that lives by it."""
    compiler, library = shutil.which("cc"), folder / "clock.so"
    if compiler is None:
        raise RuntimeError("this needs a C compiler; install one (Debian: gcc, libc6-dev)")
    source = Path(__file__).parent / "campaign/clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(clock)}


class Process:
    """One process of ours, its log, and the way to know that it serves."""

    def __init__(
        self,
        name: str,
        command: list[str],
        lab: Lab,
        is_ready: Callable[[Process], bool],
        variables: dict[str, str] | None = None,
    ) -> None:
        self.name, self.command, self._lab, self._is_ready = name, command, lab, is_ready
        self._variables = variables or {}
        self.log = lab.folder / f"{name}.log"
        self.popen: subprocess.Popen | None = None
        self._seen = 0

    def start(self) -> Process:
        self._seen = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self._lab.environment | self._lab.clock_variables | self._variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def wait_ready(self) -> Process:
        wait_until(lambda: self.popen.poll() is not None or self._is_ready(self), f"{self.name} is ready ({self.log})")
        if self.popen.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.popen.returncode}: {self.log.read_text()[-2000:]}")
        return self

    def new_log(self) -> bytes:
        """Return what it has written since its last start."""
        with self.log.open("rb") as file:
            file.seek(self._seen)
            return file.read()

    def is_alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def children(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.popen.pid).children()
        return []

    def terminate(self, *, patience: float = 90.0) -> None:
        """Send SIGTERM to the first process, as docker does, and SIGKILL to all after the grace period."""
        popen = self.popen
        if popen is not None and popen.poll() is None:
            popen.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                popen.wait(timeout=patience)
        self.kill()

    def kill(self) -> None:
        # What is killed here may have been started again elsewhere before it has been waited for.
        popen = self.popen
        if popen is not None and popen.poll() is None:
            killed(popen.pid)
            popen.wait()


class Lab:
    """Every process of the deployment. ``environment`` is what each of them, and the driver, runs with."""

    def __init__(
        self,
        *,
        broker: str = "valkey",
        workers: int = 2,
        web_processes: int = 2,
        lease_seconds: int = 3,
        with_proxy: bool = False,
        **variables: str,
    ) -> None:
        self._starting = threading.Lock()
        self.folder = Path(tempfile.mkdtemp(prefix="blindpair-lab-"))
        self.folder.chmod(0o755)
        self.media = self.folder / "media"
        self.media.mkdir()
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.database = PostgreSQL(self.folder)
        self.broker = Broker(broker, self.folder)
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "config.settings.prod",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "BLINDPAIR_SECRET_KEY": secrets.token_urlsafe(50),
            "BLINDPAIR_DATABASE_URL": self.database.url,
            "BLINDPAIR_BROKER_URL": self.broker.url,
            "BLINDPAIR_ALLOWED_HOSTS": "127.0.0.1",
            "BLINDPAIR_PUBLIC_URL": "https://study.example.org",
            # There is no proxy that ends TLS and counts visits; both are its part of the deployment.
            "BLINDPAIR_TLS_REDIRECT": "false",
            "BLINDPAIR_STARTS_PER_HOUR": "0",
            "BLINDPAIR_DATA_DIR": str(self.folder / "data"),
            "BLINDPAIR_MEDIA_ROOT": str(self.media),
            "BLINDPAIR_STATIC_ROOT": str(self.folder / "static"),
            "BLINDPAIR_JOB_LEASE_SECONDS": str(lease_seconds),
            "BLINDPAIR_DEVICE": "cpu",
            "BLINDPAIR_LOG_LEVEL": "WARNING",
            "BLINDPAIR_BIND": f"127.0.0.1:{self.port}",
            "WEB_CONCURRENCY": str(web_processes),
            **variables,
        }
        python = sys.executable
        self.web = Process(
            "web",
            [python, "deploy/serve.py"],
            self,
            lambda process: self.answers("/readyz"),
        )
        self.workers = [
            Process(
                f"worker{number}",
                [
                    python,
                    "-m",
                    "celery",
                    "-A",
                    "config",
                    "worker",
                    "--queues",
                    "default,gpu",
                    "--concurrency",
                    "1",
                    "--without-mingle",
                    "--without-gossip",
                    "--loglevel",
                    "INFO",
                    "--hostname",
                    f"worker{number}@%h",
                ],
                self,
                lambda process: b" ready." in process.new_log(),
            )
            for number in range(workers)
        ]
        self.reaper = Process("reaper", [python, "manage.py", "reap_jobs", "--every", "1"], self, lambda process: True)

        self.clock_variables: dict[str, str] = {}
        self._clock = self.folder / "clock"
        self.proxy: Proxy | None = None
        if with_proxy:
            self._put_proxy_in_front()

    def _put_proxy_in_front(self) -> None:
        """Add the deployment's nginx and the researchers' web server, and give all processes a clock to be set."""
        if NGINX is None:
            raise RuntimeError("this needs nginx; install it (Debian: nginx-light)")
        desk, plain, tls = (free_port() for _ in range(3))
        folder = self.folder / "proxy"
        folder.mkdir()
        self.proxy = Proxy(folder, media=self.media, web=self.port, desk=desk, plain=plain, tls=tls)
        self.environment |= {"BLINDPAIR_PROXIES": "1", "BLINDPAIR_IMAGE_ACCEL": "/protected/"}
        self.environment |= {"BLINDPAIR_PAIR_ACCEL": "/protected-pair/"}
        self.set_clock(0)
        self.clock_variables = clock_built(self.folder, self._clock)
        self.desk = Process(
            "desk",
            self.web.command,
            self,
            lambda process: self.answers("/readyz", port=desk),
            {"BLINDPAIR_BIND": f"127.0.0.1:{desk}", "WEB_THREADS": "16"},
        )
        self.nginx = Process("nginx", self.proxy.command, self, lambda process: self._proxy_answers())

    def set_clock(self, seconds: int) -> None:
        """Set the clock of every process of ours so many seconds ahead; the databases keep theirs."""
        # In place: the processes have the file mapped.
        with self._clock.open("r+b" if self._clock.exists() else "w+b") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def client(self, number: int = 0) -> http.client.HTTPConnection:
        """Return a rater's connection; behind the proxy each comes from an address of their own."""
        if self.proxy is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        address = f"127.0.{2 + number // 250}.{1 + number % 250}"
        return http.client.HTTPSConnection(
            "127.0.0.1", self.proxy.tls, timeout=10, context=self.proxy.context, source_address=(address, 0)
        )

    def _proxy_answers(self) -> bool:
        with suppress(OSError):
            return self.proxy.ask_plainly("/proxy-health")[0] == 200
        return False

    @property
    def processes(self) -> list[Process]:
        in_front = [self.desk, self.nginx] if self.proxy else []
        return [self.web, *in_front, *self.workers, self.reaper]

    def answers(self, path: str, *, port: int = 0) -> bool:
        """Return whether the web server answers 200 at a path."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def use_here(self) -> None:
        """Give this process the same settings and set Django up: the driver writes studies and counts votes."""
        os.environ.update(self.environment)
        import django

        django.setup()

    def start(self) -> None:
        """Start everything, after migrating and collecting what the pages show."""
        self.broker.start()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        for process in self.processes:
            process.start()
        for process in self.processes:
            process.wait_ready()

    def restart_dead(self) -> list[str]:
        """Start again what has ended, as ``restart: unless-stopped`` does; return the names."""
        with self._starting:
            dead = [process for process in self.processes if not process.is_alive()]
            for process in dead:
                process.start()
        return [process.name for process in dead]

    def memory_mb(self) -> dict[str, float]:
        """Return the memory that each service's processes hold alone (unique set size), in MB."""
        found = {}
        for process in self.processes:
            total = 0
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.popen.pid)
                for one in [parent, *parent.children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                        total += one.memory_full_info().uss
            found[process.name] = round(total / 2**20, 1)
        return found

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        self.broker.stop()
        self.database.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running_lab(**options) -> Iterator[Lab]:
    """Start a lab, set Django up in this process for it, and clear everything away at the end."""
    # A plain SIGTERM would leave every server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab = Lab(**options)
    try:
        lab.use_here()
        lab.start()
        yield lab
    finally:
        lab.close()
