"""What the page's script needs of the steps that follow a choice, and the study's own words for the answers."""

from __future__ import annotations

from typing import Any

from survey.selectors.texts import words_in

__all__ = ["script_step", "worded"]


def script_step(step: dict[str, Any]) -> dict[str, Any]:
    """Return what the page's script needs of a step."""
    return {
        "name": step["name"],
        "values": [option["value"] for option in step["options"]],
        "isSeveral": step.get("is_several", False),
        "isRequired": step.get("is_required", False),
    }


def worded(texts: dict[str, str], config: dict[str, Any], language: str) -> dict[str, str]:
    """Return the texts of the trial page with the study's own wording of the answers."""
    names = {"left": "Left", "tie": "Tie", "right": "Right", "upper": "Upper", "lower": "Lower"}
    words = words_in(config, language)
    own = {names[name]: text for name, text in words.items() if name in names}
    # What screen readers hear after a choice is the button's own word too.
    return texts | {f"choose{name}": text for name, text in own.items()} | {f"chose{n}": t for n, t in own.items()}
