"""A frozen version as an answered Human Evaluation Datasheet (HEDS 3.0), to be uploaded to its form and completed.

The form at https://nlp-heds.github.io keeps one entry a field, which it downloads and uploads as JSON: ``data`` by
criterion (an empty name outside section 4), ``text`` with the words of a chosen option, the question's ``number``.
What a version does not say is left blank; the form marks it, and people answer it there.

References
----------
Belz and Thomson, "HEDS 3.0: The Human Evaluation Data Sheet Version 3.0", arXiv 2412.07940 (2024).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from analysis.report.parts.wording import count
from survey.criteria import Criterion, criteria_of
from survey.models import StudyVersion
from survey.reports.facts import selection_in_words
from survey.reports.preregistration import Sayings
from survey.reports.wording import checks_in_words, criterion_name, provider_in_words, question_shown, rules_in_words

__all__ = ["heds_form", "heds_text"]

_SAMPLE, _PEOPLE, _DESIGN = (
    f"heds-sample_evaluators_design-{part}" for part in ("sample", "evaluators", "experimental_design")
)
_CRITERION = "heds-criteria-criterion"
_ELICITATION = f"{_CRITERION}-response_elicitation"


def heds_form(version: StudyVersion) -> dict[str, dict[str, Any]]:
    """Return the form's entries by their ids, in the order of its questions."""
    form = _Form()
    said = Sayings(version)
    _reference(form, version)
    _system(form, version.config)
    _sample(form, version.config)
    _evaluators(form, version.config, said)
    _design(form, version.config, said)
    for criterion in criteria_of(version.config):
        _criterion(form, version.config, said, criterion)
    form.text("heds-ethics-review_body", "5.1", said.facts.get("ethics", ""))
    return form.entries


def heds_text(version: StudyVersion) -> str:
    """Return the file that the form uploads."""
    return json.dumps(heds_form(version), indent=4, ensure_ascii=False) + "\n"


