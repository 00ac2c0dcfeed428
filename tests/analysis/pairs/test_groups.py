"""Preference by tag and by prompt: the same estimator as by class, over groups that a reader can name."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.pairs.groups import by_prompt, by_tag, readable
from analysis.pairs.table import Pair
from analysis.preference.per_class import per_class
from analysis.preference.rate import two_way_t
from tests.analysis.votes_factory import make_comparison

PAIRS = 24
LABELS = [f"p{number}" for number in range(PAIRS)]


def votes(**extra):
    """Return 20 raters on 24 pairs: the arm wins more often on the first half."""
    rng = np.random.default_rng(5)
    rater, pair = (part.ravel() for part in np.meshgrid(np.arange(20), np.arange(PAIRS), indexing="ij"))
    score = (rng.random(len(pair)) < np.where(pair < PAIRS // 2, 0.8, 0.45)).astype(float)
    return make_comparison(score, rater, pair, **{name: column[pair] for name, column in extra.items()})


def test_the_rate_of_a_tag_is_that_of_its_votes_alone():
    pairs = {label: Pair(tags=("easy",) if number < 12 else ("hard",)) for number, label in enumerate(LABELS)}
    comparison = votes()
    easy, hard = by_tag(comparison, LABELS, pairs).groups
    assert (easy.name, hard.name) == ("easy", "hard")
    own = two_way_t(comparison.rows(comparison.pair < 12))
    assert easy.result.estimate == pytest.approx(own.estimate)
    assert easy.result.ci95 == pytest.approx(own.ci95)
    assert easy.p_adjusted < 0.05
    assert hard.counts.votes == 240


def test_disjoint_tags_are_tested_as_classes_are():
    label = np.array(["easy" if number < 12 else "hard" for number in range(PAIRS)], dtype=object)
    comparison = votes(class_label=label)
    tags = by_tag(comparison, LABELS, {name: Pair(tags=(label[n],)) for n, name in enumerate(LABELS)})
    for group, entry in zip(tags.groups, per_class(comparison).classes, strict=True):
        assert group.result.estimate == pytest.approx(entry.result.estimate)
        assert group.p_adjusted == pytest.approx(entry.p_adjusted)


def test_a_pair_counts_for_each_of_its_tags_and_the_report_says_so():
    found = by_tag(votes(), LABELS, {label: Pair(tags=("animal", "indoor")) for label in LABELS[:6]})
    assert [(group.name, group.counts.votes) for group in found.groups] == [("animal", 120), ("indoor", 120)]
    assert found.reason == "pairs with several tags count for each of them, so that the rows are not independent"


def test_pairs_of_one_prompt_are_one_group_under_a_name_that_a_reader_understands():
    long = "a lighthouse on a cliff at dusk with waves below and gulls in the wind, in oil, number"
    pairs = {label: Pair(prompt=f"{long} {number % 2}") for number, label in enumerate(LABELS)}
    first, second = by_prompt(votes(), LABELS, pairs).groups
    assert first.text == f"{long} 0"
    assert first.name == "a lighthouse on a cliff at dusk with waves below and gulls in the … [1]"
    assert second.name.endswith("[2]")
    assert first.counts.votes + second.counts.votes == 480


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [(lambda number: "", "no pair has a prompt"), (lambda number: f"p {number}", "no prompt has more than one pair")],
)
def test_why_there_are_no_groups_of_prompts_is_said(prompt, reason):
    found = by_prompt(votes(), LABELS, {label: Pair(prompt=prompt(number)) for number, label in enumerate(LABELS)})
    assert (found.groups, found.reason) == ((), reason)


def test_names_are_short_in_any_script_and_never_shared():
    texts = ["猫" * 200, "猫" * 201, "a cat\n on a mat", "x"]
    names = readable(texts)
    assert len(set(names.values())) == len(texts)
    assert max(map(len, names.values())) <= 76
    assert names["a cat\n on a mat"] == "a cat on a mat"
