"""The table of verdicts: every comparison of several arms, decided as one family; and what any such table says."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts import wording
from analysis.report.parts.table import Column, Table, versus

__all__ = ["LONGEST", "verdict_cells", "verdict_columns", "verdicts_table"]

KIND_NAMES = {
    "preferred": "{preferred} preferred",
    "preferred_within_margin": "{preferred} preferred, within the margin",
    "equivalent": "equivalent",
    "undecided": "undecided",
    "depends_on_group": "depends on the group",
    "not_interpretable": "not interpretable",
}
# Rows of a table of verdicts in the report; its files hold all.
LONGEST = 250


def verdicts_table(report: Mapping) -> Table | None:
    """Return the verdict on every comparison, the settled ones first; None with fewer than two comparisons."""
    comparisons = report["comparisons"]
    if len(comparisons) < 2:
        return None
    rows = [{"line": versus(comparison), **verdict_cells(comparison)} for comparison in comparisons]
    rows.sort(key=lambda row: (row["p_adjusted"] is None, row["p_adjusted"]))
    family = report["verdict"]["family"]
    note = (
        f"Intervals and p-values hold for all {wording.count(family['size'], 'comparison')} together (Bonferroni)."
        if family["scope"] == "all"
        else "The plan's primary comparison is tested alone; the others are adjusted as one family (Bonferroni)."
    )
    columns = (Column("line", "Comparison"), *verdict_columns("Simultaneous 95 % interval"))
    return Table("verdicts", "Verdict on every comparison", columns, rows, note, longest=LONGEST)


def verdict_cells(comparison: Mapping) -> dict:
    """Return what a table says of the verdict on a comparison, under the keys of :func:`verdict_columns`."""
    verdict = comparison["verdict"]
    return {
        "verdict": KIND_NAMES[verdict["kind"]].format(preferred=verdict["preferred"]),
        "rate": verdict["rate"],
        "ci_simultaneous": verdict["ci_simultaneous"],
        "p_adjusted": verdict["p_adjusted"],
        "votes": sum(comparison["counts"].values()),
        "reason": " ".join(verdict["warnings"]) or None,
    }


def verdict_columns(interval: str) -> tuple[Column, ...]:
    """Return the columns of a verdict, its interval under the name given."""
    return (
        Column("verdict", "Verdict"),
        Column("rate", "Rate", "rate"),
        Column("ci_simultaneous", interval, "rate_interval"),
        Column("p_adjusted", "p, adjusted", "p"),
        Column("votes", "Votes", "count"),
        Column("reason", "Note", "remark"),
    )
