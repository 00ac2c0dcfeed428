"""Freeze large studies, and give a pilot its slots: ``python benchmarks/freezing.py --pairs 1000 10000 100000``.

For each size a fresh database (PostgreSQL, or ``--database sqlite``) gets a study of small images; printed and kept in
``benchmarks/freezing.json`` are the seconds, the queries and the peak memory of freezing, of copying the slots for a
pilot, and of the first draw of a rater's trials. The peak is that of the process from its start.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from benchmarks.serving import _postgresql, _sqlite  # noqa: E402

RECORD = Path(__file__).with_suffix(".json")
DATABASES = {"sqlite": _sqlite, "postgresql": _postgresql}
DISTINCT_IMAGES = 64


def main() -> int:
    options = _options()
    if options.inside:
        print(json.dumps(_measured(options.pairs[0], options.votes)))
        return 0
    rows = []
    for pairs in options.pairs:
        with (
            tempfile.TemporaryDirectory(prefix="blindpair-bench-") as folder,
            DATABASES[options.database](Path(folder)) as url,
        ):
            rows.append(_in_process(Path(folder), url, pairs, options.votes))
        print(json.dumps(rows[-1]), flush=True)
    facts = {"cores": os.cpu_count(), "python": platform.python_version(), "database": options.database}
    RECORD.write_text(
        json.dumps({"machine": facts | {"load_after": os.getloadavg()[0]}, "sizes": rows}, indent=1) + "\n"
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--votes", type=int, default=10, help="wanted for each pair")
    parser.add_argument("--database", choices=list(DATABASES), default="postgresql")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_process(folder: Path, url: str, pairs: int, votes: int) -> dict:
    """Measure in a process of its own: its peak memory is that of one size."""
    environment = os.environ | {"BLINDPAIR_DATABASE_URL": url, "BLINDPAIR_DATA_DIR": str(folder / "data")}
    command = [sys.executable, __file__, "--inside", "--pairs", str(pairs), "--votes", str(votes)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _measured(pairs: int, votes: int) -> dict:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    import django

    django.setup()
    from django.core.management import call_command

    from survey.models import Slot
    from survey.services.assignment.slots import slots_ensure
    from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
    from survey.services.study.study import arm_add, study_create, study_transition
    from survey.services.study.version import version_freeze
    from tests.factories import make_png, make_user
    from tests.visits import begin

    call_command("migrate", verbosity=0)
    study = study_create(owner=make_user(), slug="large", title="Large", consent_text="Yes.", votes_per_pair=votes)
    for arm in ("vanilla", "robust"):
        arm_add(study=study, name=arm)
    stored = [image_store(make_png(number, size=32)) for number in range(DISTINCT_IMAGES)]

    def image(number: int) -> NewImage:
        name, sha256 = stored[number % DISTINCT_IMAGES]
        return NewImage(file=name, sha256=sha256, width=32, height=32)

    for start in range(0, pairs, 1000):
        pairs_register(
            study=study,
            pairs=[
                NewPair(
                    key=f"{number:07d}",
                    images={"vanilla": image(number), "robust": image(number + 1)},
                    class_label=str(number % 10),
                    class_name="thing",
                )
                for number in range(start, min(pairs, start + 1000))
            ],
        )
    result = {"pairs": pairs, "votes_per_pair": votes, "before": {"peak_mb": _peak_mb()}}
    result["freeze"], version = _cost(lambda: version_freeze(study=study))
    result["pilot_places"], count = _cost(lambda: slots_ensure(version, Slot.Pool.PILOT))
    assert count == pairs * votes
    study_transition(study=study, name="open", actor=None)
    result["begin"], _ = _cost(lambda: begin(version))
    return result


@contextmanager
def _counted() -> Iterator[list[int]]:
    from django.db import connection

    count = [0]

    def run(execute: Callable, sql: str, *arguments: object) -> object:
        count[0] += 1
        return execute(sql, *arguments)

    with connection.execute_wrapper(run):
        yield count


def _cost(work: Callable) -> tuple[dict[str, float], object]:
    start = time.perf_counter()
    with _counted() as count:
        found = work()
    return {"seconds": round(time.perf_counter() - start, 1), "queries": count[0], "peak_mb": _peak_mb()}, found


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())
