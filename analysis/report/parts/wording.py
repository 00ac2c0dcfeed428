"""Numbers into words: one format for each kind of number, and the banners above a report."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping

__all__ = [
    "NBSP",
    "NOT_STATED",
    "class_shown",
    "count",
    "decimal",
    "equivalence_sentence",
    "fact",
    "interval",
    "isolated",
    "key_in_words",
    "metric",
    "p_text",
    "p_value",
    "percent",
    "points",
    "pooling_warning",
    "simulated_warning",
    "spread",
]

NOT_STATED = "not stated"
NBSP = "\u00a0"
SIGNIFICANCE_LEVEL = 0.05
_EVEN = 50.0  # per cent
# What floating point leaves beside a border is no difference from it.
_NOISE = 1e-9
_MOST_DECIMALS = 6
# Letters, numbers and marks of direction that a line of text from left to right must hold apart (UAX 9).
_RIGHT_TO_LEFT = frozenset(("R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"))


def class_shown(entry: Mapping) -> str:
    """Return what to call the class of an entry: its name, or its label in reports that have no names."""
    return str(entry.get("class_name") or entry["class_label"])


def key_in_words(key: str) -> str:
    """Return a key of the plan, such as a criterion's, as a sentence holds it.

    >>> key_in_words("fine_detail")
    'fine detail'
    """
    return key.replace("_", " ")


def isolated(name: str) -> str:
    """Return a name as a sentence holds it: one that is written from right to left turns no number beside it round.

    >>> isolated("robust")
    'robust'
    """
    if not any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in name):
        return name
    return f"\u2068{name}\u2069"


def percent(value: float | None) -> str:
    """Return a rate as ``58.7 %``, or an empty text for null; beside 50 % with the decimals that tell it from there."""
    return "" if value is None else f"{100 * value:.{_decimals(100 * value, (_EVEN,), digits=1)}f}{NBSP}%"


def _decimals(value: float, borders: Collection[float], *, digits: int) -> int:
    """Return how many decimals keep a number from being rounded onto a border that a conclusion hangs on."""
    near = [border for border in borders if abs(value - border) > _NOISE]
    more = range(digits, _MOST_DECIMALS + 1)
    clear = (places for places in more if all(f"{value:.{places}f}" != f"{border:.{places}f}" for border in near))
    return next(clear, digits)


def decimal(value: float | None, *, digits: int = 3) -> str:
    """Return a number with a fixed number of decimals and a true minus sign, or an empty text for null."""
    if value is None:
        return ""
    if abs(value) >= 1e6:
        return f"{value:.3g}".replace("-", "\u2212").replace("e+", "e")
    text = f"{value:.{digits}f}"
    return text.replace("-", "\u2212") if float(text) else text.removeprefix("-")


def metric(value: float | None) -> str:
    """Return an image metric: three decimals, five for small ones, such as kernel distances between close sets."""
    return decimal(value, digits=3 if value is None or abs(value) >= 0.1 else 5)


def interval(
    bounds: tuple[float, float] | list[float] | None, *, rate: bool = True, margin: float | None = None
) -> str:
    """Return an interval as ``[52.6, 64.7]`` (per cent) or ``[-0.120, 0.340]``, or an empty text for null.

    A bound of a rate beside 50 %, or beside the margin around it, has the decimals that tell on which side it lies.

    >>> interval((0.50021, 0.647)), interval((0.4, 0.54998), margin=0.05)
    ('[50.02, 64.7]', '[40.0, 54.998]')
    """
    if bounds is None:
        return ""
    if not rate:
        low, high = map(decimal, bounds)
        return f"[{low}, {high}]"
    borders = (_EVEN, *(_EVEN + 100 * side * margin for side in (-1, 1) if margin))
    low, high = (decimal(100 * one, digits=_decimals(100 * one, borders, digits=1)) for one in bounds)
    return f"[{low}, {high}]"


def p_value(value: float | None) -> str:
    """Return a p-value as ``0.006`` or ``< 0.001``; never 0, nor 0.050 for what is a little less or more."""
    if value is None:
        return ""
    digits = _decimals(value, (SIGNIFICANCE_LEVEL,), digits=3)
    return f"<{NBSP}0.001" if value < 0.001 else f"{value:.{digits}f}"


def count(value: int | None, noun: str = "", plural: str | None = None) -> str:
    """Return ``1,234`` or, with a noun, ``1,234 votes``."""
    if value is None:
        return ""
    if not noun:
        return f"{value:,}"
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def points(value: float) -> str:
    """Return a difference of rates in percentage points with its sign."""
    return ("+" if value > 0 else "") + decimal(100 * value, digits=1)


def spread(load: Mapping) -> str | None:
    """Return ``median 60, from 12 to 60``, or None without votes."""
    if load["median"] is None:
        return None
    return f"median {load['median']:g}, from {count(load['min'])} to {count(load['max'])}"


def fact(value: object) -> str | None:
    """Return a fact of the study as text: lists joined, truth values in words, None for what is not stated."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {fact(inner)}" for key, inner in value.items()) or None
    if isinstance(value, (list, tuple)):
        return ", ".join(fact(inner) or "" for inner in value) or None
    return None if value in (None, "") else str(value)


def equivalence_sentence(comparison: Mapping) -> str:
    """Return the equivalence test of one comparison at one look; what it means in the study, the verdict says."""
    equivalence, result = comparison["equivalence"], comparison["methods"]["tost"]
    margin = f"±{100 * equivalence['margin']:g} points of 50{NBSP}%"
    if equivalence["is_equivalent"] is None:
        return f"Equivalence within {margin} was planned but cannot be tested: {result['reason']}."
    inner = interval(equivalence["interval90"], margin=equivalence["margin"])
    return (
        f"Test of equivalence within {margin}, for this comparison and one look alone: 90{NBSP}% interval "
        f"{inner}, {p_text(result['p_value'])}; the verdict counts family and looks."
    )


def p_text(value: float) -> str:
    """Return ``p = 0.006`` or ``p < 0.001``."""
    return f"p{NBSP}{p_value(value)}" if value < 0.001 else f"p{NBSP}={NBSP}{p_value(value)}"


def simulated_warning(data: Mapping) -> str | None:
    """Return the banner of a report whose votes are simulated, or None."""
    if not data["is_simulated"]:
        return None
    return (
        f"SIMULATED VOTES. All {count(data['votes'])} votes were cast by the rehearsal, none by a person. "
        "Nothing below is evidence about images or people."
    )


def pooling_warning(data: Mapping) -> str | None:
    """Return the banner of a report whose votes come from several studies or versions of one, or None."""
    for key, noun in (("studies", "studies"), ("study_versions", "versions of the study")):
        if len(data[key]) > 1:
            return (
                f"The votes come from {len(data[key])} {noun} ({', '.join(data[key])}) and are pooled here as one. "
                "Report each alone unless the pooling was planned."
            )
    return None
