"""A rater's visit, step by step: consent, device, instructions, trials, questions, end."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from survey.exceptions import ConsentOutdated, ExitAnswersRefused, SessionNotActive, SessionUnknown, StudyNotOpen
from survey.models import Rater, RaterSession, Slot, Study, StudyVersion, Trial
from survey.models.study import new_seed
from survey.selectors.texts import consent_digests, shown_language
from survey.selectors.version import frozen_config, frozen_room, version_current
from survey.services.assignment.slots import is_lease_short, lease_end, slots_ensure, slots_release, slots_renew
from survey.services.study.exit_questions import ExitQuestion
from survey.services.visit.device import Device
from survey.services.visit.trial import trials_draw

__all__ = [
    "REHEARSAL_SALT",
    "session_answer_questions",
    "session_begin",
    "session_check_device",
    "session_consent",
    "session_leave_for_room",
    "session_locked",
    "session_resume",
    "session_retry_device",
    "session_set_language",
    "session_start",
    "session_take_tab",
    "session_withdraw",
    "sessions_expire",
]

# Signs the ticket that marks a visit as simulated from its first row on.
REHEARSAL_SALT = "survey.rehearsal"
State = RaterSession.State
ALIVE = (State.ARRIVED, State.ACTIVE, State.EXPIRED)
# No look-alikes, so that a code can be read aloud.
_CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"


def session_locked(session_id: uuid.UUID) -> RaterSession:
    """Return the session's row under lock, re-read. Call inside a transaction.

    What a visit writes depends on its step, tab and counts: two tabs, a double click and a replay take turns here.
    """
    try:
        return RaterSession.objects.select_for_update().get(pk=session_id)
    except RaterSession.DoesNotExist:
        raise SessionUnknown from None


def _at_step(session_id: uuid.UUID, step: str) -> RaterSession:
    session = session_locked(session_id)
    if session.state not in ALIVE or session.step != step:
        raise SessionNotActive
    # A sign of life: whoever was thought gone is back.
    session.last_seen_at = timezone.now()
    if session.state == State.EXPIRED:
        session.state = State.ACTIVE if session.trial_count else State.ARRIVED
    return session


_ALIVE_FIELDS = ("state", "last_seen_at")


@transaction.atomic
def session_start(
    *,
    study: Study,
    rater: Rater | None = None,
    is_simulated: bool = False,
    is_entry_verified: bool = False,
    language: str = "",
) -> RaterSession:
    """Open the visit of a rater to the study's newest version, or return the one there is.

    Raises
    ------
    StudyNotOpen
        If the study, re-read, takes no new raters. A rehearsal may also run on a study that is frozen.
    """
    study = Study.objects.get(pk=study.pk)
    open_states = {Study.State.RUNNING, Study.State.PILOTING} | ({Study.State.FROZEN} if is_simulated else set())
    version = version_current(study)
    if rater is not None and version is not None:
        known = RaterSession.objects.filter(rater=rater, version=version).first()
        if known is not None:
            return known
    if study.state not in open_states or version is None:
        raise StudyNotOpen
    is_pilot = study.state == Study.State.PILOTING and not is_simulated
    session, _ = RaterSession.objects.get_or_create(
        rater=rater or Rater.objects.create(),
        version=version,
        defaults={
            "seed": new_seed(),
            "is_pilot": is_pilot,
            "is_simulated": is_simulated,
            "is_entry_verified": is_entry_verified,
            "language": language,
        },
    )
    return session


@transaction.atomic
def session_consent(*, session_id: uuid.UUID, consent_sha256: str) -> RaterSession:
    """Record the consent to the text with this digest. Raises ConsentOutdated if it is none of the version's.

    The digest says which text was read: the visit's language may have changed in another tab since.
    """
    session = _at_step(session_id, "consent")
    config = frozen_config(session.version_id)
    languages = [language for language, digest in consent_digests(config).items() if digest == consent_sha256]
    if not languages:
        raise ConsentOutdated
    present = shown_language(config, session.language)
    session.consent_language = present if present in languages else languages[0]
    session.consent_sha256, session.consented_at, session.step = consent_sha256, timezone.now(), "device"
    session.save(update_fields=["consent_sha256", "consent_language", "consented_at", "step", *_ALIVE_FIELDS])
    return session


@transaction.atomic
def session_check_device(*, session_id: uuid.UUID, device: Device) -> RaterSession:
    """Store what the browser reports, and let it pass or refuse it. A refused rater may come back with another."""
    session = _at_step(session_id, "device")
    session.device = device.report()
    if frozen_room(session.version_id).layout(device.window):
        session.step = "instructions"
        session.save(update_fields=["device", "step", *_ALIVE_FIELDS])
        return session
    session.save(update_fields=["device"])
    return _finish(session, State.REFUSED, "screen")


@transaction.atomic
def session_leave_for_room(*, session_id: uuid.UUID, device: Device) -> RaterSession:
    """End a visit before consent, in a window without room for a pair. Nothing else of the window is stored."""
    session = _at_step(session_id, "consent")
    if frozen_room(session.version_id).layout(device.window):
        return session
    return _finish(session, State.REFUSED, "screen")


@transaction.atomic
def session_retry_device(*, session_id: uuid.UUID) -> RaterSession:
    """Let a rater whose screen was too small try again."""
    session = session_locked(session_id)
    if (session.state, session.outcome) != (State.REFUSED, "screen"):
        raise SessionNotActive
    session.state, session.outcome, session.completion_code, session.finished_at = State.ARRIVED, "", "", None
    session.step, session.last_seen_at = "device" if session.consented_at else "consent", timezone.now()
    session.save(update_fields=["last_seen_at", "state", "outcome", "completion_code", "finished_at", "step"])
    return session


def session_begin(*, session_id: uuid.UUID) -> RaterSession:
    """Draw the session's trials; end the visit, with its own code, when the study wants no more votes."""
    session = RaterSession.objects.select_related("version").get(pk=session_id)
    pool = Slot.Pool.REHEARSAL if session.is_simulated else Slot.Pool.PILOT
    if (session.is_simulated or session.is_pilot) and not Slot.objects.filter(
        version=session.version, pool=pool
    ).exists():
        slots_ensure(session.version, pool)
    with transaction.atomic():
        session = _at_step(session_id, "instructions")
        if not trials_draw(session=session):
            _finish(session, State.REFUSED, "full")
            return session
        session.state, session.step = State.ACTIVE, "trials"
        session.save(update_fields=["state", "step", "assignment", "trial_count", "answered_count", "lease_expires_at"])
    return session


