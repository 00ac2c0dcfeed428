"""Every process killed at random times, three rounds; ``benchmarks/faults.py`` runs as many as wanted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = ["--rounds", "3", "--faults", "2", "--raters", "16", "--votes", "4", "--pairs", "4", "--patience", "240"]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("faults") / "counts.json"
    command = [sys.executable, str(ROOT / "benchmarks/faults.py"), *OPTIONS, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1200)
    assert out.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(out.read_text())


@pytest.mark.slow
def test_each_kind_of_fault_happened(counts) -> None:
    assert counts["faults"] == dict.fromkeys(["web", "worker", "child", "postgresql", "broker", "disk"], 1)


@pytest.mark.slow
def test_every_acknowledged_vote_is_there_exactly_once(counts) -> None:
    totals = counts["totals"]
    assert totals["sent"] == totals["acknowledged"] == 3 * 16 * 4
    assert (totals["lost"], totals["changed"], totals["duplicated"]) == (0, 0, 0)


@pytest.mark.slow
def test_every_pair_is_complete_and_byte_identical_to_an_undisturbed_run(counts) -> None:
    totals = counts["totals"]
    assert totals["images"] == totals["images_wanted"] == 3 * 2 * 4 * 2
    assert totals["images_different"] == 0


@pytest.mark.slow
def test_every_job_ends_without_a_manual_step(counts) -> None:
    assert counts["totals"]["jobs"] >= 6
    assert counts["totals"]["jobs_unfinished"] == 0


@pytest.mark.slow
def test_a_job_that_always_dies_stops_with_its_reason(counts) -> None:
    assert (counts["poison"]["state"], counts["poison"]["attempts"]) == ("failed", 3)
    assert "died on every attempt" in counts["poison"]["error"]
