"""Generate many pairs: ``python benchmarks/many_pairs.py --pairs 1000 10000 100000 [--queue] [--database sqlite]``.

For each size a fresh database gets a study of two guided arms of tiny networks (8 pixels, two steps), and the command
``generate_pairs`` makes its pairs, or queues them for ``run_jobs``. Printed and kept in ``benchmarks/many_pairs.json``:
peak memory of the process, queries for each shard, its CPU time for each pair, the largest folder, and what the same
command costs once everything is there.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from benchmarks.freezing import DATABASES, _cost  # noqa: E402

RECORD = Path(__file__).with_suffix(".json")
STEPS = 2
SHARD_PAIRS = 64


def main() -> int:
    options = _options()
    if options.inside:
        print(json.dumps(_measured(options.pairs[0], Path(options.inside), is_queued=options.queue)))
        return 0
    kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    name = f"{options.database}, {'queued' if options.queue else 'inline'}"
    facts = {"cores": os.cpu_count(), "python": platform.python_version()}
    rows = []
    for pairs in options.pairs:
        with (
            tempfile.TemporaryDirectory(prefix="blindpair-bench-") as folder,
            DATABASES[options.database](Path(folder)) as url,
        ):
            rows.append(_in_process(Path(folder), url, pairs, is_queued=options.queue))
        print(json.dumps(rows[-1]), flush=True)
        kept[name] = facts | {"load_after": os.getloadavg()[0], "sizes": rows}
        RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--database", choices=list(DATABASES), default="postgresql")
    parser.add_argument("--queue", action="store_true", help="through the job table instead of in the command")
    parser.add_argument("--inside", metavar="DIR", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_process(folder: Path, url: str, pairs: int, *, is_queued: bool) -> dict:
    """Measure in a process of its own: its peak memory is that of one size."""
    environment = os.environ | {"BLINDPAIR_DATABASE_URL": url, "BLINDPAIR_DATA_DIR": str(folder / "data")}
    command = [sys.executable, __file__, "--inside", str(folder / "data"), "--pairs", str(pairs)]
    done = subprocess.run(
        [*command, "--queue"] if is_queued else command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _measured(pairs: int, folder: Path, *, is_queued: bool) -> dict:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    import django

    django.setup()
    from dataclasses import replace

    import torch
    from django.core.management import call_command

    from survey.models import PairImage
    from survey.services.study.study import arm_add, study_create
    from tests.factories import make_user
    from tests.generation.tiny import save_tiny_networks, tiny_recipes

    torch.set_num_threads(1)
    call_command("migrate", verbosity=0)
    study = study_create(owner=make_user(), slug="large", title="Large", consent_text="Yes.")
    networks = folder.parent / "networks"
    networks.mkdir()
    for recipe in tiny_recipes(save_tiny_networks(networks)):
        arm_add(study=study, name=recipe.name, recipe=replace(recipe, spacing=str(STEPS)).to_json())

    def order(**more: object) -> None:
        call_command("generate_pairs", study="large", pairs=pairs, shard=SHARD_PAIRS, stdout=io.StringIO(), **more)

    shards = -(-pairs // SHARD_PAIRS)
    result: dict = {"pairs": pairs, "shards": shards}
    if is_queued:
        result["queue"], _ = _cost(lambda: order(queue=True))
    start = time.process_time()
    if is_queued:
        made, _ = _cost(lambda: call_command("run_jobs", once=True, stdout=io.StringIO()))
    else:
        made, _ = _cost(order)
    cpu_seconds = time.process_time() - start
    assert PairImage.objects.count() == 2 * pairs
    result["make"] = made | {
        "queries_per_shard": round(made["queries"] / shards, 1),
        "cpu_ms_per_pair": round(1e3 * cpu_seconds / pairs, 2),
    }
    result["same_command_again"], _ = _cost(order)
    result["largest_folder"] = max(len(names) for _, *listing in os.walk(folder) for names in listing)
    return result


if __name__ == "__main__":
    sys.exit(main())