class _Form:
    """Entries as the form stores them."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}

    def text(self, field: str, number: str, answer: str, *, of: str = "") -> None:
        """Answer a field in words; an empty answer leaves it blank."""
        if answer:
            entry = self.entries.setdefault(field, {"data": {}, "control": {}, "number": number})
            entry["data"][of] = answer

    def choose(self, question: str, number: str, option: int, words: str, *, of: str = "", told: str = "") -> None:
        """Tick one option of a question, with what it asks to be described."""
        entry = self.entries.setdefault(
            f"{question}-{option}", {"data": {}, "control": {}, "text": {}, "number": number}
        )
        entry["data"][of], entry["text"][of] = True, words
        if told:
            other = self.entries.setdefault(f"{question}-other_text", {"data": {}, "control": {}, "number": None})
            other["data"][of] = told

    def criterion(self, name: str) -> None:
        """Add a criterion; the form shows the first."""
        entry = self.entries.setdefault(_CRITERION, {"data": {}, "control": {}, "text": {}})
        entry["control"][name] = not entry["control"]


def _reference(form: _Form, version: StudyVersion) -> None:
    reference = "heds-paper_and_resources-paper"
    if address := version.config.get("facts", {}).get("preregistration"):
        words = (
            "3. No report describing the experiment is available and this sheet will be uploaded for preregistration "
            "here (enter URL)."
        )
        form.choose(f"{reference}-link", "1.1.1", 3, words, told=address)
    form.text(
        f"{reference}-experiment_identification",
        "1.1.2",
        f"{version.study.title}, frozen version {version.number} of {version.frozen_at:%Y-%m-%d} "
        f"(configuration SHA-256 {version.config_sha256}, images SHA-256 {version.manifest_sha256})",
    )


def _system(form: _Form, config: Mapping[str, Any]) -> None:
    if all(arm["recipe"] for arm in config["arms"]):
        form.choose("heds-system-input_types", "2.1", 13, "13. Control feature")
        none = "The input is a class and a seed, no text."
        form.choose("heds-system-input_languages", "2.4", 1, "185. N/A (please explain)", told=none)
    form.choose("heds-system-output_types", "2.2", 11, "11. Visual")
    form.choose("heds-system-tasks", "2.3", 20, "20. Other (please describe)", told="Image generation.")
    form.choose(
        "heds-system-output_languages", "2.5", 1, "185. N/A (please explain)", told="The outputs are images, no text."
    )


def _sample(form: _Form, config: Mapping[str, Any]) -> None:
    form.text(f"{_SAMPLE}-number_of_system_outputs", "3.1.1", str(config["pairs"]["selected"]))
    form.choose(
        f"{_SAMPLE}-system_output_selection",
        "3.1.2",
        6,
        "6. Other (please describe)",
        told=f"{selection_in_words(config['pairs'])}.",
    )


def _evaluators(form: _Form, config: Mapping[str, Any], said: Sayings) -> None:
    form.text(f"{_PEOPLE}-number_of_evaluators", "3.2.1", str(config["analysis"]["target_raters"]))
    if any(map(str.isdigit, config["texts"]["payment"])):
        form.choose(f"{_PEOPLE}-evaluators-payment", "3.2.2.2", 1, "1. Paid (monetary compensation)")
    form.text(f"{_PEOPLE}-recruitment_method", "3.2.3", f"By {provider_in_words(config)}.")
    instructed = "Written instructions. " if config["texts"]["instructions"] else ""
    practice = count(config["plan"]["practice_trials"], "practice trial")
    form.text(f"{_PEOPLE}-training_practice", "3.2.4", f"{instructed}{practice}.")
    form.text(f"{_PEOPLE}-characteristics", "3.2.5", said.facts.get("eligibility", ""))


def _design(form: _Form, config: Mapping[str, Any], said: Sayings) -> None:
    if address := said.facts.get("preregistration"):
        form.choose(f"{_DESIGN}-preregistered", "3.3.1", 1, "1. Yes (please provide link)", told=address)
    form.text(f"{_DESIGN}-collection_method", "3.3.2", "Web pages of Blindpair in the raters' own browsers.")
    _quality(form, config, said)
    form.text(
        f"{_DESIGN}-what_evaluators_see-description",
        "3.3.4.2",
        "Two images side by side and the question; nothing about which system made which. " + said.randomization(),
    )
    least = config["trial"]["minimum_exposure_ms"]
    form.choose(
        f"{_DESIGN}-evaluator_freedom",
        "3.3.5",
        5,
        "5. None of the above (please describe)",
        told=f"At any time while the study is open; an answer can be given {least} ms after both images are shown.",
    )
    if config["recruitment"].get("provider") != "personal":
        words = "1. Evaluators carry out assessments at a place of their own choosing"
        form.choose(f"{_DESIGN}-experimental_conditions", "3.3.7", 1, words)
    form.text(
        f"{_DESIGN}-evaluators_place_of_choosing",
        "3.3.8",
        "Place, device and light differ. Window, pixel ratio and size of the images on screen are recorded; windows "
        "that are too small are refused.",
    )


def _quality(form: _Form, config: Mapping[str, Any], said: Sayings) -> None:
    method = f"{_DESIGN}-quality_assurance-method"
    checks, rules = checks_in_words(config), rules_in_words(config)
    if checks or rules:
        words = "2. Automatic quality checking methods are used during and/or after evaluation"
        form.choose(method, "3.3.3.1", 2, words)
    if rules:
        words = "4. Evaluators are excluded if they fail quality checks (often or badly enough)"
        form.choose(method, "3.3.3.1", 4, words)
    form.text(f"{_DESIGN}-quality_assurance-description", "3.3.3.2", f"{said.checks()} {said.exclusions()}")


def _criterion(form: _Form, config: Mapping[str, Any], said: Sayings, criterion: Criterion) -> None:
    name = criterion_name(criterion.key) or "overall preference"
    form.criterion(name)
    mode = f"{_CRITERION}-evaluation_mode"
    form.choose(f"{mode}-objective_or_subjective", "4.2.1", 2, "2. Subjective", of=name)
    form.choose(f"{mode}-absolute_or_relative", "4.2.2", 2, "2. Relative", of=name)
    form.choose(f"{mode}-intrinsic_or_extrinsic", "4.2.3", 1, "1. Intrinsic", of=name)
    form.choose(f"{_ELICITATION}-scale_presented_as", "4.3.5", 1, "1. Multiple-choice options", of=name)
    words = "3. Relative quality estimation (including ranking)"
    form.choose(f"{_ELICITATION}-form_of_response", "4.3.8", 3, words, of=name)
    repeats = config["plan"]["repeat_trials"]
    answers = {
        # The form's own spelling of its fields.
        "qc_name-participant_criterion_name": ("4.3.1.1", name if criterion.key else "N/A"),
        "participant_criterion_definiiton": ("4.3.2", criterion.definition or "N/A"),
        "size_of_scale": ("4.3.3", "3" if criterion.is_tie_allowed else "2"),
        "list_or_range": ("4.3.4", "left, right, no preference" if criterion.is_tie_allowed else "left, right"),
        "task_description": ("4.3.6", "N/A"),
        "verbatim_question": ("4.3.7", question_shown(criterion.question)),
        "response_aggregation": ("4.3.9", said.model()),
        "effect_size_method": ("4.3.10", said.inference()),
        "inter_annotator-agreement": ("4.3.11.1", "Krippendorff's alpha over image pairs, with a bootstrap interval."),
        "intra_annotator-intra_annotator_agreement": (
            "4.3.12.1",
            "Share of repeated pairs, sides swapped, on which a rater chose the same image." if repeats else "N/A",
        ),
    }
    for field, (number, answer) in answers.items():
        form.text(f"{_ELICITATION}-{field}", number, answer, of=name)
