"""Every item of the checklist can be answered on the platform, and the plan can be registered as it was frozen."""

from __future__ import annotations

import hashlib

import pytest
from django.core.management import CommandError, call_command

from analysis.report.content.checklist import STUDY_FACTS
from survey.reports.facts import study_facts
from survey.reports.preregistration import preregistration_text
from survey.services.study.version import version_freeze
from tests.factories import make_running, make_study, make_visit
from tests.languages import ENGLISH, GERMAN, THREE_LANGUAGES

pytestmark = pytest.mark.django_db
TOLD = {
    "eligibility": "Adults with normal vision.",
    "ethics": "Board of the faculty, 2026-17",
    "funding": "none",
    "preregistration": "https://aspredicted.example/1",
    "payment": "3.50 EUR",
    "instructions": "Look at both images.",
    "exclusion_rules": [{"rule": "too_fast", "parameters": {}}],
    "equivalence_margin": 0.05,
}


def test_every_item_of_the_checklist_has_an_answer():
    version = make_running(**TOLD)
    make_visit(version, language="de")
    facts = study_facts(version.study)
    assert not [key for key in STUDY_FACTS if not facts.get(key)]
    assert facts["ethics"].startswith("Board of the faculty, 2026-17; consent asked")
    assert facts["language"] == "de (1)"
    assert facts["selection"] == "6 of 6 pairs took part; none was left out by hand or by rule"
    rule = "median response time under 500 ms"
    assert facts["exclusion_rules"] == f"fixed before the first vote, {rule}; votes beyond a pair's places do not count"


def test_the_report_holds_the_texts_of_every_language():
    facts = study_facts(make_running(**THREE_LANGUAGES).study)
    assert facts["question"].startswith("en: Which image is better?; ar: ")
    assert "de: Welches Bild ist besser?" in facts["question"]
    assert GERMAN["instructions"] in facts["instructions"]
    digests = [hashlib.sha256(texts["consent_text"].encode()).hexdigest() for texts in (ENGLISH, GERMAN)]
    assert all(digest in facts["ethics"] for digest in digests)


def test_the_registered_plan_names_the_languages():
    told = preregistration_text(make_running(**THREE_LANGUAGES))
    assert "Each language (en, ar, de) has its frozen wording." in told
    assert "frozen wording" not in preregistration_text(make_running())


def test_arms_have_their_titles_in_the_report_where_they_have_any():
    study = make_study()
    study.arms.filter(name="robust").update(title="robust v2.1")
    version_freeze(study=study)
    assert study_facts(study)["arm_titles"] == {"robust": "robust v2.1"}
    assert "arm_titles" not in study_facts(make_running().study)


@pytest.mark.parametrize(
    ("payment", "amount"),
    [("3.50 EUR", 3.5), ("2,40 €", 2.4), ("2 GBP for 10 minutes", None), ("none", None), ("", None)],
)
def test_pay_is_a_number_only_where_the_text_names_one(payment, amount):
    assert study_facts(make_running(payment=payment).study)["payment_amount"] == amount


def test_the_plan_is_registered_in_the_words_of_the_frozen_version(capsys):
    version = make_running(**TOLD)
    version.study.title = "changed since"
    call_command("export_preregistration", study=version.study.slug)
    told = capsys.readouterr().out
    for expected in (
        version.config_sha256,
        "robust against vanilla",
        "Adults with normal vision.",
        "median response time under 500 ms",
        "Equivalence is tested with a margin of 5 points",
        "30 raters with up to 6 trials each",
    ):
        assert expected in told
    assert told.count("**Hypothes") == 2


def test_a_draft_has_nothing_to_register():
    with pytest.raises(CommandError, match="has no frozen version yet; freeze it"):
        call_command("export_preregistration", study=make_study().slug)
