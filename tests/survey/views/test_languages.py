"""A visit in one of a study's languages: every page in it, and which one it was is stored."""

from __future__ import annotations

import hashlib
import json
import re
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from survey.models import RaterSession
from survey.services.visit.session import session_resume
from survey.tokens import session_token
from tests.factories import make_running
from tests.languages import ARABIC, GERMAN, THREE_LANGUAGES
from tests.visits import vote_all

pytestmark = pytest.mark.django_db


@pytest.fixture
def version():
    return make_running(**THREE_LANGUAGES)


def start(version, **fields) -> tuple[Client, RaterSession, str]:
    browser = Client()
    browser.post(reverse("survey:start", args=[version.study.slug]), fields)
    session = RaterSession.objects.latest("started_at")
    return browser, session, reverse("survey:visit", args=[session_token(session.pk)])


def test_a_whole_visit_is_read_in_german(version) -> None:
    landing = Client().get(f"/s/{version.study.slug}/?lang=de").content.decode()
    assert GERMAN["summary"] in landing
    assert '<h1 dir="auto">Bildpaare</h1>' in landing
    browser, session, home = start(version, language="de")
    page = browser.get(home).content.decode()
    assert 'lang="de"' in page
    assert GERMAN["consent_text"] in page
    digest = re.search(r'name="consent_sha256" value="(\w+)"', page)[1]
    assert digest == hashlib.sha256(GERMAN["consent_text"].encode()).hexdigest()
    browser.post(home + "consent", {"consent_sha256": digest, "agreed": "on"})
    browser.post(home + "device", {"width": "1920", "height": "1080"})
    page = browser.get(home).content.decode()
    assert GERMAN["instructions"] in page
    assert GERMAN["question"] in page
    browser.post(home + "begin")
    assert browser.get(home).status_code == 200
    window = browser.post(home + "api/window", json.dumps({"tab": "tab"}), content_type="application/json").json()
    assert {trial["question"] for trial in window["trials"]} == {GERMAN["question"]}
    first = {"tab": "tab", "trial": window["trials"][0]["id"], "key": str(uuid.uuid4()), "choice": "left"}
    after = browser.post(home + "api/votes", json.dumps(first), content_type="application/json").json()
    assert {trial["question"] for trial in after["trials"]} == {GERMAN["question"]}
    vote_all(session)
    session_resume(session_id=session.pk)
    page = browser.get(home).content.decode()
    assert "Wie alt sind Sie?" in page
    assert 'value="30 or more"> 30 oder mehr' in page
    browser.post(home + "questions", {"answer_age": "30 or more"})
    assert GERMAN["debrief"] in browser.get(home).content.decode()
    session.refresh_from_db()
    assert (session.language, session.consent_language, session.consent_sha256) == ("de", "de", digest)
    assert session.answers == {"age": "30 or more"}


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("de-AT,de;q=0.9", "de"), ("fr,ar;q=0.5,de;q=0.4", "ar"), ("fr", "en"), ("", "en"), ("*", "en"), (";;q=x", "en")],
)
def test_the_browsers_language_is_taken_from_the_studys_own(version, accepted: str, language: str) -> None:
    page = Client(headers={"accept-language": accepted}).get(f"/s/{version.study.slug}/").content.decode()
    assert f'<html lang="{language}"' in page


def test_only_the_studys_languages_are_offered() -> None:
    version = make_running(**THREE_LANGUAGES | {"translations": {"de": GERMAN}})
    address = f"/s/{version.study.slug}/"
    assert re.findall(r'hreflang="(\w+)"', Client().get(address).content.decode()) == ["en", "de"]
    page = Client(headers={"accept-language": "ar"}).get(address + "?lang=ar").content.decode()
    assert '<html lang="en"' in page
    assert "Which image" not in page
    browser, session, home = start(version, language="ar")
    assert '<html lang="en"' in browser.get(home).content.decode()
    session.refresh_from_db()
    assert session.language == "en"


def test_who_agrees_in_an_older_tab_agreed_to_what_stood_there(version) -> None:
    browser, session, home = start(version, language="ar")
    arabic = re.search(r'value="(\w{64})"', browser.get(home).content.decode())[1]
    assert GERMAN["consent_text"] in browser.get(home + "?lang=de").content.decode()
    browser.post(home + "consent", {"consent_sha256": arabic, "agreed": "on"})
    session.refresh_from_db()
    assert (session.language, session.consent_language) == ("de", "ar")
    assert session.consent_sha256 == hashlib.sha256(ARABIC["consent_text"].encode()).hexdigest()


def test_consent_to_a_text_of_no_language_is_refused(version) -> None:
    browser, session, home = start(version, language="de")
    assert browser.post(home + "consent", {"consent_sha256": "0" * 64}).status_code == 409
    session.refresh_from_db()
    assert (session.step, session.consent_language) == ("consent", "")


def test_a_language_that_no_page_has_is_not_stored() -> None:
    _, session, _ = start(make_running(), language="x" * 4000)
    assert session.language == "en"


def test_a_study_without_languages_keeps_pages_in_all(version) -> None:
    plain = make_running()
    page = Client().get(f"/s/{plain.study.slug}/?lang=ar").content.decode()
    assert re.findall(r'hreflang="(\w+)"', page) == ["en", "de", "ar"]
    assert '<html lang="ar" dir="rtl"' in page
