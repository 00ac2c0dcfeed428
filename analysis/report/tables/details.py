"""Tables of position bias, agreement, consistency, sensitivity, screening, and of image metrics over classes."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.metric_names import metric_name
from analysis.report.parts.table import Column, Table, result_columns, versus

__all__ = ["detail_tables"]

_AGREEMENT = {
    "krippendorff_alpha": "Krippendorff's alpha",
    "krippendorff_alpha_with_ties": "Krippendorff's alpha, ties as a value",
    "fleiss_kappa": "Fleiss' kappa",
    "gwet_ac1": "Gwet's AC1",
    "majority_share": "Share of pairs with a majority above 2/3",
    "split_half_correlation": "Split-half correlation of pair rates",
}
_CONSISTENCY = {
    "same_answer": "Same answer on a repeated pair with sides swapped",
    "kappa": "Kappa of first and repeated answer",
}


def detail_tables(report: Mapping) -> list[Table]:
    """Return the tables about the votes' quality."""
    tables = [
        _position(report),
        _agreement(report),
        _consistency(report),
        _sensitivity(report),
        _screening(report),
        _screened_raters(report),
        _metric_correlations(report),
    ]
    return [table for table in tables if table is not None]


def _position(report: Mapping) -> Table:
    bias = report["position_bias"]
    rows = [{"line": "Share of decisive votes for the left image", **bias["left_rate"]}]
    if bias["adjusted_rate"] is not None:
        rows.append({"line": "Preference rate, mean of the rates by side", **bias["adjusted_rate"]})
    return Table("position", "Position bias", (Column("line", "Quantity"), *result_columns()), rows)


def _agreement(report: Mapping) -> Table | None:
    if report["agreement"] is None:
        return None
    note = f"{report['agreement']['note']}.".capitalize()
    # The remark that stands below all rows need not stand in each.
    repeated = report["agreement"]["note"]
    rows = []
    for name, label in _AGREEMENT.items():
        result = report["agreement"][name]
        reason = None if result["reason"] == repeated else result["reason"]
        rows.append({"line": label, **result, "reason": reason})
    columns = (Column("line", "Measure"), *result_columns("Value", rate=False))
    return Table("agreement", "Agreement between raters", columns, rows, note)


def _consistency(report: Mapping) -> Table:
    rows = [{"line": label, **report["consistency"][name]} for name, label in _CONSISTENCY.items()]
    columns = (Column("line", "Measure"), *result_columns("Value", rate=False))
    return Table("consistency", "Consistency within raters", columns, rows)


def _sensitivity(report: Mapping) -> Table | None:
    if not report["sensitivity"]:
        return None
    comparison = report["comparisons"][0]
    rows = [{**variant, "line": variant["description"]} for variant in report["sensitivity"]]
    columns = (Column("line", "Variant"), *result_columns())
    title = f"Preference for {versus(comparison)} under other choices"
    note = "The first row is the headline. The others show how far it hangs on one choice; none replaces it."
    return Table("sensitivity", title, columns, rows, note)


def _screening(report: Mapping) -> Table | None:
    summary = report["screening_summary"]
    if not summary["rules"]:
        return None
    columns = (
        Column("rule", "Rule", "rule"),
        Column("description", "Flags raters by"),
        Column("measured", "Raters measured", "count"),
        Column("flagged", "Raters flagged", "count"),
    )
    note = (
        "The rules and limits were fixed in the plan. "
        if summary["is_planned"]
        else "No plan fixed these rules: they use default limits and stand here for information. "
    )
    note += (
        "A flag alone excludes nobody from this report; the table of variants shows the rate without flagged raters."
    )
    return Table("screening", "Careless answering, by rule", columns, summary["rules"], note)


def _screened_raters(report: Mapping) -> Table | None:
    rows = [{**row, "flagged": "yes" if row["flagged"] else "no"} for row in report["screening"]]
    if not rows:
        return None
    rows.sort(key=lambda row: row["flagged"] == "no")
    columns = (
        Column("rater", "Rater"),
        Column("rule", "Rule", "rule"),
        Column("value", "Value", "number"),
        Column("flagged", "Flagged"),
        Column("reason", "Note", "remark"),
    )
    flagged = sum(row["flagged"] == "yes" for row in rows)
    title = "Raters under the screening rules, flagged ones first"
    return Table("screened_raters", title, columns, rows, longest=min(flagged, 60), is_listing=True)


def _metric_correlations(report: Mapping) -> Table | None:
    rows = [
        {"line": f"{metric_name(entry['metric'])}: {versus(entry)}", **entry} for entry in report["metric_correlations"]
    ]
    if not rows:
        return None
    columns = (Column("line", "Metric, difference of the arms"), *result_columns("Correlation", rate=False))
    note = (
        "Spearman's rank correlation, over classes, of the preference rate with the arm's metric less the baseline's. "
        "Where a lower metric is better, a negative correlation says that raters agree with it."
    )
    return Table("metric_correlations", "Preference and image metrics over classes", columns, rows, note)
