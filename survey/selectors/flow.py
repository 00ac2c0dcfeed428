"""What became of everybody who opened the study: the counts of a flow diagram, which add up."""

from __future__ import annotations

from typing import Any

from django.db.models import Count

from survey.models import AuditEntry, Exclusion, RaterSession, Slot, Study, Trial
from survey.selectors.rater import sessions_in_table
from survey.selectors.version import version_current
from survey.selectors.vote import answered_before, current_votes, has_real_votes

__all__ = ["study_flow"]

State = RaterSession.State
_REFUSED = {"screen": "screen too small", "full": "no places left", "consent": "consent not given"}


def study_flow(study: Study, *, is_pilot: bool = False) -> dict[str, Any]:
    """Return the flow of raters as ``analysis.report.build_report`` takes it.

    ``steps`` go from arrival to the votes; each says how many are left and, by cause, how many went before the next.
    A rehearsal's raters count only where no person has voted.
    """
    arrived = RaterSession.objects.filter(version__study=study, is_pilot=is_pilot)
    # A rehearsal alone has a flow too; beside people's visits it has no place in theirs.
    if has_real_votes(study, is_pilot=is_pilot):
        arrived = arrived.filter(is_simulated=False)
    started = arrived.filter(trial_count__gt=0)
    completed = started.filter(state=State.COMPLETED)
    excluded = Exclusion.objects.filter(session__in=completed, revoked_at__isnull=True)
    kept = completed.exclude(pk__in=excluded.values("session"))
    partial = _partial(study, started, is_pilot=is_pilot)
    # Answers count whoever stopped after them: the last step then says of whom it speaks.
    last = "in the analysis, every trial answered" if partial else "in the analysis"
    steps = [
        _step("opened the study", arrived.count(), _before_trials(arrived)),
        _step("began the trials", started.count(), _during_trials(started)),
        _step("answered every trial", completed.count(), _by_rule(excluded)),
        _step(last, kept.count(), {}),
    ]
    return {
        "steps": steps,
        "partial": partial,
        "planned": _planned(study),
        "reached": _reached(study, is_pilot),
        "dates": _dates(study),
    }


def _partial(study: Study, started, *, is_pilot: bool) -> int:
    """Return the raters who stopped before the end, whose answers until then are in the analysis."""
    unfinished = started.exclude(state__in=[State.COMPLETED, State.WITHDRAWN])
    excluded = Exclusion.objects.filter(session__in=unfinished, revoked_at__isnull=True)
    votes = current_votes(study, is_pilot=is_pilot).filter(~answered_before(), trial__check_kind=Trial.CheckKind.NONE)
    stayed = unfinished.exclude(pk__in=excluded.values("session"))
    return stayed.filter(pk__in=votes.values("trial__session")).count()


def _step(name: str, count: int, left: dict[str, int]) -> dict[str, Any]:
    return {"name": name, "raters": count, "left": {cause: n for cause, n in left.items() if n}}


def _before_trials(arrived) -> dict[str, int]:
    """Return who went before the trials: refused by cause, withdrawn, or gone from the page they stood at."""
    early = arrived.filter(trial_count=0)
    refused = early.filter(state=State.REFUSED).values_list("outcome").annotate(n=Count("pk")).order_by("outcome")
    causes = {f"refused: {_REFUSED.get(outcome, outcome)}": n for outcome, n in refused}
    causes["withdrew"] = early.filter(state=State.WITHDRAWN).count()
    causes["left before the consent"] = (
        early.filter(consented_at__isnull=True).exclude(state__in=[State.REFUSED, State.WITHDRAWN]).count()
    )
    causes["left after the consent"] = (
        early.filter(consented_at__isnull=False).exclude(state__in=[State.REFUSED, State.WITHDRAWN]).count()
    )
    return causes


def _during_trials(started) -> dict[str, int]:
    unfinished = started.exclude(state=State.COMPLETED)
    return {
        "withdrew": unfinished.filter(state=State.WITHDRAWN).count(),
        "stopped before the end": unfinished.exclude(state=State.WITHDRAWN).count(),
    }


def _by_rule(excluded) -> dict[str, int]:
    """Return excluded sessions by the first rule that names each of them."""
    first: dict[Any, str] = {}
    for session, rule in excluded.order_by("made_at", "pk").values_list("session_id", "rule"):
        first.setdefault(session, rule)
    counts: dict[str, int] = {}
    for rule in first.values():
        name = f"excluded: {rule.replace('_', ' ')}"
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def _planned(study: Study) -> dict[str, int] | None:
    version = version_current(study)
    if version is None:
        return None
    slots = Slot.objects.filter(version=version, pool=Slot.Pool.MAIN).count()
    return {"raters": version.config["analysis"]["target_raters"], "votes": slots}


def _reached(study: Study, is_pilot: bool) -> dict[str, int]:
    sessions = sessions_in_table(study, is_pilot=is_pilot).filter(state=State.COMPLETED)
    votes = current_votes(study, is_pilot=is_pilot).filter(trial__slot__isnull=False)
    return {"raters": sessions.count(), "votes": votes.count()}


def _dates(study: Study) -> dict[str, str | None]:
    """Return when the study opened and closed, and the reason given for closing."""
    opened = AuditEntry.objects.filter(study=study, action="open").order_by("number").first()
    closed = AuditEntry.objects.filter(study=study, action="close").order_by("-number").first()
    return {
        "opened": opened.at.date().isoformat() if opened else None,
        "closed": closed.at.date().isoformat() if closed else None,
        "closing_reason": (closed.detail.get("reason") or None) if closed else None,
    }
