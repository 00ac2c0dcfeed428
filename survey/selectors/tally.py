"""What votes add up to without saying which arm won: by phase, hour, time taken and check."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import Case, CharField, Count, F, FloatField, Func, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Floor

from survey.criteria import TOGETHER, criteria_of, design_of
from survey.models import RaterSession, StudyVersion, Trial, Vote

__all__ = ["BUCKET_MS", "Counts", "of_phase", "phase_name", "votes_counted"]

# (phase, what is counted, its value): how many.
Counts = Counter[tuple[str, str, str]]

# Coarse enough for a plot and a table of forty rows, fine enough to see a peak of fast answers.
BUCKET_MS = 500
LAST_BUCKET = 40  # everything from 20 s on
# A vote is fast that comes this soon after the buttons wake up.
_FAST_MS = 200
_CHECKS = (Trial.CheckKind.DEGRADED, Trial.CheckKind.IDENTICAL)


def phase_name(is_pilot: bool, is_simulated: bool) -> str:
    """Return the phase of a session; the three are never pooled."""
    return "simulated" if is_simulated else "pilot" if is_pilot else "main"


def of_phase(phase: str) -> QuerySet[RaterSession]:
    """Return the sessions of a phase."""
    if phase == "simulated":
        return RaterSession.objects.filter(is_simulated=True)
    return RaterSession.objects.filter(is_simulated=False, is_pilot=phase == "pilot")


class _Hour(Func):
    """The hour of a moment in UTC; its first 13 characters are alike on both databases."""

    output_field = CharField()

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        return self.as_sql(compiler, connection, template="date_trunc('hour', %(expressions)s)")

    def as_sqlite(self, compiler: Any, connection: Any) -> Any:
        # Stored as text in UTC: a function of Python's called for every row would take most of the time.
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 13)")


def _counted(votes: QuerySet[Vote], version: StudyVersion) -> Counts:
    minimum = version.config["trial"]["minimum_exposure_ms"]
    is_fooled = Q(trial__check_kind=Trial.CheckKind.DEGRADED, choice=F("trial__degraded_side"))
    is_decided = Q(trial__check_kind=Trial.CheckKind.IDENTICAL) & ~Q(choice=Vote.Choice.TIE)

    def flag(condition: Q) -> Case:
        return Case(When(condition, then=Value(True)), default=Value(False))

    rows = (
        votes.filter(trial__session__version=version)
        .exclude(trial__check_kind=Trial.CheckKind.PRACTICE)
        .annotate(
            hour=_Hour("submitted_at"),
            bucket=Floor(F("response_ms") / BUCKET_MS, output_field=FloatField()),
            is_fast=flag(Q(response_ms__lt=minimum + _FAST_MS)),
            is_failed=flag(is_fooled | is_decided),
        )
        .order_by()
        .values_list(
            "trial__session__is_pilot",
            "trial__session__is_simulated",
            "trial__check_kind",
            "hour",
            "bucket",
            "is_fast",
            "is_failed",
            "criterion",
        )
        .annotate(n=Count("pk"))
    )
    # Of a trial that was answered by several criteria at once, one counts as the vote; checks are judged by each.
    also = {one.key for one in criteria_of(version.config)[1:]} if design_of(version.config) == TOGETHER else set()
    counts: Counts = Counter()
    for is_pilot, is_simulated, check, hour, bucket, is_fast, is_failed, criterion, n in rows:
        phase = phase_name(is_pilot, is_simulated)
        if criterion not in also:
            counts[phase, "votes", ""] += n
            counts[phase, "hour", str(hour)[:13]] += n
            if bucket is not None:
                counts[phase, "time", str(min(int(bucket), LAST_BUCKET))] += n
            if is_fast:
                counts[phase, "fast", ""] += n
        if check in _CHECKS:
            counts[phase, "check", check] += n
            counts[phase, "failed", check] += n * is_failed
    return counts


def votes_counted(version: StudyVersion, *, after: int, until: int) -> Counts:
    """Count the votes of a version whose keys are above ``after`` and up to ``until``, practice left out.

    Rows are only added, so counts of ranges add up to those of the whole. An undo in the range takes away the vote that
    it undid, in the range or before it.
    """
    span = Vote.objects.filter(pk__gt=after, pk__lte=until)
    given = _counted(span.exclude(choice=Vote.Choice.UNDO), version)
    before = Vote.objects.filter(trial=OuterRef("trial"), pk__lt=OuterRef("pk")).exclude(choice=Vote.Choice.UNDO)
    undos = span.filter(choice=Vote.Choice.UNDO, trial__session__version=version)
    undone = list(
        undos.annotate(undid=Subquery(before.order_by("-pk").values("submission_key")[:1])).values_list(
            "undid", flat=True
        )
    )
    if undone:
        # What was taken back was counted when it was given, perhaps in an earlier span.
        taken_back = Vote.objects.filter(submission_key__in=undone).exclude(choice=Vote.Choice.UNDO)
        given.subtract(_counted(taken_back, version))
    return given
