"""Tables of the arms: votes won, image metrics, strengths, win matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.metric_names import metric_name
from analysis.report.parts import wording
from analysis.report.parts.table import Column, Table, result_columns, shows_all, versus
from analysis.report.tables.metrics import metrics_tables

__all__ = ["arms_tables"]

# What stands beside the votes; the other metrics have a table of their own, where their remarks stand with them.
_BESIDE_VOTES = ("fid", "frechet_distance")
# A page is wide enough for a column an arm up to so many; the figure and the files show more.
_WIDEST = 8
_MODEL_NAMES = {
    "bradley_terry": "Bradley-Terry (ties left out), log-odds",
    "davidson": "Davidson (ties modelled), log-odds",
    "thurstone_case_v": "Thurstone Case V (ties left out), JOD",
}


def arms_tables(report: Mapping) -> list[Table]:
    """Return the tables of counts, of image metrics, and from three arms on of strengths."""
    tables = [_counts(report), _arms(report), *metrics_tables(report)]
    if len(report["data"]["arms"]) > 2 and report["ranking"]:
        tables += [_strengths(name, report["ranking"][name]) for name in _MODEL_NAMES]
        wins, contrasts = _wins(report["ranking"]["davidson"]), _contrasts(report["ranking"]["bradley_terry"])
        if len(report["data"]["arms"]) > _WIDEST:
            wins, contrasts = replace(wins, longest=0), replace(contrasts, longest=0)
        tables += [wins, contrasts]
    if report["ranking"]:
        tables.append(_tie_model(report["ranking"]["davidson"]))
    return [table for table in tables if table is not None]


def _counts(report: Mapping) -> Table:
    rows = []
    for comparison in report["comparisons"]:
        counts = comparison["counts"]
        rows.append({"line": versus(comparison), **counts, "votes": sum(counts.values())})
    columns = (Column("line", "Comparison"), *_count_columns())
    return Table("counts", "Wins, losses and ties", columns, rows, longest=60 if shows_all(report) else 0)


def _count_columns() -> tuple[Column, ...]:
    return tuple(Column(key, key.capitalize(), "count") for key in ("wins", "losses", "ties", "votes"))


def _arms(report: Mapping) -> Table:
    """Table 3: what each arm won over all its comparisons, beside its image metrics."""
    rows = []
    metrics = report["image_metrics"]
    for arm in report["data"]["arms"]:
        won = {"wins": 0, "losses": 0, "ties": 0}
        for comparison in report["comparisons"]:
            counts = comparison["counts"]
            if arm == comparison["arm"]:
                turned = counts
            elif arm == comparison["baseline"]:
                turned = {"wins": counts["losses"], "losses": counts["wins"], "ties": counts["ties"]}
            else:
                continue
            won = {key: won[key] + turned[key] for key in won}
        votes = sum(won.values())
        rate = (won["wins"] + won["ties"] / 2) / votes if votes else None
        values = {name: metric.get("value") for name, metric in metrics.get(arm, {}).items()}
        remark = _metric_remark(metrics.get(arm, {}))
        rows.append({"line": arm, **won, "votes": votes, "rate": rate, **values, "reason": remark})
    measured = [name for name in _BESIDE_VOTES if any(row.get(name) is not None for row in rows)]
    columns = (
        Column("line", "Arm"),
        *_count_columns(),
        Column("rate", "Share of votes, ties split", "rate"),
        *(Column(name, metric_name(name), "metric") for name in measured),
        *([Column("reason", "Note", "remark")] if measured else []),
    )
    note = "Shares of votes are counts, without interval: the comparisons above hold the estimates."
    return Table("arms", "Arms: votes and image metrics", columns, rows, note)


def _metric_remark(metrics: Mapping) -> str | None:
    """Say what a metric beside the votes rests on: images, network, spread over seeds."""
    said = []
    for name in _BESIDE_VOTES:
        metric = metrics.get(name, {})
        if metric.get("value") is not None:
            network = (metric.get("features") or {}).get("name")
            facts = (wording.count(metric.get("n") or None, "image"), network, metric.get("reason"))
            said.append(f"{metric_name(name)}: {', '.join(fact for fact in facts if fact)}")
    return "; ".join(said) or None


def _strengths(name: str, ranking: Mapping) -> Table:
    columns = (
        Column("arm", "Arm"),
        Column("strength", "Strength", "number"),
        Column("ci95", "95 % interval, clustered", "number_interval"),
        Column("quasi_se_clustered", "Quasi-SE, clustered", "number"),
        Column("se_clustered", "SE, clustered", "number"),
        Column("se", "SE, votes independent", "number"),
        Column("rank", "Rank", "count"),
        Column("rank_interval", "Ranks not excluded", "whole_interval"),
        Column("reason", "Note", "remark"),
    )
    rows = sorted(ranking["arms"], key=lambda arm: (arm["rank"] is None, arm["component"], arm["rank"], arm["arm"]))
    note = f"{ranking['method']}. Ranks overlap where Holm-adjusted contrasts do not separate two arms."
    if ranking["equality"]:
        note += f" {_equality(ranking['equality'])}"
    if ranking["reason"]:
        note += f" {ranking['reason']}."
    return Table(f"strengths_{name}", f"Strengths: {_MODEL_NAMES[name]}", columns, rows, note)


def _equality(test: Mapping) -> str:
    """Return the tests that all strengths are equal in words, the clustered one first."""
    ratio = f"likelihood ratio {wording.decimal(test['likelihood_ratio'], digits=1)} on {test['df']}"
    ratio += f" degrees of freedom, {wording.p_text(test['p_value'])}, with votes taken as independent"
    if test["wald_f"] is None:
        return f"All strengths equal: {ratio}."
    f_test = f"F({test['df']}, {test['wald_df']}) = {wording.decimal(test['wald_f'], digits=2)}, clustered"
    return f"All strengths equal: {f_test}, {wording.p_text(test['wald_p_value'])}; {ratio}."


def _wins(ranking: Mapping) -> Table:
    arms = [arm["arm"] for arm in ranking["arms"]]
    rows = []
    for place, arm in enumerate(arms):
        won = ranking["wins"][place]
        cells = {f"over {other}": won[at] for at, other in enumerate(arms) if at != place}
        rows.append({"line": arm, **cells, "tied": sum(ranking["ties"][place])})
    columns = (
        Column("line", "Arm"),
        *(Column(f"over {arm}", arm, "count") for arm in arms),
        Column("tied", "Ties, all opponents", "count"),
    )
    return Table("win_matrix", "How often the row's arm was chosen over the column's", columns, rows)


def _contrasts(ranking: Mapping) -> Table:
    rows = [
        {
            "line": f"{contrast['arm']} minus {contrast['other']}",
            **contrast["difference"],
            "p_adjusted": contrast["p_adjusted"],
        }
        for contrast in ranking["contrasts"]
    ]
    estimate, interval, p_value, *counts = result_columns("Difference", rate=False)
    columns = (
        Column("line", "Contrast"),
        estimate,
        interval,
        p_value,
        Column("p_adjusted", "p, Holm", "p"),
        *counts,
    )
    return Table("contrasts", "Differences of Bradley-Terry strengths, log-odds", columns, rows)


def _tie_model(ranking: Mapping) -> Table:
    rows = [
        {"line": "Tie parameter nu (Davidson)", **ranking["nu"]},
        {"line": "Advantage of the left image, log-odds", **ranking["position"]},
    ]
    columns = (Column("line", "Parameter"), *result_columns("Estimate", rate=False))
    note = "nu = ties / sqrt(wins × losses) for two arms of equal sides: 0 without ties, larger with more."
    return Table("ties", "Model of the ties", columns, rows, note)
