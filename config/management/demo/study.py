"""The studies of `make demo`: one that is open to people, and its rehearsal with simulated raters and a report."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from config.management.demo.recipe import ARM, BASELINE
from config.management.demo.training import recipe_of_this_demo
from jobs.runner import job_run
from survey.models import ImagePair, PairImage, ReferenceImage, Study
from survey.services.images.pairs import NewImage, NewPair, pairs_register
from survey.services.results.report_build import report_request
from survey.services.study.study import arm_add, study_create, study_transition, study_update
from survey.services.study.version import version_freeze
from training.models import Checkpoint

__all__ = [
    "ARM",
    "BASELINE",
    "SIMULATED",
    "SLUG",
    "demo_recipes",
    "demo_study",
    "is_rehearsed",
    "rehearsal_report",
    "rehearsal_study",
    "study_open",
]

SLUG = "digits"
# What the simulated raters of the rehearsal are like; the report is to find it again.
SIMULATED = {"preference": 0.65, "position_bias": 0.03, "lapse": 0.02}
# Anything that is the same at every start, so that the pairs of an interrupted one are still right.
SEED = 20230808
PLAN = {
    "seed": SEED,
    "pixel_multiple": 14,
    "narrow_screens": Study.NarrowScreens.STACK,
    "trials_per_session": 20,
    "votes_per_pair": 6,
}
TEXTS = {
    "organisation": "a demonstration on this computer",
    "summary": "You will see pairs of small pictures of handwritten digits and say which one looks more real.",
    "payment": "Nothing is paid: this is a demonstration.",
    "minutes": 5,
    "consent_text": (
        "Your choices and how long they took are stored on this computer under a random number. "
        "You can withdraw at any time; your answers are then not used."
    ),
    "instructions": (
        "Look at both pictures, then choose the one that looks more like a real handwritten digit of the kind named "
        'above them. Choose "no preference" only when you cannot decide.'
    ),
    "question": "Which picture looks more like a real handwritten {class_name}?",
    "debrief": (
        "Both pictures of each pair were made by the same image generator from the same noise. "
        "It was steered by two different helpers; your choices show which one people prefer."
    ),
}


def demo_recipes() -> dict[str, dict[str, Any]]:
    """Return the recipes of both arms: the same denoiser and sampler, each guided by its own classifier."""
    files = {
        checkpoint.run.name: {"path": checkpoint.path, "sha256": checkpoint.sha256}
        for checkpoint in Checkpoint.objects.filter(role=Checkpoint.Role.LAST).select_related("run")
    }
    recipe = recipe_of_this_demo()
    return {
        name: {
            "denoiser": files[recipe.run("denoiser")],
            "classifier": files[recipe.run(name)],
            "classifier_scale": scale,
            **recipe.sampling,
        }
        for name, scale in recipe.scales.items()
    }


def demo_study(owner: Any) -> Study:
    """Return the study of the demo, described as far as it is still a draft."""
    return _described(SLUG, "Handwritten digits", owner)


def _described(slug: str, title: str, owner: Any) -> Study:
    study = Study.objects.filter(slug=slug).first() or study_create(
        owner=owner, slug=slug, title=title, **PLAN, **TEXTS
    )
    if study.state == Study.State.DRAFT:
        for name, recipe in demo_recipes().items():
            arm_add(study=study, name=name, actor=owner, recipe=recipe, description=f"guided by the {name} classifier")
        study_update(study=study, actor=owner, baseline=study.arms.get(name=BASELINE))
    return study


def study_open(study: Study, owner: Any) -> None:
    """Freeze the study and open it, as far as that is not done."""
    study.refresh_from_db()
    if study.state == Study.State.DRAFT:
        version_freeze(study=study, actor=owner, reason="demo")
    study.refresh_from_db()
    if study.state == Study.State.FROZEN:
        study_transition(study=study, name="open", actor=owner, reason="demo")


def rehearsal_study(study: Study, owner: Any, *, raters: int) -> Study:
    """Return a frozen study on the same pairs, for simulated raters alone: people's votes never mix with theirs.

    It has the number of its raters in its name: with another number it is another study.
    """
    title = f"Handwritten digits, rehearsed by {raters} simulated raters"
    rehearsal = _described(f"{SLUG}-rehearsal-{raters}", title, owner)
    if rehearsal.state == Study.State.DRAFT:
        study_update(study=rehearsal, actor=owner, target_raters=raters)
        pairs_register(study=rehearsal, pairs=map(_copied, study.pairs.filter(is_selected=True).order_by("key")))
        version_freeze(study=rehearsal, actor=owner, reason="demo")
        rehearsal.refresh_from_db()
    return rehearsal


def _copied(pair: ImagePair) -> NewPair:
    """Return a pair as another study registers it: the files are kept by digest, so both studies show the same."""
    parts = {
        "images": {image.arm.name: _image(image) for image in pair.images.select_related("arm")},
        "reference": _image(pair.reference) if hasattr(pair, "reference") else None,
    }
    return NewPair(
        **{field.name: getattr(pair, field.name) for field in fields(NewPair) if field.name not in parts}, **parts
    )


def _image(image: PairImage | ReferenceImage) -> NewImage:
    return NewImage(**{field.name: getattr(image, field.name) for field in fields(NewImage)})


def is_rehearsed(rehearsal: Study) -> bool:
    """Return whether the rehearsal has its report: what it was interrupted in is done again."""
    return rehearsal.reports.filter(finished_at__isnull=False).exists()


def rehearsal_report(rehearsal: Study, owner: Any) -> None:
    """Build the report as a worker would, here and now."""
    build = report_request(study=rehearsal, actor=owner)
    job = job_run(build.job)
    if job is None or job.state != job.State.SUCCEEDED:
        raise RuntimeError(f"the report was not built: {job.error if job else 'another worker has the job'}")
