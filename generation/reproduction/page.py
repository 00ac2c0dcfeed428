"""One self-contained page with everything a reproduction found, in the look of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from analysis.metric_names import metric_name
from analysis.report.formats.document import FigureBlock, Heading, Paragraph, TableBlock
from analysis.report.formats.html import render_html
from analysis.report.parts.figure import FigureSpec, rendered
from analysis.report.parts.table import Column, Table
from generation.reproduction.experiment import arm_name

__all__ = ["reproduction_page"]

_TITLE = "Robust classifier guidance, reproduced on handwritten digits"
_METRICS = (
    "frechet_distance",
    "frechet_distance_extrapolated",
    "kid",
    "mind",
    "precision",
    "recall",
    "density",
    "coverage",
)
_QUARTERS = ("least noisy quarter", "second", "third", "most noisy quarter")


def reproduction_page(results: Mapping[str, Any], figures: Sequence[FigureSpec]) -> str:
    """Return the page as HTML without anything to load.

    Parameters
    ----------
    results : mapping
        ``{"experiment", "seeds": [...], "findings": [...], "missing", "provenance"}``, as ``reproduction.json``.
    figures : sequence of FigureSpec
    """
    seeds, findings = results["seeds"], results["findings"]
    blocks = [
        Heading(_TITLE, level=1, anchor="top"),
        Paragraph(_summary(findings, results["experiment"]), "lead"),
        Paragraph(_design(results["experiment"])),
        Heading("What agrees with the paper's direction", anchor="findings"),
        TableBlock(_findings_table(findings)),
        Heading("Images", anchor="images"),
        TableBlock(_images_table(seeds)),
        Heading("Classifiers", anchor="classifiers"),
        TableBlock(_classifiers_table(seeds)),
        Heading("Figures", anchor="figures"),
        *(FigureBlock(spec.name) for spec in figures),
        *(Paragraph(f"{name}: not drawn. {why}.", "note") for name, why in results["missing"].items()),
        Heading("How it was made", anchor="provenance"),
        TableBlock(_provenance_table(results["provenance"])),
    ]
    return render_html(blocks, {spec.name: (spec, rendered(spec, ("svg",))["svg"]) for spec in figures})


def _summary(findings: Sequence[Mapping[str, Any]], experiment: Mapping[str, Any]) -> str:
    verdicts = Counter(finding["verdict"] for finding in findings)
    alike = {f"{arm_name('robust', scale)} - {arm_name('vanilla', scale)}" for scale in experiment["scales"]}
    at_equal_scales = [finding["verdict"] for finding in findings if finding["comparison"] in alike]
    tested = sum(verdicts.values()) - verdicts["not tested"]
    return (
        f"Of {tested} comparisons, {verdicts['agrees']} agree with the paper's direction, {verdicts['disagrees']} "
        f"disagree and {verdicts['undecided']} are undecided. Of the {len(at_equal_scales)} on images at equal "
        f"guidance scales, {at_equal_scales.count('agrees')} agree and {at_equal_scales.count('disagrees')} disagree."
    )


def _design(experiment: Mapping[str, Any]) -> str:
    iterations = experiment["iterations"]
    length = "as long as its preset says" if iterations is None else f"for {iterations} iterations"
    return (
        f"Every network was trained {length}. "
        f"{len(experiment['seeds'])} seeds ({', '.join(map(str, experiment['seeds']))}); each trains a vanilla and a "
        f"robust classifier (L2 attack of radius {experiment['epsilon']:g}, {experiment['attack_steps']} steps) that "
        f"differ in nothing else, and samples {experiment['images_per_class']} images of every class and arm from the "
        f"same noise in {experiment['spacing']} steps. Robust accuracy is under {experiment['evaluation_steps']} "
        "attack steps. A separate judge classifier measures the images; its distances are not comparable with "
        "published FID. The images are 16 x 16 digits: agreement or disagreement here is evidence about digits."
    )


def _findings_table(findings: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("claim", "Claim"),
        Column("comparison", "Comparison"),
        Column("verdict", "Verdict"),
        Column("mean", "Difference", "number"),
        Column("ci95", "95 % interval", "number_interval"),
        Column("differences", "By seed", "numbers"),
        Column("reason", "Note", "remark"),
    )
    # A true minus sign, and hyphens at which no name is broken.
    rows = [
        finding | {"comparison": finding["comparison"].replace(" - ", " \u2212 ").replace("-", "\u2011")}
        for finding in findings
        if finding["verdict"] != "not tested"
    ]
    untested = [finding for finding in findings if finding["verdict"] == "not tested"]
    note = " ".join(f"{finding['claim']}: not tested, {finding['reason']}." for finding in untested)
    note += (
        " Differences are robust minus vanilla, paired by seed; intervals are t-intervals over seeds. "
        "The published scales differ between the arms, and more guidance alone changes images: what agrees at the "
        "published scales and not at equal ones is no evidence for robust training."
    )
    return Table("findings", "The paper's claims, and the differences found", columns, rows, note)


def _images_table(seeds: Sequence[Mapping[str, Any]]) -> Table:
    """One metric a row, so that the arms compared stand side by side."""
    arms = seeds[0]["arms"]
    rows = [
        {"line": metric_name(name)}
        | {arm: _over_seeds([seed["arms"][arm][name]["value"] for seed in seeds]) for arm in arms}
        for name in _METRICS
        # Results of before have no MIND.
        if all(name in seed["arms"][arm] for seed in seeds for arm in arms)
    ]
    seen = {arm: _over_seeds([seed["arms"][arm]["judge_accuracy"] for seed in seeds]) for arm in arms}
    rows.append({"line": "Share seen as their class"} | seen)
    columns = (Column("line", "Metric"), *(Column(arm, arm, "mean_and_deviation") for arm in arms))
    return Table("images", "Image metrics, mean ± standard deviation over seeds", columns, rows, _metric_note(seeds))


def _over_seeds(values: Sequence[float | None]) -> tuple[float, float | None] | None:
    """Return mean and standard deviation from seed to seed."""
    if None in values:
        return None
    return fmean(values), stdev(values) if len(values) > 1 else None


def _metric_note(seeds: Sequence[Mapping[str, Any]]) -> str:
    metric = next(iter(seeds[0]["arms"].values()))["frechet_distance"]
    features = metric["features"]
    why = f" Fréchet distance: {metric['reason']}." if metric["reason"] else ""
    return (
        f"{metric['n']} images an arm and seed against {metric['n_reference']} digits, features of {features['name']} "
        f"(SHA-256 {features['sha256'][:12]}).{why}"
    )


def _classifiers_table(seeds: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        {"line": f"{kind}, seed {seed['seed']}"} | measures | dict(enumerate(measures["robust_accuracy_by_band"]))
        for seed in seeds
        for kind, measures in seed["classifiers"].items()
    ]
    columns = (
        Column("line", "Classifier"),
        Column("accuracy", "Accuracy", "rate"),
        Column("robust_accuracy", "Attacked", "rate"),
        *(Column(place, f"Attacked, {quarter}", "rate") for place, quarter in enumerate(_QUARTERS)),
    )
    return Table("classifiers", "Accuracy on held-out noisy digits, clean and attacked", columns, rows)


def _provenance_table(facts: Mapping[str, Any]) -> Table:
    rows = [{"setting": name, "value": str(value)} for name, value in facts.items()]
    return Table("provenance", "Networks and versions", (Column("setting", "Setting"), Column("value", "Value")), rows)
