"""The page of webhooks: what it shows, and to whom."""

from __future__ import annotations

import pytest

from jobs.models import Job
from jobs.runner import job_run
from survey.models import Webhook, WebhookDelivery
from survey.services.access.member import member_set
from survey.services.records.webhook import webhook_add
from survey.services.study.study import study_transition
from tests.factories import make_running, make_study, make_user
from tests.survey.admin.test_study_pages import client_of
from tests.survey.api.test_researcher_api import Caller, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user("owner")


def page_of(study) -> str:
    return f"/admin/survey/study/{study.pk}/webhooks/"


def test_the_secret_is_shown_once_and_kept_in_no_cookie(owner) -> None:
    study, client = make_study(owner=owner), client_of(owner)
    answer = client.post(page_of(study), {"do": "add", "url": "https://example.org/hook"})
    webhook = Webhook.objects.get(study=study)
    assert webhook.secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert webhook.secret not in str(answer.cookies)
    again = client.get(page_of(study)).content.decode()
    assert webhook.secret not in again
    assert "https://example.org/hook" in again


@pytest.mark.parametrize(
    "url", ["http://example.org/", "https://example.org:22/", "nonsense", "https://127.0.0.1/", "https://[::1]/"]
)
def test_a_bad_address_is_refused_beside_its_field(owner, url: str) -> None:
    study = make_study(owner=owner)
    page = client_of(owner).post(page_of(study), {"do": "add", "url": url})
    assert page.status_code == 200
    assert "errorlist" in page.content.decode()
    assert not Webhook.objects.exists()


def test_a_test_is_sent_once_and_its_answer_is_listed(owner, receiver) -> None:
    url, got, answers = receiver
    study, client = make_study(owner=owner), client_of(owner)
    webhook = webhook_add(study=study, url=url, actor=owner)
    answers[:] = [500, 200]
    for status in ("failed", "succeeded"):
        client.post(page_of(study), {"do": "test", "webhook": webhook.pk})
        job = Job.objects.filter(kind="survey.webhook", state="queued").get()
        assert job_run(job.pk).state == status
    assert len(got) == 2
    shown = client.get(page_of(study)).content.decode()
    assert "study.test" in shown
    assert "the receiver answered 500" in shown
    assert "delivered, 200" in shown


def test_what_is_off_is_told_nothing_not_even_what_was_on_its_way(owner, receiver) -> None:
    url, got, _ = receiver
    version = make_running(owner=owner)
    study, client = version.study, client_of(owner)
    webhook = webhook_add(study=study, url=url, actor=owner)
    study_transition(study=study, name="pause", actor=owner, reason="lunch")
    client.post(page_of(study), {"do": "off", "webhook": webhook.pk})
    assert job_run(Job.objects.get(kind="survey.webhook").pk).state == "succeeded"
    study_transition(study=study, name="resume", actor=owner)
    assert WebhookDelivery.objects.get().error == "dropped: the webhook was turned off"
    assert (
        "turn it on first"
        in client.post(page_of(study), {"do": "test", "webhook": webhook.pk, "stay": 1}, follow=True).content.decode()
    )
    assert got == []
    client.post(page_of(study), {"do": "on", "webhook": webhook.pk})
    study_transition(study=study, name="pause", actor=owner, reason="lunch")
    assert job_run(Job.objects.filter(kind="survey.webhook", state="queued").get().pk).state == "succeeded"
    assert len(got) == 1
    actions = list(study.audit_entries.values_list("action", flat=True))
    assert [action for action in actions if "webhook" in action] == [
        "add webhook",
        "turn webhook off",
        "turn webhook on",
    ]


def test_viewers_look_and_another_studys_webhook_is_out_of_reach(owner) -> None:
    study, viewer = make_study(owner=owner), make_user("viewer")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    webhook = webhook_add(study=study, url="https://example.org/hook", actor=owner)
    shown = client_of(viewer).get(page_of(study)).content.decode()
    assert "https://example.org/hook" in shown
    assert "Send a test" not in shown
    other = make_user("other")
    own = make_study(owner=other)
    for doing in ("add", "test", "off", "on", "remove"):
        data = {"do": doing, "webhook": webhook.pk, "url": "https://example.org/mine"}
        assert client_of(viewer).post(page_of(study), data).status_code == 403
        assert client_of(other).post(page_of(study), data).status_code == 404
        if doing != "add":
            assert client_of(other).post(page_of(own), data).status_code == 404
    webhook.refresh_from_db()
    assert webhook.is_active
    assert not WebhookDelivery.objects.exists()


def test_the_api_switches_tests_and_lists_deliveries(owner) -> None:
    study, call = make_study(owner=owner, slug="s"), Caller(owner)
    pk = call("post", "studies/s/webhooks/", {"url": "https://example.org/hook"}).json()["id"]
    made = call("post", f"studies/s/webhooks/{pk}/test/")
    assert (made.status_code, made.json()["payload"]["event"]) == (202, "study.test")
    assert call("get", f"studies/s/webhooks/{pk}/deliveries/").json()["results"] == [made.json()]
    assert call("patch", f"studies/s/webhooks/{pk}/", {"is_active": False}).json()["is_active"] is False
    problem(call("post", f"studies/s/webhooks/{pk}/test/"), 422, "webhook_refused")
    problem(Caller(owner, "read")("patch", f"studies/s/webhooks/{pk}/", {"is_active": True}), 403, "permission_denied")
    problem(call("get", f"studies/s/webhooks/{pk + 1}/deliveries/"), 404, "not_found")
    assert study.webhooks.get().is_active is False
