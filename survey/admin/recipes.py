"""The recipes of a study's arms as one table: what they share, and what they differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

__all__ = ["RecipeRow", "recipe_table"]


@dataclass(frozen=True)
class RecipeRow:
    """One field of the recipes: its value in each arm, in the order of the arms."""

    name: str
    cells: list[str]

    @property
    def differs(self) -> bool:
        return len(set(self.cells)) > 1


def recipe_table(recipes: Sequence[Mapping[str, Any]]) -> list[RecipeRow]:
    """Return the fields that any of the arms' recipes has, those that differ first. Imported images have none."""
    names = dict.fromkeys(name for recipe in recipes for name in recipe)
    rows = [RecipeRow(name.replace("_", " "), [_shown(recipe.get(name)) for recipe in recipes]) for name in names]
    # What is compared comes first; sorting is stable, so the rest keeps its order.
    return sorted(rows, key=lambda row: not row.differs)


def _shown(value: Any) -> str:
    """Return a value in words; of a file its name and digest, never where it lies on the server."""
    if value is None or value == {}:
        return "–"
    if isinstance(value, dict) and "path" in value:
        digest = f", SHA-256 {value['sha256'][:12]}" if value.get("sha256") else ""
        # The folder too: the checkpoints of every training run have the same file names.
        return "/".join(PurePath(value["path"]).parts[-2:]) + digest
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
