"""Tables of the study itself: design, votes kept out, checklist."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts import prose, wording
from analysis.report.parts.table import Column, Table

__all__ = ["checklist_table", "design_table", "kept_out_table"]


def design_table(report: Mapping) -> Table:
    """Return table 1: who answered what, how often, about which images."""
    data, study = report["data"], report["study"]
    facts = [
        ("Study", study.get("title") or ", ".join(data["studies"]) or None),
        ("Question", study.get("question")),
        ("Criteria", study.get("criteria")),
        ("Arms", ", ".join(data["arms"]) or None),
        ("Arms made but not compared", study.get("arms_not_compared")),
        ("Raters", wording.count(data["raters"])),
        ("Image pairs", wording.count(data["pairs"])),
        ("Classes", wording.count(data["classes"] or None)),
        ("Votes in the estimates", wording.count(data["votes"])),
        ("Ties among them", wording.count(data["ties"])),
        ("Votes kept out", wording.count(sum(data["excluded"].values()))),
        ("Votes per rater", wording.spread(data["votes_per_rater"])),
        ("Votes per pair", wording.spread(data["votes_per_pair"])),
        ("First and last vote", f"{data['first_vote']} to {data['last_vote']}" if data["first_vote"] else None),
        ("Recruitment", study.get("recruitment")),
        ("Payment", study.get("payment")),
        *_times(report["composition"]),
        ("Instructions", study.get("instructions")),
        ("Side randomisation", study.get("side_randomisation")),
        ("Images of a pair", study.get("images")),
        ("Ties offered", study.get("ties_offered")),
        ("Attention checks", study.get("attention_checks")),
        ("Looks at the data", prose.looks(report["plan"])),
    ]
    if study.get("beyond_choice"):
        facts.insert(-2, ("Asked beyond the choice", study["beyond_choice"]))
    rows = [{"fact": fact, "value": wording.fact(value) or wording.NOT_STATED} for fact, value in facts]
    # Reports that an earlier version stored say neither.
    if unknown := report["data"].get("unknown"):
        rows.append({"fact": "Not recorded", "value": "; ".join(unknown)})
    return Table("design", "Design of the study", (Column("fact", "Fact"), Column("value", "Value")), rows)


def _times(composition: Mapping) -> list[tuple[str, str]]:
    """Return how long a visit took and what an hour paid, as far as the raters' table and the payment tell."""
    minutes, pay = composition["minutes"], composition["pay_per_hour"]
    told = [] if minutes is None else [("Minutes a visit, median", wording.decimal(minutes, digits=1))]
    return told if pay is None else [*told, ("Payment by the hour", wording.decimal(pay, digits=2))]


def kept_out_table(report: Mapping) -> Table | None:
    """Return the votes kept out of the estimates by rule, or None when every vote counts."""
    data = report["data"]
    rows = [{"rule": rule, "votes": number} for rule, number in data["excluded"].items()]
    rows += [{"rule": f"bad row dropped: {column}", "votes": number} for column, number in data["bad_rows"].items()]
    rows += [
        {"rule": f"record without a vote: {why}", "votes": number} for why, number in data.get("left_out", {}).items()
    ]
    if not rows:
        return None
    columns = (Column("rule", "Rule", "kept_out"), Column("votes", "Votes", "count"))
    note = "A vote is counted under the first rule that applies to it."
    return Table("kept_out", "Votes kept out of the estimates", columns, rows, note)


def checklist_table(report: Mapping) -> Table:
    """Return the reporting checklist."""
    rows = [{**item, "answer": item["answer"] or wording.NOT_STATED} for item in report["text"]["checklist"]]
    columns = (Column("part", "Part"), Column("item", "A reader must learn"), Column("answer", "Answer"))
    return Table("checklist", "Reporting checklist", columns, rows, note="Items after Otani et al., CVPR 2023.")
