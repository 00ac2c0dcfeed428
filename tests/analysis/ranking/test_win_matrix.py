"""Votes counted by arms, outcome and cluster."""

import numpy as np
import pytest

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.ranking.win_matrix import OUTCOMES, compare


@pytest.mark.parametrize("clusters", [3, 200])
def test_votes_of_few_and_of_many_clusters_are_counted_alike(clusters):
    votes = simulate_votes(Scenario(raters=10, pairs=30, tie_rate=0.2))
    data = compare(votes, ties=True)
    cluster = np.random.default_rng(1).integers(0, clusters, len(votes))
    counted = np.zeros((clusters, len(data.left) * OUTCOMES))
    for vote, group in enumerate(cluster):
        counted[group, data.vote_cell[vote] * OUTCOMES + data.vote_outcome[vote]] += 1
    found = data.cluster_counts(cluster, clusters)
    assert found.toarray().tolist() == counted.tolist()
    # No zero is stored: what is added up, and in which order, does not depend on how the votes were counted.
    assert found.nnz == np.count_nonzero(counted)
