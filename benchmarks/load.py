"""How many raters the server and PostgreSQL serve: whole visits with think times, saturation, and cost as votes grow.

    python benchmarks/load.py --raters 1000 --think 8 --seconds 600 --slots 250000 --stored 10000 100000 1000000 \
        --out benchmarks/load.json

``--measure`` takes one measurement after another, each into its place of ``--out``, where the whole takes too long.
Raters take every step of a visit over HTTP, images included, and think between votes. Saturation is the same without
thinking, at ``--concurrent`` raters. For the growth, finished visits are written straight into the tables. The driver
shares the machine with the servers, so that rates are low estimates. Exit status 1 on an error, a lost or doubled vote.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import random
import re
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.lab import Lab, running_lab

FORM = "application/x-www-form-urlencoded"
MEASUREMENTS = ["thinking", "saturation", "growth"]
BAD = ("errors", "lost", "duplicated")


class Measures:
    """Latencies by kind of request, errors, and the votes that were acknowledged."""

    def __init__(self) -> None:
        self.ms: dict[str, list[float]] = {}
        self.errors: Counter[str] = Counter()
        self.votes: list[str] = []
        self.visits = 0
        self._lock = threading.Lock()

    def add(self, kind: str, ms: float) -> None:
        with self._lock:
            self.ms.setdefault(kind, []).append(ms)

    def add_visit(self) -> None:
        with self._lock:
            self.visits += 1

    def latencies(self) -> dict[str, dict[str, float]]:
        return {kind: {"count": len(values)} | percentiles(values) for kind, values in sorted(self.ms.items())}


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds (nearest rank)."""
    ordered = sorted(values)
    rank = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
    return {f"p{round(100 * share)}_ms": round(rank(share), 1) for share in (0.5, 0.95, 0.99)}


class Rater:
    """One visit after another, as a browser takes it: pages, forms, images, votes."""

    def __init__(
        self, lab: Lab, slug: str, measures: Measures, think: float, seed: int, broken_off: threading.Event
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=60)
        self._slug, self._measures, self._think = slug, measures, think
        self._random = random.Random(seed)
        self._broken_off = broken_off

    def run(self, until: float) -> None:
        """Visit until the time is over; the last visit is left where it is, as some people do."""
        while time.monotonic() < until and not self._broken_off.is_set():
            try:
                if self._visit(until):
                    self._measures.add_visit()
            except (OSError, http.client.HTTPException, RuntimeError) as error:
                self._measures.errors[f"{type(error).__name__}: {error}"[:200]] += 1
                self._connection.close()
        self._connection.close()

    def _ask(self, kind: str, method: str, path: str, body: str = "", content: str = "") -> tuple[int, str, bytes]:
        start = time.perf_counter()
        headers = {"Content-Type": content} if content else {}
        try:
            self._connection.request(method, path, body or None, headers)
            answer = self._connection.getresponse()
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
            # The server has closed the idle connection meanwhile: a browser opens another, and so does this.
            self._connection.close()
            self._connection.request(method, path, body or None, headers)
            answer = self._connection.getresponse()
        text = answer.read()
        self._measures.add(kind, 1000 * (time.perf_counter() - start))
        if answer.status >= 400:
            raise RuntimeError(f"{kind}: {answer.status}")
        return answer.status, answer.getheader("Location", ""), text

    def _form(self, path: str, **fields: str) -> str:
        return self._ask("form", "POST", path, urlencode(fields) or "x=", FORM)[1]

    def _json(self, kind: str, path: str, body: dict) -> dict:
        return json.loads(self._ask(kind, "POST", path, json.dumps(body), "application/json")[2])

    def _page(self, path: str) -> str:
        return self._ask("page", "GET", path)[2].decode()

    def _visit(self, until: float) -> bool:
        """Take one visit; return whether it came to its end."""
        self._page(f"/s/{self._slug}/")
        here = self._form(f"/s/{self._slug}/start", language="en")
        digest = re.search(r'name="consent_sha256" value="(\w+)"', self._page(here))[1]
        self._form(here + "consent", consent_sha256=digest)
        self._form(here + "device", width="1920", height="1080", pixel_ratio="1", is_touch="false")
        self._page(here)
        self._form(here + "begin")
        found = re.search(r'<script id="setup" type="application/json">(.*?)</script>', self._page(here), re.S)
        if found is None:
            raise RuntimeError("the study is full")
        if not self._vote_all(json.loads(found[1])["urls"], until):
            return False
        self._form(here + "finish")
        if 'id="code"' not in self._page(here):
            raise RuntimeError("no completion code")
        return True

    def _vote_all(self, urls: dict[str, str], until: float) -> bool:
        tab, seen = str(uuid.uuid4()), set()
        window = self._json("window", urls["window"], {"tab": tab})
        while window["trials"]:
            for trial in window["trials"]:
                # As the page does: an image's address is sealed anew in every answer, its trial stays the same.
                if trial["id"] in seen:
                    continue
                seen.add(trial["id"])
                for side in ("left", "right"):
                    self._ask("image", "GET", trial[side])
            if self._think:
                self._broken_off.wait(self._random.lognormvariate(0, 0.45) * self._think)
            if time.monotonic() > until or self._broken_off.is_set():
                return False
            key = str(uuid.uuid4())
            body = {"tab": tab, "trial": window["trials"][0]["id"], "key": key, "response_ms": 1000.0}
            window = self._json("vote", urls["vote"], body | {"choice": self._random.choice(("left", "right", "tie"))})
            self._measures.votes.append(key)
        return True


