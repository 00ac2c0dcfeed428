"""What raters see in eight usual windows, as contact sheets: ``python benchmarks/screens.py --out DIR``.

A study of pairs of 512x512, 640x480, 384x512, 1024x1024 and 1920x1080 pixels is frozen and served; Chromium goes
through a visit in each window of ``survey.services.study.windows`` at each pixel ratio (by the switch
``--force-device-scale-factor``, as an emulated ratio moves edges). A sheet a ratio has a row a window: screen check,
instructions, the five trials. Windows without room show the page that says so.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

SHAPES = [(512, 512), (640, 480), (384, 512), (1024, 1024), (1920, 1080)]
RATIOS = (1, 1.25, 1.5, 2, 3)
# Of a cell of a sheet, and of its caption.
CELL, CAPTION_PX = (460, 380), 18
Row = list[tuple[str, bytes]]
SHOWN = (
    """() => [...document.querySelectorAll('#left canvas')].map(({ width, height }) => `${width}x${height}`)[0] ?? ''"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ratios", type=float, nargs="+", default=RATIOS)
    parser.add_argument("--windows", default="", help="only windows whose name matches this pattern")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="blindpair-screens-") as data:
        os.environ |= {
            "BLINDPAIR_DATA_DIR": data,
            "DJANGO_SETTINGS_MODULE": "config.settings.dev",
            "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
        }
        slug = _study()
        from benchmarks.display import served

        with served(ROOT, dict(os.environ), slug) as address:
            for ratio in options.ratios:
                file, rows = options.out / f"ratio-{ratio:g}.png", []
                for row in _rows(f"{address}/s/{slug}/", ratio, options.windows):
                    rows.append(row)
                    _sheet(rows).save(file)
                print(file, flush=True)


def _study() -> str:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from tests.photos import photo_study

    texts = {"question": "Which image shows the hills more sharply, apart from its brightness and colours?"}
    plan = {"identical_trials": 0, "trials_per_session": len(SHAPES), "target_raters": 40, "votes_per_pair": 40}
    return photo_study(*SHAPES, display="fit", narrow_screens="stack", **texts, **plan).study.slug


def _rows(address: str, ratio: float, pattern: str) -> Iterator[Row]:
    """Yield a row of captions and screenshots for each window."""
    from playwright.sync_api import sync_playwright

    from survey.services.study.windows import WINDOWS
    from tests.browser import ARGUMENTS, chromium_path

    arguments = [*ARGUMENTS, f"--force-device-scale-factor={ratio}", "--headless=new", "--hide-scrollbars"]
    with sync_playwright() as playwright:
        for name, window in WINDOWS.items():
            if not re.search(pattern, name):
                continue
            size = f"--window-size={window.width},{window.height}"
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=[*arguments, size])
            page = browser.new_context(no_viewport=True, locale="en").new_page()
            yield list(_visit(page, address, name.split(",")[0], (window.width, window.height)))
            browser.close()


def _visit(page: Any, address: str, name: str, size: tuple[int, int]) -> Iterator[tuple[str, bytes]]:
    """Yield caption and screenshot of what a rater sees, whole pages before the trials and the window alone in them."""
    page.goto(address)
    _resize(page, size)
    window = f"{name} {size[0]}x{size[1]}"
    page.locator(".primary:visible").click()
    page.wait_for_selector("#gate", state="attached")
    if page.locator("#gate").is_visible():
        yield f"{window}: no room", page.screenshot(full_page=True)
        return
    page.get_by_role("checkbox").check()
    page.locator(".primary:visible").click()
    for caption, selector in (("screen check", "#device"), ("instructions", "form[action$=begin]")):
        page.wait_for_selector(selector)
        page.wait_for_load_state("networkidle")
        yield f"{window}: {caption}", page.screenshot(full_page=True)
        page.locator(".primary:visible").click()
    page.wait_for_selector("#trial", state="attached")
    while _is_asked(page):
        yield f"{window}: {page.evaluate(SHOWN)}", page.screenshot()
        page.click("#choose-left")


def _is_asked(page: Any) -> bool:
    """Wait for the next question; say whether there is one."""
    ready = "#choose-left[aria-disabled=false]"
    page.wait_for_function(
        f"() => document.querySelector('{ready}')?.offsetParent || !document.querySelector('#trial')"
    )
    if not page.locator("#trial").count():
        return False
    page.wait_for_timeout(150)
    return page.locator(ready).count() > 0


def _resize(page: Any, size: tuple[int, int]) -> None:
    session = page.context.new_cdp_session(page)
    number = session.send("Browser.getWindowForTarget")["windowId"]
    for _ in range(3):
        inner = page.evaluate("[innerWidth, innerHeight, outerWidth, outerHeight]")
        bounds = {"width": inner[2] + size[0] - inner[0], "height": inner[3] + size[1] - inner[1]}
        session.send("Browser.setWindowBounds", {"windowId": number, "bounds": bounds})
        page.wait_for_timeout(100)


def _sheet(rows: Sequence[Row]) -> Any:
    from PIL import Image, ImageDraw

    step = (CELL[0] + 8, CELL[1] + CAPTION_PX + 8)
    sheet = Image.new("RGB", (step[0] * max(map(len, rows)), step[1] * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for down, row in enumerate(rows):
        for across, (caption, content) in enumerate(row):
            picture = Image.open(io.BytesIO(content)).convert("RGB")
            picture.thumbnail(CELL, Image.Resampling.LANCZOS)
            left, top = across * step[0], down * step[1]
            draw.text((left + 2, top + 2), caption, fill="black")
            sheet.paste(picture, (left, top + CAPTION_PX))
            draw.rectangle(
                (left, top + CAPTION_PX, left + picture.width, top + CAPTION_PX + picture.height), outline="red"
            )
    return sheet


if __name__ == "__main__":
    main()
