"""Serve raters under load, beside a bare view and an earlier build: ``python -m benchmarks.serving``.

A trial is a vote, whose answer brings the next trial, and the two images of that one, asked for as the build's own page
does: one by one before, together now. Raters who never wait, 16 and 64, ask both builds and the yardstick in turns: on
SQLite without a proxy, on PostgreSQL behind nginx. The yardstick is a bare Django under the server of this build: one
SELECT for what comes next, two files by nginx, one INSERT. oTree, where it is installed (``--otree``), shows the same
pairs. Then 64 raters who answer at the moment at which the page lets them, after a study's usual minimum exposure, give
the response times of the most that so many people can ask for. Driver and servers share the machine: the record,
``benchmarks/serving.json``, says how busy it was before. CPU of the servers a trial is given beside the rates, which
says the same on a busy machine.

Claims: 1.6 times the trials of 13bc07b and half of the bare ones; p99 of a vote, 64 who never wait, at most 150 ms.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.before_and_after import BEFORE, earlier, machine
from benchmarks.campaign.proxy import NGINX
from benchmarks.driving import Ports, drive, rate, rate_barely, rate_by_pairs
from benchmarks.machinery import free_port
from benchmarks.serving_lab import DATABASES, Program, behind_nginx
from benchmarks.serving_otree import otree_raters, otree_serving, rate_at_otree

ROOT = Path(__file__).resolve().parents[1]
RECORD = Path(__file__).with_suffix(".json")
TRIALS = 300
# Those who never wait; each build has raters of its own for each run, as a visit has so many trials and no more.
CROWDS, WARMING = (16, 64), 16
CALM, LOOK_SECONDS = 64, 0.8
OLD_SERVER = ["-m", "gunicorn", "config.wsgi", "--config", "deploy/gunicorn.conf.py", "--log-level", "warning"]


def main() -> int:
    options = _options()
    if options.prepare:
        print(json.dumps(_prepare(options.raters)))
        return 0
    if NGINX is None:
        raise SystemExit("this needs nginx; install it (Debian: nginx-light)")
    facts = machine()
    with earlier() as before:
        results = {name: _measured(name, before, options) for name in options.database or ["sqlite", "postgresql"]}
    _show(results)
    # A database that was not asked for keeps its place in the record.
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    settings = {name: getattr(options, name) for name in ("seconds", "times")}
    for name, result in results.items():
        record[name] = {"before": BEFORE, "machine": facts, "options": settings, "results": result}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--times", type=int, default=5, help="turns; the medians are compared")
    parser.add_argument("--otree", default=shutil.which("otree"), help="oTree's program, in an environment of its own")
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--raters", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _prepare(raters: int) -> list[dict[str, str]]:
    """Make a study of 128 x 128 images and raters at their first trial, in this process's database."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    import django

    django.setup()
    import numpy as np
    from django.core.management import call_command
    from PIL import Image

    from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
    from survey.services.study.study import arm_add, study_create, study_transition
    from survey.services.study.version import version_freeze
    from survey.services.visit.session import session_take_tab
    from survey.tokens import session_token
    from tests.factories import make_user
    from tests.visits import begin

    call_command("migrate", verbosity=0)
    plan = {"trials_per_session": TRIALS, "votes_per_pair": raters, "practice_trials": 0}
    study = study_create(owner=make_user(), slug="bench", title="Bench", consent_text="Yes.", **plan)
    for arm in ("vanilla", "robust"):
        arm_add(study=study, name=arm)
    rng, new = np.random.default_rng(0), []
    for number in range(TRIALS):
        images = {}
        for arm in ("vanilla", "robust"):
            coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            buffer = io.BytesIO()
            coarse.resize((128, 128), Image.Resampling.BICUBIC).save(buffer, "PNG")
            name, sha256 = image_store(buffer.getvalue())
            images[arm] = NewImage(file=name, sha256=sha256, width=128, height=128)
        new.append(NewPair(key=f"{number:05d}", images=images, class_label=str(number % 10), class_name="thing"))
    pairs_register(study=study, pairs=new)
    frozen = version_freeze(study=study)
    study_transition(study=study, name="open", actor=None)
    sessions = [session_take_tab(session_id=begin(frozen).pk, tab="bench") for _ in range(raters)]
    return [{"session": str(session.pk), "token": session_token(session.pk)} for session in sessions]


@dataclass(frozen=True, kw_only=True)
class Build:
    """One tree with a database of its own, filled with a running study."""

    tree: Path
    folder: Path
    environment: dict[str, str]
    raters: list[dict[str, str]]

    @contextmanager
    def serving(self, *, settings: str, by_nginx: frozenset[str]) -> Iterator[tuple[Ports, psutil.Process]]:
        """Start the build's server, and nginx for what it is to serve: pages, images, both; yield ports and server."""
        port = free_port()
        variables = {"BLINDPAIR_BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2", "DJANGO_SETTINGS_MODULE": settings}
        if "pages" in by_nginx:
            variables |= {"BLINDPAIR_IMAGE_ACCEL": "/protected/", "BLINDPAIR_PAIR_ACCEL": "/protected-pair/"}
        command = ["deploy/serve.py"] if (self.tree / "deploy/serve.py").exists() else OLD_SERVER
        program = Program([sys.executable, *command], port, self.tree, self.environment | variables)
        with behind_nginx(program, self.folder, media=self.media, by_nginx=by_nginx) as found:
            yield found

    @property
    def media(self) -> Path:
        return self.folder / "data" / "media"


