"""Tables of several criteria: the verdict by each, how they hang together, how their checks went."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts.table import Column, Table, versus
from analysis.report.parts.wording import key_in_words
from analysis.report.tables.verdicts import LONGEST, verdict_cells, verdict_columns

__all__ = ["criteria_tables"]


def criteria_tables(report: Mapping) -> list[Table]:
    """Return the tables of the report's ``criteria``; none where the study asked one question."""
    section = report.get("criteria")
    if section is None:
        return []
    return [_verdicts(section), _together(section), _checks(section)]


def _verdicts(section: Mapping) -> Table:
    rows = [
        {"line": entry["criterion"], "compared": versus(comparison), **verdict_cells(comparison)}
        for entry in section["criteria"]
        for comparison in entry["comparisons"]
    ]
    note = (
        f"The plan tests {key_in_words(section['headline'])} alone; the other criteria are one family, adjusted by "
        "Holm. Their intervals are at the level of each one's step."
        if section["is_planned"]
        else "No plan names a headline criterion: all criteria and comparisons are one family (Bonferroni)."
    )
    columns = (
        Column("line", "Criterion", "key"),
        Column("compared", "Comparison"),
        *verdict_columns("Adjusted 95 % interval"),
    )
    return Table("criteria", "Verdict by each criterion", columns, rows, note, longest=LONGEST)


def _together(section: Mapping) -> Table:
    names = {
        "over_pairs": "correlation over pairs",
        "over_raters": "correlation over raters",
        "halo": "agreement within a rater beyond the pairs'",
    }
    rows = [
        {"line": " and ".join(entry["criteria"]), "compared": versus(entry), "what": said, **entry[name]}
        for entry in section["together"]
        for name, said in names.items()
    ]
    columns = (
        Column("line", "Criteria", "key"),
        Column("compared", "Comparison"),
        Column("what", "What"),
        Column("estimate", "Value", "number"),
        Column("ci95", "95 % interval", "number_interval"),
        Column("n_raters", "Raters", "count"),
        Column("n_pairs", "Pairs", "count"),
        Column("reason", "Note", "remark"),
    )
    note = (
        "Over pairs: do the criteria favour the same pairs' images? Over raters: do raters who lean to an arm by one "
        "lean to it by the other? Noise in rates of few votes draws both towards 0. The last is halo: by how much more "
        "often a rater says the same by both criteria than another rater of the same pair does; 0 is none."
    )
    return Table("criteria_together", "How the criteria hang together", columns, rows, note)


def _checks(section: Mapping) -> Table:
    rows = [
        {
            "line": entry["criterion"],
            "degraded": entry["checks"]["degraded"]["shown"],
            "degraded_failed": entry["checks"]["degraded"]["failed"],
            "identical": entry["checks"]["identical"]["shown"],
            "identical_failed": entry["checks"]["identical"]["failed"],
        }
        for entry in section["criteria"]
    ]
    columns = (
        Column("line", "Criterion", "key"),
        Column("degraded", "Spoilt copies shown", "count"),
        Column("degraded_failed", "of these preferred", "count"),
        Column("identical", "Identical images shown", "count"),
        Column("identical_failed", "of these decided", "count"),
    )
    note = "What is spoilt need not be worse by every criterion: read failures by each of them."
    return Table("criteria_checks", "Checks by criterion", columns, rows, note)
