"""The current votes of a study as rows of the votes table."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from survey.beyond import beyond_of
from survey.criteria import design_of
from survey.models import Exclusion, RaterSession, Study, Trial, Vote

__all__ = [
    "DEGRADED_ARM",
    "answered_before",
    "current_votes",
    "exclusion_reasons",
    "has_real_votes",
    "one_a_trial",
    "vote_rows",
    "vote_showings",
]

# A spoilt copy (in degraded checks and in practice) stands under this name: it is no arm of the study.
DEGRADED_ARM = "degraded"
OVER_QUOTA = "over_quota: the place was answered before by another visit"


def current_votes(study: Study, *, is_pilot: bool = False) -> QuerySet[Vote]:
    """Return the votes that count, of the pilot or of the main study: the two never pool.

    Nor do a rehearsal's with real ones: they count only where no person has voted, and never reach a file otherwise.
    """
    votes = _votes(study, is_pilot=is_pilot)
    real = votes.filter(trial__session__is_simulated=False)
    # A rehearsal can be exported as long as nobody has voted, and is never mixed with people's votes.
    return real if real.exists() else votes


def has_real_votes(study: Study, *, is_pilot: bool = False) -> bool:
    """Return whether a person has voted, in the pilot or in the main study."""
    return _votes(study, is_pilot=is_pilot).filter(trial__session__is_simulated=False).exists()


def _votes(study: Study, *, is_pilot: bool) -> QuerySet[Vote]:
    return Vote.objects.filter(is_current=True, trial__session__version__study=study, trial__session__is_pilot=is_pilot)


def exclusion_reasons(study: Study) -> dict[uuid.UUID, str]:
    """Return why sessions are excluded, as the ledger stands."""
    rows = Exclusion.objects.filter(session__version__study=study, revoked_at__isnull=True).order_by("-made_at")
    return {key: f"{rule}: {reason}" for key, rule, reason in rows.values_list("session_id", "rule", "reason")}


def vote_rows(
    study: Study, *, is_pilot: bool = False, sessions: QuerySet[RaterSession] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield one mapping a current vote under the columns of the votes table, in constant memory and a fixed order.

    ``sessions`` narrows them down to the votes of some sessions.
    """
    excluded = exclusion_reasons(study)
    votes = current_votes(study, is_pilot=is_pilot)
    if sessions is not None:
        votes = votes.filter(trial__session__in=sessions)
    votes = votes.select_related(
        "trial__session__version", "trial__pair", "trial__arm_left", "trial__arm_right", "trial__session"
    ).order_by("trial__session__started_at", "trial__session_id", "trial__position", "pk")
    votes = votes.annotate(is_over_quota=answered_before())
    for vote in votes.iterator(chunk_size=2000):
        yield _row(vote, study.slug, excluded)


def answered_before() -> Exists:
    """Return whether a vote came to a place that had one: its rater came back after the lease had run out.

    Both are answers and stay; the first counts. Which one that is depends on when they came, never on what they say.
    A rehearsal's places are emptied and filled again: of those nothing is over.
    """
    earlier = Vote.objects.filter(
        is_current=True,
        trial__slot=OuterRef("trial__slot"),
        trial__session__is_simulated=False,
        pk__lt=OuterRef("pk"),
    )
    return Exists(earlier.exclude(trial=OuterRef("trial")))


def one_a_trial(votes: QuerySet[Vote], study: Study) -> QuerySet[Vote]:
    """Narrow current votes down to one of each trial, which several criteria may have answered together."""
    if not any(map(design_of, study.versions.values_list("config", flat=True))):
        return votes
    return votes.exclude(Exists(Vote.objects.filter(is_current=True, trial=OuterRef("trial"), pk__lt=OuterRef("pk"))))


def vote_showings(study: Study, *, is_pilot: bool = False) -> Iterator[dict[str, Any]]:
    """Yield how the trial of each current vote looked on the rater's screen, as the browser reported it."""
    votes = one_a_trial(current_votes(study, is_pilot=is_pilot), study).order_by("pk")
    rows = votes.values_list("trial_id", "trial__session__rater_id", "presentation")
    for trial_id, rater_id, presentation in rows.iterator(chunk_size=2000):
        yield presentation | {"trial": str(trial_id), "rater": str(rater_id)}


def _row(vote: Vote, slug: str, excluded: dict) -> dict[str, Any]:
    trial, session, pair = vote.trial, vote.trial.session, vote.trial.pair
    arms = {"left": trial.arm_left.name, "right": trial.arm_right.name}
    if trial.degraded_side:
        arms[trial.degraded_side] = DEGRADED_ARM
    reason = excluded.get(session.pk, "")
    if session.state == RaterSession.State.WITHDRAWN:
        reason = "withdrawn: at the rater's own wish"
    if not reason and vote.is_over_quota and not session.is_simulated:
        reason = OVER_QUOTA
    return {
        "study": slug,
        "study_version": session.version.number,
        "rater": str(session.rater_id),
        "session": str(session.pk),
        "trial": str(trial.pk),
        "pair": str(pair.pk),
        "class_label": pair.class_label,
        "class_name": pair.class_name,
        "seed": pair.seed,
        "arm_left": arms["left"],
        "arm_right": arms["right"],
        "choice": vote.choice,
        "choice_arm": arms.get(vote.choice, ""),
        "response_ms": vote.response_ms,
        "exposure_ms": vote.exposure_ms,
        "position": trial.position,
        "is_repeat": trial.check_kind == Trial.CheckKind.REPEAT,
        "check_kind": trial.check_kind,
        "excluded": bool(reason),
        "exclusion_reason": reason,
        "simulated": session.is_simulated,
        "submitted_at": vote.submitted_at,
        # Only where the version asked: a study of one question and of choices alone has no such columns.
        **({"criterion": vote.criterion} if vote.criterion else {}),
        **{name: getattr(vote, name) for name in beyond_of(session.version.config).columns()},
    }
