"""From a vote table to the report: one mapping with every number, as ``report.json`` holds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from analysis.inference.blas_threads import on_one_blas_thread
from analysis.inference.counts import count_sides, load_summary
from analysis.judges.scores import JudgeScores
from analysis.pairs.groups import by_prompt, by_tag
from analysis.pairs.table import Pairs, with_class_names
from analysis.preference import position
from analysis.preference.per_class import Adjustment
from analysis.ranking.options import ranking_options
from analysis.ranking.results import Ranking
from analysis.ranking.strengths import BOOTSTRAP, bradley_terry, davidson, thurstone_case_v
from analysis.ranking.win_matrix import images_may_be_shared
from analysis.raters.agreement import agreement
from analysis.raters.consistency import consistency
from analysis.raters.screening import screen
from analysis.raters.table import Raters, with_sites
from analysis.report.content.answers import answers_section
from analysis.report.content.checklist import filled_checklist
from analysis.report.content.comparison import compare_arms
from analysis.report.content.composition import composition_section
from analysis.report.content.criteria import criteria_section, other_criteria
from analysis.report.content.data import data_section
from analysis.report.content.directions import directions_of, is_planned_first
from analysis.report.content.display import display_section, size_rows
from analysis.report.content.external_figures import ExternalFigure, given_facts
from analysis.report.content.flow import flow_section
from analysis.report.content.image_metrics import metric_correlations, preference_by_difference
from analysis.report.content.influence import influence_section, influence_sentence
from analysis.report.content.judges import judges_section
from analysis.report.content.metric_differences import differences_section
from analysis.report.content.screening import planned_rules, screening_section, sensitivity_section
from analysis.report.content.texts import texts_of, words_under_titles
from analysis.report.content.tournament import tournament_section
from analysis.report.content.verdicts import (
    careless_raters,
    comparison_verdicts,
    criteria_verdicts,
    study_verdict,
)
from analysis.report.parts.prose import methods_paragraph
from analysis.report.parts.table import MOST_WHOLE
from analysis.report.parts.titles import arm_titles
from analysis.verdict.looks import planned_looks
from analysis.votes.criteria import by_criterion, criteria_in, headline_criterion
from analysis.votes.selection import Selection, select_votes
from analysis.votes.table import Comparison, VoteTable

__all__ = ["SCHEMA", "build_report"]

SCHEMA = "blindpair.report/2"


@on_one_blas_thread
def build_report(
    table: VoteTable,
    *,
    arm: str | None = None,
    baseline: str | None = None,
    criterion: str | None = None,
    plan: Mapping | None = None,
    study: Mapping | None = None,
    provenance: Mapping | None = None,
    image_metrics: Mapping | None = None,
    image_metrics_by_class: Mapping | None = None,
    image_metrics_seen: Mapping | None = None,
    image_metric_differences: Sequence[Mapping] | None = None,
    pair_distances: Mapping[str, float] | None = None,
    figures: Sequence[ExternalFigure] = (),
    data: Mapping | None = None,
    flow: Mapping | None = None,
    raters: Raters | None = None,
    pairs: Pairs | None = None,
    scores: JudgeScores | None = None,
    looks_taken: int | Sequence[float] | None = None,
    covariates: Mapping[str, Mapping[tuple[str, str], float]] | None = None,
    showings: Sequence[Mapping] | None = None,
    seed: int = 0,
) -> dict:
    """Compute every number of the report.

    Parameters
    ----------
    table : VoteTable
        All current votes: excluded, simulated, practice, check and repeat rows included. They are kept out of the
        estimates here, and counted.
    arm, baseline : str or None
        The direction of the first comparison; alphabetical where not given. Arms other than these follow.
    criterion : str or None
        Of votes by several criteria, the one that the report opens with; the plan's where not given, else the first.
        Only the plan's is tested alone.
    plan : mapping or None
        The frozen analysis plan: ``arm``, ``baseline``, ``criterion`` (the headline of several), ``margin``
        (equivalence, on the rate), ``looks`` (``"one"``, ``"anytime"`` or a number), ``exclusion_rules`` (names of
        screening rules, or rules with parameters), ``adjust`` (``"bh"`` or ``"holm"``, for the classes),
        ``least_votes`` (of a rater who counts as finished) and whatever else was fixed. Given arms win over the plan's.
    study : mapping or None
        Facts of the study for the design table and the checklist; ``docs/statistician.md`` lists the keys.
    provenance : mapping or None
        What made the votes and the report: version, commit and the like. Seed and plan hash are added.
    image_metrics : mapping or None
        Per arm the image metrics of the report contract.
    image_metrics_by_class : mapping or None
        The same by arm, then class label, then metric.
    image_metrics_seen : mapping or None
        The same per arm, of the pairs that raters saw.
    image_metric_differences : sequence of mapping, or None
        Differences between arms over the same pairs: see
        :func:`analysis.report.content.metric_differences.differences_section`.
    pair_distances : mapping of str to float, or None
        How different the two images of a pair look, by pair. Used where the votes know two arms.
    figures : sequence of ExternalFigure
        Figures made elsewhere; the report holds their captions and digests, ``write_report`` takes their files.
    data : mapping or None
        What reading knows of the file: see :func:`analysis.votes.reading.reading_facts`.
    flow : mapping or None
        What became of everybody who opened the study: see :func:`analysis.report.content.flow.flow_section`.
    raters : Raters or None
        The raters' table: composition, preference by stated group, sites as the sampled units.
    pairs : mapping of str to Pair, or None
        The pairs' table: what raters read for each class, preference by tag and by prompt.
    scores : JudgeScores or None
        What automatic judges said of the images.
    looks_taken : int, sequence of float, or None
        Which of the planned looks this is, or the information fractions of all looks so far; see
        :func:`analysis.verdict.looks.planned_looks`.
    covariates : mapping of str to mapping of (pair, arm) to float, or None
        Values of the images that the strengths of several arms are to be adjusted for, by the covariate's name.
    showings : sequence of mapping, or None
        How each trial was shown: see :func:`analysis.report.content.display.display_section`.
    seed : int
        Seed of everything random. Same votes and seed, same report.

    Returns
    -------
    dict
        The report, ready for JSON: finite floats, null beside a reason.

    Raises
    ------
    ValueError
        If a named arm is not in the votes, or the plan holds a value that cannot be followed.
    """
    plan = _checked_plan(plan)
    arm, baseline = arm or plan.get("arm"), baseline or plan.get("baseline")
    whole = _with_named_arms(table if raters is None else with_sites(table, raters), arm, baseline)
    whole = whole if pairs is None else with_class_names(whole, pairs)
    # Of several criteria the report is about one, the headline; the section on criteria holds the others.
    criterion = headline_criterion(whole, criterion or plan.get("criterion"))
    table = whole if criterion is None else by_criterion(whole, criterion)
    selection = select_votes(table)
    ranking = _ranking(selection.table, plan, seed, covariates) if len(selection.table.arms) > 1 else None
    strengths = None if ranking is None else ranking["bradley_terry"]
    directions = directions_of(selection.table, arm, baseline, strengths)
    comparisons = [selection.table.comparison(*names) for names in directions]
    compared = [
        compare_arms(comparison, plan=plan, seed=seed, withheld=_withheld(place, len(comparisons)))
        for place, comparison in enumerate(comparisons)
    ]
    entries = [results.as_json() for results in compared]
    if pairs is not None:
        for entry, comparison in zip(entries, comparisons, strict=True):
            entry["per_group"] = _groups(comparison, selection.table.pairs, pairs, plan)
    rules = planned_rules(plan)
    screened = screen(select_votes(whole).of_origin(), rules, criterion=criterion)
    is_headline = criterion is None or criterion == plan.get("criterion")
    has_primary = is_headline and is_planned_first(directions, plan)
    judging: dict[str, Any] = {
        "plan": plan,
        "looks": planned_looks(plan, taken=looks_taken, raters=load_summary(selection.table.rater).units),
        "careless": careless_raters(screened, is_planned=rules is not None),
    }
    judgements = comparison_verdicts(
        selection,
        compared,
        has_primary=has_primary,
        criteria=1 if is_headline else len(criteria_in(whole)),
        **judging,
    )
    for entry, judgement in zip(entries, judgements, strict=True):
        entry["verdict"] = judgement.as_json()
    whole_verdict = partial(
        study_verdict,
        judgements,
        strengths,
        arms=len(selection.table.arms),
        may_share_images=images_may_be_shared(selection.table),
        has_primary=has_primary,
    )
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "study": dict(study or {}),
        "plan": plan,
        "verdict": whole_verdict({}),
        "provenance": _provenance(provenance, plan, seed),
        "data": data_section(table, selection, data or {}),
        "comparisons": entries,
        "position_bias": _position_bias(selection, entries),
        "agreement": agreement(selection.table, comparisons[0], seed=seed).as_json() if comparisons else None,
        "consistency": consistency(selection.with_repeats(), seed=seed).as_json(),
        "ranking": {name: found.as_json() for name, found in ranking.items()} if ranking and comparisons else None,
        "tournament": tournament_section(ranking if comparisons else None, seed=seed),
        "screening": [row.as_json() for row in screened],
        "screening_summary": screening_section(screened, rules),
        "sensitivity": sensitivity_section(selection, directions[0], screened) if comparisons else [],
        "image_metrics": dict(image_metrics or {}),
        "image_metrics_by_class": dict(image_metrics_by_class or {}),
        "image_metrics_seen": dict(image_metrics_seen or {}),
        "image_metric_differences": differences_section(image_metric_differences, directions),
        "preference_by_difference": (
            preference_by_difference(comparisons[0], selection.table.pairs, pair_distances or {})
            if len(comparisons) == 1
            else []
        ),
        "figures": given_facts(figures),
        "display": display_section(showings),
        "flow": flow_section(flow),
        "composition": composition_section(
            comparisons[0] if comparisons else None,
            selection.table.raters,
            raters,
            payment=(study or {}).get("payment_amount"),
            withheld=(study or {}).get("answers_withheld") or (),
        ),
        "judges": judges_section(comparisons[0] if comparisons else None, selection.table.pairs, scores),
        "influence": (
            influence_section(comparisons[0], raters=selection.table.raters, pairs=selection.table.pairs)
            if comparisons
            else None
        ),
    }
    judged_by = [judgements]
    if criterion is not None:
        others = other_criteria(whole, criterion, directions, plan=plan, seed=seed)
        judged = criteria_verdicts(others, is_planned=is_headline, **judging)
        judged_by += judged
        report["criteria"] = criteria_section(
            criterion, selection, compared, judgements, list(zip(others, judged, strict=True)), plan=plan, seed=seed
        )
    if (answers := answers_section(selection.table, directions)) is not None:
        report["answers"] = answers
    if comparisons:
        report["sensitivity"] += size_rows(comparisons[0], selection.table.raters, showings)
    report["metric_correlations"] = [
        entry
        for reported in entries
        for entry in metric_correlations(reported, report["image_metrics_by_class"], seed=seed)
    ]
    adjusted = [results.headline.is_position_adjusted for results in compared]
    report["text"] = {
        **texts_of(report, adjusted=adjusted),
        "influence": (influence_sentence(report["influence"], entries[0]["verdict"]) if report["influence"] else None),
        "methods": methods_paragraph(report),
        "checklist": filled_checklist(report),
    }
    if titles := arm_titles(report["study"]):
        report["titled"] = words_under_titles(
            report, titles, study=whole_verdict(titles), judged=judged_by, adjusted=adjusted
        )
    return report


def _groups(comparison: Comparison, labels: Sequence[str], pairs: Pairs, plan: Mapping) -> dict:
    adjust: Adjustment = plan.get("adjust") or "bh"
    kinds = {"tag": by_tag, "prompt": by_prompt}
    return {kind: estimate(comparison, labels, pairs, adjust=adjust).as_json() for kind, estimate in kinds.items()}


def _checked_plan(plan: Mapping | None) -> dict:
    """Return the plan as a mapping of our own, or refuse what it says about the analysis.

    Raises
    ------
    ValueError
        If a key that the analysis follows has a value that it cannot follow.
    """
    plan = dict(plan or {})
    margin = plan.get("margin")
    if margin is not None and (isinstance(margin, (str, bool)) or not 0.0 < margin < 0.5):
        raise ValueError(f"the plan's margin is {margin!r}; give a number in (0, 0.5), or leave it out")
    planned_looks(plan)
    if plan.get("ties_offered") not in (None, True, False):
        raise ValueError(f"the plan's ties_offered is {plan['ties_offered']!r}; give true, false or leave it out")
    ranking_options(plan)
    adjust, least_votes = plan.get("adjust"), plan.get("least_votes")
    if adjust not in (None, "bh", "holm"):
        raise ValueError(f"the plan's adjust is {adjust!r}; give 'bh' (Benjamini and Hochberg) or 'holm'")
    if least_votes is not None and (not isinstance(least_votes, int) or least_votes is True or least_votes < 1):
        raise ValueError(f"the plan's least_votes is {least_votes!r}; give a number of at least 1, or leave it out")
    for key, what in (("arm", "arm's name"), ("baseline", "arm's name"), ("criterion", "criterion's key")):
        if plan.get(key) is not None and not isinstance(plan[key], str):
            raise ValueError(f"the plan's {key} is {plan[key]!r}; give the {what}")
    return plan


def _with_named_arms(table: VoteTable, *names: str | None) -> VoteTable:
    """Give a table without any vote the arms asked for, so that its report says 'no votes' and not 'no arm'."""
    missing = tuple(name for name in names if name and name not in table.arms)
    return replace(table, arms=table.arms + missing) if missing and not len(table) else table


def _withheld(place: int, comparisons: int) -> str | None:
    """Return why one of many comparisons goes without the methods that take long, or None."""
    if place == 0 or comparisons <= MOST_WHOLE:
        return None
    return f"computed for the first of {comparisons} comparisons alone; ask for this one by --arm and --baseline"


def _provenance(given: Mapping | None, plan: dict, seed: int) -> dict:
    values = {"seed": seed, **(given or {})}
    if plan:
        text = json.dumps(plan, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        values["plan_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return values


def _position_bias(selection: Selection, entries: list[dict]) -> dict:
    sides = count_sides(selection.table)
    adjusted = entries[0]["methods"]["two_way_t_adjusted"] if entries else None
    return {
        "left_rate": position.left_rate(selection.table).as_json(),
        "counts": (
            {"left": sides.left, "right": sides.right, "ties": sides.ties} if selection.table.sides_known else {}
        ),
        "adjusted_rate": adjusted,
    }


def _ranking(
    table: VoteTable, plan: Mapping, seed: int, covariates: Mapping[str, Mapping[tuple[str, str], float]] | None
) -> dict[str, Ranking]:
    models = {"bradley_terry": bradley_terry, "davidson": davidson, "thurstone_case_v": thurstone_case_v}
    options = ranking_options(plan, covariates)
    is_large = len(table.arms) * (len(table.arms) - 1) // 2 > MOST_WHOLE
    # Of many arms the bootstrap is drawn for one model: each resample is a fit of all strengths.
    rounds = {name: 0 if is_large and name != "bradley_terry" else BOOTSTRAP for name in models}
    with ThreadPoolExecutor(max_workers=2) as side_by_side:
        found = {
            name: side_by_side.submit(model, table, bootstrap=rounds[name], seed=seed, options=options)
            for name, model in models.items()
        }
        return {name: ranking.result() for name, ranking in found.items()}
