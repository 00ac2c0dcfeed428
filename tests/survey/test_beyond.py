"""What a version asks beyond the choice, and which answers fit."""

from __future__ import annotations

from typing import Any

import pytest

from survey.beyond import Beyond, beyond_of

ALL = Beyond(is_acceptable_asked=True, grades=3, reasons=("anatomy", "colour"), are_reasons_required=True)
GOOD: dict[str, Any] = {"choice": "left", "acceptable": "left", "strength": 2, "reasons": ["colour"]}
TIE: dict[str, Any] = {"choice": "tie", "acceptable": "neither", "strength": None, "reasons": None}
PLAIN: dict[str, Any] = {"choice": "left", "acceptable": None, "strength": None, "reasons": None}


@pytest.mark.parametrize("said", [GOOD, TIE, GOOD | {"acceptable": "neither"}, TIE | {"reasons": []}])
def test_whole_answers_fit(said: dict[str, Any]) -> None:
    assert ALL.problem(**said) is None


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (GOOD | {"acceptable": None}, "acceptable beside left is both or left or neither"),
        (GOOD | {"acceptable": "right"}, "acceptable beside left"),
        (TIE | {"acceptable": "left"}, "acceptable beside tie is both or neither"),
        (GOOD | {"strength": None}, "strength is a whole number from 1 to 3"),
        (GOOD | {"strength": 0}, "strength is a whole number"),
        (GOOD | {"strength": 4}, "strength is a whole number"),
        (TIE | {"strength": 1}, "a tie has none"),
        (GOOD | {"reasons": None}, "a reason is required"),
        (GOOD | {"reasons": []}, "a reason is required"),
        (GOOD | {"reasons": ["weight"]}, "different ones of anatomy, colour"),
        (GOOD | {"reasons": ["colour", "colour"]}, "different ones of"),
        (TIE | {"reasons": ["colour"]}, "a tie has none"),
    ],
)
def test_what_does_not_fit_is_named(said: dict[str, Any], named: str) -> None:
    assert named in (ALL.problem(**said) or "")


@pytest.mark.parametrize("more", [{"acceptable": "both"}, {"strength": 1}, {"reasons": ["colour"]}])
def test_what_was_not_asked_is_no_answer(more: dict[str, Any]) -> None:
    assert Beyond().problem(**PLAIN) is None
    assert "does not ask" in (Beyond().problem(**PLAIN | more) or "")


def test_optional_reasons_may_be_none() -> None:
    asked = Beyond(reasons=("anatomy",))
    assert asked.problem(**PLAIN) is None
    assert asked.problem(**PLAIN | {"reasons": ["anatomy"]}) is None
    assert asked.columns() == ("reasons",)


def test_a_version_that_says_nothing_asks_nothing() -> None:
    assert beyond_of({}) == Beyond()
    assert not Beyond().is_anything
    assert Beyond().columns() == ()
