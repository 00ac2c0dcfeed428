"""What raters of photographs wait and load, against the build of commit 13bc07b: ``python benchmarks/display.py``.

Photographs (scikit-learn's two, cropped, resized and mildly noised) make 30 pairs of 512 and of 1024 pixels, whose arms
are the original and a JPEG of quality 30. A clone of this repository at 13bc07b and this tree import and freeze them; a
rater in Chromium, behind a throttled line, votes every two seconds in a box of 600 pixels at ratio 1 (the older build
shows original pixels, in a window that has room for them). Recorded in ``benchmarks/display.json``: CPU seconds of
freezing an image, bytes of a visit, milliseconds from a vote to the next pair, and from the trials page to the first.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = os.environ.get("DISPLAY_TREE", str(ROOT))

RECORD = Path(__file__).with_suffix(".json")
BEFORE = "13bc07b"
# Levels of noise: with 1 the ratio of bytes at 512 pixels is some 0.05 lower than with 2.
NOISE = 1.5
PAIRS, EVERY_S, BOX_PX = 30, 2.0, 600
# Pixels a side, megabits a second, milliseconds of latency.
LINES = {512: (4, 80), 1024: (10, 40)}
TARGETS = {
    "bytes_ratio": {1024: 0.28, 512: 0.75},
    "cpu_ratio": {1024: 0.5, 512: 0.5},
    "next_ms_95": {1024: 100, 512: 100},
    "first_ms": {1024: 1500, 512: 2500},
}
WATCH = """() => {
    window.waits = [];
    let asked = 0;
    addEventListener("keydown", (event) => { if (event.key === "ArrowLeft") asked = performance.now(); }, true);
    const look = () => {
        const button = document.querySelector("#choose-left");
        const isShown = button?.offsetParent && button.getAttribute("aria-disabled") === "false";
        if (isShown && asked !== null) { window.waits.push(performance.now() - asked); asked = null; }
        requestAnimationFrame(look);
    };
    addEventListener("DOMContentLoaded", look);
}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--sides", type=int, nargs="+", default=list(LINES))
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _inside(options.inside, options.pairs)
    record: dict = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load_before": os.getloadavg()[0]},
        "pairs": options.pairs,
        "sides": {},
    }
    with tempfile.TemporaryDirectory(prefix="blindpair-bench-") as folder:
        before = _clone(Path(folder) / "before")
        for side in options.sides:
            photos = Path(folder) / f"photos-{side}"
            _photographs(photos, side, options.pairs)
            found = {
                name: _measured(tree, photos, side, options.pairs) for name, tree in (("before", before), ("now", ROOT))
            }
            record["sides"][side] = found | {"verdict": _verdict(found, side)}
            print(json.dumps({side: record["sides"][side]}), flush=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    return 0


def _clone(target: Path) -> Path:
    subprocess.run(["git", "clone", "-q", "--no-checkout", str(ROOT), str(target)], check=True)
    subprocess.run(["git", "-C", str(target), "checkout", "-q", BEFORE], check=True)
    return target


def _photographs(folder: Path, side: int, pairs: int) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(1)
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    for arm in ("original", "jpeg30"):
        (folder / arm / "photo").mkdir(parents=True)
    for number in range(pairs):
        source = sources[number % len(sources)]
        edge = int(rng.integers(300, min(source.size)))
        left, top = (int(rng.integers(0, length - edge + 1)) for length in source.size)
        picture = source.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.LANCZOS)
        noisy = np.asarray(picture) + rng.normal(0, NOISE, (side, side, 3))
        picture = Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8))
        picture.save(folder / "original" / "photo" / f"{number:03d}.png", compress_level=1)
        picture.save(folder / "jpeg30" / "photo" / f"{number:03d}.jpg", quality=30)


def _measured(tree: Path, photos: Path, side: int, pairs: int) -> dict:
    """Freeze the photographs with one tree's code, serve them, and let a rater vote."""
    with tempfile.TemporaryDirectory(prefix="blindpair-bench-") as data:
        environment = os.environ | {
            "BLINDPAIR_DATA_DIR": data,
            "DISPLAY_TREE": str(tree),
            "DJANGO_SETTINGS_MODULE": "config.settings.dev",
        }
        command = [sys.executable, __file__, "--inside", str(photos), "--pairs", str(pairs)]
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        result = json.loads(done.stdout.splitlines()[-1])
        with served(tree, environment) as address:
            return result | _visited(address, side, is_before=tree != ROOT)


