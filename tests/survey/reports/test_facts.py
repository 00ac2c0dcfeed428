"""Every item of the checklist can be answered on the platform, and the plan can be registered as it was frozen."""

from __future__ import annotations

import hashlib
import re
import uuid

import pytest
from django.core.management import CommandError, call_command

from analysis.report.content.checklist import STUDY_FACTS
from survey.models import RaterSession, StudyVersion
from survey.reports.facts import study_facts
from survey.reports.preregistration import preregistration_text
from survey.services.study.study import arm_add, arm_remove
from survey.services.study.version import version_freeze
from tests.factories import make_running, make_study, make_version, make_visit
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
    assert facts["language"] == "de (fewer than 5 raters)"
    assert facts["display"].startswith("images of 16 x 16 pixels (12), ")
    assert facts["selection"] == "6 of 6 pairs took part; none was left out by hand or by rule"
    rule = "median response time under 500 ms"
    assert facts["exclusion_rules"] == f"fixed before the first vote, {rule}; votes beyond a pair's places do not count"


def test_languages_are_counted_by_raters_and_only_where_five_share_one():
    version = make_running(votes_per_pair=12, practice_trials=0)
    for _ in range(5):
        make_visit(version, language="en")
    visit = make_visit(version, language="ar")
    assert study_facts(version.study)["language"] == "en (5), ar (fewer than 5 raters)"
    # One who comes back to each later version is one.
    for number in range(2, 6):
        later = StudyVersion.objects.get(pk=version.pk)
        later.pk, later.number = uuid.uuid4(), number
        later.save(force_insert=True)
        RaterSession.objects.create(
            version=later, rater=visit.rater, language="ar", consented_at=visit.consented_at, state="completed", seed=1
        )
    assert study_facts(version.study)["language"] == "en (5), ar (fewer than 5 raters)"


def test_arms_that_were_made_and_left_out_are_named():
    study = make_study()
    assert study_facts(make_version().study)["arms_not_compared"] == "none"
    arm_remove(arm=arm_add(study=study, name="early"))
    assert study_facts(make_version(study).study)["arms_not_compared"] == "early"


def test_criteria_are_named_in_words_and_shown_as_raters_read_them():
    criteria = [
        {"key": "text_match", "question": "Which {class_name} follows the text?"},
        {"key": "fine_detail", "question": "Which has finer detail?", "definition": "Sharp.", "is_tie_allowed": False},
    ]
    reasons = [{"key": "odd_anatomy", "caption": "Odd anatomy"}]
    version = make_running(criteria=criteria, reasons=reasons, criteria_design="blocks")
    facts = study_facts(version.study)
    assert facts["criteria"].startswith('text match, "Which [class of the pair] follows the text?"; fine detail, "')
    assert facts["criteria"].endswith("the headline is text match")
    assert facts["ties_offered"] == "yes, but not by fine detail"
    assert "reasons from a list (Odd anatomy)" in preregistration_text(version)


def test_answers_in_own_words_are_named_to_be_withheld_unless_the_consent_covers_them():
    asked = [
        {"name": "remark", "caption": "Anything else?", "options": []},
        {"name": "age", "caption": "Age?", "options": ["a", "b"]},
    ]
    assert study_facts(make_running(exit_questions=asked).study)["answers_withheld"] == ["answer_remark"]
    covered = make_running(exit_questions=asked, is_free_text_published=True, is_publication_consented=True)
    assert "answers_withheld" not in study_facts(covered.study)


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


# The forms of AsPredicted.org and of the OSF ("OSF Preregistration"), question by question.
AS_PREDICTED = [
    "Data collection",
    "Hypothesis",
    "Dependent variable",
    "Conditions",
    "Analyses",
    "Outliers and exclusions",
    "Sample size",
    "Other",
    "Type of study",
]
OSF = [
    "Description",
    "Hypotheses",
    "Study type",
    "Blinding",
    "Additional blinding",
    "Study design",
    "Randomization",
    "Existing data",
    "Explanation of existing data",
    "Data collection procedures",
    "Sample size",
    "Sample size rationale",
    "Stopping rule",
    "Manipulated variables",
    "Measured variables",
    "Indices",
    "Statistical models",
    "Transformations",
    "Inference criteria",
    "Data exclusion",
    "Missing data",
    "Exploratory analysis",
    "Other",
]


def test_answers_stand_in_the_order_of_the_forms():
    told = preregistration_text(make_version(**TOLD, practice_trials=1))
    first, _, second = told.partition("## OSF preregistration")
    for part, questions in ((first, AS_PREDICTED), (second, OSF)):
        asked = re.findall(r"^(\d+)\. \*\*(.+?)\.\*\* \S", part, flags=re.MULTILINE)
        assert asked == [(str(number), name) for number, name in enumerate(questions, start=1)]
    assert "Raters: Adults with normal vision. Payment: 3.50 EUR." in told
    assert "each visit has 1 practice trial," in told


def test_a_draft_has_nothing_to_register():
    with pytest.raises(CommandError, match="has no frozen version yet; freeze it"):
        call_command("export_preregistration", study=make_study().slug)