def make_open_study(owner, slug: str, *, trials: int, votes: int):
    """Return a running study with slots for about ``votes`` votes on pairs of 128 x 128 images."""
    from tests.factories import make_running, make_study

    pairs = 40
    plan = {"votes_per_pair": max(10, votes // pairs), "trials_per_session": trials, "practice_trials": 2}
    checks = {"repeat_trials": 1, "identical_trials": 1, "degraded_trials": 1}
    return make_running(make_study(owner=owner, slug=slug, pairs=pairs, **plan, **checks))


def measured(lab: Lab, slug: str, *, raters: int, think: float, seconds: float) -> dict:
    """Send raters for a time; return rates, latencies, errors, memory, and how the table differs from what was said."""
    from survey.models import Vote

    measures = Measures()
    before = Vote.objects.count()
    memory = [lab.memory_mb()]
    start = time.monotonic()
    until = start + seconds
    broken_off = threading.Event()
    with ThreadPoolExecutor(raters) as pool:
        try:
            crowd = []
            for number in range(raters):
                crowd.append(pool.submit(Rater(lab, slug, measures, think, number, broken_off).run, until))
                # People do not arrive in one instant: spread over a tenth of the time.
                time.sleep(0.1 * seconds / raters if think else 0)
            while time.monotonic() < until:
                time.sleep(min(seconds / 20, max(0.1, until - time.monotonic())))
                memory.append(lab.memory_mb())
            for rater in crowd:
                rater.result()
        except BaseException:
            # The pool waits for its raters: whoever breaks a run off need not.
            broken_off.set()
            raise
    elapsed = time.monotonic() - start
    stored = Counter(str(key) for key in Vote.objects.order_by("pk")[before:].values_list("submission_key", flat=True))
    return {
        "raters": raters,
        "think_seconds": think,
        "seconds": round(elapsed, 1),
        "visits": measures.visits,
        "votes": len(measures.votes),
        "votes_per_second": round(len(measures.votes) / elapsed, 1),
        "requests_per_second": round(sum(map(len, measures.ms.values())) / elapsed, 1),
        "latency": measures.latencies(),
        "errors": dict(measures.errors),
        "lost": sum(key not in stored for key in measures.votes),
        "duplicated": sum(count - 1 for count in stored.values()),
        "memory_mb": {"web_first": memory[0]["web"], "web_last": memory[-1]["web"], "web": [m["web"] for m in memory]},
    }


def fill(version, wanted: int, trials: int) -> None:
    """Copy finished visits straight in the tables until there are ``wanted`` votes."""
    from django.db import connection

    from survey.models import Vote

    missing = wanted - Vote.objects.count()
    if missing <= 0:
        return
    visits = -(-missing // trials)
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute(
            "INSERT INTO survey_rater (id, provider, created_at) "
            "SELECT gen_random_uuid(), 'open', now() FROM generate_series(1, %s) RETURNING id",
            [visits],
        )
        raters = [row[0] for row in cursor.fetchall()]
    _copy_session(version, raters)
    _copy_trials_and_votes(version, raters, trials)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _columns(model, changed: dict[str, str]) -> tuple[str, str]:
    """Return the column list of a table and the same list with some columns replaced by SQL."""
    names = [field.column for field in model._meta.concrete_fields]
    return ", ".join(f'"{name}"' for name in names), ", ".join(changed.get(name, f't."{name}"') for name in names)


def _copy_session(version, raters: list) -> None:
    from django.db import connection

    from survey.models import RaterSession

    names, values = _columns(RaterSession, {"id": "gen_random_uuid()", "rater_id": "r"})
    pattern = RaterSession.objects.filter(version=version, state=RaterSession.State.COMPLETED).first()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO survey_ratersession ({names}) SELECT {values} "
            "FROM survey_ratersession t, unnest(%s::uuid[]) r WHERE t.id = %s",
            [raters, pattern.pk],
        )


def _copy_trials_and_votes(version, raters: list, trials: int) -> None:
    from django.db import connection

    from survey.models import RaterSession, Trial, Vote

    pattern = RaterSession.objects.filter(version=version, state=RaterSession.State.COMPLETED).order_by("started_at")
    pattern = pattern.exclude(rater_id__in=raters).first()
    trial_names, trial_values = _columns(
        Trial, {"id": "gen_random_uuid()", "session_id": "s.id", "slot_id": "NULL", "repeat_of_id": "NULL"}
    )
    vote_names, vote_values = _columns(
        Vote,
        {
            "id": f"nextval(pg_get_serial_sequence('{Vote._meta.db_table}', 'id'))",
            "trial_id": "n.id",
            "submission_key": "gen_random_uuid()",
        },
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH n AS (INSERT INTO {Trial._meta.db_table} ({trial_names}) SELECT {trial_values} "
            f"FROM {Trial._meta.db_table} t, survey_ratersession s "
            "WHERE t.session_id = %s AND t.position <= %s AND s.rater_id = ANY(%s::uuid[]) RETURNING id) "
            f"INSERT INTO {Vote._meta.db_table} ({vote_names}) SELECT {vote_values} FROM n, "
            f"(SELECT * FROM {Vote._meta.db_table} LIMIT 1) t",
            [pattern.pk, trials, raters],
        )


def table_bytes() -> int:
    """Return what the tables of visits, trials, votes and slots take on disk, indexes included."""
    from django.db import connection

    from survey.models import Rater, RaterSession, Slot, Trial, Vote

    with connection.cursor() as cursor:
        total = 0
        for model in (Rater, RaterSession, Slot, Trial, Vote):
            cursor.execute("SELECT pg_total_relation_size(%s)", [model._meta.db_table])
            total += cursor.fetchone()[0]
    return total


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=100, help="with think times")
    parser.add_argument("--measure", nargs="+", choices=MEASUREMENTS, default=MEASUREMENTS)
    parser.add_argument("--think", type=float, default=2.0, help="median seconds between votes")
    parser.add_argument("--concurrent", type=int, default=64, help="raters of the saturation")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--trials", type=int, default=20, help="of each visit")
    parser.add_argument(
        "--stored", type=int, nargs="*", default=[10_000], help="votes in the table before a measurement"
    )
    parser.add_argument("--slots", type=int, default=20_000, help="votes that the study wants")
    parser.add_argument("--web-processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    is_part = arguments.measure != MEASUREMENTS and arguments.out and arguments.out.exists()
    result = json.loads(arguments.out.read_text()) if is_part else {}
    options = {key: value for key, value in vars(arguments).items() if key not in {"out", "measure"}}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load_before": os.getloadavg()[0]}
    with running_lab(workers=0, web_processes=arguments.web_processes) as lab:
        from tests.factories import make_user

        version = make_open_study(make_user("owner"), "load", trials=arguments.trials, votes=arguments.slots)
        slug = version.study.slug
        crowds = {
            "thinking": {"raters": arguments.raters, "think": arguments.think},
            "saturation": {"raters": arguments.concurrent, "think": 0.0},
        }
        for name in arguments.measure:
            if name in crowds:
                found = measured(lab, slug, seconds=arguments.seconds, **crowds[name])
            else:
                found = {"growth": growth(lab, version, arguments)}
            machine["load_after"] = os.getloadavg()[0]
            # A long run that is broken off keeps what it has measured.
            result[name] = {"options": options, "machine": machine} | found
            print(name, json.dumps(result[name]), flush=True)
            if arguments.out:
                arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if any(map(has_failed, result.values())) else 0


def has_failed(found: dict) -> bool:
    """Return whether a measurement met an error, or lost or doubled a vote."""
    return any(bad for one in [found, *found.get("growth", [])] for bad in (one.get(key) for key in BAD))


def growth(lab: Lab, version, arguments: argparse.Namespace) -> list[dict]:
    """Measure the same small crowd again and again while the tables grow."""
    from survey.models import RaterSession

    slug, seconds = version.study.slug, min(30.0, arguments.seconds)
    # A finished visit to copy, and warm processes: the first measurement would pay for both.
    while not RaterSession.objects.filter(state=RaterSession.State.COMPLETED).exists():
        measured(lab, slug, raters=8, think=0.0, seconds=10.0)
    found = []
    for wanted in arguments.stored:
        before, rows = table_bytes(), _vote_count()
        fill(version, wanted, arguments.trials)
        grown = _vote_count() - rows
        size = round((table_bytes() - before) / grown) if grown > 0 else None
        one = measured(lab, slug, raters=8, think=0.0, seconds=seconds)
        kept = {key: one[key] for key in ("votes_per_second", "errors", "lost", "duplicated")}
        found.append({"stored": wanted, "vote": one["latency"].get("vote")} | kept | {"bytes_per_vote": size})
        print("growth", json.dumps(found[-1]), flush=True)
    return found


def _vote_count() -> int:
    from survey.models import Vote

    return Vote.objects.count()


if __name__ == "__main__":
    sys.exit(main())
