"""Every process killed at random times, three rounds; ``benchmarks/faults.py`` runs as many as wanted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS, RATERS, VOTES, PAIRS = 3, 200, 4, 8
OPTIONS = ["--rounds", ROUNDS, "--faults", 2, "--raters", RATERS, "--votes", VOTES, "--pairs", PAIRS]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("faults") / "counts.json"
    command = [sys.executable, str(ROOT / "benchmarks/faults.py"), *map(str, OPTIONS), "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1200)
    assert out.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(out.read_text())


@pytest.mark.slow
def test_each_kind_of_fault_happened(counts) -> None:
    assert counts["faults"] == dict.fromkeys(["web", "worker", "child", "postgresql", "broker", "disk"], 1)


@pytest.mark.slow
def test_every_acknowledged_vote_is_there_exactly_once(counts) -> None:
    totals = counts["totals"]
    assert totals["sent"] == totals["acknowledged"] == ROUNDS * RATERS * VOTES
    assert (totals["lost"], totals["changed"], totals["duplicated"], totals["misdirected"]) == (0, 0, 0, 0)


@pytest.mark.slow
def test_every_pair_is_complete_and_byte_identical_to_an_undisturbed_run(counts) -> None:
    totals = counts["totals"]
    assert totals["images"] == totals["images_wanted"] == ROUNDS * 2 * PAIRS * 2
    assert totals["images_different"] == 0


@pytest.mark.slow
def test_every_job_ends_without_a_manual_step(counts) -> None:
    assert counts["totals"]["jobs"] >= 2 * ROUNDS
    assert counts["totals"]["jobs_unfinished"] == 0


@pytest.mark.slow
def test_a_job_that_always_dies_stops_with_its_reason(counts) -> None:
    poison = counts["runs"][0]["poison"]
    assert (poison["state"], poison["attempts"]) == ("failed", 3)
    assert "died on every attempt" in poison["error"]
