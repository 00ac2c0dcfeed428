"""Coverage of comparisons and circles of majorities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.ranking.strengths import bradley_terry, davidson
from analysis.ranking.tournament import _circular, _triples, coverage_of, cycles_of
from tests.analysis.votes_factory import make_table


def duels(shares, *, votes=40, raters=20):
    """Votes between arms: ``shares[one, other]`` of them for ``one``, sides alternating."""
    rows = []
    for (one, other), share in shares.items():
        for vote in range(votes):
            chosen = one if vote < share * votes else other
            left, right = (one, other) if vote % 2 else (other, one)
            rows.append((f"r{vote % raters}", f"p{vote}", left, right, "left" if chosen == left else "right"))
    return make_table(rows)


CIRCLE = {("a", "b"): 0.8, ("b", "c"): 0.8, ("c", "a"): 0.8}
LINE = {("a", "b"): 0.8, ("b", "c"): 0.8, ("a", "c"): 0.9}


def test_circular_triples_are_counted_as_by_hand():
    rng = np.random.default_rng(1)
    for _ in range(20):
        decided = np.triu(rng.random((7, 7)) < 0.8, 1)
        ahead = rng.random((7, 7)) < 0.5
        beats = (decided & ahead) | (decided & ~ahead).T
        by_hand = sum(
            (beats[a, b] and beats[b, c] and beats[c, a]) or (beats[b, a] and beats[c, b] and beats[a, c])
            for a, b, c in itertools.combinations(range(7), 3)
        )
        either = beats | beats.T
        whole = sum(either[a, b] and either[b, c] and either[a, c] for a, b, c in itertools.combinations(range(7), 3))
        assert (_circular(beats), _triples(beats)) == (by_hand, whole)


def test_a_strong_circle_is_more_than_chance_makes_and_is_named():
    found = cycles_of(bradley_terry(duels(CIRCLE), bootstrap=0))
    assert (found.triples, found.observed) == (1, 1)
    assert found.examples == (("a", "b", "c"),)
    assert found.expected < 0.4


def test_many_circles_are_significant_and_a_line_has_none():
    shares = {}
    for group in range(3):
        names = [f"{letter}{group}" for letter in "abc"]
        shares |= {(names[at], names[(at + 1) % 3]): 0.95 for at in range(3)}
    shares |= {("a0", "a1"): 0.9, ("a1", "a2"): 0.9, ("a0", "a2"): 0.9, ("a2", "b0"): 0.5, ("b1", "a0"): 0.3}
    found = cycles_of(bradley_terry(duels(shares), bootstrap=0))
    assert found.observed >= 3
    assert found.p_value < 0.05
    line = cycles_of(bradley_terry(duels(LINE), bootstrap=0))
    assert (line.observed, line.p_value) == (0, 1.0)


def test_circles_that_chance_makes_are_seldom_called_surprising():
    surprising = []
    for seed in range(40):
        scenario = Scenario(
            raters=20, pairs=40, votes_per_rater=30, strengths={f"arm {n}": 0.05 * n for n in range(6)}, seed=seed
        )
        surprising.append(cycles_of(bradley_terry(simulate_votes(scenario), bootstrap=0), seed=seed).p_value <= 0.05)
    assert np.mean(surprising) <= 0.125


def test_an_arm_without_a_finite_strength_leaves_the_expectation_out():
    found = cycles_of(bradley_terry(duels(LINE | {("d", "a"): 1.0, ("d", "b"): 1.0, ("d", "c"): 1.0}), bootstrap=0))
    assert found.expected is None
    assert "no finite strength" in found.reason


def test_coverage_counts_comparisons_and_names_those_without_votes():
    found = coverage_of(davidson(duels({("a", "b"): 0.6, ("b", "c"): 0.6, ("c", "d"): 0.4}), bootstrap=0))
    assert (found.comparisons, found.compared) == (6, 3)
    assert (found.fewest, found.median, found.most) == (40, 40.0, 40)
    assert found.not_compared == (("a", "c"), ("a", "d"), ("b", "d"))


def test_two_arms_have_no_set_of_three():
    found = cycles_of(bradley_terry(duels({("a", "b"): 0.6}), bootstrap=0))
    assert found.triples == 0
    assert found.p_value is None


def test_votes_that_are_all_ties_have_no_circles():
    rows = [(f"r{n % 4}", f"p{n}", *names, "tie") for names in ("ab", "bc", "ac") for n in range(8)]
    found = cycles_of(bradley_terry(make_table(rows), bootstrap=0))
    assert (found.triples, found.expected) == (0, None)


@pytest.mark.parametrize("seed", [0, 7])
def test_same_seed_same_answer(seed):
    ranking = bradley_terry(duels(CIRCLE), bootstrap=0)
    assert cycles_of(ranking, seed=seed) == cycles_of(ranking, seed=seed)
