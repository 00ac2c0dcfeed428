"""A study that asks for all there is beyond the choice, in English and German, and answers to it."""

from __future__ import annotations

from typing import Any

from tests.languages import ENGLISH, GERMAN

REASONS = [{"key": "anatomy", "caption": "Anatomy"}, {"key": "colour", "caption": "Colour"}]
ASKED: dict[str, Any] = {"is_acceptable_asked": True, "strength_grades": 3, "reasons": REASONS}
WORDS = {"left": "Image A", "right": "Image B", "tie": "Both alike"}
TWO_LANGUAGES: dict[str, Any] = {
    **ENGLISH,
    **ASKED,
    "answer_words": WORDS,
    "translations": {
        "de": {
            **GERMAN,
            "answer_words": {"left": "Bild A", "right": "Bild B", "tie": "Beide gleich"},
            "reasons": {"anatomy": "Anatomie", "colour": "Farbe"},
        }
    },
}
LEFT: dict[str, Any] = {"choice": "left", "acceptable": "both", "strength": 2, "reasons": ["anatomy", "colour"]}
TIE: dict[str, Any] = {"choice": "tie", "acceptable": "neither"}
