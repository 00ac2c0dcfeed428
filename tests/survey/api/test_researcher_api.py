from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from jobs.runner import job_run
from survey.models import ApiToken, Exclusion, Study, WebhookDelivery
from survey.services.access.api_token import token_create, token_revoke
from survey.services.access.member import member_set
from survey.services.records.webhook import webhook_add
from survey.services.study.study import study_transition
from survey.services.visit.session import session_consent, session_start
from tests.beyond import TWO_LANGUAGES
from tests.factories import make_running, make_study, make_user
from tests.survey.admin.test_study_pages import vote_on
from tests.survey.services.images.test_importing import matched, zipped

pytestmark = pytest.mark.django_db
ALL = ("read", "write", "run")


class Caller:
    """A program with a token."""

    def __init__(self, user, *scopes: str, token: str = "") -> None:
        self.token = token or token_create(user=user, name="test", scopes=scopes or ALL)[0]
        self.client = Client(headers={"Authorization": f"Bearer {self.token}"})

    def __call__(self, method: str, path: str, body=None, **options):
        if body is not None:
            options |= {"data": json.dumps(body), "content_type": "application/json"}
        elif "data" not in options and method != "get":
            options |= {"content_type": "application/json"}
        return getattr(self.client, method)(f"/api/v1/{path}", **options)


@pytest.fixture
def owner():
    return make_user("owner")


def problem(answer, status: int, code: str) -> dict:
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json"), answer.content
    body = answer.json()
    assert body["type"] == f"urn:blindpair:problem:{code}", body
    assert body["status"] == status
    return body


def test_a_study_lives_its_whole_life_through_the_api(owner) -> None:
    call = Caller(owner)
    made = call("post", "studies/", {"slug": "cats", "title": "Cats", "consent_text": "I agree.", "practice_trials": 0})
    assert made.status_code == 201, made.content
    assert made.json()["role"] == "owner"
    assert call("get", "studies/cats/dry-run/").json()["problems"]
    files = {f"{arm}/{name}": body for arm, images in matched().items() for name, body in images.items()}
    archive = SimpleUploadedFile("images.zip", zipped(files).read())
    assert call("post", "studies/cats/import/", data={"zip": archive}).json()["new_pairs"] == 3
    assert call("patch", "studies/cats/", {"baseline": "a", "votes_per_pair": 4}).json()["baseline"] == "a"
    dry = call("get", "studies/cats/dry-run/").json()
    assert dry["problems"] == []
    assert call("post", "studies/cats/steps/freeze/").json() == {"state": "frozen", "job": None}
    version = call("get", "studies/cats/versions/").json()[0]
    assert version["config_sha256"] == dry["config_sha256"]
    assert call("post", "studies/cats/steps/open/", {"reason": "go"}).json()["state"] == "running"
    vote_on(Study.objects.get(slug="cats").versions.get(), raters=3, trials=3)
    assert call("get", "studies/cats/progress/").json()["answered"] == 9
    problem(call("get", "studies/cats/votes/"), 403, "results_hidden")
    problem(call("post", "studies/cats/reports/"), 403, "results_hidden")
    problem(call("patch", "studies/cats/", {"title": "Dogs"}), 409, "study_not_editable")
    problem(call("post", "studies/cats/steps/freeze/"), 409, "illegal_transition")
    call("post", "studies/cats/steps/close/", {"reason": "over"})
    rows = b"".join(call("get", "studies/cats/votes/").streaming_content).decode().splitlines()
    assert len(rows) == 10
    report = call("post", "studies/cats/reports/")
    assert report.status_code == 202
    job_run(report.json()["job"])
    (listed,) = call("get", "studies/cats/reports/").json()["results"]
    assert "report.html" in listed["files"]
    file = call("get", f"studies/cats/reports/{listed['id']}/report.json")
    assert json.loads(file.getvalue())["data"]["votes"] == 9
    actions = [entry["action"] for entry in call("get", "studies/cats/log/").json()["results"]]
    assert {"create", "import images", "freeze", "open", "close", "build report"} <= set(actions)


@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_gets_in_without_a_good_token(owner, method: str) -> None:
    raw, row = token_create(user=owner, name="x", scopes=["read", "write"])
    token_revoke(token=row)
    old, expired = token_create(user=owner, name="y", scopes=["read", "write"], days=1)
    ApiToken.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    for token in ("bp_nonsense", raw, old):
        answer = Caller(owner, token=token)(method, "studies/")
        problem(answer, 401, "authentication_failed")
        assert answer["WWW-Authenticate"] == "Bearer"
    problem(getattr(Client(), method)("/api/v1/studies/"), 401, "not_authenticated")
    rater = make_user("rater")
    rater.is_staff = False
    rater.save()
    problem(Caller(rater)(method, "studies/"), 403, "permission_denied")


