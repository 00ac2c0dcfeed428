"""Who may see and do what. Every door (admin, API, files) asks here and nowhere else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from survey.models import DeletedStudy, Study, StudyMember, StudyVersion, Vote

__all__ = [
    "are_results_visible",
    "deleted_studies_visible_to",
    "may_change",
    "may_manage",
    "of_studies",
    "role_in",
    "scoped",
    "studies_visible_to",
    "user_studies_with_visible_results",
]

Role = StudyMember.Role


def studies_visible_to(user: Any) -> QuerySet[Study]:
    """Return the studies in which the user has a role; a superuser sees all, a stranger none."""
    # A disabled account may still have a session or a token.
    if not user.is_active:
        return Study.objects.none()
    if user.is_superuser:
        return Study.objects.all()
    return Study.objects.filter(pk__in=StudyMember.objects.filter(user_id=user.pk).values("study_id"))


def deleted_studies_visible_to(user: Any) -> QuerySet[DeletedStudy]:
    """Return what is left of deleted drafts: roles went with them, so it is for who deleted them and superusers."""
    if not user.is_active:
        return DeletedStudy.objects.none()
    return DeletedStudy.objects.all() if user.is_superuser else DeletedStudy.objects.filter(deleted_by_id=user.pk)


def scoped(queryset: QuerySet, user: Any, path: str) -> QuerySet:
    """Cut rows of any table down to the user's studies; ``path`` leads from a row to its study."""
    if user.is_superuser and user.is_active:
        return queryset
    # A list of ids instead of a join: the planner can then use the index on the study at 10^6 rows.
    ids = list(studies_visible_to(user).values_list("pk", flat=True)) if user.is_active else []
    return of_studies(queryset, path, ids)


def of_studies(queryset: QuerySet, path: str, ids: Collection[int]) -> QuerySet:
    """Return the rows of these studies, checked row by row in the order of the list.

    A join would invite the planner to begin with the study, gather all its rows and sort them for one page.
    """
    head, _, rest = path.partition("__")
    if not rest:
        return queryset.filter(**{f"{path}__in": ids})
    parent = queryset.model._meta.get_field(head).related_model
    return queryset.filter(Exists(parent.objects.filter(**{"pk": OuterRef(f"{head}_id"), f"{rest}__in": ids})))


def role_in(user: Any, study: Study) -> str | None:
    """Return owner, collaborator, viewer, or None for a stranger; a superuser counts as an owner."""
    if not user.is_active:
        return None
    if user.is_superuser:
        return Role.OWNER
    return StudyMember.objects.filter(study=study, user_id=user.pk).values_list("role", flat=True).first()


def may_change(user: Any, study: Study) -> bool:
    """Return whether the user may edit the draft, move the study on, exclude sessions and build reports."""
    return role_in(user, study) in {Role.OWNER, Role.COLLABORATOR}


def may_manage(user: Any, study: Study) -> bool:
    """Return whether the user may give and take roles and erase identities."""
    return role_in(user, study) == Role.OWNER


_OVER = frozenset({Study.State.CLOSED, Study.State.ARCHIVED})


def are_results_visible(study: Study) -> bool:
    """Return whether anybody may see which arm raters prefer.

    Votes are hidden from the first one on until the study is closed, unless the plan that they were given under is
    anytime-valid: a later plan opens nothing that an earlier one has closed.
    """
    return study.state in _OVER or study.pk in _opened_by_plan([study.pk])


def user_studies_with_visible_results(studies: QuerySet[Study]) -> set[int]:
    """Return the ids of those studies whose results may be seen, in two queries."""
    states = dict(studies.values_list("pk", "state"))
    # States first, from the same rows: only what is not over needs a look at its plans.
    is_over = {pk for pk, state in states.items() if state in _OVER}
    return is_over | _opened_by_plan(set(states) - is_over)


def has_planned_looks(study: Study) -> bool:
    """Return whether the plan lets one look a number of times before the study is closed.

    As with results that are open: not if people have voted under a plan of one look.
    """
    newest = StudyVersion.objects.filter(study=study).order_by("-number").first()
    is_planned = newest is not None and newest.config["analysis"]["stopping_rule"] == Study.StoppingRule.PLANNED
    return is_planned and study.pk in _with_plans([study.pk], {Study.StoppingRule.PLANNED, Study.StoppingRule.ANYTIME})


def _opened_by_plan(ids: Collection[int]) -> set[int]:
    """Return the studies whose newest plan is anytime-valid, as is every plan that people have voted under."""
    return _with_plans(ids, {Study.StoppingRule.ANYTIME})


def _with_plans(ids: Collection[int], rules: Collection[str]) -> set[int]:
    """Return the studies whose newest plan has one of these stopping rules, like every plan that was voted under."""
    given = Vote.objects.filter(
        trial__session__version=OuterRef("pk"), trial__session__is_pilot=False, trial__session__is_simulated=False
    )
    versions = StudyVersion.objects.filter(study_id__in=ids).order_by("study_id", "number")
    newest: dict[int, str] = {}
    hidden = set()
    for study_id, rule, has_votes in versions.values_list("study_id", "config__analysis__stopping_rule", Exists(given)):
        newest[study_id] = rule
        if has_votes and rule not in rules:
            hidden.add(study_id)
    return {pk for pk, rule in newest.items() if rule in rules} - hidden
