"""The rater's JSON: what it refuses, with which status, in one shape."""

from __future__ import annotations

import json
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from survey.models import Vote
from survey.services.visit.session import session_start, session_withdraw
from survey.tokens import image_token, session_token
from tests.beyond import ASKED, LEFT
from tests.copies import copy_folder
from tests.factories import make_running
from tests.visits import TAB, active, next_trial

pytestmark = pytest.mark.django_db


def send(session, name: str, body: dict | str, token: str = ""):
    address = reverse(f"survey:api-{name}", args=[token or session_token(session.pk)])
    return Client().post(address, body, content_type="application/json")


def submission(session, **changes) -> dict:
    body = {"tab": TAB, "trial": str(next_trial(session).pk), "key": str(uuid.uuid4()), "choice": "left"}
    return {name: value for name, value in (body | changes).items() if value is not None}


def code(response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_one_post_stores_a_vote_and_returns_what_comes_next() -> None:
    session = active(make_running(practice_trials=0))
    body = submission(session, response_ms=812.5, presentation={"layout": "row", "pixel_ratio": 2})
    answer = send(session, "vote", body).json()
    assert answer["stored"] == {"trial": body["trial"], "choice": "left", "replay": False}
    assert (answer["done"], len(answer["trials"])) == (1, 4)
    assert set(answer["trials"][0]) == {"id", "number", "practice", "question", "left", "right", "sizes"}
    assert send(session, "vote", body).json()["stored"]["replay"] is True
    assert Vote.objects.get().response_ms == 812.5


@pytest.mark.parametrize("answers", [[], [{"choice": "left"}] * 2, [{"choice": "left", "criterion": "detail"}]])
def test_answers_to_other_questions_than_the_trials_are_refused_and_leave_nothing(answers) -> None:
    session = active(make_running(practice_trials=0))
    assert code(send(session, "vote", submission(session, choice=None, answers=answers))) == (400, "answers_mismatch")
    assert not Vote.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"trial": None},
        {"trial": "robust"},
        {"key": "not-a-uuid"},
        {"key": 7},
        {"choice": "neither"},
        {"choice": None},
        {"answers": "left"},
        {"answers": ["left"]},
        {"answers": [{"choice": "neither"}]},
        {"answers": [{"choice": "left", "criterion": 1}]},
        {"tab": ""},
        {"tab": "x" * 41},
        {"response_ms": "fast"},
        {"response_ms": True},
        {"response_ms": -5},
        {"presentation": []},
        {"presentation": {"arm": "robust"}},
    ],
    ids=str,
)
def test_malformed_votes_are_refused_and_leave_nothing(changes) -> None:
    session = active(make_running(practice_trials=0))
    response = send(session, "vote", submission(session, **changes))
    assert code(response) == (422, "bad_submission")
    assert not Vote.objects.exists()


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "\x00", json.dumps({"tab": "x" * 70_000})])
def test_bodies_that_are_no_objects_are_refused(body) -> None:
    session = active(make_running())
    for name in ("window", "vote", "undo", "fault", "events"):
        assert code(send(session, name, body)) == (422, "bad_submission")


def test_errors_carry_their_status_and_code() -> None:
    session = active(make_running(practice_trials=0))
    assert code(send(session, "vote", submission(session), token="forged")) == (404, "token_invalid")
    assert code(send(session, "vote", submission(session), token=session_token(uuid.uuid4()))) == (
        404,
        "session_unknown",
    )
    assert code(send(session, "vote", submission(session, trial=str(uuid.uuid4())))) == (404, "trial_unknown")
    assert code(send(session, "vote", submission(session, tab="older"))) == (409, "other_tab")
    assert code(send(session, "undo", {"tab": TAB, "key": str(uuid.uuid4())})) == (409, "nothing_to_undo")
    body = submission(session)
    send(session, "vote", body)
    again = body | {"key": str(uuid.uuid4()), "choice": "right"}
    assert code(send(session, "vote", again)) == (409, "vote_conflict")
    fault = {"tab": TAB, "trial": str(next_trial(session).pk), "kind": "mood"}
    assert code(send(session, "fault", fault)) == (422, "bad_submission")
    assert code(send(session, "events", {"events": [{"kind": "party"}]})) == (422, "bad_submission")
    session_withdraw(session_id=session.pk)
    assert code(send(session, "vote", again)) == (409, "session_not_active")
    early = session_start(study=session.version.study)
    assert code(send(early, "window", {"tab": TAB})) == (409, "session_not_active")


