"""What a frozen version asks beyond the choice, and how an answer to it must look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ACCEPTABLE_BY_CHOICE", "SEPARATOR", "Beyond", "beyond_of"]

# Who prefers an image does not find the other one alone good enough; without a preference they are equally good.
ACCEPTABLE_BY_CHOICE = {
    "left": ("both", "left", "neither"),
    "right": ("both", "right", "neither"),
    "tie": ("both", "neither"),
}
# Between the reasons of one vote, as it is stored and exported; no key holds it.
SEPARATOR = "|"


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """What follows a choice: whether the images are acceptable, how much better one is, and why.

    ``grades`` is 0 where strength is not asked; ``reasons`` are keys, none where reasons are not asked.
    """

    is_acceptable_asked: bool = False
    grades: int = 0
    reasons: tuple[str, ...] = ()
    are_reasons_required: bool = False

    @property
    def is_anything(self) -> bool:
        return self.is_acceptable_asked or bool(self.grades or self.reasons)

    def columns(self) -> tuple[str, ...]:
        """Return the columns that the votes of the version have more than others."""
        asked = {"acceptable": self.is_acceptable_asked, "strength": self.grades, "reasons": self.reasons}
        return tuple(name for name, is_asked in asked.items() if is_asked)

    def problem(
        self, *, choice: str, acceptable: str | None, strength: int | None, reasons: Sequence[str] | None
    ) -> str | None:
        """Return why an answer does not fit what was asked, or None; of the choice itself it says nothing."""
        return (
            self._acceptable_problem(choice, acceptable)
            or self._strength_problem(choice, strength)
            or self._reasons_problem(choice, reasons)
        )

    def _acceptable_problem(self, choice: str, acceptable: str | None) -> str | None:
        if not self.is_acceptable_asked:
            return None if acceptable is None else "this study does not ask which images are acceptable"
        allowed = ACCEPTABLE_BY_CHOICE[choice]
        return None if acceptable in allowed else f"acceptable beside {choice} is {' or '.join(allowed)}"

    def _strength_problem(self, choice: str, strength: int | None) -> str | None:
        if not self.grades or choice == "tie":
            where = "a tie has none" if self.grades else "this study does not ask for it"
            return None if strength is None else f"strength is given, but {where}"
        is_grade = strength is not None and 1 <= strength <= self.grades
        return None if is_grade else f"strength is a whole number from 1 to {self.grades}"

    def _reasons_problem(self, choice: str, reasons: Sequence[str] | None) -> str | None:
        if not self.reasons or choice == "tie":
            where = "a tie has none" if self.reasons else "this study does not ask for them"
            return f"reasons are given, but {where}" if reasons else None
        given = reasons or ()
        if set(given) - set(self.reasons) or len(set(given)) < len(given):
            return f"reasons are different ones of {', '.join(self.reasons)}"
        return "a reason is required" if self.are_reasons_required and not given else None


def beyond_of(config: Mapping[str, Any]) -> Beyond:
    """Return what a version asks beyond the choice."""
    asked = config.get("beyond", {})
    return Beyond(
        is_acceptable_asked=asked.get("is_acceptable_asked", False),
        grades=asked.get("strength_grades", 0),
        reasons=tuple(entry["key"] for entry in asked.get("reasons", ())),
        are_reasons_required=asked.get("are_reasons_required", False),
    )
