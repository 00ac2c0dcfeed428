"""Prometheus metrics: request latency counted in the process, the rest read from the database when asked."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count, Max, Min, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

try:
    import prometheus_client
    from prometheus_client.core import GaugeMetricFamily
except ModuleNotFoundError:  # the extra `prod` is not installed: one laptop measures nothing
    prometheus_client = None

__all__ = ["metrics", "observe_request"]

if prometheus_client is not None:
    _LATENCY = prometheus_client.Histogram(
        "blindpair_request_seconds",
        "Time to answer a request",
        ["method", "route", "status"],
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    )


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request under its route (never its path: paths carry tokens)."""
    if prometheus_client is not None:
        _LATENCY.labels(method, route, str(status)).observe(seconds)


class _DatabaseCollector:
    """Gauges that every process would report alike."""

    def collect(self) -> Iterator[object]:
        from jobs.models import Job
        from survey.models import RaterSession, Vote

        # The highest id grows with every vote and costs nothing, where a count would read the whole table.
        votes = GaugeMetricFamily("blindpair_vote_rows", "Rows of votes ever written, undone ones included")
        votes.add_metric([], Vote.objects.aggregate(last=Max("pk"))["last"] or 0)
        yield votes
        active = GaugeMetricFamily("blindpair_active_sessions", "Rater sessions under way")
        active.add_metric([], RaterSession.objects.filter(state=RaterSession.State.ACTIVE).count())
        yield active
        depth = GaugeMetricFamily("blindpair_jobs", "Unfinished and failed jobs", labels=["queue", "state"])
        states = [Job.State.QUEUED, Job.State.RUNNING, Job.State.FAILED]
        for row in Job.objects.filter(state__in=states).order_by().values("queue", "state").annotate(n=Count("pk")):
            depth.add_metric([row["queue"], row["state"]], row["n"])
        yield depth
        work = GaugeMetricFamily(
            "blindpair_job_units",
            "Work done, in the unit of the kind: pairs for generation.make_shard",
            labels=["kind"],
        )
        for row in Job.objects.order_by().values("kind").annotate(n=Sum("progress_done")):
            work.add_metric([row["kind"]], row["n"])
        yield work
        now = timezone.now()
        ages = Job.objects.aggregate(
            lease=Min("heartbeat_at", filter=Q(state=Job.State.RUNNING)),
            wait=Min("created_at", filter=Q(state=Job.State.QUEUED)),
        )
        for name, key, text in (
            ("blindpair_oldest_heartbeat_seconds", "lease", "Age of the oldest heartbeat of a running job"),
            ("blindpair_longest_wait_seconds", "wait", "Age of the oldest queued job"),
        ):
            age = GaugeMetricFamily(name, text)
            age.add_metric([], (now - ages[key]).total_seconds() if ages[key] else 0.0)
            yield age


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer Prometheus if it holds ``BLINDPAIR_METRICS_TOKEN``; for others there is no such page."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    token = settings.METRICS_TOKEN
    if prometheus_client is None or not token or not hmac.compare_digest(given.encode(), token.encode()):
        raise Http404
    registry = prometheus_client.CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.MultiProcessCollector(registry)
    else:
        registry.register(_LATENCY)
    registry.register(_DatabaseCollector())
    return HttpResponse(prometheus_client.generate_latest(registry), content_type=prometheus_client.CONTENT_TYPE_LATEST)
