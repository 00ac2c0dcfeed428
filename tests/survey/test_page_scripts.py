"""The pure parts of the rater pages' scripts, tested by node's own runner: tests/js holds the tests."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from survey.views.texts import BROWSERS
from tests.programs import missing, program

TESTS = Path("tests/js")


def run_tests(folder: Path) -> None:
    node = program("node", remedy="install it with `apt-get install nodejs` (18.18 or newer)")
    scripts = sorted(str(path) for path in folder.glob("*.test.js"))
    assert scripts
    result = subprocess.run([node, "--test", *scripts], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_scripts_of_the_pages_pass_their_own_tests() -> None:
    run_tests(TESTS)


def test_the_check_that_keeps_newer_calls_out_finds_them() -> None:
    if not Path("node_modules/eslint").is_dir():
        missing("ESLint", remedy="`make lint-scripts` installs it, by npm")
    run_tests(TESTS / "floor")


def test_the_check_and_the_pages_name_the_same_oldest_browsers() -> None:
    names = {"chrome": "Chrome", "edge": "Edge", "firefox": "Firefox", "safari": "Safari"}
    listed = [one.split() for one in json.loads(Path("package.json").read_text())["browserslist"]]
    assert {f"{names[name]} {version}" for name, version in listed if name != "ios_saf"} == set(BROWSERS)
    assert dict(listed)["ios_saf"] == dict(listed)["safari"]


def test_the_trials_page_asks_for_all_its_modules_at_once() -> None:
    folder, found = Path("survey/static/survey/js"), {"trials"}
    while more := {name for one in found for name in _imports(folder / f"{one}.js")} - found:
        found |= more
    page = Path("survey/templates/survey/rater/_modules.html").read_text()
    assert set(re.findall(r"survey/js/(\w+)\.js", page)) == found - {"trials"}


def _imports(path: Path) -> list[str]:
    return re.findall(r'^import .* from "\./(\w+)\.js";$', path.read_text(), re.M)
