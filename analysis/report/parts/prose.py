"""The texts of a report: lead, findings, sentence and methods paragraph for a paper. Verdicts come ready made."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts.exclusions import kept_out_words
from analysis.report.parts.wording import count, isolated, key_in_words, percent
from analysis.votes.spelling import spelling_key

__all__ = ["finding", "lead", "looks", "methods_paragraph", "paper_sentence", "ties_offered"]

_SPENDING = {"obrien_fleming": "O'Brien and Fleming's type", "pocock": "Pocock's type"}


def looks(plan: Mapping) -> str | None:
    """Return how often the plan allows to look at the results, or None when no plan says."""
    planned = plan.get("looks")
    if planned is None:
        return None
    if planned == "anytime":
        return "any number of looks at the results, decided by the anytime-valid confidence sequence"
    if planned in ("one", 1):
        return "one look at the results, after closing"
    number = planned.get("number", len(planned.get("fractions") or ())) if isinstance(planned, Mapping) else planned
    spending = planned.get("spending", "obrien_fleming") if isinstance(planned, Mapping) else "obrien_fleming"
    boundaries = f"group-sequential boundaries by alpha spending of {_SPENDING[spending]}"
    return f"{number} looks at the results, with {boundaries}"


def ties_offered(report: Mapping) -> bool | None:
    """Return whether raters could answer with a tie: by the plan, the study's facts or the votes; None if unknown."""
    planned = report["plan"].get("ties_offered")
    if planned is not None:
        return bool(planned)
    stated = report["study"].get("ties_offered")
    if isinstance(stated, bool):
        return stated
    first = spelling_key(str(stated or "")).partition(",")[0]
    if first in ("yes", "no"):
        return first == "yes"
    return True if report["data"]["ties"] else None


def lead(report: Mapping) -> str:
    """Return the first sentences of the report: the verdict on the study and what changes its meaning."""
    verdict = report["verdict"]
    if verdict is None:
        return "No comparison: the votes name fewer than two arms."
    said = _marked(report, verdict)
    section = report.get("criteria")
    if section is None:
        return said
    return " ".join([f"By the criterion {key_in_words(section['headline'])}: {said}", *_other_criteria(section)])


def _other_criteria(section: Mapping) -> list[str]:
    """Return the verdict by each criterion beside the headline, on the first comparison, and what changes it."""
    verdicts = [(entry, entry["comparisons"][0]["verdict"]) for entry in section["criteria"] if entry["comparisons"]]
    return [
        f"By {key_in_words(entry['criterion'])}: {' '.join([verdict['sentence'], *verdict['warnings']])}"
        for entry, verdict in verdicts
        if entry is not section["criteria"][0]
    ]


def finding(report: Mapping, comparison: Mapping) -> str:
    """Return the verdict on one comparison and what changes its meaning."""
    return _marked(report, comparison["verdict"])


def _marked(report: Mapping, verdict: Mapping) -> str:
    said = " ".join([verdict["sentence"], *verdict["warnings"]])
    return f"Simulated votes, no evidence: {said}" if report["data"]["is_simulated"] else said


def paper_sentence(report: Mapping, comparison: Mapping, *, is_position_adjusted: bool) -> str:
    """Return the sentence for a paper's results section; the flag is the headline's."""
    arm, baseline = (isolated(comparison[key]) for key in ("arm", "baseline"))
    result, verdict = comparison["headline"], comparison["verdict"]
    counts = comparison["counts"]
    prefix = "[SIMULATED VOTES, NOT FOR PUBLICATION] " if report["data"]["is_simulated"] else ""
    if result["estimate"] is None:
        return f"{prefix}A preference rate of {arm} over {baseline}: {verdict['conclusion']}."
    basis = (
        f"{count(result['n_raters'], 'rater')}, {count(result['n_pairs'], 'image pair')}, "
        f"{count(sum(counts.values()), 'vote')}, {_ties(report, counts)}"
    )
    adjusted = " and adjusted for the side shown" if is_position_adjusted else ""
    opening = (
        f"{prefix}In a blind two-alternative comparison ({basis}), the preference rate for {arm} over {baseline} was "
        f"{percent(result['estimate'])}, averaged over raters{adjusted}"
    )
    if verdict["numbers"] is None:
        return f"{opening}; {verdict['conclusion']}."
    return f"{opening} ({verdict['numbers']}; {verdict['error']}); {verdict['conclusion']}."