@contextmanager
def _build(tree: Path, database: str, raters: int) -> Iterator[Build]:
    with tempfile.TemporaryDirectory(prefix="blindpair-bench-") as name, DATABASES[database](Path(name)) as url:
        folder = Path(name)
        folder.chmod(0o755)
        environment = os.environ | {
            "BLINDPAIR_DATABASE_URL": url,
            "BLINDPAIR_DATA_DIR": str(folder / "data"),
            "BLINDPAIR_MEDIA_ROOT": str(folder / "data" / "media"),
            "BLINDPAIR_LOG_LEVEL": "ERROR",
            "PYTHONPATH": str(tree),
        }
        # Each tree prepares with its own script, under its own options.
        script = ["-m", "benchmarks.serving"] if tree == ROOT else ["benchmarks/serving.py", "--saturating", "0"]
        command = [sys.executable, *script, "--prepare", "--raters", str(raters)]
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        yield Build(tree=tree, folder=folder, environment=environment, raters=json.loads(done.stdout.splitlines()[-1]))
        shutil.rmtree(folder / "data", ignore_errors=True)


def _cpu_seconds(process: psutil.Process) -> float:
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return sum(time.user + time.system for time in times)


class Contestant(NamedTuple):
    """Who is measured: how it is served, its raters in a turn, and what these do."""

    serving: Callable[[], AbstractContextManager[tuple[Ports, psutil.Process]]]
    raters: Callable[[int, Ports], list[dict[str, str]]]
    work: Callable


def _contestants(old: Build, new: Build, database: str, program: str | None) -> dict[str, Contestant]:
    ours = frozenset({"pages", "images"} if database == "postgresql" else ())

    def of(build: Build, work: Callable, settings: str = "config.settings.dev", *more: str) -> Contestant:
        return Contestant(
            lambda: build.serving(settings=settings, by_nginx=ours | set(more)),
            lambda turn, ports: build.raters[turn * (WARMING + sum(CROWDS)) :],
            work,
        )

    found = {
        "before": of(old, rate),
        "now": of(new, rate_by_pairs),
        "bare": of(new, rate_barely, "benchmarks.serving_bare", "images"),
    }
    if program:
        found["oTree"] = Contestant(
            lambda: otree_serving(program, database, media=new.media, by_nginx=ours),
            lambda turn, ports: otree_raters(ports[0], WARMING + sum(CROWDS)),
            rate_at_otree,
        )
    return found


def _measured(database: str, before: Path, options: argparse.Namespace) -> dict:
    """Return the medians of all turns, a row a contestant and crowd."""
    wanted = options.times * (WARMING + sum(CROWDS)) + CALM
    runs: dict[str, list[dict]] = {}
    with _build(before, database, wanted) as old, _build(ROOT, database, wanted) as new:
        contestants = _contestants(old, new, database, options.otree)
        for turn, (name, contestant) in product(range(options.times), contestants.items()):
            with contestant.serving() as (ports, server):
                raters = iter(contestant.raters(turn, ports))
                drive(ports, list(islice(raters, WARMING)), 2.0, contestant.work)
                for crowd in CROWDS:
                    run = _run(ports, server, list(islice(raters, crowd)), options.seconds, contestant.work)
                    runs.setdefault(f"{name}, {crowd}", []).append(run)
        with contestants["now"].serving() as (ports, _):
            calm = drive(ports, new.raters[-CALM:], options.seconds + LOOK_SECONDS, rate_by_pairs, LOOK_SECONDS)
    rows = {name: _median_of(found) for name, found in runs.items()}
    for crowd, other in product(CROWDS, contestants.keys() - {"now"}):
        now = rows[f"now, {crowd}"]
        now[f"over_{other}"] = round(now["per_second"] / rows[f"{other}, {crowd}"]["per_second"], 2)
    return rows | {f"now, {CALM} who look": {"per_second": calm["per_second"], "vote_p99_ms": calm["vote"]["p99_ms"]}}


def _run(ports: Ports, server: psutil.Process, raters: list[dict[str, str]], seconds: float, work: Callable) -> dict:
    worked = _cpu_seconds(server)
    run = drive(ports, raters, seconds, work)
    return run | {"server_cpu_ms": 1000 * (_cpu_seconds(server) - worked) / run["vote"]["n"]}


def _median_of(runs: list[dict]) -> dict[str, float]:
    numbers = [
        {
            "per_second": run["per_second"],
            "server_cpu_ms": run["server_cpu_ms"],
            "vote_p50_ms": run["vote"]["p50_ms"],
            "vote_p99_ms": run["vote"]["p99_ms"],
        }
        for run in runs
    ]
    return {name: round(statistics.median(run[name] for run in numbers), 2) for name in numbers[0]}


def _show(results: dict[str, dict]) -> None:
    for database, rows in results.items():
        for name, row in rows.items():
            print(f"{database:<11}{name:<20}" + "  ".join(f"{key} {value:g}" for key, value in row.items()))


if __name__ == "__main__":
    sys.exit(main())
