"""Rows to report. The report is computed from the exported file, so that anybody can compute it again from the file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.pairs.columns import PAIR_COLUMNS
from analysis.report.provenance import code_commit, code_version
from survey.beyond import beyond_of
from survey.canonical import canonical_json
from survey.criteria import design_of
from survey.models import Arm, Study
from survey.reports.facts import (
    analysis_plan,
    image_metric_differences,
    image_metrics,
    image_metrics_by_class,
    pair_distances,
    study_facts,
    study_figures,
)
from survey.reports.raters import raters_export
from survey.reports.samples import sample_figures
from survey.selectors.flow import study_flow
from survey.selectors.looks import looks_before
from survey.selectors.pair_rows import pair_rows
from survey.selectors.vote import vote_rows, vote_showings

log = logging.getLogger(__name__)

__all__ = ["report_write", "vote_columns", "votes_export"]

if TYPE_CHECKING:
    from analysis.votes.columns import Field
    from analysis.votes.table import VoteTable


def vote_columns(study: Study) -> tuple[Field, ...]:
    """Return the columns of the study's votes: those of any study, then what one of its versions asked beyond."""
    from analysis.votes.columns import ANSWER_COLUMNS, CRITERION, VOTE_COLUMNS

    configs = list(study.versions.values_list("config", flat=True))
    asked = {name for config in configs for name in beyond_of(config).columns()}
    criterion = (CRITERION,) if any(map(design_of, configs)) else ()
    return (*VOTE_COLUMNS, *criterion, *(column for column in ANSWER_COLUMNS if column.name in asked))


def votes_export(study: Study, folder: Path, *, formats: tuple[str, ...] = ("csv",), is_pilot: bool = False) -> dict:
    """Write the tables of votes, raters and pairs, and their data package; return the package."""
    from analysis.votes.writing import write_package, write_table

    votes = write_table(
        vote_rows(study, is_pilot=is_pilot), folder, columns=vote_columns(study), name="votes", formats=formats
    )
    raters = raters_export(study, folder, formats=formats, is_pilot=is_pilot)
    pairs = write_table(pair_rows(study), folder, columns=PAIR_COLUMNS, name="pairs", formats=formats)
    return write_package([*votes, *raters, *pairs], folder, name="votes", title=study.title)


def looks_now(study: Study, table: VoteTable) -> tuple[float, ...]:
    """Return the share of the planned raters at every look, the present one last; nothing under other plans.

    Looking again at the same raters is the same look.
    """
    from analysis.votes.selection import select_votes

    plan, before = analysis_plan(study), looks_before(study)
    if not isinstance(plan.get("looks"), Mapping):
        return ()
    target = plan["target_raters"]
    share = round(min(1.0, len(set(select_votes(table).table.rater)) / target), 6)
    is_new = share > 0 and (not before or share > before[-1] + 0.001)
    return (*before, share) if is_new else tuple(before)


def report_write(
    study: Study,
    out: Path,
    *,
    arm: str | None = None,
    baseline: str | None = None,
    is_pilot: bool = False,
    seed: int = 0,
) -> dict:
    """Export the votes into ``out`` and write the report of that very file beside them; return the report.

    Raises
    ------
    ValueError
        If a named arm is not one of the study.
    """
    from analysis.pairs.table import read_pairs
    from analysis.raters.table import read_raters
    from analysis.report import IncompleteReportError, build_report, write_report
    from analysis.votes.reading import read_votes, reading_facts

    known = set(Arm.objects.filter(study=study).values_list("name", flat=True))
    if unknown := sorted({arm, baseline} - known - {None}):
        raise ValueError(f"no arm {', '.join(unknown)} in {study.slug}; its arms are {', '.join(sorted(known))}")
    votes_export(study, out, formats=("csv",), is_pilot=is_pilot)
    read = read_votes(out / "votes.csv")
    figures, distances = [*study_figures(study), *sample_figures(study)], pair_distances(study)
    if distances:
        (out / "pair_distances.json").write_bytes(canonical_json(distances) + b"\n")
    taken = () if is_pilot else looks_now(study, read.table)
    plan, facts = analysis_plan(study, looks_taken=taken), study_facts(study)
    # Beside the votes, `python -m analysis votes.csv` takes the plan up: the same verdict from the file alone.
    (out / "plan.json").write_bytes(canonical_json(plan) + b"\n")
    (out / "study.json").write_bytes(canonical_json(facts) + b"\n")
    report = build_report(
        read.table,
        arm=arm,
        baseline=baseline,
        plan=plan,
        study=facts,
        provenance={"version": code_version(), "commit": code_commit()},
        image_metrics=image_metrics(study),
        image_metrics_by_class=image_metrics_by_class(study),
        image_metrics_seen=image_metrics(study, of_pairs_seen=True),
        image_metric_differences=image_metric_differences(study),
        pair_distances=distances,
        figures=figures,
        data=reading_facts(read),
        flow=study_flow(study, is_pilot=is_pilot),
        raters=read_raters(out / "raters.csv"),
        pairs=read_pairs(out / "pairs.csv"),
        showings=list(vote_showings(study, is_pilot=is_pilot)),
        seed=seed,
    )
    try:
        write_report(report, read.table, out, figures=figures)
    except IncompleteReportError as error:
        # What could be made is kept: a reader sees in the folder what is missing, and why.
        log.warning("report of %s: %s", study.slug, error)
        (out / "incomplete.txt").write_text(f"{error}\n", encoding="utf-8")
    return report
