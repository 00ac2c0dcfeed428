"""Small real things to test with: people, studies with images in the storage, frozen and open ones."""

from __future__ import annotations

import io
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
from django.contrib.auth import get_user_model
from PIL import Image

from survey.criteria import keys_asked
from survey.models import RaterSession, Study, StudyVersion, Trial
from survey.selectors.trial import AHEAD, NextTrial, next_trials
from survey.services.images.describing import pairs_describe
from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
from survey.services.study.study import arm_add, study_create, study_transition
from survey.services.study.version import version_freeze
from survey.services.visit.device import Device
from survey.services.visit.session import (
    session_begin,
    session_check_device,
    session_consent,
    session_resume,
    session_start,
    session_take_tab,
)
from survey.services.visit.submission import Answer, VoteSubmission
from survey.services.visit.vote import trials_issue, vote_create

_numbers = itertools.count(1)

# Three criteria; the last allows no ties.
CRITERIA = [
    {"key": "realism", "question": "Which image looks more like a real {class_name}?"},
    {"key": "detail", "question": "Which image has better detail?", "definition": "Sharp where it should be."},
    {"key": "overall", "question": "Which image is better overall?", "is_tie_allowed": False},
]


def make_user(name: str = "", **fields: Any):
    """Return a new staff user; the password is the name itself."""
    name = name or f"researcher{next(_numbers)}"
    return get_user_model().objects.create_user(name, password=name, is_staff=True, **fields)


def make_png(seed: int, size: int = 16) -> bytes:
    """Return a PNG of random grey noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_study(
    *, owner: Any = None, slug: str = "", arms: tuple[str, ...] = ("vanilla", "robust"), pairs: int = 6, **draft: Any
) -> Study:
    """Return a draft with arms and pairs of stored images, ready to freeze."""
    owner = owner or make_user()
    slug = slug or f"study-{next(_numbers)}"
    fields = {"consent_text": "I agree to take part.", "trials_per_session": 6, "minimum_exposure_ms": 0}
    fields |= {"seed": 1} | draft  # the same order and sides of places in every run
    study = study_create(owner=owner, slug=slug, title=f"Study {slug}", **fields)
    for arm in arms:
        arm_add(study=study, name=arm, actor=owner)
    new = []
    for number in range(pairs):
        images = {}
        for place, arm in enumerate(arms):
            name, sha256 = image_store(make_png(1000 * number + place))
            images[arm] = NewImage(file=name, sha256=sha256, width=16, height=16)
        label = str(number % 3)
        new.append(NewPair(key=f"{label}-{number:05d}", images=images, class_label=label, class_name=f"digit {label}"))
    pairs_register(study=study, pairs=new)
    return study


def make_described(**fields: Any) -> Study:
    """Return a draft whose pairs have prompts, tags and references beside their names."""
    study = make_study(**fields)
    for number, pair in enumerate(study.pairs.order_by("key")):
        name, sha256 = image_store(make_png(900 + number))
        reference = NewImage(file=name, sha256=sha256, width=16, height=16)
        words = {"prompt": f"prompt {number}", "tags": ["animal", f"group {number % 2}"], "reference": reference}
        pairs_describe(study=study, pairs=[NewPair(key=pair.key, images={}, **words)])
    return study


def make_version(study: Study | None = None, **fields: Any) -> StudyVersion:
    """Return the frozen version of a study."""
    return version_freeze(study=study or make_study(**fields), actor=None)


def make_running(study: Study | None = None, **fields: Any) -> StudyVersion:
    """Return the version of a study that is open for raters."""
    version = make_version(study, **fields)
    study_transition(study=version.study, name="open", actor=None)
    version.study.refresh_from_db()
    return version


def answers_to(version: StudyVersion, trial: Trial | NextTrial, choice: str | dict[str, str]) -> list[Answer]:
    """Return an answer by each criterion that the trial asks."""
    asked = keys_asked(version.config, trial.criterion)
    return [Answer(criterion=key, choice=choice if isinstance(choice, str) else choice[key]) for key in asked]


def make_visit(
    version: StudyVersion, choose: Callable[[Trial], str | dict[str, str]] = lambda trial: "left", **start: Any
) -> RaterSession:
    """Return a completed visit of a new rater who answers trials by ``choose``, all criteria alike or as it says."""
    session = session_start(study=version.study, **start)
    session_consent(session_id=session.pk, consent_sha256=version.consent_sha256)
    device = Device(width=1280, height=800)
    session_check_device(session_id=session.pk, device=device)
    session_begin(session_id=session.pk)
    session = session_take_tab(session_id=session.pk, tab="tab")
    trials = list(next_trials(session)[:AHEAD])
    trials_issue(trials)
    while trials:
        submission = VoteSubmission(
            trial_id=trials[0].pk,
            submission_key=uuid.uuid4(),
            answers=answers_to(version, trials[0], choose(trials[0])),
            response_ms=1200.0,
        )
        trials = vote_create(session_id=session.pk, tab="tab", submission=submission).next_trials
    return session_resume(session_id=session.pk)
