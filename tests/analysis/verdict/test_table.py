"""The table of verdicts in ``docs/verdicts.md``: every case can be made, and says the sentence that stands there."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import rate_interval
from analysis.report.parts.sentences import (
    PAPER,
    TEMPLATES,
    WARNINGS,
    paper_conclusion,
    verdict_sentence,
    warning_sentences,
)
from analysis.verdict.decision import Case, decide
from analysis.verdict.evidence import Evidence, GroupResult, Groups
from analysis.verdict.family import Family, family_of, holm_families
from analysis.verdict.looks import Looks

TABLE = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| ")]
CASES = {row[0]: row for row in ROWS if len(row) == 5 and row[1].startswith("`")}
SAID = {row[0].strip("`"): row[1] for row in ROWS if len(row) == 2 and row[0].startswith("`")}


def rate(estimate, se, *, df=30, **changes):
    return replace(rate_interval(estimate, se, df=df, method="t"), **changes)


def classes(*rates, p_equal=0.001):
    results = tuple(GroupResult(label=str(place), rate=value, p_adjusted=0.01) for place, value in enumerate(rates))
    return (Groups(noun="class", plural="classes", results=results, p_equal=p_equal),)


def evidence(headline, **changes):
    return Evidence(**{"arm": "robust", "baseline": "vanilla", "headline": headline, "raters": 24, **changes})


# Case -> evidence and margin that make it.
MADE = {
    Case.NO_VOTES: (evidence(refused("t", "no votes")), None),
    Case.TOO_FEW: (evidence(Estimate(method="t", estimate=0.6, reason="no interval: only 1 rater")), None),
    Case.SEPARATION: (evidence(rate(1.0, 0.0)), None),
    Case.SCREENING: (evidence(rate(0.5, 0.005), careless=24), 0.05),
    Case.UNBALANCED_SIDES: (evidence(rate(0.7, 0.03), is_one_sided=True), None),
    Case.DEPENDS_ON_GROUP: (evidence(rate(0.51, 0.03), groups=classes(0.78, 0.24)), None),
    Case.EQUIVALENT: (evidence(rate(0.5, 0.01)), 0.05),
    Case.PREFERRED_WITHIN_MARGIN: (evidence(rate(0.52, 0.005)), 0.05),
    Case.PREFERRED: (evidence(rate(0.7, 0.03)), None),
    Case.PREFERRED_SMALL: (evidence(rate(0.503, 0.0005)), None),
    Case.UNDECIDED_MARGIN: (evidence(rate(0.55, 0.05)), 0.05),
    Case.UNDECIDED: (evidence(rate(0.55, 0.05)), None),
}


def test_the_table_holds_every_case_and_no_other():
    assert set(CASES) == {str(case) for case in Case} == set(map(str, MADE))
    assert SAID == WARNINGS


@pytest.mark.parametrize("case", list(Case))
def test_each_case_can_be_made_and_says_its_sentence(case):
    _, kind, _, sentence, paper = CASES[str(case)]
    assert (f"`{case.kind}`", TEMPLATES[case], PAPER[case]) == (kind, sentence, paper)
    found, margin = MADE[case]
    verdict = decide(found, family=Family(), looks=Looks(), margin=margin)
    assert verdict.case is case
    for said, template in ((verdict_sentence(verdict), sentence), (paper_conclusion(verdict), paper)):
        pattern = "".join(
            ".+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", template)
        )
        assert re.fullmatch(pattern, said), said
        assert "None" not in said


def test_a_swap_of_the_arms_turns_the_words_and_not_the_verdict():
    for found, margin in MADE.values():
        ours = decide(found, family=Family(), looks=Looks(), margin=margin)
        if ours.ci_simultaneous is None:
            continue
        turned = replace(found, arm="vanilla", baseline="robust", headline=_mirrored(found.headline))
        turned = replace(turned, groups=tuple(_turned(groups) for groups in found.groups))
        theirs = decide(turned, family=Family(), looks=Looks(), margin=margin)
        assert (theirs.case, theirs.preferred) == (ours.case, ours.preferred)


def _mirrored(result):
    low, high = result.ci95
    return replace(result, estimate=1 - result.estimate, ci95=(1 - high, 1 - low))


def _turned(groups):
    return replace(groups, results=tuple(replace(group, rate=1 - group.rate) for group in groups.results))


LOOKS = [
    Looks(),
    Looks(basis="group sequential", number=5, fractions=(0.2, 0.4, 0.6), is_planned=True),
    Looks(basis="anytime", is_planned=True),
]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    estimate=st.floats(0.02, 0.98),
    se=st.floats(0.0005, 0.2),
    df=st.integers(1, 200),
    margin=st.sampled_from([None, 0.02, 0.05, 0.2]),
    family=st.integers(1, 190),
    looks=st.sampled_from(LOOKS),
    careless=st.integers(0, 24),
    is_one_sided=st.booleans(),
    groups=st.sampled_from([(), classes(0.7, 0.3), classes(0.7, 0.3, p_equal=0.5), classes(0.7, 0.6)]),
)
def test_whatever_the_evidence_there_is_one_verdict_and_it_keeps_its_word(
    estimate, se, df, margin, family, looks, careless, is_one_sided, groups
):
    result = rate(estimate, se, df=df)
    found = evidence(result, sequence=result, careless=careless, is_one_sided=is_one_sided, groups=groups)
    size = Family(scope="all" if family > 1 else "single", size=family)
    verdict = decide(found, family=size, looks=looks, margin=margin)
    assert str(verdict.case) in CASES
    verdict_sentence(verdict), paper_conclusion(verdict), warning_sentences(verdict)
    low, high = verdict.ci_simultaneous
    assert 0.0 <= low < high <= 1.0
    if verdict.kind in ("preferred", "preferred_within_margin"):
        assert verdict.p_adjusted <= 0.05
        assert not low <= 0.5 <= high
        assert verdict.preferred == ("robust" if estimate > 0.5 else "vanilla")
    else:
        assert verdict.preferred is None
    if verdict.kind in ("equivalent", "preferred_within_margin"):
        assert 0.5 - margin < verdict.inner[0] < verdict.inner[1] < 0.5 + margin
    if careless > 12:
        assert verdict.kind == "not_interpretable"
    # More comparisons or looks never make a verdict surer.
    wider = decide(found, family=replace(size, scope="all", size=family + 10), looks=looks, margin=margin)
    if verdict.kind == "undecided":
        assert wider.kind == "undecided"


def test_p_value_and_interval_say_the_same_within_a_family_and_over_looks():
    for looks in LOOKS[:2]:
        for size in (1, 10):
            for estimate in (0.55, 0.58, 0.6, 0.62, 0.66):
                verdict = decide(
                    evidence(rate(estimate, 0.03)), family=Family(scope="all", size=size), looks=looks, margin=None
                )
                low, _ = verdict.ci_simultaneous
                assert (verdict.p_adjusted <= 0.05) == (low > 0.5)


def test_a_verdict_that_hangs_on_careless_or_excluded_votes_says_so():
    other = evidence(rate(0.52, 0.03))
    found = evidence(rate(0.7, 0.03, few_units="8 raters"), careless=3, without_careless=other, with_excluded=other)
    verdict = decide(found, family=Family(), looks=Looks(), margin=None)
    assert [code for code, _ in verdict.warnings] == ["careless", "excluded", "few_units"]
    said = " ".join(warning_sentences(verdict))
    assert "Without the raters flagged for careless answers the verdict would be another: undecided." in said
    same = replace(found, without_careless=evidence(rate(0.69, 0.03)), with_excluded=None)
    assert [code for code, _ in decide(same, family=Family(), looks=Looks(), margin=None).warnings] == ["few_units"]


def test_classes_that_differ_in_size_alone_are_a_remark():
    found = evidence(rate(0.7, 0.03), groups=classes(0.9, 0.6))
    verdict = decide(found, family=Family(), looks=Looks(), margin=None)
    assert verdict.kind == "preferred"
    assert verdict.warnings == (("groups_differ", "classes"),)


def test_looks_bind_what_classes_decide():
    """At the first of five looks next to nothing is spent; at any time no test of classes holds."""
    found = evidence(rate(0.51, 0.03), sequence=rate(0.51, 0.03), groups=classes(0.78, 0.24, p_equal=0.004))
    first = Looks(basis="group sequential", number=5, fractions=(0.2,), is_planned=True)
    kinds = {looks.basis: decide(found, family=Family(), looks=looks, margin=None) for looks in (*LOOKS[::2], first)}
    assert {basis: verdict.kind for basis, verdict in kinds.items()} == {
        "one look": "depends_on_group",
        "group sequential": "undecided",
        "anytime": "undecided",
    }
    assert kinds["anytime"].warnings == (("groups_differ", "classes"),)
    last = replace(first, fractions=(0.2, 0.4, 0.6, 0.8, 1.0))
    sure = replace(found, groups=classes(0.78, 0.24, p_equal=0.001))
    verdict = decide(sure, family=Family(), looks=last, margin=None)
    assert verdict.kind == "depends_on_group"
    assert "robust in 1 of 2 classes, vanilla in 1" in verdict_sentence(verdict)


def test_more_looks_than_planned_are_counted_without_a_share_of_the_plan():
    looks = Looks(basis="group sequential", number=2, fractions=(0.2, 0.4, 0.6), is_planned=True)
    said = verdict_sentence(decide(evidence(rate(0.55, 0.05)), family=Family(), looks=looks, margin=None))
    assert "counting look 3 (2 planned)" in said


def test_an_arm_that_stood_on_the_other_side_once_did_not_always_stand_on_one():
    found = evidence(rate(0.7, 0.03), is_one_sided=True, has_other_side=True)
    verdict = decide(found, family=Family(), looks=Looks(), margin=None)
    assert verdict.case is Case.UNBALANCED_SIDES
    assert "robust nearly always stood on the same side" in verdict_sentence(verdict)


# --- criteria: the headline alone, the others by Holm


def test_the_planned_headline_is_alone_and_without_a_plan_all_criteria_are_one_family():
    assert family_of(1, has_primary=True, criteria=1) == [Family()]
    assert [family.size for family in family_of(3, has_primary=False, criteria=2)] == [6, 6, 6]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    results=st.lists(st.tuples(st.floats(0.3, 0.7), st.floats(0.005, 0.1)), min_size=1, max_size=8),
    looks=st.sampled_from(LOOKS[:2]),
    margin=st.sampled_from([None, 0.05]),
)
def test_verdicts_by_the_other_criteria_are_holms_and_their_intervals_say_the_same(results, looks, margin):
    found = [evidence(rate(estimate, se)) for estimate, se in results]
    plain = [looks.p_value(one.headline.p_value) for one in found]
    families = holm_families(plain)
    expected = multipletests(plain, method="holm")[1]
    for one, family, p_value in zip(found, families, expected, strict=True):
        verdict = decide(one, family=family, looks=looks, margin=margin)
        assert family.size == len(results)
        assert verdict.p_adjusted == pytest.approx(min(1.0, p_value), rel=1e-9)
        low, high = verdict.ci_simultaneous
        assert (verdict.p_adjusted <= 0.05) == (not low <= 0.5 <= high)
        assert str(verdict.case) in CASES
        assert (" (Holm)" in verdict_sentence(verdict)) == (len(results) > 1)


def test_a_criterion_without_a_test_counts_in_the_family_all_the_same():
    families = holm_families([0.001, None, 0.02])
    assert [(family.size, family.p_adjusted) for family in families] == [(3, 0.003), (3, None), (3, 0.04)]
    assert holm_families([0.03]) == [Family(scope="criteria")]
    assert holm_families([]) == []
