"""Threads share a database connection each; workers are recycled so that no leak grows for ever."""

import multiprocessing
import os

bind = os.environ.get("BLINDPAIR_BIND", "0.0.0.0:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", multiprocessing.cpu_count()))
threads = 8
worker_class = "gthread"
# The port opens once the application is there: the proxy would wait for one that is still loading, not go elsewhere.
preload_app = True
max_requests = 50_000
max_requests_jitter = 5_000
timeout = 60
graceful_timeout = 30
# Longer than nginx keeps an idle connection to us (60 s), or it would send a vote down one that closes: a 502.
keepalive = 75
# Heartbeats of the arbiter go to memory: the root file system is read-only.
worker_tmp_dir = "/dev/shm"
# Nobody steers a running server through a socket, and there is no home to keep one in.
control_socket_disable = True


def child_exit(server, worker) -> None:
    """Drop the dead worker's gauges from the shared metrics."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
