"""What `make audit` makes of pip-audit's report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from deploy.audit import ACCEPTED, verdict

ROOT = Path(__file__).parents[2]
CLEAN = {"name": "django", "version": "5.2.19", "vulns": []}
ADVISORY = {"id": "CVE-2099-1", "fix_versions": ["3.0"], "aliases": ["GHSA-x"], "description": "bad"}
FAULTY = {"name": "jinja2", "version": "2.4.1", "vulns": [ADVISORY]}


def test_a_known_fault_fails_and_says_where_it_is_mended() -> None:
    status, lines = verdict([CLEAN, FAULTY], {})
    assert status == 1
    assert lines[0] == "jinja2 2.4.1: CVE-2099-1, fixed in 3.0"


def test_nothing_known_passes() -> None:
    assert verdict([CLEAN], {}) == (0, ["1 packages audited: nothing to do"])


def test_an_accepted_fault_passes_by_any_of_its_names_and_shows_why() -> None:
    status, lines = verdict([FAULTY], {"GHSA-x": "we never call it"})
    assert status == 0
    assert lines[0].endswith("accepted: we never call it")


def test_a_package_that_the_service_does_not_know_is_no_pass() -> None:
    assert verdict([CLEAN, {"name": "odd", "skip_reason": "not found"}], {})[0] == 1


def test_every_accepted_fault_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in ACCEPTED.values())


def test_a_service_out_of_reach_is_said_and_lets_pass() -> None:
    # A proxy that nobody runs: the machine's own network plays no part.
    environment = os.environ | {
        "https_proxy": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "no_proxy": "",
    }
    done = subprocess.run(
        [sys.executable, "deploy/audit.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (
        0,
        "the advisory database cannot be reached from here: nothing was audited\n",
    )
