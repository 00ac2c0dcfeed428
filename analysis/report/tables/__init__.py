"""The tables of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.report.parts.table import MOST_WHOLE, Table, shows_all
from analysis.report.tables.answers import answers_tables
from analysis.report.tables.arms import arms_tables
from analysis.report.tables.criteria import criteria_tables
from analysis.report.tables.details import detail_tables
from analysis.report.tables.display import display_table
from analysis.report.tables.flow import flow_table, planned_table
from analysis.report.tables.influence import influence_table, left_out_table
from analysis.report.tables.people import composition_table, judges_table, powered_table
from analysis.report.tables.preference import comparison_tables
from analysis.report.tables.study import checklist_table, design_table, kept_out_table
from analysis.report.tables.tidy import estimate_table
from analysis.report.tables.tournament import tournament_table
from analysis.report.tables.verdicts import verdicts_table

__all__ = ["all_tables", "estimate_table"]


def all_tables(report: Mapping) -> list[Table]:
    """Return the tables that pages show and LaTeX holds, in reading order; the names are unique."""
    tables = [design_table(report), flow_table(report), planned_table(report), kept_out_table(report)]
    tables += [verdicts_table(report), *criteria_tables(report)]
    is_anytime = report["plan"].get("looks") == "anytime"
    for number, comparison in enumerate(report["comparisons"]):
        if number and len(report["comparisons"]) > MOST_WHOLE:
            break
        own = comparison_tables(comparison, number=number, is_anytime=is_anytime)
        tables += own if number == 0 or shows_all(report) else [replace(table, longest=0) for table in own]
    tables += [
        *answers_tables(report),
        composition_table(report),
        display_table(report),
        judges_table(report),
        powered_table(report),
        *arms_tables(report),
        tournament_table(report),
        *detail_tables(report),
        influence_table(report),
        left_out_table(report),
    ]
    tables += [checklist_table(report)]
    return [table for table in tables if table is not None]
