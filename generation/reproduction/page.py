"""One self-contained page with everything a reproduction found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from analysis.report.figures.spec import FigureSpec, rendered
from analysis.report.figures.svg import inline_svg

__all__ = ["reproduction_page"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, td.text { text-align: left; }
figure { margin: 1.5rem 0; } figure svg { max-width: 40rem; width: 100%; height: auto; }
figcaption, .note { color: #595959; } .wide { overflow-x: auto; }
@media print { body { margin: 0; } }
"""

_METRICS = ("frechet_distance", "frechet_distance_extrapolated", "kid", "precision", "recall", "density", "coverage")


def reproduction_page(results: Mapping[str, Any], figures: Sequence[FigureSpec]) -> str:
    """Return the page as HTML without anything to load.

    Parameters
    ----------
    results : mapping
        ``{"experiment", "seeds": [...], "findings": [...], "missing", "provenance"}``, as ``reproduction.json``.
    figures : sequence of FigureSpec
    """
    seeds = results["seeds"]
    body = [
        "<h1>Robust classifier guidance, reproduced on handwritten digits</h1>",
        f'<p class="note">{escape(_design(results["experiment"]))}</p>',
        "<h2>What agrees with the paper's direction</h2>",
        _table(("claim", "comparison", "mean difference", "95 % interval", "by seed", "verdict"),
               [_finding_row(finding) for finding in results["findings"]]),
        '<p class="note">Differences are robust minus vanilla, paired by seed; intervals are t-intervals over seeds. '
        "The published scales differ between the arms, and more guidance alone changes images: what agrees at the "
        "published scales and not at equal ones is no evidence for robust training.</p>",
        "<h2>Images</h2>",
        _table(("arm", *(name.replace("_", " ") for name in _METRICS), "seen as their class"), _image_rows(seeds)),
        f'<p class="note">{escape(_metric_note(seeds))}</p>',
        "<h2>Classifiers on held-out noisy digits</h2>",
        _table(("classifier", "seed", "accuracy", "under attack", "under attack, least to most noisy quarter"),
               _classifier_rows(seeds)),
        *(_figure(spec) for spec in figures),
        *(f'<p class="note">{escape(name)}: not drawn. {escape(why)}.</p>' for name, why in results["missing"].items()),
        "<h2>How it was made</h2>",
        _table(("setting", "value"), [(key, str(value)) for key, value in results["provenance"].items()]),
    ]  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Robust classifier guidance on digits</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def _finding_row(finding: Mapping[str, Any]) -> tuple[str, ...]:
    interval = finding["ci95"]
    return (
        finding["claim"],
        finding["comparison"],
        _number(finding["mean"]),
        "-" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}",
        ", ".join(f"{value:.3g}" for value in finding["differences"]) or "-",
        finding["verdict"] + (f" ({finding['reason']})" if finding["reason"] else ""),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _image_rows(seeds: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows = []
    for arm in seeds[0]["arms"]:
        cells = [_over_seeds([seed["arms"][arm][name]["value"] for seed in seeds]) for name in _METRICS]
        rows.append((arm, *cells, _over_seeds([seed["arms"][arm]["judge_accuracy"] for seed in seeds])))
    return rows


def _over_seeds(values: Sequence[float | None]) -> str:
    """Return mean and standard deviation from seed to seed."""
    if None in values:
        return "refused"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.4g}"
    deviation = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    return f"{mean:.4g} ± {deviation:.2g}"


def _metric_note(seeds: Sequence[Mapping[str, Any]]) -> str:
    metric = next(iter(seeds[0]["arms"].values()))["frechet_distance"]
    features = metric["features"]
    why = f" {metric['reason']}." if metric["reason"] else ""
    return (
        f"Mean ± standard deviation over seeds; {metric['n']} images an arm and seed against {metric['n_reference']} "
        f"digits, features of {features['name']} (SHA-256 {features['sha256'][:12]}).{why}"
    )


def _classifier_rows(seeds: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows = []
    for seed in seeds:
        for kind, measures in seed["classifiers"].items():
            bands = ", ".join("-" if v is None else f"{v:.1%}" for v in measures["robust_accuracy_by_band"])
            accuracies = (f"{measures[name]:.1%}" for name in ("accuracy", "robust_accuracy"))
            rows.append((kind, str(seed["seed"]), *accuracies, bands))
    return rows


def _figure(spec: FigureSpec) -> str:
    svg = inline_svg(rendered(spec, ("svg",))["svg"], spec)
    return f"<figure>{svg}<figcaption>{escape(spec.title)}.</figcaption></figure>"