@transaction.atomic
def session_take_tab(*, session_id: uuid.UUID, tab: str) -> RaterSession:
    """Make a browser tab the one that may vote; the newest wins. Revives a session whose lease ran out."""
    session = session_locked(session_id)
    if session.step != "trials" or session.state not in ALIVE:
        raise SessionNotActive
    session.tab, session.state, session.last_seen_at = tab, State.ACTIVE, timezone.now()
    session.save(update_fields=["tab", "state", "last_seen_at"])
    if is_lease_short(session, session.last_seen_at):
        slots_renew(session=session, now=session.last_seen_at)
    return session


@transaction.atomic
def session_resume(*, session_id: uuid.UUID) -> RaterSession:
    """Bring the visit to the step that its trials allow: past them once all are answered."""
    session = session_locked(session_id)
    if session.step == "trials" and session.state in ALIVE:
        if Trial.objects.filter(session=session, state=Trial.State.OPEN).exists():
            return session
        if frozen_config(session.version_id)["texts"]["exit_questions"]:
            session.step = "questions"
            session.save(update_fields=["step"])
            return session
        return _finish(session, State.COMPLETED, "complete")
    return session


@transaction.atomic
def session_answer_questions(*, session_id: uuid.UUID, answers: Mapping[str, Sequence[str]]) -> RaterSession:
    """Store the answers to the exit questions, none of which is compulsory, and complete the visit.

    Raises ExitAnswersRefused, and stores nothing, if an answer does not fit its question.
    """
    session = _at_step(session_id, "questions")
    kept, problems = {}, {}
    for entry in frozen_config(session.version_id)["texts"]["exit_questions"]:
        question = ExitQuestion.of(entry)
        try:
            answer = question.answer(answers.get(question.name, ()))
        except ValueError as error:
            problems[question.name] = str(error)
            continue
        if answer is not None:
            kept[question.name] = answer
    if problems:
        raise ExitAnswersRefused(problems)
    session.answers = kept
    session.save(update_fields=["answers"])
    return _finish(session, State.COMPLETED, "complete")


def session_set_language(*, session_id: uuid.UUID, language: str) -> None:
    """Remember the language that the rater chose."""
    RaterSession.objects.filter(pk=session_id).update(language=language)


@transaction.atomic
def session_withdraw(*, session_id: uuid.UUID) -> RaterSession:
    """End the visit at the rater's wish. The votes stay; the session's state keeps them from being used."""
    session = session_locked(session_id)
    # A second click on the same button is no error.
    if session.state == State.WITHDRAWN:
        return session
    if session.state not in ALIVE:
        raise SessionNotActive
    return _finish(session, State.WITHDRAWN, "withdrawn")


def _finish(session: RaterSession, state: str, outcome: str) -> RaterSession:
    """End a locked session with the completion code of its outcome, and give its open slots back."""
    slots_release(session=session)
    session.state, session.outcome, session.step = state, outcome, "done"
    session.finished_at = timezone.now()
    session.completion_code = completion_code(session.version_id, outcome)
    session.save(update_fields=["state", "outcome", "step", "finished_at", "completion_code"])
    return session


def completion_code(version_id: uuid.UUID, outcome: str) -> str:
    """Return the panel's code for an outcome where the study names one, else a random one."""
    codes: dict[str, Any] = frozen_config(version_id)["recruitment"].get("codes") or {}
    if fixed := codes.get(outcome):
        return str(fixed)
    letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def sessions_expire(*, version: StudyVersion | None = None, most: int = 10_000) -> int:
    """Mark the visits that fell silent; return how many there were. A rater who comes back revives the visit.

    Slots stay with their visit until somebody else claims them: claims pass over leases that have run out.
    """
    now = timezone.now()
    count = 0
    silent = [session.pk for session in _may_be_silent(now, version) if _is_silent(session, now)]
    for session_id in silent[:most]:
        with transaction.atomic():
            session = session_locked(session_id)
            # Looked at again under the lock: the rater may have come back since the list was made.
            if _is_silent(session, now):
                session.state = State.EXPIRED
                session.save(update_fields=["state"])
                count += 1
    return count


def _may_be_silent(now: datetime, version: StudyVersion | None) -> QuerySet[RaterSession]:
    """Return the visits whose silence is worth a look; a lease has no less than a minute."""
    lapsed = Q(state=State.ACTIVE, lease_expires_at__lt=now)
    left = Q(state=State.ARRIVED, last_seen_at__lt=now - timedelta(minutes=1))
    rows = RaterSession.objects.filter(lapsed | left).only("state", "version_id", "last_seen_at", "lease_expires_at")
    return rows if version is None else rows.filter(version=version)


def _is_silent(session: RaterSession, now: datetime) -> bool:
    if session.state == State.ARRIVED:
        return lease_end(session, session.last_seen_at) < now
    return session.state == State.ACTIVE and session.lease_expires_at is not None and session.lease_expires_at < now
