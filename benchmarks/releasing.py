"""Write releases of many images: ``python -m benchmarks.releasing --images 2000 20000 100000 [--database sqlite]``.

For each size a fresh database gets a closed study of two arms with a few raters' votes, and as many images of 32
pixels; the release is written in a process of its own. Printed and kept in ``benchmarks/releasing.json``: the peak
memory of the process before and after, and files and bytes of the folder. Memory may not grow with the images.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from benchmarks.serving import _postgresql, _sqlite  # noqa: E402

RECORD = Path(__file__).with_suffix(".json")
DATABASES = {"sqlite": _sqlite, "postgresql": _postgresql}
DISTINCT_IMAGES = 256
# What one size may need more than another: a row group of images and the database's own cache.
MOST_GROWTH_MB = 64


def main() -> int:
    options = _options()
    if options.inside:
        {"make": _make, "write": _write}[options.inside](options.images[0], Path(options.out))
        return 0
    rows = []
    for images in options.images:
        with (
            tempfile.TemporaryDirectory(prefix="blindpair-bench-") as folder,
            DATABASES[options.database](Path(folder)) as url,
        ):
            rows.append(_in_processes(Path(folder), url, images))
        print(json.dumps(rows[-1]), flush=True)
    facts = {"cores": os.cpu_count(), "python": platform.python_version(), "database": options.database}
    RECORD.write_text(json.dumps({"machine": facts, "sizes": rows}, indent=1) + "\n")
    growth = max(row["peak_mb"] for row in rows) - min(row["peak_mb"] for row in rows)
    print(f"the largest needs {growth:.0f} MB more than the smallest")
    return 0 if growth <= MOST_GROWTH_MB else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--database", choices=list(DATABASES), default="sqlite")
    parser.add_argument("--inside", choices=["make", "write"], help=argparse.SUPPRESS)
    parser.add_argument("--out", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_processes(folder: Path, url: str, images: int) -> dict:
    """Make the study in one process and release it in another, whose peak memory is then that of the release."""
    environment = os.environ | {"BLINDPAIR_DATABASE_URL": url, "BLINDPAIR_DATA_DIR": str(folder / "data")}
    for step in ("make", "write"):
        command = [
            sys.executable,
            __file__,
            "--inside",
            step,
            "--images",
            str(images),
            "--out",
            str(folder / "release"),
        ]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _begin() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    import django

    django.setup()


def _make(images: int, _: Path) -> None:
    _begin()
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    from django.core.management import call_command

    from survey.models import ImagePair, PairImage
    from survey.services.study.study import study_transition
    from tests.factories import make_png, make_running, make_visit

    call_command("migrate", verbosity=0)
    version = make_running(is_publication_consented=True, votes_per_pair=6, pairs=6)
    for _number in range(3):
        make_visit(version)
    study_transition(study=version.study, name="close", actor=None, reason="enough")
    stored = []
    for seed in range(DISTINCT_IMAGES):
        content = make_png(seed, size=32)
        name = default_storage.save(f"bench/{seed}.png", ContentFile(content))
        stored.append((name, hashlib.sha256(content).hexdigest()))
    arms = list(version.study.arms.all())
    for start in range(0, images // 2, 5000):
        numbers = range(start, min(start + 5000, images // 2))
        pairs = ImagePair.objects.bulk_create(
            ImagePair(study=version.study, key=f"bench/{number:07d}", seed=number) for number in numbers
        )
        rows = [(pair, arm) for pair in pairs for arm in arms]
        PairImage.objects.bulk_create(
            PairImage(pair=pair, arm=arm, file=name, sha256=digest, width=32, height=32)
            for (pair, arm), (name, digest) in (
                (row, stored[(start + place) % DISTINCT_IMAGES]) for place, row in enumerate(rows)
            )
        )


def _write(images: int, out: Path) -> None:
    _begin()
    from survey.models import Study
    from survey.reports.release.release import ReleaseOptions, release_write

    study = Study.objects.get()
    before = _peak_mb()
    counts = release_write(study, out, ReleaseOptions(license="CC-BY-4.0"))
    assert counts["images"] >= images
    files = [path for path in out.rglob("*") if path.is_file()]
    result = {
        "images": counts["images"],
        "peak_mb": round(_peak_mb(), 1),
        "before_mb": round(before, 1),
        "files": len(files),
        "mb": round(sum(path.stat().st_size for path in files) / 1e6, 1),
    }
    print(json.dumps(result))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
