"""Tables of what raters said beyond the choice: acceptable images, graded preferences, reasons."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts import wording
from analysis.report.parts.table import Column, Table, result_columns, versus

__all__ = ["answers_tables"]


def answers_tables(report: Mapping) -> list[Table]:
    """Return the tables of the report's ``answers``; none where the study asked for the choice alone."""
    section = report.get("answers")
    if section is None:
        return []
    found = [_acceptable(section["acceptable"])] if section["acceptable"] else []
    for number, entry in enumerate(section["strength"] or ()):
        suffix = "" if number == 0 else f"_{number + 1}"
        found += [_grades(entry, suffix), _model(entry, suffix)]
    return [*found, *([_reasons(section["reasons"], report["study"])] if section["reasons"] else [])]


def _acceptable(section: Mapping) -> Table:
    rows = [{"line": f"Acceptable: {entry['arm']}", **entry["result"]} for entry in section["arms"]]
    rows += [
        {"line": f"Difference: {entry['arm']} minus {entry['baseline']}", **entry["result"]}
        for entry in section["differences"]
    ]
    votes = {name: wording.count(number, "vote") for name, number in section["votes"].items()}
    note = (
        f"Both images acceptable in {votes['both']}, the left one alone in {votes['left']}, the right one alone in "
        f"{votes['right']}, neither in {votes['neither']}. "
        "In the preference rate, both and neither without a preference are ties."
    )
    return Table(
        "acceptable", "Share of acceptable images", (Column("line", "Arm"), *result_columns("Share")), rows, note
    )


def _grades(entry: Mapping, suffix: str) -> Table:
    total = sum(row["votes"] for row in entry["counts"])
    rows = [
        {"line": _grade(entry, row["grade"]), "votes": row["votes"], "share": row["votes"] / total}
        for row in sorted(entry["counts"], key=lambda row: -row["grade"])
    ]
    columns = (Column("line", "Answer"), Column("votes", "Votes", "count"), Column("share", "Share", "rate"))
    note = "Grade 1 is the weakest. The headline counts directions alone."
    if entry["without_grade"]:
        note += f" {wording.count(entry['without_grade'], 'vote')} without a grade left out."
    return Table(f"grades{suffix}", f"Strength of the preference, {versus(entry)}", columns, rows, note)


def _grade(entry: Mapping, grade: int) -> str:
    if grade == 0:
        return "No preference"
    return f"{entry['arm'] if grade > 0 else entry['baseline']}, grade {abs(grade)}"


def _model(entry: Mapping, suffix: str) -> Table:
    model = entry["model"]
    levels = [level for level in model["levels"] if level]
    first = levels if 0 in model["levels"] else levels[1:]
    rows = [
        {"line": "Mean grade, ties 0", **entry["mean"]},
        {"line": "Intercept: log-odds for the arm at balanced sides", **model["intercept"]},
        {"line": "Position: log-odds for the arm on the left against on the right", **model["position"]},
        {"line": "Marginal rate of the direction, ties split", **model["marginal_score"]},
        *(
            {"line": f"Threshold below grade {level}, log-odds from no preference", **threshold}
            for level, threshold in zip(first, model["thresholds"], strict=True)
        ),
        {"line": "SD of raters, log-odds", "estimate": model["sd_rater"], "ci95": model["sd_rater_ci95"]},
        {"line": "SD of pairs, log-odds", "estimate": model["sd_pair"], "ci95": model["sd_pair_ci95"]},
    ]
    for row in rows:
        if row["estimate"] is None and not row.get("reason"):
            row["reason"] = model["reason"] or "not identified"
    note = "Cumulative logit of the signed grades, raters and pairs crossed, thresholds symmetric about no preference."
    title = f"Graded preference model, {versus(entry)}"
    return Table(
        f"strength{suffix}", title, (Column("line", "Parameter"), *result_columns("Estimate", rate=False)), rows, note
    )


def _reasons(section: Mapping, study: Mapping) -> Table:
    captions = study.get("reason_captions") or {}
    rows = [
        {
            "line": captions.get(entry["reason"], entry["reason"]),
            "arm": entry["arm"] or "(no preference)",
            "given": entry["votes"],
            **entry["result"],
        }
        for entry in section["rows"]
    ]
    first, interval, _, raters, pairs, votes, remark = result_columns("Share")
    columns = (
        Column("line", "Reason"),
        Column("arm", "Chosen arm"),
        Column("given", "Given", "count"),
        *(first, interval, raters, pairs, votes, remark),
    )
    note = "Of the votes for the arm, the share that gives the reason; a vote may give several."
    if section["reason"]:
        note += f" {section['reason'][0].upper()}{section['reason'][1:]}."
    return Table("reasons", "Reasons for the choice", columns, rows, note)
