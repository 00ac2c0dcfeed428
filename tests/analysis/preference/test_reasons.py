"""Reasons counted per arm: of the votes for it, how many give each."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.preference.reasons import named_reasons, reason_shares
from tests.analysis.votes_factory import make_table


def table():
    rows, reasons = [], []
    for rater in range(6):
        for pair in range(5):
            choice = ("left", "right", "tie")[(rater + pair) % 3]
            rows.append((f"r{rater}", f"p{pair}", "robust", "vanilla", choice))
            reasons.append({"left": "anatomy|colour" if rater % 2 else "colour", "right": "", "tie": "colour"}[choice])
    return make_table(rows, reasons=np.array(reasons, dtype=object))


def test_a_reason_belongs_to_the_arm_that_was_chosen_and_a_ties_to_none() -> None:
    found = {(entry.reason, entry.arm): entry for entry in reason_shares(table())}
    assert set(found) == {(reason, arm) for reason in ("anatomy", "colour") for arm in ("robust", "vanilla", "")}
    assert found["colour", "robust"].result.estimate == 1.0
    assert found["colour", "vanilla"].votes == 0
    assert found["colour", ""].result.estimate == 1.0
    anatomy = found["anatomy", "robust"]
    assert anatomy.votes == sum((rater + pair) % 3 == 0 and rater % 2 for rater in range(6) for pair in range(5))
    assert anatomy.result.estimate == pytest.approx(0.5)
    assert anatomy.result.ci95[0] < 0.5 < anatomy.result.ci95[1]
    assert anatomy.result.p_value is None


def test_ties_that_were_not_asked_have_no_row() -> None:
    votes = table()
    votes.extra["reasons"] = np.where(votes.choice == 2, "", votes.extra["reasons"]).astype(object)
    assert {entry.arm for entry in reason_shares(votes)} == {"robust", "vanilla"}


def test_text_in_raters_own_words_is_no_reason() -> None:
    votes = table()
    words = np.array([f"because of {row}|so {row}" for row in range(len(votes))], dtype=object)
    votes.extra["reasons"] = words
    with pytest.raises(ValueError, match="60 different reasons; more than 40 are no categories"):
        reason_shares(votes)


def test_no_votes_for_an_arm_give_no_row() -> None:
    votes = table().rows(np.flatnonzero(table().choice == 0))
    assert {entry.arm for entry in reason_shares(votes)} == {"robust"}
    assert named_reasons([]) == []
