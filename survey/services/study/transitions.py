"""What a researcher can do with a study now, the sensible step first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from survey.models import RaterSession, Study
from survey.selectors.version import frozen_config, is_plan_complete
from survey.services.study.plan import rules_described
from survey.services.study.study import TRANSITIONS
from survey.services.study.version import version_problems

__all__ = ["Step", "Todo", "study_next", "study_steps", "study_todos"]

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
    """One thing to do in the present state before the sensible step; ``place`` names its page, if there is one."""

    caption: str
    detail: str
    is_done: bool
    place: str


def study_steps(study: Study) -> list[Step]:
    """Return the transitions that the state allows, the sensible one first."""
    sensible = _sensible(study)
    steps = [
        Step(
            name=name,
            caption=rule.caption,
            why=_WHY[name],
            is_sensible=sensible == name,
            needs_reason=name in _NEEDS_REASON,
            is_final=name in {"close", "archive"},
        )
        for name, rule in TRANSITIONS.items()
        if study.state in rule.sources
    ]
    return sorted(steps, key=lambda step: not step.is_sensible)


def _sensible(study: Study) -> str | None:
    """Return the step that the state asks for; while raters vote, none before every planned vote is in."""
    if study.state in {Study.State.RUNNING, Study.State.PAUSED} and is_plan_complete(study):
        return "close"
    return _SENSIBLE.get(study.state)


def study_next(study: Study) -> str:
    """Return what to do next in a few words: the first thing to do, else the sensible step; empty while raters vote."""
    for todo in study_todos(study):
        if not todo.is_done and todo.place:
            return todo.caption
    return next((step.caption for step in study_steps(study) if step.is_sensible), "")


def study_todos(study: Study) -> list[Todo]:
    """Return what comes before the sensible step: of a draft, a frozen study and a closed one."""
    return _TODOS.get(study.state, lambda study: [])(study)


def _draft_todos(study: Study) -> list[Todo]:
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


def _frozen_todos(study: Study) -> list[Todo]:
    """A rehearsal finds what is wrong with the pages, a pilot what is wrong with the question."""
    sessions = RaterSession.objects.filter(version__study=study)
    command = f"on the server: manage.py simulate_raters --study {study.slug} --raters 30"
    return [
        Todo("Rehearse", command, sessions.filter(is_simulated=True).exists(), ""),
        Todo("Pilot", "a few people; their votes are never pooled", sessions.filter(is_pilot=True).exists(), "pilot"),
    ]


def _closed_todos(study: Study) -> list[Todo]:
    rules = rules_described(frozen_config(study.versions.first().pk)["analysis"]["exclusion_rules"])
    log = study.audit_entries.order_by("-number")
    closed = log.filter(action="close").values_list("number", flat=True).first() or 0
    is_screened = log.filter(action="exclude", number__gt=closed).exists()
    is_reported = study.reports.filter(is_pilot=False, finished_at__isnull=False, ledger_revision__gte=closed).exists()
    planned = f"the plan's rules: {'; '.join(rules)}" if rules else "the plan names no rule"
    return [
        Todo("Apply the exclusions", planned, is_screened or is_reported or not rules, "exclusions"),
        Todo("Build the report", "HTML, PDF, tables and the votes", is_reported, "reports"),
    ]


_TODOS: dict[str, Callable[[Study], list[Todo]]] = {
    Study.State.DRAFT: _draft_todos,
    Study.State.FROZEN: _frozen_todos,
    Study.State.CLOSED: _closed_todos,
}
