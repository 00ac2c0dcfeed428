"""How long a vote takes with three criteria below each pair, beside one question: the same endpoint, in turn.

    python -m benchmarks.criteria [--database sqlite|postgresql] [--votes 600]

In this process, with the random wait of each answer left out, which would hide the difference. The target is a median
of at most 1.3 times that of one question. To be recorded on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.serving import _postgresql, _sqlite

MOST_RATIO = 1.3
_TRIALS = 60
_WARM = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--votes", type=int, default=600, help="of each kind")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measured(options.votes)))
        return 0
    for name in options.database or ["sqlite", "postgresql"]:
        found = _in_database(name, options.votes)
        one, three = found["one"], found["three"]
        ratio = three["median_ms"] / one["median_ms"]
        for caption, row in (("one question", one), ("three criteria", three)):
            print(
                f"{name:11} {caption:15} median {row['median_ms']:.2f} ms, p95 {row['p95_ms']:.2f} ms, "
                f"CPU {row['cpu_ms']:.2f} ms, n {row['n']}"
            )
        said = "within" if ratio <= MOST_RATIO else "above"
        cpu = three["cpu_ms"] / one["cpu_ms"]
        print(f"{name:11} ratio {ratio:.2f}, {said} the target of {MOST_RATIO}; of CPU {cpu:.2f}")
    return 0


def _in_database(name: str, votes: int) -> dict[str, Any]:
    """Measure in a process of its own, whose database is a new one."""
    with tempfile.TemporaryDirectory(prefix="blindpair-bench-") as folder, ExitStack() as stack:
        databases = {"sqlite": _sqlite, "postgresql": _postgresql}
        environment = os.environ | {
            "BLINDPAIR_DATABASE_URL": stack.enter_context(databases[name](Path(folder))),
            "BLINDPAIR_DATA_DIR": str(Path(folder) / "data"),
            "BLINDPAIR_LOG_LEVEL": "ERROR",
        }
        command = [sys.executable, "-m", "benchmarks.criteria", "--measure", "--votes", str(votes)]
        root = Path(__file__).parents[1]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        return json.loads(done.stdout.splitlines()[-1])


def _measured(votes: int) -> dict[str, dict[str, float]]:
    """Answer trials of both studies in turn; return the times of each."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    import django

    django.setup()
    from django.core.management import call_command

    from survey.api import rater
    from tests.factories import CRITERIA

    call_command("migrate", verbosity=0)
    rater.response_jitter = lambda: None
    studies = {"one": {}, "three": {"criteria": CRITERIA, "criteria_design": "together"}}
    answering = {name: _answers(votes + _WARM, fields) for name, fields in studies.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in studies}
    for turn in range(votes + _WARM):
        # Both in each turn, so that whatever else the machine does meets them alike.
        for name in studies if turn % 2 else reversed(studies):
            took = next(answering[name])
            if turn >= _WARM:
                times[name].append(took)
    return {
        name: {
            "median_ms": 1000 * statistics.median(took for took, _ in taken),
            "p95_ms": 1000 * statistics.quantiles([took for took, _ in taken], n=20)[-1],
            # Of this process: with SQLite the database's work is in it, and other programs' is not.
            "cpu_ms": 1000 * statistics.median(cpu for _, cpu in taken),
            "n": len(taken),
        }
        for name, taken in times.items()
    }


def _answers(votes: int, fields: dict[str, Any]) -> Iterator[tuple[float, float]]:
    """Yield how long the endpoint took for one vote after the other, and its CPU seconds, visit after visit."""
    from django.test import Client
    from django.urls import reverse

    from survey.tokens import session_token
    from tests.factories import answers_to, make_running
    from tests.visits import TAB, active, next_trial

    plan = {"pairs": _TRIALS, "trials_per_session": _TRIALS, "practice_trials": 0, "lease_minutes": 600}
    version = make_running(votes_per_pair=votes // _TRIALS + 2, **plan | fields)
    while True:
        session = active(version)
        address = reverse("survey:api-vote", args=[session_token(session.pk)])
        while (trial := next_trial(session)) is not None:
            answers = [{"criterion": one.criterion, "choice": "left"} for one in answers_to(version, trial, "left")]
            body = {"tab": TAB, "trial": str(trial.pk), "key": str(uuid.uuid4()), "answers": answers}
            start, worked = time.perf_counter(), time.process_time()
            response = Client().post(address, body, content_type="application/json")
            took = time.perf_counter() - start, time.process_time() - worked
            assert response.status_code == 200, response.content
            yield took


if __name__ == "__main__":
    raise SystemExit(main())
