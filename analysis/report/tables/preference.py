"""Tables of one comparison: the three lines, every estimator, the model, the sides, the classes."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts import wording
from analysis.report.parts.table import Column, Table, result_columns, versus

__all__ = ["METHOD_NAMES", "comparison_tables"]

METHOD_NAMES = {
    "two_way_t": "Crossed two-way t",
    "two_way_t_adjusted": "Crossed two-way t, position-adjusted",
    "product_bootstrap": "Product bootstrap of raters and pairs",
    "lmm": "Linear mixed model, raters and pairs crossed",
    "glmm_marginal": "Logistic mixed model, marginal rate",
    "ordinal_marginal": "Ordinal mixed model with ties, marginal rate",
    "confidence_sequence": "Confidence sequence on rater means (any number of looks)",
    "rater_mean_t": "Mean over raters, t (for these pairs)",
    "rater_mean_decisive_t": "Mean over raters, decisive votes, t (for these pairs)",
    "gee": "GEE by rater (for these pairs)",
    "vote_mean": "Mean over votes",
    "wilson": "Wilson (votes as independent)",
    "clopper_pearson": "Clopper-Pearson (votes as independent)",
    "binomial_exact": "Exact binomial test (votes as independent)",
}
_FIRST = "First line: raters and pairs as crossed samples"
_SECOND = "Second line: mean over raters, for these pairs"
_THIRD = "Third line: logistic mixed model, marginal rate"


def comparison_tables(comparison: Mapping, *, number: int, is_anytime: bool) -> list[Table]:
    """Return the tables of the comparison that stands at this place (0 is the first).

    ``is_anytime``: the plan allows any number of looks, so the confidence sequence stands beside the headline.
    """
    suffix = "" if number == 0 else f"_{number + 1}"
    tables = [
        _headline(comparison, suffix, is_anytime=is_anytime),
        _methods(comparison, suffix),
        _model(comparison, suffix),
        _ordinal(comparison, suffix),
        _sides(comparison, suffix),
        _classes(comparison, suffix),
        _groups(comparison, "tag", suffix),
        _groups(comparison, "prompt", suffix),
    ]
    return [table for table in tables if table is not None]


def estimators(comparison: Mapping) -> dict[str, Mapping]:
    """Return every estimator of the preference rate that the comparison has, in the order of ``METHOD_NAMES``."""
    methods = comparison["methods"]
    marginal = {
        "glmm_marginal": methods["glmm"]["marginal_rate"],
        "ordinal_marginal": methods["ordinal"]["marginal_score"],
    }
    found = {**methods, **marginal}
    return {name: found[name] for name in METHOD_NAMES if name in found}


def _headline(comparison: Mapping, suffix: str, *, is_anytime: bool) -> Table:
    methods, equivalence = comparison["methods"], comparison["equivalence"]
    rows = [
        {"line": _FIRST, **comparison["headline"]},
        {"line": _SECOND, **methods["rater_mean_t"]},
        {"line": _THIRD, **methods["glmm"]["marginal_rate"]},
    ]
    note = (
        "The first line speaks about raters and images like these. The second speaks about these images alone, which "
        "is why its interval can be narrower; no conclusion may rest on it for that reason. The third is the model a "
        f"reviewer may ask for. First line: {comparison['headline']['method']}."
    )
    if is_anytime:
        rows.append(
            {"line": "Any number of looks: confidence sequence, for these pairs", **methods["confidence_sequence"]}
        )
    if equivalence["margin"] is not None:
        rows.append({"line": f"Equivalence within ±{100 * equivalence['margin']:g} points", **methods["tost"]})
        note += " " + wording.equivalence_sentence(comparison)
    columns = (Column("line", "Estimate"), *result_columns())
    return Table(f"headline{suffix}", f"Preference for {versus(comparison)}", columns, rows, note)


def _methods(comparison: Mapping, suffix: str) -> Table:
    rows = [{"line": METHOD_NAMES[name], **result} for name, result in estimators(comparison).items()]
    note = (
        "Intervals that treat votes as independent are too narrow when raters and pairs answer more than once; they "
        "stand here for comparison with other studies, not for conclusions. A narrower interval is no reason to prefer "
        "its row."
    )
    columns = (Column("line", "Estimator"), *result_columns())
    title = f"Every estimator of the preference for {versus(comparison)}"
    return Table(f"methods{suffix}", title, columns, rows, note)


def _model(comparison: Mapping, suffix: str) -> Table:
    model = comparison["methods"]["glmm"]
    rows = [
        {"line": "Intercept a: log-odds for the arm at balanced sides", **model["intercept"]},
        {"line": "Position b: log-odds for the arm on the left against on the right", **model["position"]},
        *_spread_rows(model),
        {"line": "Marginal rate, averaged over raters, pairs and sides", **model["marginal_rate"]},
        {"line": "Rate of the typical rater on the typical pair", **model["conditional_rate"]},
        {"line": "Log-likelihood (Laplace)", "estimate": model["log_likelihood"]},
    ]
    note = "Decisive votes only: logit P(arm) = a + b x + rater + pair, with x = +1/2 where the arm stood on the left."
    title = f"Crossed logistic mixed model of {versus(comparison)}"
    return _model_table(f"model{suffix}", title, model, rows, note)


def _ordinal(comparison: Mapping, suffix: str) -> Table:
    model = comparison["methods"]["ordinal"]
    rows = [
        {"line": "Intercept a: log-odds for the arm at balanced sides", **model["intercept"]},
        {"line": "Half width of the tie band, log-odds", **model["half_width"]},
        {"line": "Position b: log-odds for the arm on the left against on the right", **model["position"]},
        *_spread_rows(model),
        {"line": "Marginal rate, ties split", **model["marginal_score"]},
        {"line": "Marginal share of wins", **model["win_rate"]},
        {"line": "Marginal share of ties", **model["tie_rate"]},
        {"line": "Marginal share of losses", **model["loss_rate"]},
        {"line": "Log-likelihood (Laplace)", "estimate": model["log_likelihood"]},
    ]
    note = f"All votes, as the ordered answers {comparison['baseline']} < tie < {comparison['arm']}."
    title = f"Crossed ordinal mixed model of {versus(comparison)}"
    return _model_table(f"ordinal{suffix}", title, model, rows, note)


def _spread_rows(model: Mapping) -> list[dict]:
    return [
        {"line": "SD of raters, log-odds", "estimate": model["sd_rater"], "ci95": model["sd_rater_ci95"]},
        {"line": "SD of pairs, log-odds", "estimate": model["sd_pair"], "ci95": model["sd_pair_ci95"]},
        {"line": "Raters' share of the latent variance", "estimate": model["share_rater"]},
        {"line": "Pairs' share of the latent variance", "estimate": model["share_pair"]},
    ]


def _model_table(name: str, title: str, model: Mapping, rows: list[dict], note: str) -> Table:
    whole = model["reason"] or model["separation"]
    for row in rows:
        if row["estimate"] is None and not row.get("reason"):
            row["reason"] = whole or "not identified"
        elif row["estimate"] is not None and row.get("reason") == whole:
            # What holds for the whole fit is said once, below.
            row["reason"] = None
    note += f" {whole[0].upper()}{whole[1:]}." if whole else ""
    return Table(name, title, (Column("line", "Parameter"), *result_columns("Estimate", rate=False)), rows, note)


def _sides(comparison: Mapping, suffix: str) -> Table:
    rows = []
    for key, side in (("arm_left", "left"), ("arm_right", "right")):
        entry = comparison["by_side"][key]
        rows.append({"line": f"{comparison['arm']} on the {side}", **entry["counts"], **entry["result"]})
    counts = tuple(Column(key, key.capitalize(), "count") for key in ("wins", "losses", "ties"))
    columns = (Column("line", "Side shown"), *counts, *result_columns())
    effect = comparison["position_effect"]
    note = ""
    if effect["ci95"] is not None:
        note = (
            f"Difference between the sides: {wording.points(effect['estimate'])} points "
            f"{wording.interval(effect['ci95'])}, {wording.p_text(effect['p_value'])}."
        )
    return Table(f"sides{suffix}", f"Preference for {versus(comparison)} by side shown", columns, rows, note)


def _classes(comparison: Mapping, suffix: str) -> Table | None:
    classes = comparison["per_class"]
    if not classes:
        return None
    family = comparison["class_family"]

    def rate(entry: Mapping) -> tuple:
        estimate = entry["result"]["estimate"]
        return (estimate is None, -(estimate or 0.0), entry["class_label"])

    rows = [
        {
            "line": wording.class_shown(entry) or "(no class)",
            **entry["counts"],
            **entry["result"],
            "p_adjusted": entry["p_adjusted"],
            "pooled": entry["pooled"]["estimate"],
        }
        for entry in sorted(classes, key=rate)
    ]
    adjustment = {"bh": "Benjamini and Hochberg (false discovery rate)", "holm": "Holm"}[family["adjustment"]]
    note = f"p adjusted by {adjustment} over the family of {wording.count(family['size'], 'class', 'classes')} tested."
    if family["reason"]:
        note += f" {family['reason'][0].upper()}{family['reason'][1:]}."
    note += _pooled_classes(family)
    first, interval, p_value, raters, pairs, votes, remark = result_columns()
    columns = (
        Column("line", "Class"),
        first,
        interval,
        p_value,
        Column("p_adjusted", "p, adjusted", "p"),
        Column("pooled", "Rate, partially pooled", "rate"),
        raters,
        pairs,
        votes,
        remark,
    )
    return Table(f"classes{suffix}", f"Preference for {versus(comparison)} by class", columns, rows, note)


def _groups(comparison: Mapping, kind: str, suffix: str) -> Table | None:
    """Return the preference by tag or by prompt, the highest rate first."""
    found = comparison.get("per_group", {}).get(kind)
    if not found or not found["groups"]:
        return None

    def rate(entry: Mapping) -> tuple:
        estimate = entry["result"]["estimate"]
        return (estimate is None, -(estimate or 0.0), entry["name"])

    rows = [
        {"line": entry["name"], **entry["counts"], **entry["result"], "p_adjusted": entry["p_adjusted"]}
        for entry in sorted(found["groups"], key=rate)
    ]
    adjustment = {"bh": "Benjamini and Hochberg (false discovery rate)", "holm": "Holm"}[found["adjustment"]]
    note = f"p adjusted by {adjustment} over the family of {wording.count(found['size'], kind)} tested."
    if found["reason"]:
        note += f" {found['reason'][0].upper()}{found['reason'][1:]}."
    first, interval, p_value, raters, pairs, votes, remark = result_columns()
    adjusted = Column("p_adjusted", "p, adjusted", "p")
    columns = (Column("line", kind.capitalize()), first, interval, p_value, adjusted, raters, pairs, votes, remark)
    return Table(f"{kind}s{suffix}", f"Preference for {versus(comparison)} by {kind}", columns, rows, note)


def _pooled_classes(family: Mapping) -> str:
    """Return the distribution of the true class rates in words; nothing where there are too few classes for one."""
    mean, sd = family["mean"], family["sd"]
    if mean["estimate"] is None:
        return ""
    centre = f"{wording.percent(mean['estimate'])} {wording.interval(mean['ci95'])}".strip()
    spread = f"{wording.decimal(100 * sd['estimate'], digits=1)} points {wording.interval(sd['ci95'])}".strip()
    return f" Classes as a random effect: true rates of mean {centre} and standard deviation {spread}."
