"""The texts of a report that name arms: by their short names, and once more under the titles that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.report.content.metric_differences import difference_sentences
from analysis.report.content.verdicts import Judgement
from analysis.report.parts.prose import finding, lead, paper_sentence
from analysis.report.parts.titles import renamed, with_words

__all__ = ["texts_of", "words_under_titles"]


def texts_of(report: Mapping[str, Any], *, adjusted: Sequence[bool]) -> dict[str, Any]:
    """Return lead, findings and sentences; ``adjusted`` says of each comparison's headline whether it is by side."""
    comparisons = report["comparisons"]
    return {
        "lead": lead(report),
        "findings": [finding(report, comparison) for comparison in comparisons],
        "sentences": [
            paper_sentence(report, comparison, is_position_adjusted=is_adjusted)
            for comparison, is_adjusted in zip(comparisons, adjusted, strict=True)
        ],
        "image_metrics": difference_sentences(
            report["image_metric_differences"], [(entry["arm"], entry["baseline"]) for entry in comparisons]
        ),
    }


def words_under_titles(
    report: Mapping[str, Any],
    titles: Mapping[str, str],
    *,
    study: Mapping[str, Any] | None,
    judged: Sequence[Sequence[Judgement]],
    adjusted: Sequence[bool],
) -> dict[str, Any]:
    """Return the verdicts and texts of a report under the titles of its arms.

    Parameters
    ----------
    report : mapping
        With everything but these words.
    titles : mapping of str to str
    study : mapping or None
        The verdict on the study under the titles.
    judged : sequence of sequence of Judgement
        By criterion, the headline first; one sequence where there is one question.
    adjusted : sequence of bool
        As :func:`texts_of` takes it.
    """
    verdicts = [[judgement.under(titles).as_json() for judgement in row] for row in judged]
    words = {"verdict": study, "comparisons": verdicts[0], "criteria": verdicts if "criteria" in report else []}
    shown = with_words(renamed(report, titles), words)
    return {**words, "text": texts_of(shown, adjusted=adjusted)}
