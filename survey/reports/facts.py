"""What a report says beside the votes: the study, its plan, its images and its figures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.core.files.storage import default_storage
from django.db.models import Count

from analysis.raters.columns import ANSWER_PREFIX, LEAST_CELL
from analysis.report.parts.wording import count
from analysis.report.provenance import code_version
from survey.beyond import beyond_of
from survey.criteria import criteria_of, design_of, has_ties, headline_of
from survey.models import AuditEntry, ImageMetric, ImagePair, PairImage, Study, StudyFigure
from survey.reports.wording import (
    checks_in_words,
    criterion_name,
    provider_in_words,
    question_shown,
    questions_in_words,
    rules_in_words,
)
from survey.selectors.pair_rows import pairs_in_table
from survey.selectors.rater import questions_withheld, sessions_in_table
from survey.selectors.texts import consent_digests, question_in, reasons_in, text_languages, texts_in
from survey.selectors.version import version_current

__all__ = [
    "analysis_plan",
    "image_metric_differences",
    "image_metrics",
    "image_metrics_by_class",
    "pair_distances",
    "selection_in_words",
    "study_facts",
    "study_figures",
]

if TYPE_CHECKING:
    from analysis.report.content.external_figures import ExternalFigure


def image_metrics(study: Study, *, of_pairs_seen: bool = False) -> dict[str, dict[str, Any]]:
    """Return every arm's image metrics under the names of the report."""
    metrics: dict[str, dict[str, Any]] = {name: {} for name in study.arms.values_list("name", flat=True)}
    rows = ImageMetric.objects.filter(arm__study=study, baseline=None, class_label="", is_of_pairs_seen=of_pairs_seen)
    for metric in rows.select_related("arm").order_by("name"):
        metrics[metric.arm.name][metric.name] = metric.result
    return {name: results for name, results in metrics.items() if results}


def image_metrics_by_class(study: Study) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the image metrics of every arm's classes: arm, class label, metric."""
    metrics: dict[str, dict[str, dict[str, Any]]] = {}
    rows = ImageMetric.objects.filter(arm__study=study, baseline=None).exclude(class_label="").select_related("arm")
    for row in rows.order_by("arm__name", "class_label", "name"):
        metrics.setdefault(row.arm.name, {}).setdefault(row.class_label, {})[row.name] = row.result
    return metrics


def image_metric_differences(study: Study) -> list[dict[str, Any]]:
    """Return the differences of image metrics between arms over the same pairs, as they were stored."""
    rows = ImageMetric.objects.filter(arm__study=study).exclude(baseline=None).select_related("arm", "baseline")
    return [
        {
            "arm": row.arm.name,
            "baseline": row.baseline.name,
            "metric": row.name,
            "class_label": row.class_label,
            "pairs": "seen" if row.is_of_pairs_seen else "all",
            **row.result,
        }
        for row in rows.order_by("pk")
    ]


def pair_distances(study: Study) -> dict[str, float]:
    """Return how different the images of each pair look, by the pair's name in the votes table."""
    rows = ImagePair.objects.filter(study=study, distance__isnull=False).order_by("pk")
    return {str(pk): distance for pk, distance in rows.values_list("pk", "distance").iterator()}


