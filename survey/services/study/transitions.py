"""What a researcher can do with a study now, the sensible step first."""

from __future__ import annotations

from dataclasses import dataclass

from survey.models import Study
from survey.services.study.study import TRANSITIONS
from survey.services.study.version import version_problems

__all__ = ["Step", "Todo", "draft_todos", "study_steps"]

# Which step is the sensible one in each state; the others stay possible.
_SENSIBLE = {
    Study.State.DRAFT: "freeze",
    Study.State.FROZEN: "open",
    Study.State.PILOTING: "end_pilot",
    Study.State.PAUSED: "resume",
    Study.State.CLOSED: "archive",
}
_WHY = {
    "freeze": "Makes an immutable version with its digests. Check the list of problems and weaknesses first.",
    "revise": "Opens the design for changes. What you change becomes a new version; votes stay with the old one.",
    "pilot": "Raters vote, but their votes are marked as a pilot and never pooled with the main ones.",
    "end_pilot": "Closes the pilot. The design stays frozen and can be opened or revised.",
    "open": "Raters can take part from now on. Which arm they prefer stays hidden until the study is closed.",
    "pause": "New raters are turned away; those who have started can finish.",
    "resume": "Raters can take part again.",
    "close": "Ends recruitment for good and shows the results. This cannot be undone.",
    "archive": "Marks the study as finished. Nothing is deleted.",
}
_NEEDS_REASON = {"revise", "pause", "close"}


@dataclass(frozen=True)
class Step:
    """A named transition that is possible now."""

    name: str
    caption: str
    why: str
    is_sensible: bool
    needs_reason: bool
    is_final: bool


@dataclass(frozen=True)
class Todo:
    """One thing a draft needs before it can be frozen."""

    caption: str
    detail: str
    is_done: bool
    place: str


def study_steps(study: Study) -> list[Step]:
    """Return the transitions that the state allows, the sensible one first."""
    steps = [
        Step(
            name=name,
            caption=rule.caption,
            why=_WHY[name],
            is_sensible=_SENSIBLE.get(study.state) == name,
            needs_reason=name in _NEEDS_REASON,
            is_final=name in {"close", "archive"},
        )
        for name, rule in TRANSITIONS.items()
        if study.state in rule.sources
    ]
    return sorted(steps, key=lambda step: not step.is_sensible)


def draft_todos(study: Study) -> list[Todo]:
    """Return the path from an empty draft to one that can be frozen."""
    arms = study.arms.count()
    pairs = study.pairs.filter(is_selected=True).count()
    problems = version_problems(study)
    return [
        Todo("Describe the study", "title, contact, instructions", bool(study.contact and study.instructions), "edit"),
        Todo("Write the consent text", "what raters agree to", bool(study.consent_text.strip()), "edit"),
        Todo("Name the arms", f"{arms} so far, at least two; an import makes them from its folders", arms >= 2, "arms"),
        Todo("Add the images", f"{pairs} pairs so far: generate them here or import a zip", pairs > 0, "images"),
        Todo("Review and freeze", f"{len(problems)} problem(s) left", not problems, "freeze"),
    ]