def test_only_posts_are_answered() -> None:
    session = active(make_running())
    for name in ("window", "vote", "undo", "fault", "events"):
        assert Client().get(reverse(f"survey:api-{name}", args=[session_token(session.pk)])).status_code == 405


def test_answers_are_not_cached_and_set_no_cookie() -> None:
    response = send(active(make_running()), "window", {"tab": TAB})
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert not response.cookies


def test_images_have_headers_that_say_nothing(settings) -> None:
    session = active(make_running())
    window = send(session, "window", {"tab": TAB}).json()
    addresses = [trial[side] for trial in window["trials"] for side in ("left", "right")]
    assert len(set(addresses)) == 8
    responses = [Client().get(address) for address in addresses]
    headers = {json.dumps(dict(response.headers), sort_keys=True) for response in responses}
    assert len(headers) == 1
    names = set(responses[0].headers)
    assert not names & {"ETag", "Last-Modified", "Content-Disposition", "Set-Cookie", "Content-Encoding"}
    assert responses[0].headers["Cache-Control"].startswith("private, ")
    assert len(responses[0].content) == session.version.served_bytes


def test_forged_expired_and_lost_images_are_refused(settings) -> None:
    version = make_running()
    served = copy_folder(version.study.pairs.first().images.first())
    forged = reverse("survey:image", args=["A" * 98])
    late = reverse("survey:image", args=[image_token(served=served, side="left", now=0) + ".0"])
    lost = reverse("survey:image", args=[image_token(served=f"served/1/00/{'0' * 64}.png", side="left")])
    whole = reverse("survey:image", args=[image_token(served=served, side="left")])
    for address in (forged, whole, whole.replace(".webp", ".x.webp"), whole.replace(".webp", ".-1.webp")):
        assert code(Client().get(address)) == (404, "token_invalid")
    assert Client().get(whole.replace(".webp", ".9.webp")).status_code == 404
    assert code(Client().get(late)) == (410, "token_expired")
    assert Client().get(lost).status_code == 404


def test_the_proxy_sends_the_file_where_it_is_set_up_to(settings) -> None:
    settings.RATER_IMAGE_ACCEL = "/protected/"
    served = copy_folder(make_running().study.pairs.first().images.first())
    response = Client().get(reverse("survey:image", args=[image_token(served=served, side="left") + ".0"]))
    assert response.headers["X-Accel-Redirect"] == f"/protected/{served}/0.webp"
    assert response.content == b""


def test_an_answer_may_say_more_than_the_choice_where_the_study_asks() -> None:
    session = active(make_running(practice_trials=0, **ASKED))
    body = submission(session, choice=None, answers=[LEFT])
    assert send(session, "vote", body).status_code == 200
    assert Vote.objects.get().reasons == "anatomy|colour"


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": True},
        {"strength": "2"},
        {"strength": 2.5},
        {"strength": 4},
        {"strength": None},
        {"acceptable": 1},
        {"acceptable": "all"},
        {"acceptable": "right"},
        {"acceptable": None},
        {"reasons": "anatomy"},
        {"reasons": [1]},
        {"reasons": [["anatomy"]]},
        {"reasons": ["in my own words"]},
        {"reasons": ["anatomy"] * 2},
    ],
)
def test_bad_values_beyond_the_choice_are_refused_and_leave_nothing(changes) -> None:
    session = active(make_running(practice_trials=0, **ASKED))
    body = submission(session, choice=None, answers=[LEFT | changes])
    assert code(send(session, "vote", body)) == (400, "answers_mismatch")
    assert not Vote.objects.exists()
