"""Rows to report. The report is computed from the exported file, so that anybody can compute it again from the file."""

from __future__ import annotations

import csv
import hashlib
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.files.storage import default_storage

from analysis.report.provenance import code_commit, code_version
from survey.canonical import canonical_json
from survey.models import Arm, Exclusion, ImageMetric, ImagePair, PairImage, RaterSession, Study, StudyFigure
from survey.selectors.vote import vote_rows, vote_showings
from survey.services.audit import audit_lines
from survey.services.exclusion import Proposal
from survey.services.version import manifest_lines, version_current

if TYPE_CHECKING:
    from analysis.report.content.external_figures import GivenFigure

__all__ = [
    "analysis_plan",
    "exclusion_proposals",
    "image_metrics",
    "image_metrics_by_class",
    "pair_distances",
    "report_bundle",
    "report_write",
    "study_facts",
    "study_figures",
    "votes_export",
]


def votes_export(study: Study, folder: Path, *, formats: tuple[str, ...] = ("csv",), is_pilot: bool = False) -> dict:
    """Write the votes table and its data package; return the package."""
    from analysis.votes.writing import write_votes

    return write_votes(vote_rows(study, is_pilot=is_pilot), folder, formats=formats, title=study.title)


def image_metrics(study: Study) -> dict[str, dict[str, Any]]:
    """Return every arm's image metrics under the names of the report."""
    metrics: dict[str, dict[str, Any]] = {name: {} for name in study.arms.values_list("name", flat=True)}
    for metric in ImageMetric.objects.filter(arm__study=study, class_label="").select_related("arm").order_by("name"):
        metrics[metric.arm.name][metric.name] = metric.result
    return {name: results for name, results in metrics.items() if results}


def image_metrics_by_class(study: Study) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the image metrics of every arm's classes: arm, class label, metric."""
    metrics: dict[str, dict[str, dict[str, Any]]] = {}
    rows = ImageMetric.objects.filter(arm__study=study).exclude(class_label="").select_related("arm")
    for row in rows.order_by("arm__name", "class_label", "name"):
        metrics.setdefault(row.arm.name, {}).setdefault(row.class_label, {})[row.name] = row.result
    return metrics


def pair_distances(study: Study) -> dict[str, float]:
    """Return how different the images of each pair look, by the pair's name in the votes table."""
    rows = ImagePair.objects.filter(study=study, distance__isnull=False).order_by("pk")
    return {str(pk): distance for pk, distance in rows.values_list("pk", "distance").iterator()}


def study_figures(study: Study) -> list[GivenFigure]:
    """Return the figures of the study's networks as they were stored.

    Raises
    ------
    ValueError
        If a file is gone or has changed since it was stored.
    """
    from analysis.report.content.external_figures import GivenFigure

    return [
        GivenFigure(
            name=figure.name,
            title=figure.title,
            description=figure.description,
            files={kind: _stored(figure, entry) for kind, entry in figure.files.items()},
        )
        for figure in StudyFigure.objects.filter(study=study)
    ]


def _stored(figure: StudyFigure, entry: dict[str, Any]) -> bytes:
    remedy = "draw the figures again with `manage.py make_figures`"
    try:
        with default_storage.open(entry["name"]) as file:
            content = file.read()
    except OSError as error:
        raise ValueError(f"{figure.name}: {entry['name']} cannot be read ({error}); {remedy}") from None
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"{figure.name}: {entry['name']} has changed since it was stored; {remedy}")
    return content


def analysis_plan(study: Study) -> dict[str, Any]:
    """Return the frozen analysis plan as ``analysis.report.build_report`` takes it."""
    version = version_current(study)
    if version is None:
        return {}
    frozen = version.config["analysis"]
    arms = sorted(arm["name"] for arm in version.config["arms"])
    baseline = frozen["baseline"]
    plan: dict[str, Any] = {
        "looks": "anytime" if frozen["stopping_rule"] == Study.StoppingRule.ANYTIME else "one",
        "primary": frozen["primary"],
        "target_raters": frozen["target_raters"],
        "exclusion_rules": frozen["exclusion_rules"],
        "adjust": frozen.get("class_adjustment", "bh"),
        "least_votes": frozen.get("least_votes", 1),
        "config_sha256": version.config_sha256,
    }
    if baseline:
        plan["baseline"] = baseline
        plan["arm"] = next(name for name in arms if name != baseline)
    if frozen["equivalence_margin"] is not None:
        plan["margin"] = frozen["equivalence_margin"]
    return plan


