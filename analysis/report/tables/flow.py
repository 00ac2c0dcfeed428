"""Tables of the flow of raters, and of what was planned beside what was reached."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts.table import Column, Table
from analysis.report.parts.wording import count

__all__ = ["flow_table", "planned_table"]


def flow_table(report: Mapping) -> Table | None:
    """Return the steps with who left before the next, or None where the platform gave no flow."""
    steps = report["flow"]["steps"]
    if not steps:
        return None
    rows = []
    for step in steps:
        rows.append({"step": step["name"], "raters": step["raters"]})
        rows += [{"step": f"– {cause}", "raters": n} for cause, n in step["left"].items()]
    columns = (Column("step", "Raters who"), Column("raters", "Raters", "count"))
    note = "Lines that begin with a dash count raters who left before the next step."
    if partial := report["flow"].get("partial"):
        note += f" The analysis also counts {count(partial, 'rater')} who stopped before the end, by the answers given."
    return Table("flow", "Flow of raters", columns, rows, note)


def planned_table(report: Mapping) -> Table | None:
    """Return votes and raters as planned and as reached, with the dates and the reason given for closing."""
    flow = report["flow"]
    if not flow["planned"]:
        return None
    rows = [
        {"what": what, "planned": flow["planned"].get(key), "reached": flow["reached"].get(key)}
        for what, key in (("Raters", "raters"), ("Votes", "votes"))
    ]
    columns = (Column("what", ""), Column("planned", "Planned", "count"), Column("reached", "Reached", "count"))
    dates = flow["dates"] or {}
    note = f"Opened {dates.get('opened') or 'not stated'}, closed {dates.get('closed') or 'not yet'}"
    if dates.get("closing_reason"):
        note += f"; reason given for closing: {dates['closing_reason']}"
    return Table("planned", "Planned and reached", columns, rows, f"{note}.")