def test_scopes_limit_what_a_token_does(owner) -> None:
    study = make_study(owner=owner)
    assert Caller(owner, "read")("get", f"studies/{study.slug}/").status_code == 200
    problem(Caller(owner, "write")("get", f"studies/{study.slug}/"), 403, "permission_denied")
    problem(Caller(owner, "read")("patch", f"studies/{study.slug}/", {"title": "x"}), 403, "permission_denied")
    problem(Caller(owner, "write")("post", f"studies/{study.slug}/steps/freeze/"), 403, "permission_denied")
    assert Caller(owner, "run")("post", f"studies/{study.slug}/steps/freeze/").status_code == 200


def test_roles_hold_for_the_api_too(owner) -> None:
    study = make_study(owner=owner)
    viewer, other = make_user("viewer"), make_user("other")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    stranger = Caller(other)
    assert stranger("get", "studies/").json()["results"] == []
    for path in (
        "",
        "arms/",
        "pairs/",
        "dry-run/",
        "progress/",
        "versions/",
        "sessions/",
        "votes/",
        "exclusions/",
        "reports/",
        "jobs/",
        "log/",
        "members/",
        "webhooks/",
    ):
        problem(stranger("get", f"studies/{study.slug}/{path}"), 404, "not_found")
    look = Caller(viewer)
    assert look("get", f"studies/{study.slug}/").json()["role"] == "viewer"
    problem(look("patch", f"studies/{study.slug}/", {"title": "x"}), 403, "permission_denied")
    problem(look("post", f"studies/{study.slug}/steps/freeze/"), 403, "permission_denied")
    member_set(study=study, user=other, role="collaborator", actor=owner)
    problem(
        stranger("put", f"studies/{study.slug}/members/", {"user": "other", "role": "owner"}), 403, "permission_denied"
    )
    body = {"user": "other", "role": "owner"}
    assert Caller(owner)("put", f"studies/{study.slug}/members/", body).json()["role"] == "owner"
    assert stranger("delete", f"studies/{study.slug}/members/owner/").status_code == 204
    problem(stranger("delete", f"studies/{study.slug}/members/other/"), 409, "last_owner")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slug": "a b", "title": "x"}, "slug"),
        ({"slug": "ok", "title": "x", "votes": 3}, "votes"),
        ({"slug": "ok", "title": "x", "exclusion_rules": [{"rule": []}]}, "exclusion_rules"),
        ({"slug": "ok", "title": "x", "recruitment": []}, "recruitment"),
        ({"title": "x", "exit_questions": [{"name": "a", "caption": "A?", "kind": "date"}]}, "exit_questions"),
        ({"title": "x", "exclusion_rules": [{"rule": "tie_share", "parameters": {"share": 5}}]}, "exclusion_rules"),
        ({"title": "x", "exclusion_rules": [{"rule": "too_fast"}, {"rule": "too_fast"}]}, "exclusion_rules"),
        ({"title": "x", "criteria": [{"key": "detail"}]}, "criteria"),
        ({"slug": "ok", "title": "x", "exit_questions": [1]}, "exit_questions"),
        ({"slug": "ok", "title": "x", "language": "fr"}, "language"),
        ({"slug": "ok", "title": "x", "translations": {"de": {"wording": "?"}}}, "translations"),
        ({"slug": "ok", "title": "x", "recruitment": {"provider": "a\x00"}}, "recruitment"),
        ({"slug": "ok", "title": "x", "baseline": "nobody"}, "baseline"),
        ({"slug": "ok", "title": "x", "votes_per_pair": -1}, "votes_per_pair"),
        ({"slug": "ok", "title": "x", "minutes": 10**9}, "minutes"),
    ],
)
def test_bad_fields_are_named(owner, body: dict, field: str) -> None:
    found = problem(Caller(owner)("post", "studies/", body), 400, "invalid")["errors"]
    assert field in {error["field"] for error in found}
    assert not Study.objects.exists()


def test_a_slug_is_taken_once_and_json_must_be_json(owner) -> None:
    call = Caller(owner)
    make_study(owner=owner, slug="taken")
    problem(call("post", "studies/", {"slug": "taken", "title": "x"}), 400, "invalid")
    broken = call("post", "studies/", data="{", content_type="application/json")
    problem(broken, 400, "parse_error")
    problem(call("post", "studies/", data="a=b", content_type="text/plain"), 415, "unsupported_media_type")
    problem(call("delete", "studies/"), 405, "method_not_allowed")


