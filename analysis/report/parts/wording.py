"""Numbers into words: formats, the finding, the sentence for the paper, the methods paragraph. One place for each."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "NOT_STATED",
    "count",
    "decimal",
    "equivalence_sentence",
    "fact",
    "finding",
    "interval",
    "looks",
    "methods_paragraph",
    "metric",
    "p_text",
    "p_value",
    "paper_sentence",
    "percent",
    "points",
    "pooling_warning",
    "simulated_warning",
    "spread",
]

NOT_STATED = "not stated"
_NBSP = "\u00a0"
SIGNIFICANCE_LEVEL = 0.05


def percent(value: float | None) -> str:
    """Return a rate as ``58.7 %``, or an empty text for null."""
    return "" if value is None else f"{100 * value:.1f}{_NBSP}%"


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


def interval(bounds: tuple[float, float] | list[float] | None, *, rate: bool = True) -> str:
    """Return an interval as ``[52.6, 64.7]`` (per cent) or ``[-0.120, 0.340]``, or an empty text for null."""
    if bounds is None:
        return ""
    low, high = bounds
    if rate:
        return f"[{decimal(100 * low, digits=1)}, {decimal(100 * high, digits=1)}]"
    return f"[{decimal(low)}, {decimal(high)}]"


def p_value(value: float | None) -> str:
    """Return a p-value as ``0.006`` or ``< 0.001``; never 0."""
    if value is None:
        return ""
    return f"<{_NBSP}0.001" if value < 0.001 else f"{value:.3f}"


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


def looks(plan: Mapping) -> str | None:
    """Return how often the plan allows to look at the results, or None when no plan says."""
    planned = plan.get("looks")
    if planned is None:
        return None
    if planned == "anytime":
        return "any number, under the anytime-valid confidence sequence (planned)"
    if planned in ("one", 1):
        return "one, after closing (planned)"
    return f"{planned} (planned); fixed-sample intervals are not corrected for them"


def equivalence_sentence(comparison: Mapping) -> str:
    """Return what the equivalence test says, with its margin and its 90 % interval."""
    equivalence, result = comparison["equivalence"], comparison["methods"]["tost"]
    margin = f"±{100 * equivalence['margin']:g} points of 50{_NBSP}%"
    if equivalence["is_equivalent"] is None:
        return f"Equivalence within {margin} was planned but cannot be tested: {result['reason']}."
    bounds = interval(equivalence["interval90"])
    if equivalence["is_equivalent"]:
        return f"The arms are equivalent within {margin} (90{_NBSP}% interval {bounds}, {p_text(result['p_value'])})."
    return (
        f"Equivalence within {margin} is not shown (90{_NBSP}% interval {bounds}, {p_text(result['p_value'])}); "
        "that does not show a difference either."
    )


def p_text(value: float) -> str:
    """Return ``p = 0.006`` or ``p < 0.001``."""
    return f"p{_NBSP}{p_value(value)}" if value < 0.001 else f"p{_NBSP}={_NBSP}{p_value(value)}"


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


def finding(report: Mapping, comparison: Mapping) -> str:
    """Return what the headline says, in one or two plain sentences that claim no more than it does."""
    said = _finding(comparison) + _anytime(report["plan"], comparison)
    return f"Simulated votes, no evidence: {said}" if report["data"]["is_simulated"] else said


def _anytime(plan: Mapping, comparison: Mapping) -> str:
    """Return what holds under the looks that the plan allows, where it allows any number of them."""
    result = comparison["methods"]["confidence_sequence"]
    if plan.get("looks") != "anytime" or result["ci95"] is None:
        return ""
    return (
        f" The plan allows any number of looks; what holds under all of them is the confidence sequence on rater "
        f"means, {interval(result['ci95'])}, {p_text(result['p_value'])}, for these pairs."
    )


def _finding(comparison: Mapping) -> str:
    arm, baseline, result = comparison["arm"], comparison["baseline"], comparison["headline"]
    if result["estimate"] is None:
        return f"No preference rate for {arm} over {baseline}: {result['reason']}."
    rate = percent(result["estimate"])
    if result["ci95"] is None:
        return (
            f"Raters chose {arm} over {baseline} at a rate of {rate}, but without an interval: {result['reason']}. "
            "The rate alone supports no conclusion."
        )
    numbers = f"{rate}, 95{_NBSP}% interval {interval(result['ci95'])}, {p_text(result['p_value'])}"
    if result["p_value"] >= SIGNIFICANCE_LEVEL:
        return (
            f"The votes do not settle whether raters prefer {arm} or {baseline} ({numbers}). "
            "That is not evidence that the two are equal: every rate inside the interval remains plausible."
        )
    preferred, other = (arm, baseline) if result["estimate"] > 0.5 else (baseline, arm)
    return f"Raters preferred {preferred} to {other}: the preference rate for {arm} is {numbers}."


def paper_sentence(report: Mapping, comparison: Mapping, *, is_position_adjusted: bool) -> str:
    """Return the sentence for a paper's results section; the flag is the headline's."""
    arm, baseline, result = comparison["arm"], comparison["baseline"], comparison["headline"]
    counts = comparison["counts"]
    votes = sum(counts.values())
    prefix = "[SIMULATED VOTES, NOT FOR PUBLICATION] " if report["data"]["is_simulated"] else ""
    if result["estimate"] is None:
        return f"{prefix}A preference rate of {arm} over {baseline} could not be computed: {result['reason']}."
    ties = percent(counts["ties"] / votes)
    basis = (
        f"{count(result['n_raters'], 'rater')}, {count(result['n_pairs'], 'image pair')}, {count(votes, 'vote')}, "
        f"{ties} ties counted as half a vote for each arm"
    )
    opening = (
        f"{prefix}In a blind two-alternative comparison ({basis}), the preference rate for {arm} over {baseline} was "
        f"{percent(result['estimate'])}, averaged over raters"
    )
    if is_position_adjusted:
        opening += " and adjusted for the side shown"
    if result["ci95"] is None:
        return f"{opening}; no interval is reported because {result['reason']}."
    tail = (
        f" (95{_NBSP}% CI {interval(result['ci95'])}, two-way clustered over raters and pairs, "
        f"t interval with {result['df']:.0f} degrees of freedom; {p_text(result['p_value'])} against 50{_NBSP}%)."
    )
    return opening + tail


def _looks_sentence(plan: Mapping) -> str:
    planned = looks(plan)
    if planned is None:
        return (
            "No plan states how often the results were looked at; unless that was once, fixed in advance, only the "
            "confidence sequence keeps its error rate."
        )
    return f"Looks at the results: {planned}."


def methods_paragraph(report: Mapping) -> str:
    """Return a paragraph for a paper's methods section: estimand, interval, what was kept out."""
    data, provenance = report["data"], report["provenance"]
    sentences = [
        "Raters saw two images side by side without knowing which method made which, and chose the left one, the "
        "right one or a tie.",
        "The preference rate is the average over raters of each rater's mean score (1 for the arm, 1/2 for a tie, 0 "
        "for the baseline), so that every rater weighs the same; where the sides shown were not balanced it is the "
        "mean of the rates by side shown.",
        "Its 95 % interval treats raters and image pairs as crossed random samples: the variance is the sum of the "
        "rater-clustered and pair-clustered variances less that of their cells, never below the larger of the two, and "
        "the t quantile has min(raters, pairs) - 1 degrees of freedom. Tests are two-sided against 1/2.",
    ]
    sentences.append(_looks_sentence(report["plan"]))
    kept_out = data["excluded"]
    if kept_out:
        listed = "; ".join(f"{rule}: {count(number)}" for rule, number in kept_out.items())
        sentences.append(f"{count(sum(kept_out.values()), 'vote')} did not enter the estimates ({listed}).")
    else:
        sentences.append("No vote was left out of the estimates.")
    if data["bad_rows"]:
        dropped = count(sum(data["bad_rows"].values()), "unreadable row")
        sentences.append(f"{dropped} of the vote file had to be dropped.")
    if data["left_out"]:
        listed = "; ".join(f"{why}: {count(number)}" for why, number in data["left_out"].items())
        sentences.append(f"Records of the file that hold no vote were left out ({listed}).")
    sentences += [f"Not recorded: {text}." for text in data["unknown"]]
    code = ", ".join(str(provenance[key]) for key in ("version", "commit") if provenance.get(key))
    sentences.append(
        f"Computed by Blindpair{f' ({code})' if code else ''} with seed {provenance['seed']} from votes with SHA-256 "
        f"{data['sha256']}."
    )
    if data["is_simulated"]:
        sentences.insert(0, "All votes are simulated; this text describes a rehearsal.")
    return " ".join(sentences)
