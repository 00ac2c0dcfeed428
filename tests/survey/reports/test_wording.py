"""Sentences made to be pasted hold no rule names, colons of code, placeholders or raw settings, whatever the plan."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace

import pytest

from analysis.raters.screening_rules import RULES
from survey.recruitment import PROVIDERS
from survey.reports.facts import study_facts
from survey.reports.heds import heds_form
from survey.reports.preregistration import Sayings, preregistration_text
from survey.reports.release.card import rai_of
from survey.reports.wording import provider_in_words
from tests.factories import make_running, make_version

pytestmark = pytest.mark.django_db

# A name with an underscore, a placeholder, a value as code writes it, a key before a value.
_CODE = re.compile(r"\b[a-z]+_[a-z_]+\b|[{}]|\bTrue\b|\bFalse\b|\bNone\b|\b[a-z]+(?: [a-z]+)?: \d")


def generated(config: dict, seed: int) -> dict:
    """Return a frozen configuration with another plan."""
    draw = random.Random(seed)
    rules = draw.sample(sorted(RULES), draw.randint(0, len(RULES)))
    analysis = {
        "exclusion_rules": [{"rule": rule, "parameters": {}} for rule in rules],
        "stopping_rule": draw.choice(["fixed", "anytime"]),
        "equivalence_margin": draw.choice([None, 0.05]),
        "class_adjustment": draw.choice(["bh", "holm"]),
    }
    plan = {f"{name}_trials": draw.choice([0, 1, 3]) for name in ("practice", "repeat", "identical", "degraded")}
    criteria = {
        "design": "blocks",
        "headline": "fine_detail",
        "list": [
            {"key": "fine_detail", "question": "Which {class_name} has more detail?", "is_tie_allowed": True},
            {"key": "overall", "question": "Which is better?", "definition": "All in all.", "is_tie_allowed": False},
        ],
    }
    return {
        **config,
        "analysis": config["analysis"] | analysis,
        "plan": config["plan"] | plan,
        "recruitment": {"provider": draw.choice(sorted(PROVIDERS))},
        "trial": config["trial"] | {"are_ties_allowed": draw.choice([True, False])},
        **({"criteria": criteria} if draw.random() < 0.5 else {}),
    }


def sayings(config: dict) -> list[str]:
    """Return every sentence that both registration forms ask for."""
    said = Sayings(SimpleNamespace(config=config))
    return [answer for _, answer in (*said.as_predicted(), *said.osf())]


def test_registered_sentences_of_any_plan_read_like_prose():
    config = make_version().config
    for seed in range(200):
        for sentence in sayings(generated(config, seed)):
            assert not _CODE.search(sentence.replace("(not stated in the study: fill in)", "")), sentence


def test_datasheet_and_release_card_of_any_plan_read_like_prose():
    version = make_version()
    config = version.config
    for seed in range(60):
        version.config = generated(config, seed)
        texts = [
            value for entry in heds_form(version).values() for value in entry["data"].values() if isinstance(value, str)
        ]
        for answer in rai_of(version, least_cell=5).values():
            texts += answer if isinstance(answer, list) else [answer]
        for text in texts:
            assert not _CODE.search(text), text


def test_facts_of_the_report_read_like_prose():
    version = make_running(
        exclusion_rules=[{"rule": rule, "parameters": {}} for rule in RULES],
        identical_trials=1,
        degraded_trials=2,
        question="Which image looks more like a realistic {class_name}?",
    )
    facts = study_facts(version.study)
    for name in ("recruitment", "question", "attention_checks", "exclusion_rules", "stopping_rule", "selection"):
        assert not _CODE.search(facts[name]), facts[name]
    assert facts["recruitment"] == "an open link"
    assert facts["question"] == "Which image looks more like a realistic [class of the pair]?"
    assert facts["attention_checks"].endswith("2 images against spoilt copies of themselves")


def test_every_provider_has_words():
    for name in PROVIDERS:
        assert provider_in_words({"recruitment": {"provider": name}}) != name


def test_a_registered_plan_has_the_criteria_as_shown():
    version = make_version()
    version.config = generated(version.config, 0) | {
        "criteria": {
            "design": "together",
            "headline": "detail",
            "list": [
                {
                    "key": "detail",
                    "question": "Which {class_name} has more detail?",
                    "definition": "Fine parts.",
                    "is_tie_allowed": True,
                },
                {"key": "realism", "question": "Which looks real?", "definition": "", "is_tie_allowed": True},
            ],
        },
    }
    told = preregistration_text(version)
    assert 'detail, "Which [class of the pair] has more detail?" (Fine parts.); realism, "Which looks real?"' in told
