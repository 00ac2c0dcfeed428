"""What became of everybody who opened the study, as the platform counted it: refused unless the counts add up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

__all__ = ["flow_section"]

_NOT_GIVEN = "only the platform knows who came and went; a file of votes does not"


def flow_section(flow: Mapping | None) -> dict:
    """Return the report's ``flow``.

    Parameters
    ----------
    flow : mapping or None
        ``steps`` in order, each with ``name``, ``raters`` and ``left`` (raters by cause, gone before the next step);
        ``partial`` (raters who stopped before the end and whose answers until then count); ``planned`` and ``reached``
        (``raters``, ``votes``); ``dates`` (``opened``, ``closed``, ``closing_reason``).

    Raises
    ------
    ValueError
        If a step does not hold the raters of the one before less those who left.
    """
    if flow is None:
        return {"steps": None, "partial": None, "planned": None, "reached": None, "dates": None, "reason": _NOT_GIVEN}
    steps = [dict(step) for step in flow["steps"]]
    for before, after in itertools.pairwise(steps):
        gone = sum(before["left"].values())
        if before["raters"] - gone != after["raters"]:
            raise ValueError(
                f"the flow does not add up: of {before['raters']} who {before['name']}, {gone} left, "
                f"but {after['raters']} {after['name']}"
            )
    given = {name: flow.get(name) for name in ("partial", "planned", "reached", "dates")}
    return {"steps": steps, **given, "reason": None}
