"""What decided a study's images: the recipes that made them, and the steps that chose the pairs."""

from __future__ import annotations

from typing import Any

from survey.models import Arm, AuditEntry, PairImage, Study

__all__ = ["SELECTING_ACTIONS", "arm_recipe", "arm_recipes", "selection_steps"]

SELECTING_ACTIONS = ("order pairs", "select pairs", "take pairs in", "leave pairs out")


def arm_recipes(study: Study) -> dict[str, list[dict[str, Any] | None]]:
    """Return, by arm, the distinct recipes of the images that take part; None stands for imported images.

    An arm's own row may name a checkpoint by its path alone; an image says which weights made it.
    """
    found: dict[str, list[dict[str, Any] | None]] = {arm.name: [] for arm in study.arms.order_by("name")}
    images = PairImage.objects.filter(pair__study=study, pair__is_selected=True)
    rows = images.order_by("arm__name").values_list("arm__name", "recipe__recipe").distinct()
    for arm, recipe in rows:
        found[arm].append(recipe)
    return {arm: _told_fully(recipes) for arm, recipes in found.items()}


def _told_fully(recipes: list[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
    """Drop recipes of an earlier release, which pinned weights alone, where a later one says the same and more."""
    fuller = [_weights_alone(recipe) for recipe in recipes if recipe and recipe != _weights_alone(recipe)]
    return [recipe for recipe in recipes if recipe not in fuller]


def _weights_alone(recipe: dict[str, Any]) -> dict[str, Any]:
    return {
        field: {key: part for key, part in value.items() if key != "config_sha256"}
        if isinstance(value, dict)
        else value
        for field, value in recipe.items()
    }


def arm_recipe(arm: Arm, made_by: list[dict[str, Any] | None]) -> dict[str, Any]:
    """Return the one recipe of an arm's images; the arm's own while there are none, or where they were imported."""
    return made_by[0] if len(made_by) == 1 and made_by[0] else arm.recipe


def selection_steps(study: Study) -> list[dict[str, Any]]:
    """Return the logged steps that decided which pairs take part, in order."""
    entries = AuditEntry.objects.filter(study=study, action__in=SELECTING_ACTIONS).order_by("number")
    return list(entries.values("number", "action", "detail"))
