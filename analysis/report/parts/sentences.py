"""The sentences of a verdict, one template a case; ``docs/verdicts.md`` lists them, and a test compares both.

Lead, paper sentence, methods, JSON, PDF and admin all take their conclusion from here.
"""

from __future__ import annotations

from analysis.report.parts.wording import count, interval, isolated, p_text, percent
from analysis.verdict.decision import SMALL, Case, Verdict

__all__ = [
    "PAPER",
    "TEMPLATES",
    "WARNINGS",
    "numbers_text",
    "paper_conclusion",
    "verdict_sentence",
    "warning_sentences",
]

_NBSP = "\u00a0"

TEMPLATES: dict[Case, str] = {
    Case.PREFERRED: "Raters preferred {preferred} to {other}: the preference rate for {arm} is {numbers}.",
    Case.PREFERRED_SMALL: (
        "Raters preferred {preferred} to {other}, by little: the preference rate for {arm} is {numbers}, and the whole "
        "interval lies within {small} points of 50 %. No plan says whether so small a preference matters."
    ),
    Case.PREFERRED_WITHIN_MARGIN: (
        "Raters preferred {preferred} to {other}, but by less than the planned margin of {margin} points: the "
        "preference rate for {arm} is {numbers}, within the margin (interval of the test {inner})."
    ),
    Case.EQUIVALENT: (
        "{arm} and {baseline} are equivalent within the planned margin of {margin} points: the preference rate for "
        "{arm} is {numbers}, within the margin (interval of the test {inner})."
    ),
    Case.UNDECIDED: (
        "The votes do not settle whether raters prefer {arm} or {baseline} ({numbers}). That is not evidence that the "
        "two are equal: every rate inside the interval remains plausible."
    ),
    Case.UNDECIDED_MARGIN: (
        "The votes settle neither whether raters prefer {arm} or {baseline} ({numbers}), nor that the two are "
        "equivalent within the planned margin of {margin} points (interval of the test {inner})."
    ),
    Case.DEPENDS_ON_GROUP: (
        "Which of {arm} and {baseline} raters prefer depends on the {noun}: {arm} in {above} of {groups} {plural}, "
        "{baseline} in {below} (tests adjusted by Holm; equal rates in all {plural}: {p_equal}). The rate over all of "
        "them, {rate}, hides that."
    ),
    Case.NO_VOTES: "No preference rate for {arm} over {baseline}: {reason}.",
    Case.TOO_FEW: (
        "Raters chose {arm} over {baseline} at a rate of {rate}, which supports no conclusion by itself ({reason})."
    ),
    Case.SEPARATION: (
        "Raters chose {arm} over {baseline} at a rate of {rate}, with no difference between raters or pairs, which "
        "leaves no error to judge it by ({reason})."
    ),
    Case.UNBALANCED_SIDES: (
        "The votes on {arm} and {baseline} cannot be interpreted: {arm} {always} stood on the same side, so the rate "
        "of {rate} mixes preference with the side."
    ),
    Case.SCREENING: (
        "The votes on {arm} and {baseline} cannot be interpreted: {careless} of {raters} are flagged for careless "
        "answers, so the rate of {rate} says how keys were pressed, not what raters prefer."
    ),
}

# How the sentence for a paper ends, after rate, interval and p-value.
PAPER: dict[Case, str] = {
    Case.PREFERRED: "raters preferred {preferred}",
    Case.PREFERRED_SMALL: "raters preferred {preferred}, by less than {small} points",
    Case.PREFERRED_WITHIN_MARGIN: "raters preferred {preferred}, by less than the planned margin of {margin} points",
    Case.EQUIVALENT: "the two are equivalent within the planned margin of {margin} points",
    Case.UNDECIDED: "which one raters prefer is not settled",
    Case.UNDECIDED_MARGIN: "neither a preference nor equivalence within the planned {margin} points is shown",
    Case.DEPENDS_ON_GROUP: "which one raters prefer depends on the {noun}",
    Case.NO_VOTES: "it could not be computed: {reason}",
    Case.TOO_FEW: "no interval can be given: {reason}",
    Case.SEPARATION: "no interval can be given: {reason}",
    Case.UNBALANCED_SIDES: "it cannot be interpreted, since {arm} {always} stood on the same side",
    Case.SCREENING: "it cannot be interpreted, since {careless} of {raters} are flagged for careless answers",
}

