"""Scripts in every text that somebody can type: they come out as text, on every page and in every report."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from analysis.__main__ import main as analysis_main
from survey.models import ImagePair, RaterSession, Study
from survey.services.images.pairs import NewImage, NewPair, image_store, pairs_register
from survey.services.study.study import arm_add, study_create, study_transition, study_update
from survey.services.study.version import version_freeze, version_problems
from survey.services.visit.session import session_take_tab
from survey.services.visit.trial import trial_fault
from survey.services.visit.vote import trials_issue
from survey.tokens import session_token
from tests.factories import make_png, make_study, make_user
from tests.visits import TAB, begin, next_trial, vote_all

pytestmark = pytest.mark.django_db
BAIT = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}{class_name}"
TEXTS = ["organisation", "contact", "summary", "payment", "consent_text", "instructions", "debrief"]


def is_harmless(page: str) -> bool:
    """The bait stands nowhere as markup: every tag that it would open is escaped."""
    return "<script>alert" not in page and "<img src=x" not in page and "onerror=alert(2)>" not in html_tags(page)


def html_tags(page: str) -> str:
    return " ".join(re.findall(r"<[a-zA-Z][^<>]*>", page))


@pytest.fixture
def study() -> Study:
    owner = make_user("owner", first_name=BAIT[:100])
    fields = {
        "question": "Which is the better {class_name}? " + BAIT.replace("{class_name}", "").replace("{{7*7}}", ""),
        "exit_questions": [{"name": "one", "caption": BAIT, "options": [BAIT, "other"]}],
    }
    for name in TEXTS:
        fields[name] = BAIT[: Study._meta.get_field(name).max_length]
    fields |= {"trials_per_session": 4, "minimum_exposure_ms": 0, "practice_trials": 1}
    study = study_create(owner=owner, slug="bait", title=BAIT[:200], **fields)
    for name in ("vanilla", "robust"):
        arm = arm_add(study=study, name=name, actor=owner)
        arm.description = BAIT
        arm.save()
    pairs = []
    for number in range(6):
        images = {}
        for place, arm in enumerate(("vanilla", "robust")):
            name, sha256 = image_store(make_png(10 * number + place))
            images[arm] = NewImage(file=name, sha256=sha256, width=16, height=16, recipe={"note": BAIT})
        pairs.append(NewPair(key=f"{BAIT}-{number}", images=images, class_label=BAIT[:60], class_name=BAIT))
    pairs_register(study=study, pairs=pairs)
    version_freeze(study=study, actor=owner)
    study_transition(study=study, name="open", actor=owner, reason=BAIT)
    study.refresh_from_db()
    return study


def visit_pages(study: Study) -> dict[str, str]:
    """Return the text of every page of a visit, step by step."""
    client, pages = Client(), {}
    pages["landing"] = client.get(reverse("survey:landing", args=[study.slug])).content.decode()
    session = begin(study.versions.get())
    address = reverse("survey:visit", args=[session_token(session.pk)])
    for step in ("consent", "device", "instructions", "trials"):
        RaterSession.objects.filter(pk=session.pk).update(step=step)
        pages[step] = client.get(address).content.decode()
    session = session_take_tab(session_id=session.pk, tab=TAB)
    trials_issue(list(session.trials.all()))
    trial_fault(session_id=session.pk, tab=TAB, trial_id=next_trial(session).pk, kind="image", detail=BAIT)
    trials_issue(list(session.trials.all()))
    vote_all(session)
    client.post(address + "finish")
    pages["questions"] = client.get(address).content.decode()
    pages["refusal"] = client.post(address + "questions", {"one": BAIT + "!"}).content.decode()
    client.post(address + "questions", {"one": BAIT})
    pages["done"] = client.get(address).content.decode()
    pages["withdraw"] = client.get(
        reverse("survey:withdraw", args=[session_token(begin(study.versions.get()).pk)])
    ).content.decode()
    return pages


def test_texts_of_a_study_come_out_as_text_on_every_rater_page(study) -> None:
    pages = visit_pages(study)
    for name, page in pages.items():
        assert is_harmless(page), name
        assert "49" not in re.sub(r"[\w/-]{20,}", "", page) or "{{7*7}}" in html.unescape(page), name
    assert html.escape(BAIT[:20]) in pages["consent"], "the bait must have reached the page"
    setup = re.search(r'<script id="setup" type="application/json">(.*?)</script>', pages["trials"], re.S)
    assert json.loads(setup[1])


@pytest.mark.parametrize(
    "question", ["{class_name.__class__}", "{class_name[0]}", "{class_name:>999999999}", "{class_name!r}", "{0}", "{"]
)
def test_a_question_reaches_nothing_behind_the_class_name(question: str) -> None:
    draft = make_study(question=f"Which is better? {question}")
    assert version_problems(draft) == ["the question has a placeholder other than {class_name} and {prompt}"]
    study_update(study=draft, actor=None, question="Which is better? {class_name}")
    draft.refresh_from_db()
    assert version_problems(draft) == []


def test_texts_of_studies_raters_and_reasons_come_out_as_text_in_the_admin(study) -> None:
    visit_pages(study)
    client = Client()
    client.force_login(study.members.get().user)
    base = f"/admin/survey/study/{study.pk}/"
    below = [
        "",
        "pairs/",
        "people/",
        "log/",
        "recruitment/",
        "exclusions/",
        "exclusions/?preview=1&rules=all",
        "reports/",
        "planning/",
        "import/",
        "jobs/",
        "progress/",
        "step/pause/",
        "pairs/?q=%3Cscript%3Ealert(1)",
    ]
    tables = ["study", "studyversion", "imagepair", "ratersession", "trial", "vote", "exclusion", "faultreport"]
    pair, session = ImagePair.objects.first(), RaterSession.objects.first()
    rows = [f"imagepair/{pair.pk}", f"ratersession/{session.pk}", f"study/{study.pk}"]
    rows.append(f"studyversion/{study.versions.get().pk}")
    addresses = [base + page for page in below]
    addresses += [f"/admin/survey/{table}/" for table in tables] + [f"/admin/survey/{row}/change/" for row in rows]
    baited = 0
    for address in addresses:
        answer = client.get(address, follow=True)
        page = answer.content.decode()
        assert answer.status_code == 200, address
        assert is_harmless(page), address
        baited += "alert(1)" in page
    assert baited > 10, "the bait must have reached the pages"


@pytest.mark.slow
def test_texts_come_out_as_text_in_the_report(study, tmp_path) -> None:
    visit_pages(study)
    study_transition(study=study, name="close", actor=None, reason=BAIT)
    call_command("export_votes", study=study.slug, format="csv", out=tmp_path / "votes", verbosity=0)
    votes = next((tmp_path / "votes").rglob("*.csv"))
    text = votes.read_text()
    assert "alert(1)" in text
    assert analysis_main([str(votes), "--out", str(tmp_path / "report")]) in {0, None}
    page = (tmp_path / "report" / "report.html").read_text()
    assert is_harmless(page)
    assert "<script" not in page
    for drawing in (tmp_path / "report").rglob("*.svg"):
        assert is_harmless(drawing.read_text()), drawing
