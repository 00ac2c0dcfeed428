"""Reference answers of scipy, statsmodels, krippendorff and choix on the stored tables.

``python tests/data/analysis/python_references.py`` reads ``tables/*.csv`` beside it and writes
``python_references.json``. Two arms are robust and vanilla; choix takes every arm of a table.
"""

import json
from importlib.metadata import version
from pathlib import Path

import choix
import krippendorff
import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

HERE = Path(__file__).parent
ARMS = ["robust", "vanilla"]


def votes_of(path: Path) -> pd.DataFrame:
    votes = pd.read_csv(path, dtype=str)
    votes["chosen"] = votes["arm_left"].where(votes["choice"] == "left", votes["arm_right"])
    votes["chosen"] = votes["chosen"].where(votes["choice"] != "tie", "tie")
    return votes


def comparison_of(votes: pd.DataFrame) -> pd.DataFrame:
    comparison = votes[votes["arm_left"].isin(ARMS) & votes["arm_right"].isin(ARMS)].copy()
    comparison["score"] = comparison["chosen"].map({"robust": 1.0, "tie": 0.5, "vanilla": 0.0})
    return comparison


def rater_mean(comparison: pd.DataFrame) -> dict:
    rates = comparison.groupby("rater")["score"].mean()
    answer = stats.ttest_1samp(rates, 0.5)
    low, high = answer.confidence_interval()
    return {"estimate": rates.mean(), "low": low, "high": high, "p_value": answer.pvalue, "df": int(answer.df)}


def decisive(comparison: pd.DataFrame) -> dict:
    wins, losses = int((comparison["score"] == 1.0).sum()), int((comparison["score"] == 0.0).sum())
    answer = stats.binomtest(wins, wins + losses)
    exact = answer.proportion_ci(method="exact")
    return {
        "p_value": answer.pvalue,
        "exact": [exact.low, exact.high],
        "wilson": list(proportion_confint(wins, wins + losses, method="wilson")),
    }


def two_way(comparison: pd.DataFrame) -> dict:
    """Variances before the floor: statsmodels' factor (N - 1) / (N - 1) is 1 for a mean."""
    weights = 1.0 / comparison.groupby("rater")["score"].transform("size")
    raters, pairs = (pd.factorize(comparison[unit])[0] for unit in ("rater", "pair"))
    model = sm.WLS(comparison["score"].to_numpy(), np.ones(len(comparison)), weights=weights.to_numpy())

    def variance(groups: np.ndarray) -> float:
        return float(model.fit(cov_type="cluster", cov_kwds={"groups": groups}).cov_params()[0, 0])

    return {
        "estimate": float(model.fit().params[0]),
        "rater": variance(raters),
        "pair": variance(pairs),
        "both": variance(np.column_stack([raters, pairs])),
    }


def agreement(comparison: pd.DataFrame) -> dict:
    """Units are pairs, second looks left out; Fleiss' kappa where every pair has equally many votes."""
    first = comparison[comparison["is_repeat"] != "true"]
    counts = pd.crosstab(first["pair"], first["chosen"])
    taken = counts.drop(columns="tie", errors="ignore")
    taken = taken[taken.sum(axis=1) > 0]
    loads = counts.sum(axis=1)
    return {
        "alpha": krippendorff.alpha(value_counts=taken.to_numpy(), level_of_measurement="nominal"),
        "alpha_with_ties": krippendorff.alpha(value_counts=counts.to_numpy(), level_of_measurement="nominal"),
        "fleiss_kappa_with_ties": fleiss_kappa(counts.to_numpy()) if loads.nunique() == 1 else None,
    }


def strengths(votes: pd.DataFrame) -> list[float]:
    """choix knows no advantage of the left: every decisive vote enters as it is, whatever the side."""
    kept = votes[votes["chosen"] != "tie"]
    arms = sorted(set(kept["arm_left"]) | set(kept["arm_right"]))
    lost = kept["arm_left"].where(kept["chosen"] == kept["arm_right"], kept["arm_right"])
    data = [(arms.index(won), arms.index(other)) for won, other in zip(kept["chosen"], lost, strict=True)]
    found = choix.opt_pairwise(len(arms), data, tol=1e-12)
    return [float(value) for value in found - found.mean()]


def main() -> None:
    answers = {}
    for path in sorted((HERE / "tables").glob("*.csv")):
        votes = votes_of(path)
        comparison = comparison_of(votes)
        answers[path.stem] = {
            "rater_mean": rater_mean(comparison),
            "decisive": decisive(comparison),
            "two_way": two_way(comparison),
            "agreement": agreement(comparison),
            "strengths": strengths(votes),
        }
    packages = ("numpy", "scipy", "pandas", "statsmodels", "krippendorff", "choix")
    stored = {"versions": {name: version(name) for name in packages}, "answers": answers}
    (HERE / "python_references.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
