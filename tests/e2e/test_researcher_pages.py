"""Every page of a researcher: nothing that axe finds, and nothing wider than a window of 1280 pixels."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from jobs.models import Job
from jobs.runner import job_run
from survey.models import RaterSession, Study, Vote
from survey.services.panel.links import personal_links_create
from survey.services.results.exclusion import exclusion_by_hand
from survey.services.results.report_build import report_request
from survey.services.study.study import study_transition
from tests.e2e.test_researcher import picture
from tests.factories import make_running, make_study, make_user, make_visit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

QUESTIONS = [
    {"name": "age", "caption": "Age?", "kind": "number", "minimum": 18},
    {"name": "screen", "caption": "Screens?", "kind": "multiple", "options": ["laptop", "phone"]},
]
CRITERIA = [{"key": "detail", "question": "Which has better detail?"}, {"key": "colour", "question": "And colours?"}]
STUDY = "/admin/survey/study"
# Of a study with votes and a report: every page below its address.
OF_A_STUDY = [
    "",
    "change/",
    "pairs/",
    "preview/?step=consent",
    "recruitment/",
    "links/1/",
    "exclusions/?preview=1&rules=all",
    "reports/",
    "release/",
    "planning/",
    "people/",
    "webhooks/",
    "log/",
    "import/",
    "history/",
    "step/archive/",
]
OF_A_DRAFT = [
    "",
    "setup/compare/",
    "setup/read/",
    "setup/plan/",
    "setup/people/",
    "change/",
    "import/",
    "recruitment/",
    "step/freeze/",
    "delete/",
]
LISTS = [
    "survey/study/",
    "survey/studyversion/",
    "survey/imagepair/",
    "survey/ratersession/",
    "survey/vote/",
    "survey/trial/",
    "survey/exclusion/",
    "survey/faultreport/",
    "survey/imagemetric/",
    "survey/studyfigure/",
    "survey/deletedstudy/",
    "survey/apitoken/",
    "survey/apitoken/add/",
    "generation/generationrun/",
    "generation/generationrun/add/",
]


# What scrolls inside its frame is wider than the window, too.
WIDEST = """() => Math.max(
    document.documentElement.scrollWidth,
    ...[...document.querySelectorAll('.results, .bp-facts, .bp-preview')]
        .map((one) => 1280 + one.scrollWidth - one.clientWidth),
)"""


@pytest.fixture
def studies() -> tuple[Study, Study]:
    """A draft with rows of every kind, and a closed study with votes, an exclusion, links and a report."""
    owner = make_user("anna")
    rules = [{"rule": "too_fast"}, {"rule": "tie_share", "parameters": {"share": 0.8}}]
    fields = {"owner": owner, "exit_questions": QUESTIONS, "exclusion_rules": rules}
    draft = make_study(slug="draft", criteria=CRITERIA, recruitment={"provider": "prolific"}, **fields)
    version = make_running(slug="closed", practice_trials=0, **fields)
    personal_links_create(study=version.study, count=2, actor=owner)
    for number in range(3):
        make_visit(version, lambda trial, number=number: ("left", "right", "tie")[(trial.position + number) % 3])
    study_transition(study=version.study, name="close", actor=owner, reason="enough")
    session = RaterSession.objects.first()
    exclusion_by_hand(study=version.study, session_id=session.pk, reason="the flash was off", actor=owner)
    report_request(study=version.study, actor=owner)
    for job in Job.objects.all():
        assert job_run(job.pk).state == "succeeded"
    return draft, version.study


@pytest.fixture
def page(browser: Browser, live_server) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    yield page
    context.close()


def addresses(draft: Study, study: Study) -> list[str]:
    session, vote = RaterSession.objects.first(), Vote.objects.first()
    below = f"?of_study={study.pk}"
    return [
        "/admin/",
        f"{STUDY}/add/",
        *(f"{STUDY}/{draft.pk}/{tail}" for tail in OF_A_DRAFT),
        *(f"{STUDY}/{study.pk}/{tail}" for tail in OF_A_STUDY),
        *(f"/admin/{name}" for name in LISTS),
        f"/admin/survey/ratersession/{below}",
        f"/admin/survey/vote/{below}",
        f"/admin/survey/ratersession/{session.pk}/change/",
        f"/admin/survey/vote/{vote.pk}/change/",
        "/api/v1/docs/",
    ]


def test_no_page_has_a_violation_or_is_wider_than_the_window(studies, page: Page, live_server) -> None:
    page.goto(f"{live_server.url}/admin/")
    page.fill("#id_username", "anna")
    page.fill("#id_password", "anna")
    page.click("[type=submit]")
    found = []
    for address in addresses(*studies):
        answer = page.goto(f"{live_server.url}{address}")
        assert answer.status == 200, address
        # What is folded away is read, too.
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        results = Axe().run(page, context="#content")
        found += [
            f"{address}: {one['id']} {[node['target'] for node in one['nodes']][:3]}"
            for one in results.response["violations"]
        ]
        if (width := page.evaluate(WIDEST)) > 1280:
            found.append(f"{address}: {width} pixels wide")
        picture(page, re.sub(r"\W+", "-", address).strip("-"))
    assert not found, "\n".join(found)
