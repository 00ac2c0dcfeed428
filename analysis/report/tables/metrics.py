"""Tables of image metrics: of each arm, of its classes, and the differences between arms over the same pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.images.seeds import spread_in
from analysis.metric_names import METRIC_NAMES, metric_name
from analysis.report.parts import wording
from analysis.report.parts.table import Column, Table

__all__ = ["metrics_tables"]

# Classes down and arms across are readable in print up to so many arms; more stand below each other.
_MOST_ACROSS = 2
_DESCRIPTIONS = (
    "Distances between image sets are descriptions of the images, not of what people prefer; no test is made."
)
_SPREAD = Column("seed_sd", "SD over seeds", "metric")
_VALUE = (Column("value", "Value", "metric"), Column("ci95", "95 % interval", "metric_interval"))


def metrics_tables(report: Mapping) -> list[Table | None]:
    """Return the tables of image metrics that there is something for, None for the others."""
    return [_metrics(report), _differences(report), _by_class(report), _differences_by_class(report)]


def _metrics(report: Mapping) -> Table | None:
    """Return one row a metric and arm, of all images and beside them of the pairs that raters saw."""
    every, seen = report["image_metrics"], report["image_metrics_seen"]
    keys = {(name, arm) for given in (every, seen) for arm, metrics in given.items() for name in metrics}
    rows, refused = [], _Refusals()
    for name, arm in sorted(keys, key=lambda key: (_metric_place(key[0]), key[1])):
        metric, shown = every.get(arm, {}).get(name) or {}, seen.get(arm, {}).get(name) or {}
        if metric.get("value") is None and shown.get("value") is None:
            refused.add(name, metric or shown)
            continue
        row = {"metric": metric_name(name), "arm": arm, **_facts(metric)}
        row |= {"seen_value": shown.get("value"), "seen_ci95": shown.get("ci95"), "seen_n": shown.get("n")}
        rows.append(row)
    if not keys:
        return None
    facts, said = _constant(rows, {"network": "Features", "n_reference": "Reference images", "n_seeds": "Seeds"})
    columns = (
        Column("metric", "Metric"),
        Column("arm", "Arm"),
        *_VALUE,
        Column("n", "Images", "count"),
        Column("seen_value", "Pairs that raters saw", "metric"),
        Column("seen_ci95", "95 % interval", "metric_interval"),
        Column("seen_n", "Images", "count"),
        *facts,
        _SPREAD,
        Column("reason", "Note", "remark"),
    )
    note = " ".join(filter(None, (_DESCRIPTIONS, said, refused.sentence())))
    return Table("image_metrics", "Image metrics", columns, rows, note)


def _facts(metric: Mapping) -> dict[str, Any]:
    features = metric.get("features") or {}
    found = {key: metric.get(key) for key in ("value", "ci95", "n", "n_reference")}
    return {**found, **_said(metric), "network": features.get("name")}


def _said(metric: Mapping) -> dict[str, Any]:
    """Return what a metric's reason says, the spread over seeds apart: a column of numbers instead of a note a row."""
    spread = spread_in(metric.get("reason"))
    return {"n_seeds": spread.seeds, "seed_sd": spread.deviation, "reason": spread.rest}


def _constant(rows: Sequence[Mapping], headers: Mapping[str, str]) -> tuple[list[Column], str]:
    """Return columns for the facts that differ between rows, and a sentence with those that do not."""
    columns, said = [], []
    for key, header in headers.items():
        values = {row[key] for row in rows if row[key] is not None}
        if len(values) > 1:
            columns.append(Column(key, header, "text" if key == "network" else "count"))
        elif values:
            value = values.pop()
            said.append(f"{header}: {wording.count(value) if isinstance(value, int) else value}.")
    return columns, " ".join(said)


