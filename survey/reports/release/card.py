"""What a release says of itself: properties for schema.org, answers to the Responsible-AI vocabulary, and the card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.text import capfirst

from survey.criteria import has_ties
from survey.models import Study, StudyVersion
from survey.reports.wording import checks_in_words, provider_in_words, questions_in_words, rules_in_words, sentence

__all__ = ["about_of", "card_text", "rai_of"]

_TABLES = {
    "votes": "one row a current vote: who, which pair, which side, which choice",
    "raters": "one row a rater session; cells that few raters share are empty",
    "pairs": "one row an image pair",
    "preferences": "chosen and rejected image of each compared pair with a majority, to train reward models with",
}


def about_of(study: Study, version: StudyVersion, *, license: str, url: str, counts: Mapping[str, int]) -> dict:
    """Return the data set's properties under the names of schema.org; what nobody has said is left out."""
    texts = version.config["texts"]
    creator = texts["organisation"] or study.title
    last = study.versions.order_by("-frozen_at").first() or version
    properties = {
        "name": study.slug,
        "description": _description(study, version, counts),
        "license": license,
        "url": url,
        "version": f"{version.number}.0.0",
        "dateCreated": version.frozen_at.date().isoformat(),
        "datePublished": last.frozen_at.date().isoformat(),
        "creator": {"@type": "sc:Organization", "name": creator},
        "citeAs": f"{creator}: {study.title}. Votes, images and raters of a blind pairwise study, version "
        f"{version.number} (configuration SHA-256 {version.config_sha256}).",
        "keywords": ["human preference", "image generation", "pairwise comparison"],
    }
    return {name: value for name, value in properties.items() if value}


def _description(study: Study, version: StudyVersion, counts: Mapping[str, int]) -> str:
    return (
        f"{study.title}: {counts['votes']} votes of {counts['raters']} rater sessions on {counts['pairs']} pairs. "
        f"Raters were asked {questions_in_words(version.config)} without knowing which generator made which image."
    )


def rai_of(version: StudyVersion, *, least_cell: int) -> dict[str, Any]:
    """Return answers to the RAI vocabulary from the frozen version: consent, recruitment, checks, exclusions."""
    config = version.config
    texts, plan, facts = config["texts"], config["plan"], config.get("facts", {})
    rules = rules_in_words(config)
    ties = "no preference could be answered" if has_ties(config) else "one of the two had to be chosen"
    answers = {
        "dataCollection": f"Raters came by {provider_in_words(config)}, consented (text SHA-256 "
        f"{version.consent_sha256}), and compared two images at a time on their own screens; sides were drawn by the "
        f"server and balanced; {ties}.",
        "dataCollectionType": ["Surveys", "Human annotations"],
        "dataAnnotationProtocol": f"Question: {questions_in_words(config)}. "
        f"Instructions: {texts['instructions'] or 'none'}",
        "dataAnnotationPlatform": ["Blindpair"],
        "annotationsPerItem": f"{plan['votes_per_pair']} votes planned for each compared pair",
        "dataAnnotationAnalysis": [
            f"Exclusion rules were fixed before the first vote ({'; '.join(rules) or 'none'}).",
            "Excluded votes are marked.",
        ],
        "annotatorDemographics": [f"Who could take part: {sentence(facts.get('eligibility', ''))}"],
        "dataPreprocessingProtocol": [
            f"Attention checks of each visit are {checks_in_words(config) or 'none'}.",
            "Withdrawn and erased visits, pilots and rehearsals are not part of the release.",
        ],
        "personalSensitiveInformation": [
            f"Pseudonyms only; cells that fewer than {least_cell} raters share are left empty. "
            f"Ethics: {sentence(facts.get('ethics', ''))}"
        ],
        "dataUseCases": ["Comparison of the arms that were shown; training of preference models on these images."],
        "dataLimitations": ["Preferences of these raters for these images, pairs and question; no more is claimed."],
        "dataBiases": [f"Self-selected raters of one panel; payment: {sentence(texts['payment'])}"],
    }
    return answers


_MARKUP = re.compile(r"[\\`*_\[\]<>]")


def _as_written(text: str) -> str:
    """Return what people wrote in the study as a paragraph of Markdown that shows it, and does nothing else."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def card_text(about: Mapping[str, Any], rai: Mapping[str, Any], *, hub_license: str) -> str:
    """Return README.md: the header that data hubs read, and the same facts for people."""
    configs = "".join(f"- config_name: {name}\n  data_files: {name}.parquet\n" for name in _TABLES)
    lines = [
        "---",
        f"license: {hub_license}",
        f"configs:\n{configs}- config_name: images\n  data_files: images/*.parquet",
        "---",
        "",
        f"# {about['name']}",
        "",
        _as_written(about["description"]),
        "",
        f"Licence: {about['license']}. Cite as: {_as_written(about['citeAs'])}",
        "",
        "| table | what a row is |",
        "| --- | --- |",
        *(f"| `{name}.parquet` | {text} |" for name, text in _TABLES.items()),
        "| `images/*.parquet` | one image as its arm made it, or a reference, which has no arm, with its bytes |",
        "",
        "`votes.csv`, `raters.csv` and `pairs.csv` hold the same rows as text. Where arms keep their names, "
        "`version-N.json` is the frozen design and `manifest.jsonl` its pairs with digests. `SHA256SUMS` covers every "
        "file (`sha256sum -c SHA256SUMS`).",
        "",
    ]
    for name, value in rai.items():
        words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
        lines += [f"**{capfirst(words)}.** {_as_written(' '.join(value) if isinstance(value, list) else value)}", ""]
    return "\n".join(lines)
