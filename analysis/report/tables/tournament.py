"""The table of coverage and circles of several arms."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts import wording
from analysis.report.parts.table import Column, Table

__all__ = ["tournament_table"]

_NOTE = (
    "A circle: of three arms each was chosen more often than the next. The strengths put all arms on one line, where "
    "circles come from close comparisons alone; more than expected mean that one line does not hold the arms. In the "
    "expectation votes count for fewer, since those of one rater or pair go together."
)


def tournament_table(report: Mapping) -> Table | None:
    """Return which comparisons have votes and whether majorities run in circles, or None with fewer than three arms."""
    # A report that an earlier version stored has none.
    section = report.get("tournament") or {}
    coverage, cycles = section.get("coverage"), section.get("cycles")
    if coverage is None or cycles is None:
        return None
    votes = ", ".join(
        f"{name} {coverage[name]:g}" for name in ("fewest", "median", "most") if coverage[name] is not None
    )
    facts = [
        ("Comparisons with votes", f"{coverage['compared']:,} of {coverage['comparisons']:,}"),
        ("Votes a comparison", votes or "none"),
        ("Not compared", _listed(coverage["not_compared"], coverage["comparisons"] - coverage["compared"], " and ")),
        ("Circles among sets of three arms", f"{cycles['observed']:,} of {cycles['triples']:,}"),
        ("Circles expected", wording.decimal(cycles["expected"], digits=1) or "not computed"),
        ("p, as many circles or more", wording.p_value(cycles["p_value"])),
        ("Circles", _listed([[*names, names[0]] for names in cycles["examples"]], cycles["observed"], " over ")),
    ]
    rows = [{"fact": fact, "value": value} for fact, value in facts if value]
    note = _NOTE if cycles["reason"] is None else f"{_NOTE} No expectation: {cycles['reason']}."
    return Table("tournament", "Coverage and circles", (Column("fact", "Fact"), Column("value", "Value")), rows, note)


def _listed(groups: list[list[str]], total: int, between: str) -> str:
    more = f"; {total - len(groups):,} more" if total > len(groups) else ""
    return "; ".join(between.join(names) for names in groups) + more
