"""The rater's pages: who gets in, which page a step shows, and how much there is to load."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

import survey
from survey.models import RaterSession, Study
from survey.services.study.study import study_transition
from survey.services.visit.session import session_resume, session_start
from survey.tokens import session_token
from tests.factories import make_running, make_study, make_version
from tests.visits import active, begin, vote_all


def visit(session: RaterSession, step: str = ""):
    address = reverse("survey:visit", args=[session_token(session.pk)])
    return Client().post(address + step, follow=True) if step else Client().get(address)


def post_json(address: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = Client().post(address, json.dumps(body), content_type="application/json")
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.mark.django_db
def test_looking_at_the_landing_page_stores_nothing() -> None:
    version = make_running(payment="£3", organisation="Some Lab", minutes=7)
    page = Client().get(reverse("survey:landing", args=[version.study.slug]))
    for text in ("£3", "Some Lab", "about 7 minutes"):
        assert text in page.content.decode()
    assert not RaterSession.objects.exists()
    assert not page.cookies


@pytest.mark.django_db
@pytest.mark.parametrize("step", ["draft", "frozen", "pause", "close"])
def test_studies_that_are_not_open_say_so(step: str) -> None:
    if step == "draft":
        study = make_study()
    elif step == "frozen":
        study = make_version().study
    else:
        study = make_running().study
        study_transition(study=study, name=step, actor=None)
    for response in (
        Client().get(reverse("survey:landing", args=[study.slug])),
        Client().post(reverse("survey:start", args=[study.slug])),
    ):
        assert response.status_code == 404
        assert "No study is open at this address" in response.content.decode()
    assert not RaterSession.objects.exists()


@pytest.mark.django_db
def test_an_unknown_study_and_an_unknown_visit_are_not_found() -> None:
    page = Client().get("/s/nowhere/")
    assert page.status_code == 404
    assert "Studies here" not in page.content.decode()
    assert Client().get("/r/forged/").status_code == 404


@pytest.mark.django_db
def test_changing_the_language_keeps_what_else_the_address_says() -> None:
    address = f"/s/{make_running().study.slug}/"
    page = Client().get(address + "?PROLIFIC_PID=a%26b&lang=de&SESSION_ID=c").content.decode()
    assert 'href="?PROLIFIC_PID=a%26b&amp;SESSION_ID=c&amp;lang=ar"' in page
    assert f'action="{address}start?PROLIFIC_PID=a%26b&amp;SESSION_ID=c"' in page


@pytest.mark.django_db
def test_a_form_that_is_refused_leads_back_to_the_visit_in_its_language() -> None:
    session = session_start(study=make_running().study, language="de")
    home = reverse("survey:visit", args=[session_token(session.pk)])
    refused = Client().post(home + "consent", {"consent_sha256": "outdated"})
    page = refused.content.decode()
    assert refused.status_code == 409
    assert f'href="{home}"' in page
    assert 'lang="de"' in page
    assert "hreflang" not in page  # the page has no address to be asked for again
    for step in ("consent", "device", "begin", "finish", "questions"):
        assert Client().get(home + step).headers["Location"] == home


@pytest.mark.django_db
def test_the_address_of_a_refused_start_leads_to_the_landing_page() -> None:
    address = f"/s/{make_running().study.slug}/"
    assert Client().get(f"{address}start?PROLIFIC_PID=a").headers["Location"] == f"{address}?PROLIFIC_PID=a"


@pytest.mark.django_db
def test_a_wrong_address_and_a_fault_of_ours_say_what_to_do(monkeypatch) -> None:
    wrong = Client(headers={"accept-language": "de"}).get("/nothing/at/all")
    assert wrong.status_code == 404
    assert "Unter dieser Adresse gibt es nichts" in wrong.content.decode()
    monkeypatch.setattr("survey.views.landing.study_get", None)
    broken = Client(raise_request_exception=False).get("/s/any/")
    assert broken.status_code == 500
    assert "Reload the page" in broken.content.decode()


@pytest.mark.django_db
def test_an_unchanged_page_of_an_earlier_step_cannot_move_the_visit_back() -> None:
    session = active(make_running())
    digest = session.version.consent_sha256
    address = reverse("survey:consent", args=[session_token(session.pk)])
    assert Client().post(address, {"consent_sha256": digest}).status_code == 409
    session.refresh_from_db()
    assert session.step == "trials"


@pytest.mark.django_db
def test_the_trial_page_names_the_first_pair_of_images_and_issues_nothing() -> None:
    session = active(make_running())
    session.trials.update(issued_at=None)
    page = visit(session).content.decode()
    setup = json.loads(re.search(r'<script id="setup" type="application/json">(.*?)</script>', page)[1])
    assert not session.trials.filter(issued_at__isnull=False).exists()
    window = post_json(reverse("survey:api-window", args=[session_token(session.pk)]), {"tab": "one"})
    issued = window["trials"][0]
    links = ("left", "right")
    assert {key: value for key, value in setup["first"].items() if key not in links} == {
        key: value for key, value in issued.items() if key not in links
    }
    for side in links:
        assert Client().get(setup["first"][side]).content == Client().get(issued[side]).content


@pytest.mark.django_db
def test_finishing_early_leads_back_to_the_trials() -> None:
    session = active(make_running())
    assert b'id="trial"' in visit(session, "finish").content
    vote_all(session)
    assert b"completion code" in visit(session, "finish").content


@pytest.mark.django_db
def test_a_full_study_gives_a_code_of_its_own() -> None:
    version = make_running(pairs=3, votes_per_pair=1, trials_per_session=3)
    vote_all(active(version))
    late = begin(version)
    page = visit(late).content.decode()
    assert "The study is full" in page
    assert late.completion_code in page


@pytest.mark.django_db
def test_the_page_speaks_the_language_that_was_chosen() -> None:
    version = make_running()
    session = session_start(study=version.study)
    address = reverse("survey:visit", args=[session_token(session.pk)])
    assert 'lang="ar" dir="rtl"' in Client().get(address + "?lang=ar").content.decode()
    again = Client(headers={"accept-language": "de"}).get(address).content.decode()
    assert 'lang="ar" dir="rtl"' in again
    assert (
        'lang="de" dir="ltr"'
        in Client(headers={"accept-language": "de"}).get(f"/s/{version.study.slug}/").content.decode()
    )


@pytest.mark.django_db
def test_framing_is_forbidden_unless_the_study_allows_a_panel_to() -> None:
    plain = Client().get(f"/s/{make_running().study.slug}/")
    assert "frame-ancestors 'none'" in plain.headers["Content-Security-Policy"]
    assert plain.headers["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_a_page_takes_a_constant_number_of_queries(django_assert_max_num_queries) -> None:
    version = make_running(pairs=30, trials_per_session=25)
    session = active(version)
    visit(session)
    with django_assert_max_num_queries(2):
        visit(session)


@pytest.mark.django_db
def test_a_study_that_changes_after_freezing_changes_nothing_for_raters() -> None:
    version = make_running(summary="As it was frozen.")
    Study.objects.filter(pk=version.study_id).update(summary="Changed.")
    assert "As it was frozen." in Client().get(f"/s/{version.study.slug}/").content.decode()


def test_script_and_style_stay_below_40_kilobytes_compressed() -> None:
    static = Path(survey.__file__).parent / "static" / "survey"
    files = [*(static / "js").glob("*.js"), static / "css" / "rater.css"]
    assert len(files) >= 10
    sizes = {file.name: len(gzip.compress(file.read_bytes(), mtime=0)) for file in files}
    assert sum(sizes.values()) < 40_000, sizes


def test_pages_ask_no_other_server_for_anything() -> None:
    root = Path(survey.__file__).parent
    for file in [*(root / "templates" / "survey" / "rater").glob("*.html"), *(root / "static" / "survey").rglob("*.*")]:
        if file.suffix in {".html", ".js", ".css"}:
            text = file.read_text().replace("http://www.w3.org", "")
            assert "http://" not in text, file
            assert "https://" not in text, file
            assert " style=" not in text, file
            assert " onclick=" not in text, file


@pytest.mark.django_db
def test_refused_answers_come_back_marked_with_what_was_typed() -> None:
    """Also of a question whose name is that of a field of the page itself."""
    asked = [
        {"name": "language", "caption": "Your language?", "kind": "single", "options": ["de", "en"]},
        {"name": "age", "caption": "Age?", "kind": "number", "minimum": 18, "maximum": 99.5},
        {"name": "remark", "caption": "Remark?", "kind": "text", "length": 50},
    ]
    session = active(make_running(practice_trials=0, exit_questions=asked))
    vote_all(session)
    session_resume(session_id=session.pk)
    address = reverse("survey:questions", args=[session_token(session.pk)])
    given = {"answer_language": "de", "answer_age": "7", "answer_remark": "It was <fine>."}
    response = Client().post(address, given)
    page = response.content.decode()
    assert response.status_code == 400
    assert "A number from 18 to 99.5." in page
    assert page.count('role="alert"') == 1 + page.count('id="unfit"')
    assert "It was &lt;fine&gt;." in page
    assert 'value="de" checked' in page
    session.refresh_from_db()
    assert (session.step, session.language) == ("questions", "en")
    assert Client().post(address, given | {"answer_age": "70"}).status_code == 303
    session.refresh_from_db()
    assert session.answers == {"language": "de", "age": 70, "remark": "It was <fine>."}
