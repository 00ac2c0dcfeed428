"""The deployment of docker-compose.yml without containers, and a whole study through it, report included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DRIVER = """
import json, shutil, sys
from pathlib import Path
from benchmarks.lab import running_lab
from benchmarks.machinery import wait_until

with running_lab(broker=sys.argv[1]) as lab:
    from jobs.models import Job
    from survey.management.rehearsal.behaviour import Behaviour
    from survey.management.rehearsal.rater import SimulatedRater
    from survey.models import ReportBuild, Vote
    from survey.services.results.report_build import report_request
    from survey.services.study.study import study_transition
    from tests.factories import make_running, make_study, make_user

    owner = make_user("owner")
    checks = {"practice_trials": 1, "repeat_trials": 1, "identical_trials": 0, "degraded_trials": 1}
    version = make_running(make_study(owner=owner, slug="whole", pairs=8, trials_per_session=6, **checks))
    visits = [
        SimulatedRater(base_url=lab.base_url, slug="whole", ticket="", behaviour=Behaviour(arm="robust"),
                       seed=1, number=number).run()
        for number in range(6)
    ]
    study_transition(study=version.study, name="close", actor=owner, reason="enough")
    build = report_request(study=version.study, actor=owner)
    job = Job.objects.get(pk=build.job)
    wait_until(lambda: Job.objects.get(pk=job.pk).is_over, "a worker has built the report", seconds=600)
    job.refresh_from_db()
    build = ReportBuild.objects.get(pk=build.pk)
    report = json.loads((lab.media / build.files["report.json"]["name"]).read_text()) if build.files else {}
    print(json.dumps({
        "processes": [process.name for process in lab.processes if process.is_alive()],
        "ready": lab.answers("/readyz"),
        "outcomes": [visit.outcome for visit in visits],
        "votes": Vote.objects.filter(is_current=True, trial__session__is_simulated=False).count(),
        "job": job.state, "error": job.error, "owner": job.lease_owner, "attempts": job.attempt,
        "files": sorted(build.files), "reported": report.get("data"),
        "announced": job.announced_at is not None,
    }))
"""


@pytest.mark.slow
def test_a_whole_study_runs_through_the_deployments_processes(tmp_path: Path) -> None:
    broker = "rabbitmq" if shutil.which("rabbitmq-server") else "valkey"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BLINDPAIR_")}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, broker],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    assert seen["processes"] == ["web", "worker0", "worker1", "reaper"]
    assert seen["ready"]
    assert seen["outcomes"] == ["complete"] * 6
    assert (seen["job"], seen["attempts"], seen["announced"]) == ("succeeded", 1, True), seen["error"]
    assert {"report.html", "report.json", "votes.csv", "bundle.zip"} <= set(seen["files"])
    assert seen["votes"] > 6 * 6
    assert 0 < seen["reported"]["votes"] <= seen["votes"]
    assert seen["reported"]["raters"] == 6
