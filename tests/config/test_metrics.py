from __future__ import annotations

import re

import pytest
from django.test import Client

from jobs.lease import job_claim
from jobs.models import Job
from jobs.services import job_enqueue
from survey.models import Vote
from tests.factories import make_running, make_visit

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "metrics-token-of-the-tests"


def scraped(client: Client) -> dict[str, float]:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    samples = (line.rpartition(" ") for line in answer.content.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def test_metrics_tell_votes_latency_queues_heartbeats_and_work(settings, client: Client) -> None:
    settings.METRICS_TOKEN = TOKEN
    make_visit(make_running())
    running = job_enqueue(kind="generation.make_shard", queue="gpu")
    assert job_claim(running.pk)
    Job.objects.filter(pk=running.pk).update(progress_done=7)
    job_enqueue(kind="survey.report")
    client.get("/healthz")
    found = scraped(client)
    assert found["blindpair_vote_rows"] == Vote.objects.latest("pk").pk
    assert found["blindpair_active_sessions"] == 0
    assert found['blindpair_jobs{queue="gpu",state="running"}'] == 1
    assert found['blindpair_jobs{queue="default",state="queued"}'] == 1
    assert found['blindpair_job_units{kind="generation.make_shard"}'] == 7
    assert found["blindpair_oldest_heartbeat_seconds"] >= 0
    assert found["blindpair_longest_wait_seconds"] > 0
    latency = [name for name in found if re.match(r'blindpair_request_seconds_count\{.*route="healthz".*\}', name)]
    assert latency


def test_metrics_do_not_exist_for_whoever_lacks_the_token(settings, client: Client) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