WARNINGS: dict[str, str] = {
    "careless": "Without the raters flagged for careless answers the verdict would be another: {subject}.",
    "excluded": "With the excluded votes counted the verdict would be another: {subject}.",
    "groups_differ": "The rate is not the same in all {subject}: see the table.",
    "few_units": "Caution: {subject}.",
    "sides_unknown": (
        "Caution: nobody recorded which arm stood on which side, so the rate may mix preference with the side."
    ),
    "images_may_be_shared": (
        "Caution: no pair stands in two comparisons; if comparisons share images, name their pairs alike or give class "
        "and seed, for errors across comparisons are too small otherwise."
    ),
}

_SAID = {
    "preferred": "preferred",
    "preferred_within_margin": "preferred, within the margin",
    "equivalent": "equivalent",
    "undecided": "undecided",
    "depends_on_group": "depends on the group",
    "not_interpretable": "not interpretable",
}


def verdict_sentence(verdict: Verdict) -> str:
    """Return the verdict in words: its case's template, filled in."""
    return TEMPLATES[verdict.case].format(**_words(verdict))


def paper_conclusion(verdict: Verdict) -> str:
    """Return the conclusion as a paper's sentence ends with it."""
    return PAPER[verdict.case].format(**_words(verdict))


def _words(verdict: Verdict) -> dict[str, object]:
    groups = verdict.groups
    above, below = groups.found(verdict.groups_level) if groups else (0, 0)
    return {
        **{name: isolated(arm) for name, arm in _arms(verdict).items()},
        "rate": percent(verdict.rate),
        "numbers": f"{percent(verdict.rate)}, {numbers_text(verdict)}" if verdict.ci_simultaneous else "",
        "margin": f"±{100 * verdict.margin:g}" if verdict.margin else "",
        "inner": interval(verdict.inner, margin=verdict.margin),
        "small": f"{100 * SMALL:g}",
        "reason": (verdict.reason or "").removeprefix("no interval: "),
        "always": "nearly always" if verdict.has_other_side else "always",
        "careless": count(verdict.careless),
        "raters": count(verdict.n_raters, "rater"),
        "noun": groups.noun if groups else "",
        "plural": groups.plural if groups else "",
        "groups": len(groups.results) if groups else 0,
        "above": above,
        "below": below,
        "p_equal": p_text(groups.p_equal) if groups and groups.p_equal else "",
    }


def _arms(verdict: Verdict) -> dict[str, str]:
    arms = {"arm": verdict.arm, "baseline": verdict.baseline}
    return arms | {"preferred": verdict.preferred or "", "other": verdict.other or ""}


def numbers_text(verdict: Verdict) -> str:
    """Return interval and p-value against 1/2 with what they count: the family and the looks."""
    looks, family = verdict.looks, verdict.family
    kind, counted = f"95{_NBSP}% interval", []
    if family.size > 1:
        kind = f"simultaneous {kind}"
        by = " by other criteria (Holm)" if family.scope == "criteria" else ""
        counted.append(f"adjusted for {family.size} comparisons{by}")
    if looks.basis == "group sequential":
        kind = f"repeated {kind}"
        planned = f"of {looks.number}" if looks.look <= looks.number else f"({looks.number} planned)"
        counted.append(f"counting look {looks.look} {planned}")
    if looks.basis == "anytime":
        kind = f"95{_NBSP}% confidence sequence" if family.size == 1 else f"simultaneous 95{_NBSP}% confidence sequence"
        counted.append("valid at any number of looks, for these pairs")
    tested = [] if verdict.p_adjusted is None else [p_text(verdict.p_adjusted)]
    return ", ".join([f"{kind} {interval(verdict.ci_simultaneous, margin=verdict.margin or SMALL)}", *tested, *counted])


def warning_sentences(verdict: Verdict) -> list[str]:
    """Return what changes the meaning of the verdict, one sentence each."""
    return [WARNINGS[code].format(subject=_subject(subject)) for code, subject in verdict.warnings]


def _subject(subject: str) -> str:
    kind, separator, arm = subject.partition(": ")
    return f"{_SAID[kind]}{separator}{isolated(arm)}" if kind in _SAID else subject
