"""Strangers at the raters' doors: forged and replayed votes, other people's visits, guessed addresses, stuffing."""

from __future__ import annotations

import base64
import json
import tempfile
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from config.models import Attempts
from survey.models import Rater, RaterSession, Slot, Trial, Vote
from survey.reports.report import report_write
from survey.selectors.vote import vote_rows
from survey.services.study.study import study_transition
from survey.services.visit.session import REHEARSAL_SALT, session_take_tab
from survey.services.visit.vote import trials_issue
from survey.tokens import image_token, personal_link_token, session_token
from tests.copies import copy_folder, copy_name
from tests.factories import make_running, make_study, make_version
from tests.visits import TAB, active, begin, next_trial, vote, vote_all

pytestmark = pytest.mark.django_db


def send(session: RaterSession, body: object, *, name: str = "vote", token: str = ""):
    path = reverse(f"survey:api-{name}", args=[token or session_token(session.pk)])
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return Client(raise_request_exception=False).post(path, text, content_type="application/json")


def submission(shown: Trial, /, **changes) -> dict:
    return {"tab": TAB, "trial": str(shown.pk), "key": str(uuid.uuid4()), "choice": "left"} | changes


@pytest.fixture
def session():
    return active(make_running(practice_trials=0))


def test_a_replayed_vote_is_answered_from_the_store_and_a_changed_one_refused(session) -> None:
    body = submission(next_trial(session))
    first, again = send(session, body), send(session, body)
    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.json()["stored"]["replay"], again.json()["stored"]["replay"]) == (False, True)
    assert send(session, body | {"choice": "right", "key": str(uuid.uuid4())}).status_code == 409
    assert Vote.objects.count() == 1


def test_a_replay_with_another_choice_does_not_change_the_vote(session) -> None:
    body = submission(next_trial(session))
    send(session, body)
    send(session, body | {"choice": "right"})
    assert list(Vote.objects.values_list("choice", flat=True)) == ["left"]


def test_no_vote_for_another_raters_trial_even_with_a_session_of_ones_own(session) -> None:
    other = active(session.version)
    answer = send(session, submission(next_trial(other)))
    assert answer.status_code == 404
    assert Vote.objects.count() == 0


def test_no_vote_for_a_trial_that_was_not_issued_or_does_not_exist(session) -> None:
    last = session.trials.order_by("-position").first()
    assert last.issued_at is None
    assert send(session, submission(last)).status_code == 404
    assert send(session, submission(last, trial=str(uuid.uuid4()))).status_code == 404
    assert Vote.objects.count() == 0


def test_a_submission_key_of_somebody_else_reveals_and_changes_nothing(session) -> None:
    other = active(session.version)
    body = submission(next_trial(other))
    send(other, body)
    answer = send(session, submission(next_trial(session), key=body["key"]))
    assert answer.status_code == 409
    assert "stored" not in answer.json()
    assert Vote.objects.count() == 1


