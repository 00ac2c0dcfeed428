"""Every estimate of a report as one tidy table: one estimate a row, full precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from analysis.report.parts.table import Column, Table

__all__ = ["estimate_table"]

_COLUMNS = (
    *((name, "text") for name in ("quantity", "subset")),
    *((name, "number") for name in ("estimate", "low", "high", "level", "se", "df", "p_value")),
    *((name, "count") for name in ("n_raters", "n_pairs", "n_votes")),
    *((name, "text") for name in ("method", "reason")),
)


def estimate_table(report: Mapping) -> Table:
    """Return the table; the quantity is the path to the result in ``report.json``, the subset the arms it compares."""
    rows = []
    for number, comparison in enumerate(report["comparisons"]):
        subset = f"{comparison['arm']} vs {comparison['baseline']}"
        rows += [_row(path, subset, result) for path, result in _results(comparison, f"comparisons[{number}]")]
    rest = {key: value for key, value in report.items() if key != "comparisons"}
    rows += [_row(path, "all votes", result) for path, result in _results(rest, "")]
    columns = [Column(name, name, kind) for name, kind in _COLUMNS]
    return Table("estimates", "Every estimate, one a row", columns, rows)


def _results(value: object, path: str) -> Iterator[tuple[str, Mapping]]:
    """Walk the report and yield every result object with its path."""
    if isinstance(value, Mapping):
        if {"estimate", "ci95", "p_value", "method", "reason"} <= value.keys():
            yield path, value
            return
        for key, inner in value.items():
            yield from _results(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            label = inner.get("class_label", inner.get("name", place)) if isinstance(inner, Mapping) else place
            yield from _results(inner, f"{path}[{label}]")


def _row(path: str, subset: str, result: Mapping) -> dict:
    low, high = result["ci95"] or (None, None)
    level = 0.95 if result["ci95"] else None
    return {**result, "quantity": path, "subset": subset, "low": low, "high": high, "level": level}
