"""How a study is going: counts, times and flags, never which arm is preferred. The number of queries is constant."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.utils import timezone

from survey.models import Exclusion, FaultReport, RaterSession, SessionEvent, Slot, Study, StudyVersion, Trial
from survey.selectors.tally import BUCKET_MS, Counts, of_phase, phase_name

__all__ = ["Phase", "StudyProgress", "Tally", "study_progress"]

State = RaterSession.State


@dataclass(frozen=True)
class Tally:
    """What the votes of a version add up to; not whole where there are more than one page counts at once."""

    counts: Counts = field(default_factory=Counter)
    is_whole: bool = True

    def of(self, phase: str, what: str) -> dict[str, int]:
        """Return {value: how many} of one thing that is counted."""
        return {key[2]: n for key, n in self.counts.items() if key[:2] == (phase, what) and n}

    def total(self, phase: str, what: str) -> int:
        return sum(self.of(phase, what).values())


@dataclass(frozen=True)
class Phase:
    """The sessions of one kind: main, pilot or simulated. They are never pooled. Practice counts as no vote."""

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
    """Everything the study page shows while a study runs. Plots and flags are of the shown phase."""

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
    counted_votes: int = 0
    is_whole: bool = True

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


def _phases(version: StudyVersion) -> list[Phase]:
    sessions: dict[str, dict[str, int]] = {}
    votes: dict[str, int] = {}
    rows = version.sessions.values_list("is_pilot", "is_simulated", "state")
    for is_pilot, is_simulated, state, count, answered in rows.annotate(n=Count("pk"), votes=Sum("answered_count")):
        name = phase_name(is_pilot, is_simulated)
        states = sessions.setdefault(name, {})
        states[state] = states.get(state, 0) + count
        votes[name] = votes.get(name, 0) + answered
    return [Phase(name, sessions[name], votes[name]) for name in ("main", "pilot", "simulated") if name in sessions]


_POOL_OF = {"main": Slot.Pool.MAIN, "pilot": Slot.Pool.PILOT, "simulated": Slot.Pool.REHEARSAL}


def study_progress(study: Study, version: StudyVersion | None, tally: Tally) -> StudyProgress:
    """Return the progress of a version, the votes of which are counted already, from grouped queries."""
    if version is None:
        return StudyProgress(version=None, target_raters=study.target_raters)
    phases = _phases(version)
    phase = phases[0] if phases else Phase("main", {}, 0)
    wanted, answered, reserved, per_pair = _places(version, _POOL_OF[phase.name])
    over_time, unit = _over_time(tally.of(phase.name, "hour"))
    times = sorted((int(place), count) for place, count in tally.of(phase.name, "time").items())
    return StudyProgress(
        version=version,
        wanted=wanted,
        answered=answered,
        reserved=reserved,
        target_raters=study.target_raters,
        phases=phases,
        votes_per_pair=per_pair,
        votes_over_time=over_time,
        time_unit=unit,
        response_times=[(place * BUCKET_MS / 1000, count) for place, count in times],
        flags=_flags(version, phase, tally),
        counted_votes=tally.total(phase.name, "votes"),
        is_whole=tally.is_whole,
    )


def _places(version: StudyVersion, shown: str) -> tuple[int, int, int, list[tuple[int, int]]]:
    """Return how many main slots are wanted, answered and reserved, and how many pairs of a pool have how many."""
    wanted = answered = reserved = 0
    histogram: Counter[int] = Counter()
    now = timezone.now()
    rows = (
        Slot.objects.filter(version=version, pool__in={Slot.Pool.MAIN, shown})
        .values_list("pool", "pair_id", "arm_a_id", "arm_b_id", "criterion")
        .annotate(
            n=Count("pk"),
            done=Count("pk", filter=Q(is_answered=True)),
            held=Count("pk", filter=Q(is_answered=False, lease_expires_at__gte=now)),
        )
        .order_by()
    )
    for pool, _, _, _, _, n, done, held in rows:
        if pool == Slot.Pool.MAIN:
            wanted, answered, reserved = wanted + n, answered + done, reserved + held
        if pool == shown:
            histogram[done] += 1
    return wanted, answered, reserved, sorted(histogram.items())


def _over_time(hours: dict[str, int]) -> tuple[list[tuple[datetime, int]], str]:
    """Return votes by hour, or by day once they span three days."""
    by_hour = sorted((datetime.strptime(hour, "%Y-%m-%d %H").replace(tzinfo=UTC), n) for hour, n in hours.items())
    if not by_hour or (by_hour[-1][0] - by_hour[0][0]).days < 3:
        return by_hour, "hour"
    days: Counter[datetime] = Counter()
    for at, n in by_hour:
        days[at.replace(hour=0)] += n
    return sorted(days.items()), "day"


def _flags(version: StudyVersion, phase: Phase, tally: Tally) -> list[Flag]:
    """Count what casts doubt on data without saying which arm won: check trials have no arm to win."""
    votes = tally.total(phase.name, "votes")
    checks, failed = tally.of(phase.name, "check"), tally.of(phase.name, "failed")
    sessions = of_phase(phase.name).filter(version=version)
    faults = FaultReport.objects.filter(trial__session__in=sessions).count()
    left = SessionEvent.objects.filter(session=OuterRef("pk"), kind__in=["blur", "hidden"])
    in_force = Exclusion.objects.filter(session__in=sessions, revoked_at__isnull=True)
    excluded = in_force.values("session_id").distinct().count()
    degraded, identical = Trial.CheckKind.DEGRADED, Trial.CheckKind.IDENTICAL
    started = phase.started
    rows = [
        ("Fast votes", tally.total(phase.name, "fast"), votes, "given within 0.2 s of the earliest moment allowed"),
        ("Failed degraded checks", failed.get(degraded, 0), checks.get(degraded, 0), "the spoilt copy was preferred"),
        (
            "Decided identical pairs",
            failed.get(identical, 0),
            checks.get(identical, 0),
            "one of two equals was chosen",
        ),
        ("Image faults", faults, votes + faults, "a trial could not be shown and was replaced"),
        ("Sessions that left the tab", sessions.filter(Exists(left)).count(), started, "focus was lost at least once"),
        ("Sessions excluded", excluded, started, "by a rule or by hand, revocable"),
    ]
    return [Flag(*row) for row in rows]