def _ties(report: Mapping, counts: Mapping) -> str:
    if ties_offered(report) is False:
        return "ties not offered"
    if not counts["ties"]:
        return "no ties"
    return f"{percent(counts['ties'] / sum(counts.values()))} ties counted as half a vote for each arm"


def _looks_sentence(plan: Mapping) -> str:
    planned = looks(plan)
    if planned is None:
        return (
            "No plan states how often the results were looked at; unless that was once, fixed in advance, only the "
            "confidence sequence keeps its error rate."
        )
    return f"The plan allowed {planned}."


def _criteria_sentence(report: Mapping) -> str | None:
    section = report.get("criteria")
    if section is None:
        return None
    names = [key_in_words(entry["criterion"]) for entry in section["criteria"]]
    asked = f"Pairs were judged by {count(len(names), 'criterion', plural='criteria')} ({', '.join(names)})."
    if section["is_planned"]:
        return (
            f"{asked} The plan named {names[0]} as the headline, which is tested alone; the others are one family, "
            "adjusted by Holm."
        )
    return (
        f"{asked} No plan names a headline, so that all comparisons by all criteria are one family: p-values are "
        "multiplied by their number and intervals hold for all of them together (Bonferroni)."
    )


def _family_sentence(report: Mapping) -> str | None:
    families = [comparison["verdict"]["family"] for comparison in report["comparisons"]]
    if any(family["scope"] == "primary" for family in families):
        return (
            "The primary comparison was named in the plan and is tested alone; the others are adjusted as one family."
        )
    size = max((family["size"] for family in families), default=1)
    # What several criteria make of the family is said beside them.
    if size < 2 or report.get("criteria") is not None:
        return None
    return (
        f"The {size} comparisons are one family: p-values are multiplied by their number and intervals hold "
        "for all of them together (Bonferroni)."
    )


_ANSWERS = {
    True: "chose the left one, the right one or a tie",
    False: "chose one of the two (ties were not offered)",
    None: "chose the left one or the right one",
}


def methods_paragraph(report: Mapping) -> str:
    """Return a paragraph for a paper's methods section: estimand, interval, what was kept out."""
    data, provenance = report["data"], report["provenance"]
    offered = ties_offered(report)
    scores = "1 for the arm, 1/2 for a tie, 0 for the baseline" if offered else "1 for the arm, 0 for the baseline"
    sites = data.get("sites") or 0
    people = "raters" if sites < 2 else "sites (the units above raters)"
    sentences = [
        f"Raters saw two images side by side without knowing which method made which, and {_ANSWERS[offered]}.",
        f"The preference rate is the average over raters of each rater's mean score ({scores}), so that every rater "
        "weighs the same; where the sides shown were not balanced it is the mean of the rates by side shown.",
        f"Its 95 % interval treats {people} and image pairs as crossed random samples: the variance is the sum of the "
        "variances clustered by either less that of their cells, never below the larger of the two, and "
        f"the t quantile has min({'raters' if sites < 2 else 'sites'}, pairs) - 1 degrees of freedom. Tests are "
        "two-sided against 1/2.",
    ]
    planned = (_criteria_sentence(report), _family_sentence(report), _looks_sentence(report["plan"]))
    sentences += [said for said in planned if said]
    kept_out = data["excluded"]
    if kept_out:
        sentences.append(
            f"{count(sum(kept_out.values()), 'vote')} did not enter the estimates ({kept_out_words(kept_out)})."
        )
    else:
        sentences.append("No vote was left out of the estimates.")
    if data["bad_rows"]:
        dropped = count(sum(data["bad_rows"].values()), "unreadable row")
        sentences.append(f"{dropped} of the vote file had to be dropped.")
    if data.get("left_out"):
        listed = ", ".join(f"{count(number)} {why}" for why, number in data["left_out"].items())
        sentences.append(f"Records of the file that hold no vote were left out ({listed}).")
    sentences += [f"Not recorded: {text}." for text in data.get("unknown", ())]
    code = ", ".join(str(provenance[key]) for key in ("version", "commit") if provenance.get(key))
    sentences.append(
        f"Computed by Blindpair{f' ({code})' if code else ''} with seed {provenance['seed']} from votes with SHA-256 "
        f"{data['sha256']}."
    )
    if data["is_simulated"]:
        sentences.insert(0, "All votes are simulated; this text describes a rehearsal.")
    return " ".join(sentences)