def study_figures(study: Study) -> list[ExternalFigure]:
    """Return the figures of the study's networks as they were stored.

    Raises
    ------
    ValueError
        If a file is gone or has changed since it was stored.
    """
    from analysis.report.content.external_figures import ExternalFigure

    return [
        ExternalFigure(
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
    # A report must not show a figure that somebody has changed in the storage.
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"{figure.name}: {entry['name']} has changed since it was stored; {remedy}")
    return content


def analysis_plan(study: Study, *, looks_taken: Sequence[float] = ()) -> dict[str, Any]:
    """Return the frozen analysis plan as ``analysis.report.build_report`` takes it.

    ``looks_taken`` are the shares of the planned raters at every look so far, of a plan of several looks.
    """
    version = version_current(study)
    if version is None:
        return {}
    frozen = version.config["analysis"]
    arms = sorted(arm["name"] for arm in version.config["arms"])
    baseline = frozen["baseline"]
    plan: dict[str, Any] = {
        "looks": _planned_looks(frozen, looks_taken),
        "primary": frozen["primary"],
        "target_raters": frozen["target_raters"],
        "exclusion_rules": frozen["exclusion_rules"],
        "adjust": frozen.get("class_adjustment", "bh"),
        "least_votes": frozen.get("least_votes", 1),
        "ties_offered": next(
            one.is_tie_allowed for one in criteria_of(version.config) if one.key == headline_of(version.config)
        ),
        "config_sha256": version.config_sha256,
    }
    if headline := headline_of(version.config):
        plan |= {"criterion": headline, "criteria": [one.key for one in criteria_of(version.config)]}
    if baseline:
        plan["baseline"] = baseline
        # Two arms have one comparison, the primary one; of several against a baseline none was named before the others.
        if len(arms) == 2:
            plan["arm"] = next(name for name in arms if name != baseline)
    if frozen["equivalence_margin"] is not None:
        plan["margin"] = frozen["equivalence_margin"]
    return plan


def _planned_looks(frozen: dict[str, Any], taken: Sequence[float]) -> Any:
    if frozen["stopping_rule"] == Study.StoppingRule.PLANNED:
        return frozen["looks"] | ({"taken": list(taken)} if taken else {})
    return "anytime" if frozen["stopping_rule"] == Study.StoppingRule.ANYTIME else "one"


def _display(config: dict[str, Any]) -> str:
    """Return how images came to their size on screen, and in what copies, as the frozen plan says."""
    trial, copies = config["trial"], config.get("copies", {})
    if trial.get("display") != "fit":
        return f"each image pixel {trial['pixel_multiple']} screen pixel(s) wide"
    text = (
        f"whole and in their own shapes, in boxes of up to {trial['box_px']} CSS pixels and no less than "
        f"{trial['least_box_px']} device pixels on the shorter side, scaled on the server by Lanczos in linear light"
    )
    if not copies.get("near_lossless"):
        return text
    arms = ", ".join(
        f"{arm} {one['psnr_db']} dB, largest {one['largest']}, mean {one['mean']} of 255"
        for arm, one in copies["differences"].items()
    )
    return f"{text}; near-lossless copies of quality {copies['near_lossless']} ({arms})"


_MOST_SIZES = 6


def _image_sizes(study: Study) -> str:
    """Return how large the images are, the most frequent size first."""
    images = PairImage.objects.filter(pair__in=pairs_in_table(study)).order_by().values("width", "height")
    rows = images.annotate(n=Count("pk")).order_by("-n", "width", "height").values_list("width", "height", "n")
    sizes = [f"{width} x {height} pixels ({n})" for width, height, n in rows[: _MOST_SIZES + 1]]
    return f"images of {', '.join(sizes[:_MOST_SIZES])}{' and other sizes' if len(sizes) > _MOST_SIZES else ''}"


def _arms_removed(study: Study, config: dict[str, Any]) -> str:
    """Return the arms that once were in the study and in the end were not compared, as its log tells."""
    removed = AuditEntry.objects.filter(study=study, action="remove arm").order_by("number")
    names = dict.fromkeys(detail["arm"] for detail in removed.values_list("detail", flat=True))
    compared = {arm["name"] for arm in config["arms"]}
    return ", ".join(name for name in names if name not in compared) or "none"


def _arm_titles(config: dict[str, Any]) -> dict[str, str]:
    return {arm["name"]: arm["title"] for arm in config["arms"] if arm.get("title")}


def study_facts(study: Study) -> dict[str, Any]:
    """Return what the design table and the checklist say about the study, from its frozen version."""
    version = version_current(study)
    if version is None:
        return {"slug": study.slug, "title": study.title}
    config = version.config
    texts, trial, plan = config["texts"], config["trial"], config["plan"]
    told = {"eligibility": "", "ethics": "", "funding": "", "preregistration": ""} | config.get("facts", {})
    consent = f"consent asked before the first trial (text SHA-256 {_by_language(consent_digests(config))})"
    return {
        "slug": study.slug,
        "title": study.title,
        "version": version.number,
        "frozen_at": version.frozen_at.isoformat(),
        "config_sha256": version.config_sha256,
        "manifest_sha256": version.manifest_sha256,
        "organisation": texts["organisation"],
        "arms": {arm["name"]: arm["description"] for arm in config["arms"]},
        "arms_not_compared": _arms_removed(study, config),
        **({"arm_titles": titles} if (titles := _arm_titles(config)) else {}),
        "recruitment": provider_in_words(config),
        "qualification": told["eligibility"],
        "payment": texts["payment"],
        "payment_amount": _amount(texts["payment"]),
        **({"answers_withheld": withheld} if (withheld := _answers_withheld(study)) else {}),
        "ethics": "; ".join(filter(None, (told["ethics"], consent))),
        "funding": told["funding"],
        "preregistration": told["preregistration"],
        "language": _languages(study),
        "question": _by_language({code: question_shown(question_in(config, code)) for code in _codes(config)}),
        "instructions": _by_language({code: texts_in(config, code)["instructions"] for code in _codes(config)}),
        "ties_offered": _ties(config),
        **_criteria(config),
        **_beyond(config),
        "side_randomisation": "drawn on the server before showing, balanced over each pair and within each session",
        "display": f"{_image_sizes(study)}, {_display(config)}, at least {trial['minimum_exposure_ms']} ms before an "
        "answer",
        "practice": count(plan["practice_trials"], "practice trial"),
        "images": (
            "every arm from the same class and the same noise; recipes in the manifest"
            if all(arm["recipe"] for arm in config["arms"])
            else "imported, matched by path; where each file came from is in the manifest"
        ),
        "selection": selection_in_words(config["pairs"]),
        "interface": f"the rater's pages of Blindpair {code_version()} with the texts of version {version.number}, "
        f"which lie beside this report (configuration SHA-256 {version.config_sha256})",
        "ratings": "votes.csv beside this report, one row a vote",
        "attention_checks": checks_in_words(config) or "none",
        "exclusion_rules": f"fixed before the first vote, {'; '.join(rules_in_words(config)) or 'none'}; votes beyond "
        "a pair's places do not count",
        "stopping_rule": f"{count(plan['votes_per_pair'], 'vote')} a pair, "
        f"{count(config['analysis']['target_raters'], 'rater')}; " + _looks_in_words(config["analysis"]),
    }


def _looks_in_words(frozen: dict[str, Any]) -> str:
    if frozen["stopping_rule"] == Study.StoppingRule.PLANNED:
        return f"{frozen['looks']['number']} planned looks by alpha spending"
    return "anytime-valid looks" if frozen["stopping_rule"] == Study.StoppingRule.ANYTIME else "one look, after closing"


def _ties(config: dict[str, Any]) -> str:
    without = [criterion_name(one.key) for one in criteria_of(config) if not one.is_tie_allowed]
    if without and has_ties(config):
        return f"yes, but not by {', '.join(without)}"
    return "yes" if has_ties(config) else "no, forced choice"


def _criteria(config: dict[str, Any]) -> dict[str, str]:
    """Return what the design table says of several criteria; nothing of one question."""
    if not design_of(config):
        return {}
    design = {
        "blocks": "one block of trials each, the order of the blocks drawn for each rater",
        "together": "all below each pair, in an order drawn for each rater",
    }[design_of(config)]
    return {
        "criteria": f"{questions_in_words(config)}. Asked {design}; the headline is "
        f"{criterion_name(headline_of(config))}"
    }


def _amount(payment: str) -> float | None:
    """Return what a rater is paid where the text names one number; two could be money and minutes."""
    numbers = re.findall(r"\d+(?:[.,]\d+)?", payment)
    # A comma is the decimal point of many languages.
    return float(numbers[0].replace(",", ".")) if len(numbers) == 1 else None


def _beyond(config: dict[str, Any]) -> dict[str, Any]:
    """Return what raters were asked beyond the choice, and the captions of reasons; nothing where it was nothing."""
    asked, reasons = beyond_of(config), reasons_in(config, "")
    kind = "required" if asked.are_reasons_required else "optional"
    said = [
        "which images are acceptable" if asked.is_acceptable_asked else "",
        f"strength in {asked.grades} grades" if asked.grades else "",
        f"reasons ({kind}): {', '.join(entry['caption'] for entry in reasons)}" if reasons else "",
    ]
    if not asked.is_anything:
        return {}
    captions = {entry["key"]: entry["caption"] for entry in reasons}
    return {"beyond_choice": "; ".join(filter(None, said)), "reason_captions": captions}


def _codes(config: dict[str, Any]) -> tuple[str, ...]:
    return text_languages(config) or ("",)


def _by_language(texts: Mapping[str, str]) -> str:
    """Return one text as it is, and several with the language of each."""
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{language}: {text}" for language, text in texts.items() if text)


def _answers_withheld(study: Study) -> list[str]:
    """Return the columns of the raters' table whose words no report repeats, for want of consent."""
    return [f"{ANSWER_PREFIX}{name}" for name in questions_withheld(study)]


def _languages(study: Study) -> str:
    """Return in which languages the pages were read, the most frequent first; small counts would point at raters."""
    counted = sessions_in_table(study).order_by().values_list("language").annotate(n=Count("rater", distinct=True))
    named = sorted(((n, language or "the browser's own") for language, n in counted), reverse=True)
    few = f"fewer than {LEAST_CELL} raters"
    return ", ".join(f"{language} ({n if n >= LEAST_CELL else few})" for n, language in named)


_STEPS = {
    "order pairs": "pairs ordered from the generator",
    "select pairs": "pairs selected by rule",
    "take pairs in": "pairs taken in by hand",
    "leave pairs out": "pairs left out by hand",
}


def selection_in_words(pairs: Mapping[str, Any]) -> str:
    """Return how many pairs took part, and by which logged steps they were chosen."""
    steps = ", ".join(f"{_STEPS[step['action']]} (log entry {step['number']})" for step in pairs["steps"])
    left = f"{pairs['selected']} of {pairs['of']} pairs took part"
    return f"{left}, chosen by {steps}" if steps else f"{left}; none was left out by hand or by rule"
