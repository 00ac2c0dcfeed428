"""The facts a reader needs to repeat a human evaluation, filled in from the study, the open ones named as open.

The items follow the reporting practice asked for by Otani et al., "Toward Verifiable and Reproducible Human Evaluation
for Text-to-Image Generation", CVPR 2023.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.raters.screening_rules import RULES
from analysis.report.content.screening import planned_rules
from analysis.report.parts.exclusions import kept_out_words
from analysis.report.parts.prose import looks
from analysis.report.parts.wording import count, decimal, fact, interval, percent, spread

__all__ = ["STUDY_FACTS", "filled_checklist"]

# key of the study facts -> (part of the protocol, what a reader must learn)
STUDY_FACTS = {
    "recruitment": ("Raters", "Where and how raters were recruited"),
    "qualification": ("Raters", "Who could take part"),
    "payment": ("Raters", "What raters were paid, and for how long a task"),
    "ethics": ("Raters", "Consent and ethics review"),
    "language": ("Raters", "Language of the instructions"),
    "question": ("Task", "The question, verbatim"),
    "instructions": ("Task", "The instructions, verbatim or where they are published"),
    "ties_offered": ("Task", "Whether a tie could be chosen"),
    "side_randomisation": ("Task", "How sides and order were randomised"),
    "display": ("Task", "Image size, device and viewing conditions"),
    "practice": ("Task", "Practice and training before the task"),
    "images": ("Images", "How the images were generated and how pairs were matched"),
    "selection": ("Images", "How pairs were selected; whether any was discarded by hand"),
    "attention_checks": ("Quality", "Attention checks and what followed from failing them"),
    "exclusion_rules": ("Quality", "Exclusion rules, and when they were fixed"),
    "stopping_rule": ("Analysis", "How many votes were planned, and when counting stopped"),
    "interface": ("Release", "Where the interface can be seen"),
    "ratings": ("Release", "Where the single ratings are published"),
}


def filled_checklist(report: Mapping) -> list[dict]:
    """Return the checklist in reading order.

    Returns
    -------
    list of dict
        ``part``, ``item``, ``answer`` (null where open), ``source``: ``study facts``, ``plan``, ``votes`` or ``open``.
    """
    study, data = report["study"], report["data"]
    items = []
    for key, (part, item) in STUDY_FACTS.items():
        text, planned = fact(study.get(key)), _from_plan(report["plan"], key)
        source = "study facts" if text else "plan" if planned else "open"
        items.append(_item(part, item, text or planned, source, key=key))
    items += [_item(part, item, answer, "votes") for part, item, answer in _from_votes(report, data)]
    parts = ("Raters", "Task", "Images", "Quality", "Analysis", "Release")
    return sorted(items, key=lambda item: parts.index(item["part"]))


def _item(part: str, item: str, answer: str | None, source: str, key: str | None = None) -> dict:
    return {"part": part, "item": item, "answer": answer, "source": source, "key": key}


def _from_plan(plan: Mapping, key: str) -> str | None:
    if key == "stopping_rule":
        looked = looks(plan)
        return f"the plan allowed {looked}" if looked else None
    if key == "exclusion_rules":
        rules = planned_rules(plan)
        described = [RULES[rule["rule"]].described(rule.get("parameters")) for rule in rules or ()]
        return f"fixed in the plan ({'; '.join(described)})" if rules else None
    return None


def _from_votes(report: Mapping, data: Mapping) -> list[tuple[str, str, str]]:
    votes, agreed = data["votes"], report["agreement"]
    alpha = agreed["krippendorff_alpha"] if agreed else None
    agreement = "not computed: no comparison" if alpha is None else alpha["reason"]
    if alpha is not None and alpha["estimate"] is not None:
        agreement = f"Krippendorff's alpha {decimal(alpha['estimate'])} {interval(alpha['ci95'], rate=False)}".strip()
    kept_out = kept_out_words(data["excluded"]) or "none"
    return [
        ("Raters", "Number of raters", count(data["raters"])),
        ("Images", "Number of image pairs", count(data["pairs"])),
        ("Task", "Votes per rater", spread(data["votes_per_rater"]) or "no votes"),
        ("Task", "Votes per pair", spread(data["votes_per_pair"]) or "no votes"),
        ("Task", "Share of ties", percent(data["ties"] / votes) if votes else "no votes"),
        ("Quality", "Votes kept out of the estimates", kept_out),
        ("Quality", "Agreement between raters", agreement),
        ("Analysis", "How the rate and its uncertainty were computed", "see the methods paragraph of this report"),
        ("Release", "Hash of the votes this report rests on", f"SHA-256 {data['sha256']} of the {data['sha256_of']}"),
    ]
