"""Exclusions that the rules of a study propose from its votes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from survey.criteria import headline_of
from survey.exceptions import ResultsHidden
from survey.models import Exclusion, RaterSession, Study
from survey.reports.report import votes_export
from survey.selectors.version import version_current
from survey.services.results.exclusion import Proposal
from survey.services.results.report_build import are_results_hidden

__all__ = ["exclusion_proposals", "planned_rules", "rules_that_wait"]

if TYPE_CHECKING:
    pass


def planned_rules(study: Study) -> list[dict]:
    """Return the exclusion rules of the study's frozen plan."""
    version = version_current(study)
    return version.config["analysis"]["exclusion_rules"] if version else []


def planned_criterion(study: Study) -> str | None:
    """Return the headline criterion of the study's frozen plan."""
    version = version_current(study)
    return (headline_of(version.config) if version else "") or None


def rules_that_wait(study: Study) -> list[str]:
    """Return the names of the rules that nobody may ask yet, because they read preferences that are hidden."""
    from analysis.raters.screening import RULES

    return [name for name, rule in RULES.items() if rule.reads_preferences] if are_results_hidden(study) else []


def _without_preferences(rules: list[dict]) -> list[dict]:
    """Return all rules that may be asked where none is named, and the named ones if all of them may."""
    from analysis.raters.screening import RULES

    if not rules:
        return [{"rule": name} for name, rule in RULES.items() if not rule.reads_preferences]
    waiting = [entry["rule"] for entry in rules if entry["rule"] in RULES and RULES[entry["rule"]].reads_preferences]
    if waiting:
        raise ResultsHidden(
            f"{', '.join(waiting)}: this rule looks at which image was chosen, and results are hidden until the study "
            "is closed. Apply it then."
        )
    return rules


def exclusion_proposals(study: Study, *, rules: list[dict] | None = None, is_pilot: bool = False) -> list[Proposal]:
    """Return the sessions that the rules would exclude: the frozen plan's rules, or every rule where ``rules`` is [].

    The rules look at the exported table, so that anybody can repeat them on it. A rater with several sessions is
    excluded with all of them, or with all but the first where only coming again was wrong.

    While results are hidden, rules that read preferences wait: what they measure after each vote tells the vote.

    Raises
    ------
    ResultsHidden
        If such a rule is named.
    """
    from analysis.raters.screening import RULES, flagged_raters, screen
    from analysis.votes.reading import read_votes

    is_hidden = are_results_hidden(study, is_pilot=is_pilot)
    if rules is None:
        rules = planned_rules(study)
        rules = [entry for entry in rules if not (is_hidden and RULES[entry["rule"]].reads_preferences)]
        if not rules:
            return []
    elif is_hidden:
        rules = _without_preferences(rules)
    # Through the exported file, as the report reads it: rules must see what a reader of the data sees.
    with tempfile.TemporaryDirectory() as folder:
        if not votes_export(study, Path(folder), is_pilot=is_pilot)["resources"][0]["rows"]:
            return []
        read = read_votes(Path(folder) / "votes.csv")
    screened = screen(read.table, rules or None, criterion=planned_criterion(study))
    parameters = {entry["rule"]: entry.get("parameters") for entry in rules}
    values = {(row.rater, row.rule): row.value for row in screened}
    sessions: dict[str, list] = {}
    rows = RaterSession.objects.filter(version__study=study, is_pilot=is_pilot).order_by("started_at", "pk")
    for rater, session in rows.values_list("rater_id", "pk"):
        sessions.setdefault(str(rater), []).append(session)
    live = set(
        Exclusion.objects.filter(session__version__study=study, revoked_at__isnull=True).values_list(
            "session_id", "rule"
        )
    )
    proposals = []
    for rater, names in flagged_raters(screened).items():
        for name in names:
            rule = RULES[name]
            caption = rule.described(parameters.get(name))
            value = values[rater, name]
            measured = "" if value is None else f"; measured {value:.4g}"
            for session_id in sessions.get(rater, [])[int(rule.keeps_first_visit) :]:
                proposals.append(
                    Proposal(
                        session_id=session_id,
                        rule=name,
                        rule_version=rule.version,
                        reason=caption + measured,
                        is_in_force=(session_id, name) in live,
                    )
                )
    return proposals