def test_a_title_alone_makes_a_draft_with_sensible_defaults(owner) -> None:
    call = Caller(owner)
    drafts = [call("post", "studies/", {"title": "Faces of 2027"}).json() for _ in range(2)]
    assert [draft["slug"] for draft in drafts] == ["faces-of-2027", "faces-of-2027-2"]
    assert drafts[0]["consent_text"]
    assert call("patch", "studies/faces-of-2027/", {"slug": "faces-of-2027"}).status_code == 200
    problem(call("patch", "studies/faces-of-2027/", {"slug": "faces-of-2027-2"}), 400, "invalid")


def test_lists_take_their_own_filters_and_no_others(owner) -> None:
    version = make_running(owner=owner)
    call = Caller(owner)
    for query in ("owner__password=x", "state=sleeping", "page_size=0", "members__user__username__startswith=a"):
        problem(call("get", f"studies/?{query}"), 400, "invalid")
    assert call("get", "studies/?state=draft").json()["results"] == []
    pairs = call("get", f"studies/{version.study.slug}/pairs/?class_label=1&page_size=1").json()
    assert len(pairs["results"]) == 1
    assert pairs["results"][0]["class_label"] == "1"
    further = call.client.get(pairs["next"]).json()
    assert further["results"][0]["key"] != pairs["results"][0]["key"]
    problem(call("get", f"studies/{version.study.slug}/pairs/?cursor=rubbish"), 404, "not_found")


def test_exclusions_are_previewed_applied_and_revoked(owner) -> None:
    version = make_running(owner=owner, exclusion_rules=[{"rule": "same_side_run"}], pairs=14)
    vote_on(version, raters=2, trials=14)
    call, base = Caller(owner), f"studies/{version.study.slug}/exclusions/"
    # The rule looks at what was chosen, which is hidden until the study is closed.
    assert call("post", base, {"is_preview": True}).json() == []
    study_transition(study=version.study, name="close", actor=owner)
    assert len(call("post", base, {"is_preview": True}).json()) == 2
    assert not Exclusion.objects.exists()
    call("post", base, {})
    listed = call("get", base).json()["results"]
    assert {row["rule"] for row in listed} == {"same_side_run"}
    problem(call("post", f"{base}{listed[0]['id']}/revoke/", {}), 400, "invalid")
    assert call("post", f"{base}{listed[0]['id']}/revoke/", {"reason": "no"}).json()["revoked_at"]
    problem(call("post", f"{base}{listed[0]['id']}/revoke/", {"reason": "no"}), 409, "exclusion_refused")
    problem(call("post", base, {"session": listed[0]["session"]}), 400, "invalid")


def test_calls_are_throttled(owner, monkeypatch) -> None:
    from django.core.cache import cache
    from rest_framework.throttling import UserRateThrottle

    cache.clear()
    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "3/min"})
    call = Caller(owner)
    answers = [call("get", "studies/") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 61
    problem(answers[-1], 429, "throttled")
    cache.clear()


def test_list_queries_do_not_grow_with_rows(owner) -> None:
    call = Caller(owner)
    make_study(owner=owner)
    call("get", "studies/")
    with CaptureQueriesContext(connection) as before:
        call("get", "studies/")
    for _ in range(4):
        make_study(owner=owner)
    with CaptureQueriesContext(connection) as after:
        assert len(call("get", "studies/").json()["results"]) == 5
    assert len(after) == len(before)


def test_a_change_of_state_is_told_signed_and_once(owner, receiver) -> None:
    url, got, answers = receiver
    version = make_running(owner=owner)
    webhook = webhook_add(study=version.study, url=url, actor=owner)
    answers[:] = [500, 302, 200]
    study_transition(study=version.study, name="pause", actor=owner, reason="lunch")
    job = Job.objects.get(kind="survey.webhook")
    for state, wait_seconds in (("queued", 30), ("queued", 120), ("succeeded", 0)):
        job = job_run(job.pk)
        assert job.state == state
        if wait_seconds:
            waits = (job.not_before - timezone.now()).total_seconds()
            assert wait_seconds - 10 < waits <= wait_seconds
            assert job_run(job.pk) is None
            Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    assert len(got) == 3
    headers, body = got[-1]
    moment, signature = (part.partition("=")[2] for part in headers["Blindpair-Signature"].split(","))
    expected = hmac.new(webhook.secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signature, expected)
    told = json.loads(body)
    assert (told["event"], told["from"], told["to"], told["study"]) == (
        "study.pause",
        "running",
        "paused",
        version.study.slug,
    )
    assert "lunch" not in body.decode()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.attempts, delivery.status_code, delivery.error) == (3, 200, "")
    assert {entry[0]["Blindpair-Event"] for entry in got} == {str(delivery.event)}


