"""Every result on one comparison: the same numbers however its models are fitted."""

from __future__ import annotations

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.report.content import comparison as content
from analysis.report.formats.text_files import render_json


def test_models_fitted_one_at_a_time_give_the_same_numbers(monkeypatch):
    """Of millions of votes the two largest models do not stand in memory together."""
    votes = simulate_votes(Scenario(raters=30, pairs=20, tie_rate=0.1, seed=3)).comparison("robust", "vanilla")
    together = content.compare_arms(votes, plan={}, seed=1).as_json()
    fitting, peak = [], []

    def counted(model):
        def fit(comparison):
            fitting.append(model)
            peak.append(len(fitting))
            result = model(comparison)
            fitting.remove(model)
            return result

        return fit

    monkeypatch.setattr(content, "MOST_SIDE_BY_SIDE", 10)
    for name in ("ordinal_mixed", "glmm"):
        monkeypatch.setattr(content, name, counted(getattr(content, name)))
    assert render_json(content.compare_arms(votes, plan={}, seed=1).as_json()) == render_json(together)
    assert peak == [1, 1]
