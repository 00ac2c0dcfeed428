"""How a study is going: counts, times and flags, never which arm is preferred. The number of queries is constant."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from django.core.cache import cache
from django.db.models import Count, F, FloatField, Q
from django.db.models.functions import Floor, TruncDay, TruncHour

from survey.models import Exclusion, FaultReport, RaterSession, SessionEvent, Slot, Study, StudyVersion, Trial, Vote

__all__ = ["Phase", "StudyProgress", "study_progress", "study_progress_cached"]

State = RaterSession.State
BUCKET_MS = 500
SLOW_SECONDS = 2.0
_LAST_BUCKET = 40  # everything from 20 s on


@dataclass(frozen=True)
class Phase:
    """The sessions of one kind: main, pilot or simulated. They are never pooled."""

    name: str
    sessions: dict[str, int]
    votes: int

    @property
    def started(self) -> int:
        return sum(self.sessions.values())

    @property
    def completed(self) -> int:
        return self.sessions.get(State.COMPLETED, 0)

    @property
    def dropped(self) -> int:
        return self.sessions.get(State.WITHDRAWN, 0) + self.sessions.get(State.EXPIRED, 0)

    @property
    def working(self) -> int:
        return self.sessions.get(State.ARRIVED, 0) + self.sessions.get(State.ACTIVE, 0)

    @property
    def refused(self) -> int:
        return self.sessions.get(State.REFUSED, 0)

    @property
    def completion_percent(self) -> float | None:
        over = self.completed + self.dropped
        return 100 * self.completed / over if over else None


@dataclass(frozen=True)
class Flag:
    """One thing about the quality of the data: how often, out of how many."""

    name: str
    count: int
    total: int
    meaning: str

    @property
    def percent(self) -> float:
        return 100 * self.count / self.total if self.total else 0.0


@dataclass(frozen=True)
class StudyProgress:
    """Everything the study page shows while a study runs."""

    version: StudyVersion | None
    wanted: int = 0
    answered: int = 0
    reserved: int = 0
    target_raters: int = 0
    phases: list[Phase] = field(default_factory=list)
    votes_per_pair: list[tuple[int, int]] = field(default_factory=list)
    votes_over_time: list[tuple[datetime, int]] = field(default_factory=list)
    time_unit: str = "hour"
    response_times: list[tuple[float, int]] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)

    @property
    def main(self) -> Phase:
        return next((phase for phase in self.phases if phase.name == "main"), Phase("main", {}, 0))

    @property
    def shown_phase(self) -> str:
        """Return whose votes the plots show: the main ones; before there are any, the pilot's or the rehearsal's."""
        return self.phases[0].name if self.phases else ""

    @property
    def answered_percent(self) -> float:
        return 100 * self.answered / self.wanted if self.wanted else 0.0

    @property
    def median_seconds(self) -> float | None:
        """Return the median time per trial, to the width of a bucket."""
        total = sum(count for _, count in self.response_times)
        seen = 0
        for seconds, count in self.response_times:
            seen += count
            if 2 * seen >= total:
                return seconds + BUCKET_MS / 2000
        return None


def _phase_name(is_pilot: bool, is_simulated: bool) -> str:
    return "simulated" if is_simulated else "pilot" if is_pilot else "main"


def _phases(version: StudyVersion) -> list[Phase]:
    sessions: dict[str, dict[str, int]] = {}
    rows = version.sessions.values_list("is_pilot", "is_simulated", "state").annotate(n=Count("pk"))
    for is_pilot, is_simulated, state, count in rows:
        states = sessions.setdefault(_phase_name(is_pilot, is_simulated), {})
        states[state] = states.get(state, 0) + count
    votes: dict[str, int] = {}
    rows = (
        Vote.objects.filter(is_current=True, trial__session__version=version)
        .values_list("trial__session__is_pilot", "trial__session__is_simulated")
        .annotate(n=Count("pk"))
    )
    for is_pilot, is_simulated, count in rows:
        name = _phase_name(is_pilot, is_simulated)
        votes[name] = votes.get(name, 0) + count
    return [
        Phase(name, sessions[name], votes.get(name, 0)) for name in ("main", "pilot", "simulated") if name in sessions
    ]


_POOL_OF = {"": Slot.Pool.MAIN, "main": Slot.Pool.MAIN, "pilot": Slot.Pool.PILOT, "simulated": Slot.Pool.REHEARSAL}
_OF_PHASE = {
    "": Q(),
    "main": Q(trial__session__is_pilot=False, trial__session__is_simulated=False),
    "pilot": Q(trial__session__is_pilot=True, trial__session__is_simulated=False),
    "simulated": Q(trial__session__is_simulated=True),
}


def study_progress_cached(study: Study) -> StudyProgress:
    """Return the progress, counted anew unless the last count took seconds: then it is good for twenty times as long.

    However many people watch a study of millions of votes, its counts take a twentieth of one processor at most.
    """
    key = f"survey.progress.{study.pk}.{study.state}"
    kept = cache.get(key)
    if kept is not None:
        return kept
    started = time.monotonic()
    progress = study_progress(study)
    if (took := time.monotonic() - started) > SLOW_SECONDS:
        cache.set(key, progress, 20 * took)
    return progress


def study_progress(study: Study) -> StudyProgress:
    """Return the progress of the newest version, from a constant number of grouped queries."""
    version = study.versions.order_by("-number").first()
    if version is None:
        return StudyProgress(version=None, target_raters=study.target_raters)
    slots = Slot.objects.filter(version=version, pool=Slot.Pool.MAIN).aggregate(
        wanted=Count("pk"),
        answered=Count("pk", filter=Q(is_answered=True)),
        reserved=Count("pk", filter=Q(is_answered=False, session__isnull=False)),
    )
    phases = _phases(version)
    votes = Vote.objects.filter(
        _OF_PHASE[phases[0].name if phases else ""], is_current=True, trial__session__version=version
    )
    span = votes.order_by("submitted_at").values_list("submitted_at", flat=True)
    first, last = span.first(), span.last()
    is_long = bool(first and last and (last - first).days >= 3)
    unit = TruncDay("submitted_at") if is_long else TruncHour("submitted_at")
    per_pair = (
        Slot.objects.filter(version=version, pool=_POOL_OF[phases[0].name if phases else ""])
        .values("pair_id", "arm_a_id", "arm_b_id")
        .annotate(n=Count("pk", filter=Q(is_answered=True)))
        .values_list("n", flat=True)
    )
    histogram: dict[int, int] = {}
    for count in per_pair.iterator(chunk_size=2000):
        histogram[count] = histogram.get(count, 0) + 1
    buckets: dict[int, int] = {}
    rows = (
        votes.filter(response_ms__isnull=False)
        .annotate(bucket=Floor(F("response_ms") / BUCKET_MS, output_field=FloatField()))
        .values_list("bucket")
        .annotate(n=Count("pk"))
    )
    for bucket, count in rows:
        place = min(int(bucket), _LAST_BUCKET)
        buckets[place] = buckets.get(place, 0) + count
    return StudyProgress(
        version=version,
        wanted=slots["wanted"],
        answered=slots["answered"],
        reserved=slots["reserved"],
        target_raters=study.target_raters,
        phases=phases,
        votes_per_pair=sorted(histogram.items()),
        votes_over_time=list(votes.annotate(at=unit).values_list("at").annotate(n=Count("pk")).order_by("at")),
        time_unit="day" if is_long else "hour",
        response_times=[(place * BUCKET_MS / 1000, buckets[place]) for place in sorted(buckets)],
        flags=_flags(version, sum(phase.votes for phase in phases), sum(phase.started for phase in phases)),
    )


def _flags(version: StudyVersion, votes: int, sessions: int) -> list[Flag]:
    """Count what casts doubt on data without saying which arm won: check trials have no arm to win."""
    current = Vote.objects.filter(is_current=True, trial__session__version=version)
    minimum = version.config["trial"]["minimum_exposure_ms"]
    checks = current.aggregate(
        fast=Count("pk", filter=Q(response_ms__lt=minimum + 200)),
        degraded=Count("pk", filter=Q(trial__check_kind=Trial.CheckKind.DEGRADED)),
        fooled=Count("pk", filter=Q(trial__check_kind=Trial.CheckKind.DEGRADED) & Q(choice=F("trial__degraded_side"))),
        identical=Count("pk", filter=Q(trial__check_kind=Trial.CheckKind.IDENTICAL)),
        decided=Count("pk", filter=Q(trial__check_kind=Trial.CheckKind.IDENTICAL) & ~Q(choice="tie")),
    )
    faults = FaultReport.objects.filter(trial__session__version=version).count()
    left = (
        SessionEvent.objects.filter(session__version=version, kind__in=["blur", "hidden"])
        .values("session_id")
        .distinct()
        .count()
    )
    excluded = (
        Exclusion.objects.filter(session__version=version, revoked_at__isnull=True)
        .values("session_id")
        .distinct()
        .count()
    )
    return [
        Flag("Fast votes", checks["fast"], votes, "given within 0.2 s of the earliest moment allowed"),
        Flag("Failed degraded checks", checks["fooled"], checks["degraded"], "the spoilt copy was preferred"),
        Flag("Decided identical pairs", checks["decided"], checks["identical"], "a side was chosen between equals"),
        Flag("Image faults", faults, votes + faults, "a trial could not be shown and was replaced"),
        Flag("Sessions that left the tab", left, sessions, "focus was lost at least once"),
        Flag("Sessions excluded", excluded, sessions, "by a rule or by hand, revocable"),
    ]
