"""How much the first comparison rests on few votes, raters or pairs, with their names, and the line that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.preference.influence import influence
from analysis.report.parts.wording import percent
from analysis.votes.table import Comparison

__all__ = ["influence_section", "influence_sentence"]


def influence_section(comparison: Comparison, *, raters: Sequence[str], pairs: Sequence[str]) -> dict:
    """Return the report's ``influence``: what turns the conclusion, and the extremes of leaving one out.

    Parameters
    ----------
    comparison : Comparison
    raters, pairs : sequence of str
        Labels of the comparison's codes.
    """
    found = influence(comparison)
    labels = {"raters": raters, "pairs": pairs}
    return {
        "arm": comparison.arm,
        "baseline": comparison.baseline,
        "conclusion": {"arm": comparison.arm, "baseline": comparison.baseline}.get(found.conclusion or ""),
        "removals": [
            {
                "unit": removal.unit,
                "count": removal.count,
                "share": removal.share,
                "rate": removal.rate,
                # A vote has no name of its own in memory; raters and pairs have.
                "first": [labels[removal.unit][code] for code in removal.codes] if removal.unit in labels else None,
            }
            for removal in found.removals
        ],
        "left_out": [
            {
                "unit": entry.unit,
                "low": {"rate": entry.low, "without": labels[entry.unit][entry.low_code]},
                "high": {"rate": entry.high, "without": labels[entry.unit][entry.high_code]},
            }
            for entry in found.left_out
        ],
        "reason": None if found.removals else "the headline has no interval, so there is no conclusion to turn",
    }


def influence_sentence(section: Mapping, verdict: Mapping | None = None) -> str | None:
    """Return one line for beside the headline, or None where there is no conclusion to turn.

    Parameters
    ----------
    section : mapping
        What :func:`influence_section` returned: removals that turn the headline at its own level.
    verdict : mapping or None
        The verdict beside which the line stands. Where family, looks or margin make it another than the headline's,
        removals that turn the headline say nothing about it.
    """
    if not section["removals"]:
        return None
    if verdict is not None and not _speaks_of(section, verdict):
        return None
    parts = [
        f"{removal['count']:,} {removal['unit'] if removal['count'] != 1 else removal['unit'][:-1]} "
        f"({percent(removal['share'])})"
        for removal in section["removals"]
        if removal["count"] is not None
    ]
    kept = [removal["unit"] for removal in section["removals"] if removal["count"] is None]
    turned = "the preference would no longer be significant" if section["conclusion"] else "it would become significant"
    said = f"Without the {' or '.join(parts)} that matter most, {turned}." if parts else ""
    firm = f"No half of the {' or of the '.join(kept)} turns the conclusion." if kept else ""
    return " ".join(filter(None, (said, firm)))


def _speaks_of(section: Mapping, verdict: Mapping) -> bool:
    is_plain = verdict["family"]["size"] == 1 and verdict["looks"]["basis"] == "one look"
    return is_plain and verdict["kind"] in ("preferred", "undecided") and verdict["preferred"] == section["conclusion"]
