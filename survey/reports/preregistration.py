"""The frozen plan in the order of the two usual registration forms, to be pasted or uploaded before the first vote."""

from __future__ import annotations

from typing import Any

from analysis.report.parts.wording import count
from survey.beyond import beyond_of
from survey.criteria import Criterion, criteria_of, design_of, has_ties, headline_of
from survey.models import StudyVersion, Vote
from survey.reports.wording import (
    checks_in_words,
    criterion_name,
    provider_in_words,
    questions_in_words,
    rules_in_words,
    sentence,
)
from survey.selectors.texts import reasons_in, text_languages

__all__ = ["NOT_STATED", "Sayings", "preregistration_text"]

NOT_STATED = "(not stated in the study: fill in)"


def preregistration_text(version: StudyVersion) -> str:
    """Return Markdown: the answers to AsPredicted's nine questions, then those to the OSF preregistration form.

    Everything comes from the frozen version; what only the researcher can say is marked to be filled in.
    """
    said = Sayings(version, **_votes_so_far(version))
    lines = [
        f"# Preregistration: {version.study.title}",
        "",
        f"Frozen version {version.number}, {version.frozen_at:%Y-%m-%d}.",
    ]
    lines += [f"Configuration SHA-256 {version.config_sha256}, images SHA-256 {version.manifest_sha256}.", ""]
    for form, questions in (("AsPredicted", said.as_predicted()), ("OSF preregistration", said.osf())):
        lines += [f"## {form}", ""]
        for number, (question, answer) in enumerate(questions, start=1):
            lines += [f"{number}. **{question}** {answer}", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _votes_so_far(version: StudyVersion) -> dict[str, int]:
    """Return the votes of people in the main study of this version, and those of pilots and of other versions."""
    every = Vote.objects.filter(
        is_current=True, trial__session__version__study=version.study, trial__session__is_simulated=False
    )
    votes = every.filter(trial__session__version=version, trial__session__is_pilot=False).count()
    return {"votes": votes, "votes_before": every.count() - votes}


def _answers(criterion: Criterion) -> str:
    return "left, right or no preference" if criterion.is_tie_allowed else "left or right"


class Sayings:
    """The sentences of a frozen version that both forms ask for."""

    def __init__(self, version: StudyVersion, *, votes: int = 0, votes_before: int = 0) -> None:
        """``votes`` are those that people gave under the version so far, ``votes_before`` of pilots and before it."""
        self.config, self.votes, self.votes_before = version.config, votes, votes_before
        self.texts, self.plan, self.analysis = (self.config[name] for name in ("texts", "plan", "analysis"))
        self.facts = self.config.get("facts", {})
        self.arms = ", ".join(arm["name"] for arm in self.config["arms"])

    def as_predicted(self) -> list[tuple[str, str]]:
        return [
            ("Data collection.", self.collected()),
            ("Hypothesis.", NOT_STATED),
            ("Dependent variable.", self.measure()),
            ("Conditions.", self.conditions()),
            ("Analyses.", self.model()),
            ("Outliers and exclusions.", self.exclusions()),
            ("Sample size.", self.size()),
            ("Other.", self.checks()),
            ("Type of study.", f"Experiment: blind pairwise comparison, {self.ties()}."),
        ]

    def osf(self) -> list[tuple[str, str]]:
        half = " a tie 1/2," if has_ties(self.config) else ""
        return [
            ("Description.", self.texts["summary"] or NOT_STATED),
            ("Hypotheses.", NOT_STATED),
            ("Study type.", "Experiment."),
            ("Blinding.", "Raters do not know which arm made which image; sides are drawn by the server."),
            ("Additional blinding.", self.blinding()),
            ("Study design.", self.conditions()),
            ("Randomization.", self.randomization()),
            ("Existing data.", self.existing()),
            ("Explanation of existing data.", self.explanation()),
            ("Data collection procedures.", self.procedure()),
            ("Sample size.", self.size()),
            ("Sample size rationale.", NOT_STATED),
            ("Stopping rule.", self.stopping()),
            ("Manipulated variables.", f"Which arm made an image: {self.arms}."),
            ("Measured variables.", self.measure()),
            ("Indices.", f"The preference rate of each comparison: a vote for the arm is 1,{half} another vote 0."),
            ("Statistical models.", self.model()),
            ("Transformations.", "Votes are used as they were given."),
            ("Inference criteria.", self.inference()),
            ("Data exclusion.", self.exclusions()),
            ("Missing data.", "Trials that were not answered have no vote; no value is imputed."),
            ("Exploratory analysis.", NOT_STATED),
            ("Other.", self.checks()),
        ]

    def collected(self) -> str:
        if not self.votes:
            return "No votes have been collected under this version."
        return f"{count(self.votes, 'vote')} had been collected under this version when this text was made."

    def existing(self) -> str:
        if self.votes:
            return f"{count(self.votes, 'vote')} under this version: this text is no registration before the data."
        if self.votes_before:
            return f"{count(self.votes_before, 'vote')} of pilots or other versions; none under this version."
        return "There are none; registered before any vote under this version."

    def explanation(self) -> str:
        if self.votes:
            return NOT_STATED
        if self.votes_before:
            return "They are marked by version and by pilot; pilots enter no analysis."
        return "There is nothing to explain."

    def ties(self) -> str:
        allowed = {one.is_tie_allowed for one in criteria_of(self.config)}
        if len(allowed) > 1:
            return "forced choice by some criteria, with ties by others"
        return "with ties" if allowed == {True} else "forced choice"

    def measure(self) -> str:
        if design_of(self.config):
            return f"{self.criteria()}{self.beyond()}{self._wordings()}"
        (only,) = criteria_of(self.config)
        said = f"Each trial asks {questions_in_words(self.config)}; the answer is {_answers(only)}."
        return f"{said}{self.beyond()}{self._wordings()}"

    def _wordings(self) -> str:
        languages = text_languages(self.config)
        return f" Each language ({', '.join(languages)}) has its frozen wording." if len(languages) > 1 else ""

    def criteria(self) -> str:
        design = {
            "blocks": "in blocks, one criterion at a time, the order of blocks drawn for each rater",
            "together": "together below each pair, in an order drawn for each rater",
        }[design_of(self.config)]
        answers = "; ".join(f"{criterion_name(one.key)}: {_answers(one)}" for one in criteria_of(self.config))
        return (
            f"Pairs are judged by several criteria, {design}: {questions_in_words(self.config)}. Answers: {answers}. "
            f"The primary criterion is {criterion_name(headline_of(self.config))}."
        )

    def beyond(self) -> str:
        asked = beyond_of(self.config)
        reasons = ", ".join(entry["caption"] for entry in reasons_in(self.config, ""))
        said = [
            " Raters also say which of the two images are acceptable: a second quantity, the share of acceptable "
            "images of each arm; both or neither without a preference is a tie in the preference rate."
            if asked.is_acceptable_asked
            else "",
            f" They grade the preference (1 to {asked.grades}); the primary test counts directions alone, grades are "
            "analysed by a cumulative logit model."
            if asked.grades
            else "",
            f" They give reasons from a list ({reasons}), counted for the arm that was chosen." if reasons else "",
        ]
        return "".join(said)

    def conditions(self) -> str:
        compared = "; ".join(f"{one} against {other}" for one, other in self.plan["comparisons"])
        return f"Arms: {self.arms}. Comparisons, within raters and pairs: {compared}."

    def randomization(self) -> str:
        return (
            "Pairs and sides of each visit are drawn from a stored seed; sides are balanced over each pair and within "
            "each visit."
        )

    def blinding(self) -> str:
        if self.analysis["stopping_rule"] == "anytime":
            return "Preferences may be looked at while the study runs, under the stopping rule below."
        if self.analysis.get("looks"):
            return "Researchers see no preferences but at the planned looks."
        return "Researchers see no preferences before the study is closed."

    def procedure(self) -> str:
        who = sentence(self.facts.get("eligibility", ""), empty=NOT_STATED)
        paid = sentence(self.texts["payment"], empty=NOT_STATED)
        return f"Recruitment by {provider_in_words(self.config)}. Raters: {who} Payment: {paid}"

    def size(self) -> str:
        trials = count(self.plan["trials_per_session"], "trial")
        return (
            f"{count(self.analysis['target_raters'], 'rater')} with up to {trials} each, and "
            f"{count(self.plan['votes_per_pair'], 'vote')} a compared pair on "
            f"{count(self.config['pairs']['selected'], 'pair')}."
        )

    def stopping(self) -> str:
        if self.analysis["stopping_rule"] == "anytime":
            return "An anytime-valid confidence sequence, which may be looked at while the study runs."
        if looks := self.analysis.get("looks"):
            kind = {"obrien_fleming": "O'Brien and Fleming's", "pocock": "Pocock's"}[looks["spending"]]
            return (
                f"{looks['number']} looks, the last after closing, with group-sequential boundaries by alpha spending "
                f"of {kind} type (Lan and DeMets) over the share of the planned raters."
            )
        return "Counting stops at the planned votes; results are looked at once, after closing."

    def model(self) -> str:
        split = ", ties split," if has_ties(self.config) else ""
        said = (
            f"The preference rate averaged over raters{split} with a two-way cluster-robust t interval (raters and "
            "pairs crossed), adjusted for the side shown where sides are not balanced."
        )
        if self.analysis["stopping_rule"] != "anytime":
            return said
        return (
            f"{said} What is concluded rests on the betting confidence sequence over raters' means, for these pairs; "
            "the t interval is reported beside it."
        )

    def inference(self) -> str:
        margin: Any = self.analysis["equivalence_margin"]
        equivalence = "" if margin is None else f" Equivalence is tested with a margin of {100 * margin:g} points."
        adjusted = {"bh": "Benjamini and Hochberg's", "holm": "Holm's"}[self.analysis.get("class_adjustment", "bh")]
        tests = f"Two-sided tests at 5 %; p-values of classes are adjusted by {adjusted} method."
        return f"{tests}{self.family()}{equivalence}"

    def family(self) -> str:
        """Return which comparisons are tested together, as the verdicts count them."""
        several, size = bool(design_of(self.config)), len(self.plan["comparisons"])
        headline = criterion_name(headline_of(self.config)).capitalize()
        together = (
            f"The {size} comparisons{f' by {headline.lower()}' if several else ''} are one family: p-values are "
            "multiplied by their number and intervals hold for all of them together (Bonferroni)."
        )
        others = " the other criteria are one family, adjusted by Holm."
        if size > 1:
            return f" {together}" + (f" Comparisons by{others}" if several else "")
        return f" {headline} is tested alone;{others}" if several else ""

    def exclusions(self) -> str:
        rules = rules_in_words(self.config)
        fixed = "No rule excludes raters."
        if rules:
            fixed = f"Raters are excluded by rules fixed before the first vote ({'; '.join(rules)})."
        return f"{fixed} Withdrawn visits are not used."

    def checks(self) -> str:
        number = self.plan["practice_trials"]
        practice = count(number, "practice trial") if number else ""
        beside = ", ".join(filter(None, (practice, checks_in_words(self.config))))
        return f"Beside the ordinary trials each visit has {beside or 'no others'}."