class _Refusals:
    """What was not computed: one sentence, each reason once with the metrics that it holds for."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, None]] = {}

    def add(self, name: str, metric: Mapping) -> None:
        reason = (metric.get("reason") or "not measured").removeprefix("not computed: ").removeprefix("refused: ")
        self._names.setdefault(reason, {})[metric_name(name)] = None

    def sentence(self) -> str:
        if not self._names:
            return ""
        told: dict[str, dict[str, None]] = {}
        for reason, names in self._names.items():
            # A metric may be refused for several reasons in several arms; all are named with it.
            told.setdefault(", ".join(names), {})[reason] = None
        listed = (f"{names} ({' and '.join(reasons)})" for names, reasons in told.items())
        return f"Not computed: {'; '.join(listed)}."


def _differences(report: Mapping) -> Table | None:
    entries = [entry for entry in report["image_metric_differences"] if not entry["class_label"]]
    rows, refused = _difference_rows(entries)
    if not entries:
        return None
    of = [Column("pairs", "Of")] if any(entry["pairs"] == "seen" for entry in entries) else []
    columns = (Column("comparison", "Comparison"), *_difference_columns(rows), *of)
    note = f"{_ABOUT_DIFFERENCES} {refused}".strip()
    return Table("image_metric_differences", "Image metrics over the same pairs: differences", columns, rows, note)


_ABOUT_DIFFERENCES = (
    "The first arm less the second, over images of the same class and noise: intervals over new pairs with the "
    "reference fixed, and over new seeds where there are several. Lower is better for distances, KID and MIND, higher "
    "for the others. Intervals are not adjusted for their number."
)


def _difference_columns(rows: Sequence[Mapping]) -> Iterable[Column]:
    yield Column("metric", "Metric")
    yield Column("value", "Difference", "metric")
    yield Column("ci95", "95 % interval", "metric_interval")
    yield Column("n", "Pairs", "count")
    if any((row.get("n_seeds") or 1) > 1 for row in rows):
        yield Column("n_seeds", "Seeds", "count")
    yield _SPREAD
    yield Column("reason", "Note", "remark")


def _difference_rows(entries: Sequence[Mapping]) -> tuple[list[dict[str, Any]], str]:
    rows, refused = [], _Refusals()
    for entry in entries:
        if entry["value"] is None:
            refused.add(entry["metric"], entry)
            continue
        rows.append(
            {
                "class_label": entry["class_label"],
                "comparison": f"{entry['arm']} − {entry['baseline']}",
                "pairs": "pairs that raters saw" if entry["pairs"] == "seen" else "all pairs",
                **_said(entry),
                **{key: entry[key] for key in ("value", "ci95", "n", "n_seeds")},
                "metric": metric_name(entry["metric"]),
            }
        )
    return rows, refused.sentence()


def _differences_by_class(report: Mapping) -> Table | None:
    entries = [entry for entry in report["image_metric_differences"] if entry["class_label"]]
    rows, refused = _difference_rows(entries)
    if not rows:
        return None
    names = report["data"].get("class_names", {})
    for row in rows:
        row["class_label"] = names.get(row["class_label"], row["class_label"])
    columns = (Column("class_label", "Class"), Column("comparison", "Comparison"), *_difference_columns(rows))
    title = "Image metrics over the same pairs: differences by class"
    return Table("image_metric_differences_by_class", title, columns, rows, f"{_ABOUT_DIFFERENCES} {refused}".strip())


def _by_class(report: Mapping) -> Table | None:
    """Return the metrics of each class that at least one arm has a value for."""
    by_class, names = report["image_metrics_by_class"], report["data"].get("class_names", {})
    arms = sorted(by_class)
    found = {(label, name) for classes in by_class.values() for label, metrics in classes.items() for name in metrics}
    rows: list[dict[str, Any]] = []
    refused = _Refusals()
    for label, name in sorted(found, key=lambda key: (_class_place(key[0]), _metric_place(key[1]))):
        results = {arm: by_class[arm].get(label, {}).get(name) or {} for arm in arms}
        if all(result.get("value") is None for result in results.values()):
            refused.add(name, next((result for result in results.values() if result.get("reason")), {}))
            continue
        start = {"class_label": names.get(label, label), "metric": metric_name(name)}
        rows += [_across(start, results)] if len(arms) <= _MOST_ACROSS else _below(start, results)
    if not rows:
        return None
    across = [
        column
        for place, arm in enumerate(arms)
        for column in (
            Column(f"value_{place}", arm, "metric"),
            Column(f"ci95_{place}", "95 % interval", "metric_interval"),
            Column(f"n_{place}", "Images", "count"),
            Column(f"seed_sd_{place}", "SD over seeds", "metric"),
        )
    ]
    below = [Column("arm", "Arm"), *_VALUE, Column("n", "Images", "count"), _SPREAD]
    network, said = _constant(rows, {"network": "Features", "n_seeds": "Seeds"})
    columns = [
        Column("class_label", "Class"),
        Column("metric", "Metric"),
        *(across if len(arms) <= _MOST_ACROSS else below),
        *network,
        Column("reason", "Note", "remark"),
    ]
    note = "Classes hold few images: read the kernel distance (KID), which few images do not bias."
    note = " ".join(filter(None, (note, said, refused.sentence())))
    return Table("image_metrics_by_class", "Image metrics by class", columns, rows, note)


def _across(start: Mapping, results: Mapping[str, Mapping]) -> dict[str, Any]:
    row, facts = dict(start), [_facts(result) for result in results.values()]
    for place, found in enumerate(facts):
        row |= {f"{key}_{place}": found[key] for key in ("value", "ci95", "n", "seed_sd")}
    row["reason"] = "; ".join(dict.fromkeys(found["reason"] for found in facts if found["reason"])) or None
    return row | {key: next((found[key] for found in facts if found[key]), None) for key in ("network", "n_seeds")}


def _below(start: Mapping, results: Mapping[str, Mapping]) -> list[dict[str, Any]]:
    return [{**start, "arm": arm, **_facts(result)} for arm, result in results.items() if result]


def _class_place(label: str) -> tuple[int, int, str]:
    return (0, int(label), "") if label.isdecimal() else (1, 0, label)


def _metric_place(name: str) -> tuple[int, str]:
    names = list(METRIC_NAMES)
    return (names.index(name) if name in METRIC_NAMES else len(names), name)
