"""Find a Chromium for the browser tests; ``python -m tests.browser`` tries to download one where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

REMEDY = "install one with `apt-get install chromium`, or `playwright install chromium`"
# No background traffic: tests talk to their own server alone. Root needs --no-sandbox.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def installed_path() -> str | None:
    """Return the path of an installed Chromium or Chrome, None when there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def chromium_path() -> str | None:
    """Return the path of an installed Chromium or Chrome, or of Playwright's own download; None when there is none."""
    if path := installed_path():
        return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def main() -> None:
    if chromium_path():
        return
    print("no Chromium found; trying Playwright's download", flush=True)
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        print(f"the download failed: browser tests will be skipped; {REMEDY}")


if __name__ == "__main__":
    main()