def test_webhooks_go_to_public_https_addresses_alone(owner) -> None:
    study = make_study(owner=owner)
    call = Caller(owner)
    for url in ("http://example.org/", "https://user:pw@example.org/", "https://example.org:22/"):
        problem(call("post", f"studies/{study.slug}/webhooks/", {"url": url}), 422, "webhook_refused")
    made = call("post", f"studies/{study.slug}/webhooks/", {"url": "https://example.org/hook"}).json()
    assert len(made["secret"]) > 30
    (listed,) = call("get", f"studies/{study.slug}/webhooks/").json()
    assert "secret" not in listed
    assert call("delete", f"studies/{study.slug}/webhooks/{made['id']}/").status_code == 204


def test_tokens_are_shown_once_and_belong_to_their_maker(owner) -> None:
    client = Client()
    client.force_login(owner)
    data = {"name": "notebook", "scopes": ["read"], "days": "30"}
    answer = client.post("/admin/survey/apitoken/add/", data)
    token = re.search(r"bp_[\w-]{43}", answer.content.decode())[0]
    assert "no-store" in answer["Cache-Control"]
    assert token not in str(client.cookies)
    assert token not in json.dumps(dict(client.session))
    assert token not in client.get("/admin/survey/apitoken/").content.decode()
    assert Caller(owner, token=token)("get", "studies/").status_code == 200
    row = ApiToken.objects.get()
    assert token not in json.dumps({key: str(value) for key, value in vars(row).items()})
    other = Client()
    other.force_login(make_user("other"))
    assert "notebook" not in other.get("/admin/survey/apitoken/").content.decode()
    other.post("/admin/survey/apitoken/", {"action": "revoke", "_selected_action": [row.pk]})
    assert Caller(owner, token=token)("get", "studies/").status_code == 200
    client.post("/admin/survey/apitoken/", {"action": "revoke", "_selected_action": [row.pk]})
    assert Caller(owner, token=token)("get", "studies/").status_code == 401


def test_the_docs_page_names_every_operation(owner) -> None:
    client = Client()
    client.force_login(owner)
    page = client.get("/api/v1/docs/").content.decode()
    document = client.get("/api/v1/schema/").json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert len(paths) > 20
    for path, methods in paths.items():
        assert path in page
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
            assert operation["responses"]["404"]["content"]["application/problem+json"]
    assert Client().get("/api/v1/docs/").status_code == 302


def test_languages_and_what_is_asked_beyond_the_choice_are_set_and_read_here(owner) -> None:
    study, call = make_study(owner=owner), Caller(owner)
    changed = call("patch", f"studies/{study.slug}/", TWO_LANGUAGES).json()
    assert {name: changed[name] for name in TWO_LANGUAGES} == TWO_LANGUAGES
    assert call("get", f"studies/{study.slug}/dry-run/").json()["problems"] == []
    half = {"translations": {"de": {"question": "Welches?"}}}
    call("patch", f"studies/{study.slug}/", half)
    assert "Deutsch: no consent text" in str(call("get", f"studies/{study.slug}/dry-run/").json()["problems"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reasons", [{"key": "a b", "caption": "x"}]),
        ("reasons", [{"key": f"r{n}", "caption": "x"} for n in range(9)]),
        ("answer_words", {"middle": "x"}),
        ("strength_grades", 4),
        ("is_acceptable_asked", "perhaps"),
    ],
)
def test_what_cannot_be_asked_is_named_by_its_field(owner, name: str, value) -> None:
    study = make_study(owner=owner)
    found = problem(Caller(owner)("patch", f"studies/{study.slug}/", {name: value}), 400, "invalid")["errors"]
    assert name in found[0]["field"]


def test_sessions_say_in_which_language_they_were_read(owner) -> None:
    version = make_running(make_study(owner=owner, **TWO_LANGUAGES | {"exit_questions": [], "translations": {}}))
    session = session_start(study=version.study, language="en")
    session_consent(session_id=session.pk, consent_sha256=version.consent_sha256)
    (row,) = Caller(owner)("get", f"studies/{version.study.slug}/sessions/").json()["results"]
    assert (row["language"], row["consent_language"]) == ("en", "en")
