"""What raters judged, for the report: pairs drawn by the study's seed, and one trial as a rater saw it."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

from django.utils import translation
from django.utils.translation import gettext

from analysis.report.provenance import code_version
from survey.criteria import criteria_of
from survey.exceptions import BadImage
from survey.models import ImagePair, RaterSession, Study, StudyVersion, Trial
from survey.selectors.beyond import beyond_steps
from survey.selectors.texts import question_filled, text_languages, words_in
from survey.selectors.version import version_current
from survey.services.blinding.served_copies import image_pixels

__all__ = ["sample_figures"]

if TYPE_CHECKING:
    from analysis.report.content.external_figures import ExternalFigure
    from analysis.report.figures.samples import Interface, SamplePair

log = logging.getLogger(__name__)
# As many as a page of the report holds; of many arms the first so many by name.
_SAMPLES, _MOST_ARMS = 4, 4


def sample_figures(study: Study) -> list[ExternalFigure]:
    """Return sample pairs and the raters' page of a study's current version; none where an image cannot be read.

    The draw follows from the study's seed alone, so nobody can choose what is shown.
    """
    from analysis.report.figures.samples import interface_figure, sample_pairs_figure

    version = version_current(study)
    pairs = _drawn_pairs(study)
    if version is None or not pairs:
        return []
    try:
        drawn = f"{len(pairs)} of {version.config['pairs']['selected']} pairs drawn by the study's seed"
        figures = [sample_pairs_figure([_sample(pair) for pair in pairs], drawn=drawn)]
        if trial := _drawn_trial(version):
            figures.append(interface_figure(_interface(version, trial)))
    except BadImage as error:
        log.warning("report of %s: no sample pairs, %s", study.slug, error)
        return []
    return figures


def _drawn_pairs(study: Study) -> list[ImagePair]:
    keys = list(
        ImagePair.objects.filter(study=study, is_selected=True, kind=ImagePair.Kind.MAIN)
        .order_by("key")
        .values_list("pk", flat=True)
    )
    chosen = random.Random(f"samples {study.assignment_seed}").sample(keys, min(_SAMPLES, len(keys)))
    return list(ImagePair.objects.filter(pk__in=chosen).order_by("key"))


def _sample(pair: ImagePair) -> SamplePair:
    from analysis.report.figures.samples import SamplePair

    facts = (pair.key, pair.class_name or pair.class_label, pair.prompt)
    images = pair.images.select_related("arm", "pair").order_by("arm__name")[:_MOST_ARMS]
    return SamplePair(
        caption=", ".join(dict.fromkeys(filter(None, facts))),
        images=[(image.arm.title or image.arm.name, image_pixels(image)) for image in images],
    )


def _drawn_trial(version: StudyVersion) -> Trial | None:
    """Return an answered ordinary trial of a person's visit in the main study, drawn by the seed."""
    trials = Trial.objects.filter(
        session__version=version,
        session__is_simulated=False,
        session__is_pilot=False,
        check_kind=Trial.CheckKind.NONE,
        votes__is_current=True,
    )
    trials = trials.exclude(session__state=RaterSession.State.WITHDRAWN).order_by(
        "session__started_at", "position", "pk"
    )
    if not (count := trials.count()):
        return None
    place = random.Random(f"interface {version.study.assignment_seed}").randrange(count)
    return trials.select_related("session", "pair", "image_left", "image_right")[place]


def _interface(version: StudyVersion, trial: Trial) -> Interface:
    from analysis.report.figures.samples import Asked, Interface

    config: dict[str, Any] = version.config
    language = (text_languages(config) or (trial.session.language or "en",))[0]
    with translation.override(language):
        asked = [
            Asked(
                question=question_filled(criterion.question, trial.pair),
                answers=_answers(words_in(config, language), has_tie=criterion.is_tie_allowed),
            )
            for criterion in criteria_of(config)
            if trial.criterion in ("", criterion.key)
        ]
        following = [
            Asked(question=step["question"], answers=[option["caption"] for option in step["options"]])
            for step in beyond_steps(config, language)
        ]
    place = config["trial"].get("reference_place", "")
    return Interface(
        asked=asked,
        following=following,
        prompt=trial.pair.prompt if config["trial"].get("are_prompts_shown") else "",
        left=image_pixels(trial.image_left),
        right=image_pixels(trial.image_right),
        reference=image_pixels(trial.pair.reference) if place and hasattr(trial.pair, "reference") else None,
        reference_place=place or "above",
        where=f"Blindpair {code_version()}, version {version.number} of the study, pair {trial.pair.key}",
    )


def _answers(own: dict[str, str], *, has_tie: bool) -> list[str]:
    said = {"left": gettext("Left"), "tie": gettext("No preference"), "right": gettext("Right")} | own
    return [said[side] for side in ("left", "tie", "right") if side != "tie" or has_tie]
