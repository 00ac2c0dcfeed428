"""The sessions of a study as rows of the raters' table."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from django.db.models import Q, QuerySet

from survey.models import RaterSession, Study, Trial, Vote
from survey.selectors.vote import exclusion_reasons, has_real_votes

__all__ = [
    "exit_questions",
    "question_kind",
    "questions_withheld",
    "rater_rows",
    "sessions_in_table",
    "sessions_publishable",
]

_BATCH = 500
Check = Trial.CheckKind


def sessions_in_table(study: Study, *, is_pilot: bool = False) -> QuerySet[RaterSession]:
    """Return the sessions that got past the consent, of the pilot or of the main study, in a fixed order.

    As with votes, a rehearsal's count only where no person has voted.
    """
    rows = RaterSession.objects.filter(version__study=study, is_pilot=is_pilot, consented_at__isnull=False)
    if has_real_votes(study, is_pilot=is_pilot):
        rows = rows.filter(is_simulated=False)
    return rows.order_by("started_at", "pk")


def sessions_publishable(study: Study) -> QuerySet[RaterSession]:
    """Return the sessions of people that may leave the house: of the main study, not withdrawn, not erased.

    A panel's rater without a key is one whose identity was erased.
    """
    erased = Q(rater__provider_key__isnull=True) & ~Q(rater__provider="open")
    rows = sessions_in_table(study).filter(is_simulated=False)
    return rows.exclude(state=RaterSession.State.WITHDRAWN).exclude(erased)


def exit_questions(study: Study) -> list[dict[str, Any]]:
    """Return the exit questions of all frozen versions, each name once, the newest wording first.

    One that another version asked in another kind counts as answered in raters' own words.
    """
    found: dict[str, dict[str, Any]] = {}
    for config in study.versions.order_by("-number").values_list("config", flat=True):
        for question in config["texts"]["exit_questions"]:
            kept = found.setdefault(question["name"], question)
            if question_kind(kept) != question_kind(question):
                found[question["name"]] = {"name": kept["name"], "caption": kept["caption"], "kind": "text"}
    return list(found.values())


def question_kind(question: Mapping[str, Any]) -> Any:
    """Return the kind of an exit question; up to release 0.1 none was named, and options made it a choice."""
    return question.get("kind") or ("single" if question.get("options") else "text")


def questions_withheld(study: Study) -> list[str]:
    """Return the names of the questions answered in raters' own words, unless every version's consent covers them."""
    is_consented = all(
        config.get("publication", {}).get("is_free_text_consented", False)
        # Of all versions: answers were given under the consent of their own one.
        for config in study.versions.values_list("config", flat=True)
    )
    asked = [] if is_consented else exit_questions(study)
    return [entry["name"] for entry in asked if question_kind(entry) == "text"]


def rater_rows(study: Study, sessions: QuerySet[RaterSession]) -> Iterator[dict[str, Any]]:
    """Yield one mapping a session under the columns of the raters' table, in constant memory."""
    excluded = exclusion_reasons(study)
    sessions = sessions.select_related("rater").iterator(chunk_size=_BATCH)
    while batch := list(islice(sessions, _BATCH)):
        answered = _answered([session.pk for session in batch])
        for session in batch:
            yield _row(session, answered[session.pk], excluded)


def _answered(sessions: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Vote]]:
    found: dict[uuid.UUID, list[Vote]] = defaultdict(list)
    votes = Vote.objects.filter(is_current=True, trial__session__in=sessions).select_related("trial")
    for vote in votes.order_by("pk"):
        found[vote.trial.session_id].append(vote)
    return found


def _of_trials(votes: Sequence[Vote]) -> list[Vote]:
    """Return one vote of each trial, which several criteria may have answered together."""
    return list({vote.trial_id: vote for vote in reversed(votes)}.values())[::-1]


def _row(session: RaterSession, votes: Sequence[Vote], excluded: dict[uuid.UUID, str]) -> dict[str, Any]:
    reason = excluded.get(session.pk, "")
    if session.state == RaterSession.State.WITHDRAWN:
        reason = "withdrawn: at the rater's own wish"
    passed = [result for result in map(_check_result, votes) if result is not None]
    last = max((vote.submitted_at for vote in votes), default=session.finished_at)
    took = (last - session.consented_at).total_seconds() / 60 if last and session.consented_at else None
    return {
        "rater": str(session.rater_id),
        "session": str(session.pk),
        "phase": "rehearsal" if session.is_simulated else "pilot" if session.is_pilot else "main",
        "language": session.language,
        "layout": _usual(vote.presentation.get("layout") for vote in votes),
        "viewport_width_px": session.device.get("width"),
        "viewport_height_px": session.device.get("height"),
        "pixel_ratio": session.device.get("pixel_ratio"),
        "input": _usual(vote.presentation.get("input") for vote in votes),
        "minutes": None if took is None else round(took, 2),
        "votes": sum(vote.trial.check_kind == Check.NONE for vote in _of_trials(votes)),
        "checks_passed": sum(passed),
        "checks_failed": len(passed) - sum(passed),
        "excluded": bool(reason),
        "exclusion_reason": reason,
        "site": session.rater.provider,
        **{f"answer_{name}": _cell(answer) for name, answer in session.answers.items()},
    }


def _cell(answer: Any) -> Any:
    return " | ".join(answer) if isinstance(answer, list) else answer


def _check_result(vote: Vote) -> bool | None:
    """Return whether an attention check was passed; None for trials that are none, or that a guess can pass."""
    if vote.trial.check_kind == Check.DEGRADED:
        return vote.choice not in {vote.trial.degraded_side, Vote.Choice.TIE}
    return None


def _usual(values: Iterator[Any]) -> str:
    counted = Counter(str(value) for value in values if value)
    # Of equals the first by name: a table made again has the same cells.
    return min(counted, key=lambda value: (-counted[value], value)) if counted else ""
