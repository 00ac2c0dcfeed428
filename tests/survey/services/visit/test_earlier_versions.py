"""A version frozen by release 0.1 goes on as it was: one PNG an image, shown pixel by pixel."""

from __future__ import annotations

import hashlib
import json

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from survey.models import PairImage, ServedCopies, StudyVersion
from survey.selectors.version import frozen_config, frozen_room
from survey.services.study.study import study_transition
from survey.services.study.version import version_freeze
from survey.tokens import session_token
from tests.factories import make_running
from tests.visits import begin

pytestmark = pytest.mark.django_db


def as_release_0_1_froze_it(version: StudyVersion) -> StudyVersion:
    """Take away what later versions say, and give the images the copies that earlier ones had."""
    ServedCopies.objects.all().delete()
    for name in ("images", "copies"):
        del version.config[name]
    for name in ("display", "box_px", "least_box_px"):
        del version.config["trial"][name]
    version.save()
    for image in PairImage.objects.filter(pair__study=version.study):
        for field in ("served", "degraded"):
            content = f"{field} of {image.pk}".encode()
            digest = hashlib.sha256(content).hexdigest()
            name = f"served/{len(content)}/{digest[:2]}/{digest}.png"
            default_storage.save(name, ContentFile(content))
            setattr(image, field, name)
        image.save()
    frozen_config.cache_clear()
    frozen_room.cache_clear()
    return version


def window(session) -> dict:
    address = reverse("survey:api-window", args=[session_token(session.pk)])
    return json.loads(Client().post(address, {"tab": "tab"}, content_type="application/json").content)


def test_its_visits_show_the_copies_that_it_had_also_after_a_new_version_was_frozen() -> None:
    version = as_release_0_1_froze_it(make_running(practice_trials=1, degraded_trials=1))
    session = begin(version)
    room = frozen_room(version.pk)
    assert (room.display, room.frame, room.is_fit) == ("pixels", (16, 16), False)
    for _ in range(2):
        for trial in window(session)["trials"]:
            assert trial["sizes"] == [[16, 16]]
            for side in ("left", "right"):
                answer = Client().get(trial[side])
                assert trial[side].endswith(".png")
                assert answer.content.startswith((b"served of", b"degraded of"))
        study = version.study
        if study.state == "running":
            study_transition(study=study, name="pause", actor=None)
            study_transition(study=study, name="revise", actor=None)
            assert version_freeze(study=study).number == 2