def _inside(photos: Path, pairs: int) -> int:
    """Import, freeze and open, in the process of one tree; print the CPU seconds of freezing an image."""
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from survey.models import Study

    try:
        from survey.services.study.study import study_create, study_transition
        from survey.services.study.version import version_freeze
    except ImportError:
        from survey.services.study import study_create, study_transition
        from survey.services.version import version_freeze

    call_command("migrate", verbosity=0)
    owner = get_user_model().objects.create_user("bench")
    fields = {"box_px": BOX_PX} if hasattr(Study, "box_px") else {}
    study = study_create(
        owner=owner,
        slug="photos",
        title="Photos",
        consent_text="Yes.",
        trials_per_session=pairs,
        practice_trials=0,
        minimum_exposure_ms=0,
        break_every=2000,
        **fields,
    )
    arms = [f"--arm={path.name}={path}" for path in sorted(photos.iterdir())]
    call_command("import_pairs", "--study=photos", *arms, stdout=io.StringIO())
    start, wall = time.process_time(), time.perf_counter()
    version_freeze(study=study)
    cpu, wall = time.process_time() - start, time.perf_counter() - wall
    study_transition(study=study, name="open", actor=owner)
    print(json.dumps({"freeze_cpu_s_an_image": cpu / (2 * pairs), "freeze_s": wall}))
    return 0


@contextmanager
def served(tree: Path, environment: dict[str, str], slug: str = "photos") -> Iterator[str]:
    """Serve a tree's study; yield the server's address."""
    from benchmarks.machinery import free_port

    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "manage.py", "runserver", "--noreload", "--insecure", address.removeprefix("http://")]
    server = subprocess.Popen(command, cwd=tree, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/s/{slug}/", timeout=10).read()
                break
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


def _visited(address: str, side: int, *, is_before: bool) -> dict:
    """Go through a visit at a throttled line; return its bytes and waits. Checks are part of it."""
    from playwright.sync_api import sync_playwright

    from tests.browser import ARGUMENTS, chromium_path

    rate, latency = LINES[side]
    room = side if is_before else BOX_PX
    size = {"width": 2 * room + 60, "height": room + 320}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        page = browser.new_context(viewport=size, locale="en").new_page()
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        images, loaded = {}, {}
        network.on(
            "Network.requestWillBeSent", lambda event: images.update({event["requestId"]: event["request"]["url"]})
        )
        network.on(
            "Network.loadingFinished", lambda event: loaded.update({event["requestId"]: event["encodedDataLength"]})
        )
        page.goto(f"{address}/s/photos/")
        page.click(".primary:visible")
        page.check("[name=agreed]")
        page.click(".primary:visible")
        page.wait_for_selector("#device")
        page.click("#device .primary")
        page.wait_for_selector("form[action$=begin]")
        page.wait_for_load_state("networkidle")
        page.add_init_script(f"({WATCH})()")
        limit = {
            "offline": False,
            "latency": latency,
            "downloadThroughput": rate * 125_000,
            "uploadThroughput": rate * 125_000,
        }
        network.send("Network.emulateNetworkConditions", limit)
        loaded.clear()
        page.click("form[action$=begin] .primary")
        waits, trials = _voted(page)
        weight = sum(length for request, length in loaded.items() if "/i/" in images.get(request, ""))
        browser.close()
    later = sorted(waits[1:])
    return {
        "trials": trials,
        "visit_bytes": weight,
        "visit_bytes_a_trial": weight / trials,
        "first_ms": waits[0],
        "next_ms_50": later[len(later) // 2],
        "next_ms_95": later[min(len(later) - 1, int(0.95 * len(later)))],
    }


def _voted(page) -> tuple[list[float], int]:
    """Vote every two seconds until the trials are over; return the page's waits, practice and its cards aside."""
    waits: list[float] = []
    trials = 0
    page.wait_for_selector("#trial", state="attached")
    while page.locator("#trial").count():
        state = page.wait_for_function(
            """() => {
                if (!document.querySelector("#trial")) return "over";
                const cards = ["continue", "ready-end", "pause-end"];
                const card = cards.find((id) => document.getElementById(id)?.offsetParent);
                if (card) return card;
                const button = document.querySelector("#choose-left");
                return button.offsetParent && button.getAttribute("aria-disabled") === "false" && "vote";
            }""",
            timeout=60_000,
        ).json_value()
        if state == "over":
            break
        if state != "vote":
            page.click(f"#{state}")
            continue
        time.sleep(EVERY_S)
        with contextlib.suppress(Exception):  # the page may have gone to its end meanwhile
            waits = page.evaluate("window.waits")
        page.keyboard.press("ArrowLeft")
        trials += 1
        page.wait_for_timeout(30)
    return waits, trials


def _verdict(found: dict[str, dict], side: int) -> dict[str, dict]:
    """Compare with the targets of the issue that asked for this display."""
    now, before = found["now"], found["before"]
    values = {
        "bytes_ratio": now["visit_bytes_a_trial"] / before["visit_bytes_a_trial"],
        "cpu_ratio": now["freeze_cpu_s_an_image"] / before["freeze_cpu_s_an_image"],
        "next_ms_95": now["next_ms_95"],
        "first_ms": now["first_ms"],
    }
    return {
        name: {"value": round(value, 3), "target": TARGETS[name][side], "is_met": value <= TARGETS[name][side]}
        for name, value in values.items()
    }


if __name__ == "__main__":
    raise SystemExit(main())