def forged_tokens(session: RaterSession) -> list[str]:
    good = session_token(session.pk)
    sealed = bytearray(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    changed = []
    for place in (0, 15, 16, len(sealed) - 1):
        copy = bytearray(sealed)
        copy[place] ^= 1
        changed.append(base64.urlsafe_b64encode(copy).decode().rstrip("="))
    guesses = [str(session.pk), session.pk.hex, base64.urlsafe_b64encode(session.pk.bytes).decode().rstrip("=")]
    return [*changed, *guesses, good[:-2], good + good, "A" * len(good), personal_link_token(session.pk)]


def test_forged_session_tokens_open_nothing(session) -> None:
    body = submission(next_trial(session))
    for token in forged_tokens(session):
        assert send(session, body, token=token).status_code == 404, token
        assert Client().get(reverse("survey:visit", args=[token])).status_code == 404, token
    assert send(session, body).status_code == 200


def test_image_addresses_are_unguessable_and_end(session, settings) -> None:
    trial = next_trial(session)
    served = copy_folder(trial.image_left)
    good = image_token(served=served, trial_id=trial.pk, side="left") + ".0"
    assert Client().get(reverse("survey:image", args=[good])).status_code == 200
    digest = served.rsplit("/", 1)[1]
    changed = good[:-3] + ("A" if good[-3] != "A" else "B") + ".0"
    for guess in (digest, served.replace("/", "-"), session_token(session.pk), changed):
        assert Client().get(reverse("survey:image", args=[guess])).status_code == 404, guess
    old = image_token(served=served, side="left", now=timezone.now().timestamp() - settings.RATER_IMAGE_SECONDS - 5)
    assert Client().get(reverse("survey:image", args=[old + ".0"])).status_code == 410


@pytest.mark.parametrize("path", ["/media/{file}", "/{file}", "/static/{file}", "/i/{file}", "/i/..%2f..%2f{file}.png"])
def test_stored_files_have_no_address_of_their_own(session, path: str) -> None:
    image = next_trial(session).image_left
    for file in (image.file, copy_name(image)):
        assert Client().get(path.format(file=file)).status_code == 404


def test_ids_of_rows_are_no_addresses(session) -> None:
    trial = next_trial(session)
    for found in (session.pk, session.rater_id, trial.pk, trial.pair_id, session.version_id):
        assert Client().get(f"/r/{found}/").status_code == 404
        assert Client().get(f"/i/{found}.png").status_code == 404


PERSONAL = {"provider": "personal"}
SIGNED = {"provider": "prolific", "codes": {"complete": "C1"}}


def not_open(kind: str, recruitment: dict) -> str:
    """Return the slug of a study that takes no raters, for one reason or another, or of none at all."""
    if kind == "unknown":
        return "no-such-study"
    study = make_study(recruitment=recruitment)
    if kind != "draft":
        make_version(study)
    for step in {"revised": ["revise"], "paused": ["open", "pause"], "closed": ["open", "close"]}.get(kind, []):
        study_transition(study=study, name=step, actor=None)
    return study.slug


def seen_by_a_stranger(slug: str, query: str) -> list[tuple]:
    """Return all that a stranger is told at the doors of a study, its name in the address aside."""
    client = Client(raise_request_exception=False)
    landing, started = reverse("survey:landing", args=[slug]), reverse("survey:start", args=[slug])
    answers = [
        client.get(landing + query),
        client.head(landing + query),
        client.post(started + query, {"language": "de"}),
        client.post(started + query, {"language": "xx", "more": "x" * 5000}),
    ]
    return [(one.status_code, sorted(one.items()), one.content.replace(slug.encode(), b"*")) for one in answers]


@pytest.mark.parametrize("query", ["", "?ticket=made-up", "?PROLIFIC_PID=" + "5c2f" * 6, "?lang=ar", "?key=x"])
def test_what_is_not_open_looks_like_what_is_not_there(query: str) -> None:
    wanted = seen_by_a_stranger("no-such-study", query)
    assert all(status in {403, 404, 405} for status, *_ in wanted)
    for kind in ("draft", "frozen", "revised", "paused", "closed"):
        for recruitment in ({}, PERSONAL, SIGNED):
            assert seen_by_a_stranger(not_open(kind, recruitment), query) == wanted, (kind, recruitment)
    assert not RaterSession.objects.exists()
    assert not Rater.objects.exists()


def test_no_door_lists_the_studies() -> None:
    names = {not_open(kind, {}) for kind in ("draft", "frozen", "closed")} | {make_running().study.slug}
    for path in ("/s/anything/", "/s/anything/start", "/s/", "/s/anything/start?ticket=x", "/api/v1/studies/anything/"):
        for method in ("get", "post", "put"):
            text = getattr(Client(raise_request_exception=False), method)(path).content.decode()
            assert not [name for name in names if name in text], (method, path)


def test_a_made_up_rehearsal_ticket_is_refused() -> None:
    slug = make_running().study.slug
    for ticket in ("x", signing.dumps(slug, salt="other"), signing.dumps("another-study", salt=REHEARSAL_SALT)):
        answer = Client().post(reverse("survey:start", args=[slug]) + f"?ticket={ticket}")
        assert answer.status_code == 403
    assert RaterSession.objects.count() == 0


def test_many_sessions_cannot_give_more_votes_than_the_study_has_slots() -> None:
    version = make_running(
        pairs=4,
        votes_per_pair=2,
        trials_per_session=4,
        practice_trials=0,
        repeat_trials=0,
        identical_trials=0,
        degraded_trials=0,
    )
    for _ in range(5):
        session = begin(version)
        if session.step != "trials":
            assert session.outcome == "full"
            continue
        session = session_take_tab(session_id=session.pk, tab=TAB)
        trials_issue(list(session.trials.all()))
        vote_all(session)
    assert Vote.objects.filter(is_current=True).count() == 4 * 2
    assert not Slot.objects.filter(version=version, pool=Slot.Pool.MAIN, is_answered=False).exists()


def test_late_votes_are_kept_marked_and_left_out_of_the_headline() -> None:
    """Four visits, each silent until its lease was over, then all of them back: 60 votes on 15 places."""
    plan = {"practice_trials": 0, "repeat_trials": 0, "identical_trials": 0, "degraded_trials": 0}
    version = make_running(pairs=15, votes_per_pair=1, trials_per_session=15, **plan)
    study, sessions = version.study, []
    for _ in range(4):
        sessions.append(active(version))
        Slot.objects.filter(version=version).update(lease_expires_at=timezone.now() - timedelta(minutes=1))
        RaterSession.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    for session in sessions:
        session = session_take_tab(session_id=session.pk, tab=TAB)
        trials_issue(list(session.trials.all()))
        vote_all(session)
    places = Slot.objects.filter(version=version, pool=Slot.Pool.MAIN).count()
    rows = list(vote_rows(study))
    counted = [row for row in rows if not row["excluded"]]
    late = [row for row in rows if row["exclusion_reason"].startswith("over_quota")]
    assert len(rows) == sum(session.trials.count() for session in sessions) > places, "no vote is lost"
    assert len(counted) == places
    assert len(late) == len(rows) - places
    study_transition(study=study, name="close", actor=None, reason="enough")
    with tempfile.TemporaryDirectory() as folder:
        report = report_write(study, Path(folder))
    counts = report["comparisons"][0]["counts"]
    assert sum(counts[name] for name in ("wins", "losses", "ties")) == places
    assert sum(n for rule, n in report["data"]["excluded"].items() if "over_quota" in rule) == len(late)


def test_whoever_comes_back_in_time_has_no_vote_marked() -> None:
    version = make_running(pairs=8, practice_trials=0)
    session = active(version)
    RaterSession.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    Slot.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    vote(session)
    session = session_take_tab(session_id=session.pk, tab=TAB)
    vote_all(session)
    assert not [row for row in vote_rows(version.study) if row["excluded"]]


def start(slug: str, address: str = "203.0.113.9", **extra: str):
    return Client().post(reverse("survey:start", args=[slug]), REMOTE_ADDR=address, **extra)


def test_one_network_begins_a_limited_number_of_visits_an_hour(settings) -> None:
    settings.STARTS_PER_HOUR = 3
    slug = make_running().study.slug
    assert [start(slug).status_code for _ in range(5)] == [303, 303, 303, 429, 429]
    assert int(start(slug)["Retry-After"]) <= 3600
    assert start(slug, "198.51.100.7").status_code == 303
    assert RaterSession.objects.count() == 4


def test_one_network_begins_a_limited_number_of_visits_to_a_study_a_day(settings) -> None:
    settings.STUDY_STARTS_PER_DAY = 2
    one, other = make_running().study.slug, make_running().study.slug
    assert [start(one).status_code for _ in range(3)] == [303, 303, 429]
    assert start(other).status_code == 303
    assert start(one, "198.51.100.7").status_code == 303
    settings.STARTS_PER_HOUR = 0
    assert start(one).status_code == 303, "0 allows any number"


@pytest.mark.parametrize(
    ("language", "text"), [("de", "Zu viele Versuche"), ("ar", "محاولات كثيرة"), ("xx", "Too many")]
)
def test_the_refusal_speaks_the_language_that_was_chosen(settings, language, text) -> None:
    settings.STARTS_PER_HOUR = 1
    path = reverse("survey:start", args=[make_running().study.slug])
    first, second = (Client().post(path, {"language": language}) for _ in range(2))
    assert (first.status_code, second.status_code) == (303, 429)
    page = second.content.decode()
    assert text in page
    assert f'lang="{language if language != "xx" else "en"}"' in page


def test_addresses_of_one_ipv6_network_count_as_one(settings) -> None:
    settings.STARTS_PER_HOUR = 2
    slug = make_running().study.slug
    assert [start(slug, f"2001:db8::{number}").status_code for number in (1, 2, 3)] == [303, 303, 429]


def test_a_forwarded_address_counts_only_behind_a_proxy_of_ours(settings) -> None:
    settings.STARTS_PER_HOUR = 1
    slug = make_running().study.slug
    headers = [{"HTTP_X_FORWARDED_FOR": f"192.0.2.{number}"} for number in (1, 2)]
    assert [start(slug, **one).status_code for one in headers] == [303, 429]
    settings.PROXIES = 1
    answers = [start(slug, HTTP_X_FORWARDED_FOR=f"192.0.2.{number}, 198.51.100.1").status_code for number in (3, 4)]
    assert answers == [303, 429]


def test_a_rehearsal_is_not_limited_and_the_table_of_attempts_holds_no_address(settings) -> None:
    settings.STARTS_PER_HOUR = 1
    slug = make_running().study.slug
    path = reverse("survey:start", args=[slug]) + "?ticket=" + signing.dumps(slug, salt=REHEARSAL_SALT)
    assert [Client().post(path).status_code for _ in range(3)] == [303] * 3
    assert start(slug).status_code == 303
    for row in Attempts.objects.all():
        assert (row.count, len(row.key), "203.0.113.9" in row.key) == (1, 64, False)


def test_attempts_that_are_over_are_swept_out() -> None:
    Attempts.objects.create(key="old", count=9, ends_at=timezone.now() - timedelta(hours=2))
    start(make_running().study.slug)
    assert not Attempts.objects.filter(key="old").exists()


ODD = ["\x00", "\ud800", "a" * 5000, "' OR 1=1 --", "<script>", 10**400, -1, 1e308, True, None, [], {}, [["x"]]]
ODD_BODIES = ["", "[]", "null", "{", "[" * 30_000, '{"tab": NaN}', '{"tab": "\\u0000"}', b"\xff\xfe", '{"a":' * 9_000]


@pytest.mark.parametrize("name", ["window", "vote", "undo", "fault", "events"])
def test_odd_bodies_are_refused_and_never_break_the_server(session, name: str) -> None:
    good = submission(next_trial(session), kind="image", response_ms=1.0, exposure_ms=1.0, events=[], presentation={})
    for body in ODD_BODIES:
        assert 400 <= send(session, body, name=name).status_code < 500, body[:20]
    for field in good:
        for value in ODD:
            status = send(session, good | {field: value}, name=name).status_code
            assert status < 500, (field, value)


@settings(max_examples=40)
@given(
    presentation=st.dictionaries(
        st.sampled_from(["layout", "zoom", "input", "other"]),
        st.recursive(st.text() | st.floats() | st.integers() | st.none(), lambda x: st.lists(x, max_size=3)),
        max_size=3,
    )
)
def test_any_presentation_is_stored_or_refused(session, presentation: dict) -> None:
    body = submission(next_trial(session), presentation=presentation, choice="neither")
    assert send(session, body).status_code == 422
    event = {"tab": TAB, "events": [{"kind": "focus", "detail": presentation}]}
    assert send(session, event, name="events").status_code in {200, 422}


@pytest.mark.parametrize("value", ["inf", "nan", "-1e999", "%00", "%F0%90", "x" * 3000, "9" * 400])
def test_odd_forms_are_refused_and_never_break_the_server(value: str) -> None:
    version = make_running(practice_trials=0, exit_questions=[{"name": "age", "caption": "Age"}])
    client = Client(raise_request_exception=False)
    visit = client.post(reverse("survey:start", args=[version.study.slug]))["Location"]

    def post(step: str, **fields: str):
        text = "&".join(f"{name}={given}" for name, given in fields.items())
        return client.post(visit + step, text, content_type="application/x-www-form-urlencoded").status_code

    assert post("consent", consent_sha256=value) in {400, 409}
    assert post("consent", consent_sha256=version.consent_sha256) == 303
    assert post("device", width=value, height=value, pixel_ratio=value, screen=value) in {303, 400, 422}
    assert client.get(visit + f"?lang={value}").status_code in {200, 400}
    session = active(version)
    while next_trial(session):
        vote(session)
    address = reverse("survey:finish", args=[session_token(session.pk)])
    assert client.post(address).status_code == 303
    visit = address.removesuffix("finish")
    assert post("questions", answer_age=value) in {303, 400}


def test_raters_get_no_cookie_and_need_none(session) -> None:
    client = Client()
    client.get(reverse("survey:landing", args=[session.version.study.slug]))
    client.get(reverse("survey:visit", args=[session_token(session.pk)]))
    assert dict(client.cookies) == {}