def study_facts(study: Study) -> dict[str, Any]:
    """Return what the design table and the checklist say about the study, from its frozen version."""
    version = version_current(study)
    if version is None:
        return {"slug": study.slug, "title": study.title}
    config = version.config
    texts, trial, plan = config["texts"], config["trial"], config["plan"]
    checks = {name: plan[f"{name}_trials"] for name in ("repeat", "identical", "degraded")}
    rules = [rule["rule"] for rule in config["analysis"]["exclusion_rules"]]
    return {
        "slug": study.slug,
        "title": study.title,
        "version": version.number,
        "frozen_at": version.frozen_at.isoformat(),
        "config_sha256": version.config_sha256,
        "manifest_sha256": version.manifest_sha256,
        "organisation": texts["organisation"],
        "arms": {arm["name"]: arm["description"] for arm in config["arms"]},
        "recruitment": config["recruitment"].get("provider", "open link"),
        "payment": texts["payment"],
        "ethics": f"consent asked before the first trial (text SHA-256 {version.consent_sha256})",
        "question": texts["question"],
        "instructions": texts["instructions"],
        "ties_offered": "yes" if trial["are_ties_allowed"] else "no, forced choice",
        "side_randomisation": "drawn on the server before showing, balanced over each pair and within each session",
        "display": f"each image pixel {trial['pixel_multiple']} screen pixel(s) wide, at least "
        f"{trial['minimum_exposure_ms']} ms before an answer",
        "practice": f"{plan['practice_trials']} practice trials",
        "images": (
            "every arm from the same class and the same noise; recipes in the manifest"
            if all(arm["recipe"] for arm in config["arms"])
            else "imported, matched by path; where each file came from is in the manifest"
        ),
        "attention_checks": ", ".join(f"{count} {name}" for name, count in checks.items() if count) or "none",
        "exclusion_rules": f"fixed at freezing: {', '.join(rules) or 'none'}",
        "stopping_rule": f"{plan['votes_per_pair']} votes a pair, {config['analysis']['target_raters']} raters; "
        + ("anytime-valid looks" if config["analysis"]["stopping_rule"] == "anytime" else "one look, after closing"),
    }


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
    from analysis.report import build_report, write_report
    from analysis.votes.reading import read_votes, reading_facts

    known = set(Arm.objects.filter(study=study).values_list("name", flat=True))
    if unknown := sorted({arm, baseline} - known - {None}):
        raise ValueError(f"no arm {', '.join(unknown)} in {study.slug}; its arms are {', '.join(sorted(known))}")
    votes_export(study, out, formats=("csv",), is_pilot=is_pilot)
    read = read_votes(out / "votes.csv")
    figures, distances = study_figures(study), pair_distances(study)
    if distances:
        (out / "pair_distances.json").write_bytes(canonical_json(distances) + b"\n")
    report = build_report(
        read.table,
        arm=arm,
        baseline=baseline,
        plan=analysis_plan(study),
        study=study_facts(study),
        provenance={"version": code_version(), "commit": code_commit()},
        image_metrics=image_metrics(study),
        image_metrics_by_class=image_metrics_by_class(study),
        pair_distances=distances,
        figures=figures,
        data=reading_facts(read),
        seed=seed,
    )
    write_report(report, read.table, out, figures=figures)
    return report


def exclusion_proposals(study: Study, *, rules: list[dict] | None = None, is_pilot: bool = False) -> list[Proposal]:
    """Return the sessions that the rules would exclude: the frozen plan's rules, or every rule where ``rules`` is [].

    The rules look at the exported table, so that anybody can repeat them on it. A rater with several sessions is
    excluded with all of them, or with all but the first where only coming again was wrong.
    """
    from analysis.raters.screening import RULES, flagged_raters, screen
    from analysis.votes.reading import read_votes

    if rules is None:
        version = version_current(study)
        rules = version.config["analysis"]["exclusion_rules"] if version else []
        if not rules:
            return []
    with tempfile.TemporaryDirectory() as folder:
        if not votes_export(study, Path(folder), is_pilot=is_pilot)["resources"][0]["rows"]:
            return []
        read = read_votes(Path(folder) / "votes.csv")
    screened = screen(read.table, rules or None)
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
            caption = rule.description.format(**rule.parameters(parameters.get(name)))
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


def report_bundle(study: Study, out: Path, *, is_pilot: bool = False, seed: int = 0) -> dict:
    """Write the report and everything it can be checked with; return the report.

    Beside the report: votes with their data package and dictionary, how each trial was shown, the frozen versions, the
    manifest of images with digests and recipes, the ledger of exclusions, the log, and one zip of it all.
    """
    out.mkdir(parents=True, exist_ok=True)
    report = report_write(study, out, is_pilot=is_pilot, seed=seed)
    from analysis.votes.columns import VOTE_COLUMNS

    dictionary = [[c.name, c.kind, c.unit or "", " | ".join(filter(None, c.allowed)), c.description]
                  for c in VOTE_COLUMNS]  # fmt: skip
    _write_csv(out / "data_dictionary.csv", ["name", "type", "unit", "allowed", "description"], dictionary)
    with (out / "showings.jsonl").open("wb") as file:
        file.writelines(canonical_json(line) + b"\n" for line in vote_showings(study, is_pilot=is_pilot))
    for version in study.versions.order_by("number"):
        (out / f"version-{version.number}.json").write_bytes(canonical_json(version.config))
    with (out / "manifest.jsonl").open("wb") as file:
        file.writelines(manifest_lines(study))
    with (out / "recipes.jsonl").open("wb") as file:
        images = PairImage.objects.filter(pair__study=study).order_by("pair__key", "arm__name")
        for key, arm, sha256, recipe in images.values_list("pair__key", "arm__name", "sha256", "recipe").iterator():
            line = {"key": key, "arm": arm, "sha256": sha256, "recipe": recipe}
            file.write(canonical_json(line) + b"\n")
    names = [
        "session_id",
        "rule",
        "rule_version",
        "reason",
        "made_by",
        "made_at",
        "revoked_at",
        "revoked_by",
        "revoke_reason",
    ]
    ledger = Exclusion.objects.filter(session__version__study=study).order_by("pk")
    ledger = ledger.select_related("made_by", "revoked_by")
    _write_csv(out / "exclusions.csv", names, [[getattr(row, name) for name in names] for row in ledger])
    with (out / "log.jsonl").open("wb") as file:
        file.writelines(audit_lines(study))
    _zip(out, out / "bundle.zip")
    return report


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([["" if cell is None else cell for cell in row] for row in rows])


def _zip(folder: Path, target: Path) -> None:
    """Pack a folder with fixed times, so that the same files give the same archive."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != target):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
