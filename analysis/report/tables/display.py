"""The table of how pairs stood on the raters' screens."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts.table import Column, Table

__all__ = ["display_table"]

_CAPTIONS = {
    "scale": "Device pixels to an image pixel",
    "width_px": "Width of an image, CSS pixels",
    "pixel_ratio": "Device pixels to a CSS pixel",
}


def display_table(report: Mapping) -> Table | None:
    """Return median and range of what browsers reported, or None where none did."""
    shown = report["display"]
    if shown["scale"] is None:
        return None
    rows = [
        {"what": caption, "median": spread["median"], "range": [spread["least"], spread["most"]]}
        for name, caption in _CAPTIONS.items()
        if (spread := shown[name])
    ]
    columns = (
        Column("what", ""),
        Column("median", "Median", "number"),
        Column("range", "Range", "number_interval"),
    )
    layouts = ", ".join(f"{count} as {name}" for name, count in shown["layouts"].items())
    note = f"Raters who saw images below their own pixels (median scale below 1): {shown['raters_below_1']:.0%}."
    note += f" Showings: {shown['n']} ({layouts})."
    if waited := shown["waited_ms"]:
        note += f" Waiting for a pair: median {waited['median']:.0f} ms, 95 % within {waited['p95']:.0f} ms."
    return Table("display", "Pairs on the screen", columns, rows, note)
