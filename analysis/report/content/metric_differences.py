"""Differences of image metrics between arms, in the direction of the report's comparisons and in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.metric_names import metric_name
from analysis.report.parts import wording

__all__ = ["difference_sentences", "differences_section"]

_KEYS = ("value", "ci95", "n", "n_reference", "features", "reason")
_LOWER_IS_BETTER = ("fid", "sfid", "kid", "mind", "frechet_distance")


def differences_section(given: Iterable[Mapping] | None, directions: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the differences of the arms that the report compares, each as the arm less its baseline.

    Parameters
    ----------
    given : iterable of mapping, or None
        ``differences`` of ``evaluate_images --out``: ``arm``, ``baseline``, ``metric``, ``class_label`` (empty: all
        classes), ``pairs`` (``all`` or ``seen``), ``n_seeds``, and the keys of the report's ``M``.
    directions : sequence of (str, str)
        Arm and baseline of the comparisons, in the order of the report.

    Raises
    ------
    ValueError
        If an entry lacks a key.
    """
    places = {names: place for place, names in enumerate(directions)}
    found = []
    for entry in given or ():
        if missing := {"arm", "baseline", "metric", *_KEYS} - set(entry):
            raise ValueError(f"a difference of image metrics lacks {', '.join(sorted(missing))}; evaluate them again")
        names = (entry["arm"], entry["baseline"])
        directed = entry if names in places else _turned(entry)
        if (directed["arm"], directed["baseline"]) in places:
            found.append({"class_label": "", "pairs": "all", "n_seeds": 1, **directed})
    # In the order of the comparisons; what was given in order stays in it.
    return sorted(found, key=lambda entry: places[entry["arm"], entry["baseline"]])


def _turned(entry: Mapping) -> dict[str, Any]:
    value, bounds = entry["value"], entry["ci95"]
    return {
        **entry,
        "arm": entry["baseline"],
        "baseline": entry["arm"],
        "value": None if value is None else -value,
        "ci95": None if bounds is None else [-bounds[1], -bounds[0]],
    }


def difference_sentences(entries: Sequence[Mapping], directions: Sequence[tuple[str, str]]) -> list[str]:
    """Return, for each comparison whose images were compared, what they differ in over the same pairs."""
    found: dict[tuple[str, str], list[Mapping]] = {}
    for entry in entries:
        if not entry["class_label"] and entry["pairs"] == "all" and entry["ci95"] is not None:
            found.setdefault((entry["arm"], entry["baseline"]), []).append(entry)
    return [_sentence(found[names]) for names in directions if names in found]


def _sentence(mine: Sequence[Mapping]) -> str:
    arm, baseline = (wording.isolated(mine[0][key]) for key in ("arm", "baseline"))
    seeds = mine[0]["n_seeds"]
    basis = wording.count(mine[0]["n"], "image pair") + (f" and {wording.count(seeds, 'seed')}" if seeds > 1 else "")
    listed = ", ".join(_clause(entry) for entry in mine)
    network = (mine[0]["features"] or {}).get("name")
    features = f" (features of {network})" if network else ""
    return (
        f"Over the same {basis}, {arm} less {baseline}: {listed}{features}; "
        f"95{wording.NBSP}% intervals, not adjusted for their number."
    )


def _clause(entry: Mapping) -> str:
    low, high = entry["ci95"]
    if low <= 0.0 <= high:
        found = "undecided"
    else:
        found = "better" if (high < 0.0) == (entry["metric"] in _LOWER_IS_BETTER) else "worse"
    digits = 3 if max(abs(low), abs(high)) >= 0.1 else 5
    value, *bounds = (wording.decimal(number, digits=digits) for number in (entry["value"], low, high))
    name = metric_name(entry["metric"])
    # Initialisms stay as they are.
    name = name if name[1:2].isupper() or name.startswith("Fréchet") else name[0].lower() + name[1:]
    return f"{name} {value} [{', '.join(bounds)}], {found}"
