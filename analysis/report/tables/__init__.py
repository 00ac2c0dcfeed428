"""The tables of a report."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts.table import Table
from analysis.report.tables.arms import arms_tables
from analysis.report.tables.details import detail_tables
from analysis.report.tables.flow import flow_table, planned_table
from analysis.report.tables.influence import influence_table, left_out_table
from analysis.report.tables.people import composition_table, judges_table, powered_table
from analysis.report.tables.preference import comparison_tables
from analysis.report.tables.study import checklist_table, design_table, kept_out_table
from analysis.report.tables.tidy import estimate_table

__all__ = ["all_tables", "estimate_table"]


def all_tables(report: Mapping) -> list[Table]:
    """Return the tables that pages show and LaTeX holds, in reading order; the names are unique."""
    tables = [design_table(report), flow_table(report), planned_table(report), kept_out_table(report)]
    for number, comparison in enumerate(report["comparisons"]):
        tables += comparison_tables(comparison, number=number, is_anytime=report["plan"].get("looks") == "anytime")
    tables += [
        composition_table(report),
        judges_table(report),
        powered_table(report),
        *arms_tables(report),
        *detail_tables(report),
        influence_table(report),
        left_out_table(report),
    ]
    tables += [checklist_table(report)]
    return [table for table in tables if table is not None]
