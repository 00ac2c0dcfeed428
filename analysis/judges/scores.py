"""Scores that automatic judges gave: read from a file, and brought to one number a pair for a comparison of arms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.sheets.faults import Faults, number_hint
from analysis.sheets.sheet import Sheet, read_sheet
from analysis.votes.csv_text import unguard

__all__ = ["JudgeScores", "judged_pairs", "read_scores"]

_SCORE_COLUMNS = {"pair", "arm", "scorer", "score"}
_CHOICE_COLUMNS = {"pair", "arm_left", "arm_right", "scorer", "choice"}
_CHOICES = {"left": 1.0, "tie": 0.5, "right": 0.0}


@dataclass(frozen=True, kw_only=True)
class JudgeScores:
    """What a file of scores held.

    Parameters
    ----------
    scores : mapping of (scorer, pair, arm) to float
        A number an image, from judges that score one image at a time.
    choices : mapping of (scorer, pair, left arm, right arm) to float
        1 where the left image was chosen, 1/2 for a tie, 0 for the right one; from judges that see two at a time.
    """

    scores: Mapping[tuple[str, str, str], float]
    choices: Mapping[tuple[str, str, str, str], float]

    def scorers(self) -> list[str]:
        """Return the names of the judges, sorted."""
        return sorted({key[0] for key in (*self.scores, *self.choices)})


def read_scores(path: str | Path) -> JudgeScores:
    """Read ``pair, arm, scorer, score``, or ``pair, arm_left, arm_right, scorer, choice`` of a pairwise judge.

    Raises
    ------
    BadTableError
        Naming file, lines and what is wrong: a missing column, an empty name, a score that is no finite number, an
        unknown choice, the same image or the same showing twice.
    """
    sheet = read_sheet(Path(path).read_bytes(), file=str(path), wanted=_SCORE_COLUMNS | _CHOICE_COLUMNS)
    faults, names = Faults(str(path)), set(sheet.names)
    scores: dict[tuple[str, str, str], float] = {}
    choices: dict[tuple[str, str, str, str], float] = {}
    if names >= _SCORE_COLUMNS:
        scores = _scores(sheet, faults)
    elif names >= _CHOICE_COLUMNS:
        choices = _choices(sheet, faults)
    else:
        wanted = f"{', '.join(sorted(_SCORE_COLUMNS))}, or {', '.join(sorted(_CHOICE_COLUMNS))}"
        raise faults.whole(f"the header has {', '.join(sorted(names)) or 'nothing'}; scores need {wanted}")
    faults.refuse()
    return JudgeScores(scores=scores, choices=choices)


def _named(sheet: Sheet, names: Sequence[str], faults: Faults) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows that hold all of these names; add the others to the faults."""
    for line, cells in sheet.records():
        empty = [name for name in names if not cells[name]]
        for name in empty:
            faults.add(line, name, "is empty; every row needs one", kind="empty")
        if not empty:
            yield line, {name: unguard(text) for name, text in cells.items()}


def _scores(sheet: Sheet, faults: Faults) -> dict[tuple[str, str, str], float]:
    found: dict[tuple[str, str, str], float] = {}
    for line, row in _named(sheet, ("scorer", "pair", "arm"), faults):
        key = (row["scorer"], row["pair"], row["arm"])
        try:
            value = float(row["score"])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            faults.add(
                line, "score", f"is {row['score']!r}; give a finite number{number_hint(row['score'])}", kind="number"
            )
        elif key in found:
            faults.add(line, "", f"{key[0]} scored {key[2]} on pair {key[1]} twice", kind="twice")
        else:
            found[key] = value
    return found


def _choices(sheet: Sheet, faults: Faults) -> dict[tuple[str, str, str, str], float]:
    found: dict[tuple[str, str, str, str], float] = {}
    for line, row in _named(sheet, ("scorer", "pair", "arm_left", "arm_right"), faults):
        key = (row["scorer"], row["pair"], row["arm_left"], row["arm_right"])
        if row["choice"] not in _CHOICES:
            faults.add(line, "choice", f"is {row['choice']!r}; it must be {', '.join(_CHOICES)}", kind="unknown")
        elif key[2] == key[3]:
            faults.add(line, "", f"{key[2]} stands on both sides", kind="same")
        elif key in found:
            said = f"{key[0]} judged pair {key[1]} with {key[2]} left of {key[3]} twice"
            faults.add(line, "", said, kind="twice")
        else:
            found[key] = _CHOICES[row["choice"]]
    return found


def judged_pairs(scores: JudgeScores, scorer: str, arm: str, baseline: str) -> dict[str, float]:
    """Return how far a judge prefers the arm on each pair it judged.

    Returns
    -------
    dict of str to float
        By pair: the difference of the two images' scores; for a pairwise judge the mean over both orders of -1/2 to
        1/2. Positive for the arm, 0 for neither.
    """
    found: dict[str, float] = {}
    for (name, pair, scored), value in scores.scores.items():
        if name == scorer and scored == arm and (other := scores.scores.get((name, pair, baseline))) is not None:
            found[pair] = value - other
    orders: dict[str, list[float]] = {}
    for (name, pair, left, right), choice in scores.choices.items():
        if name == scorer and {left, right} == {arm, baseline}:
            orders.setdefault(pair, []).append((choice if left == arm else 1.0 - choice) - 0.5)
    # Both orders of a pair cancel a judge's pull to one side.
    return found | {pair: sum(values) / len(values) for pair, values in orders.items()}
