import numpy as np
import pytest

from analysis.votes.criteria import by_criterion, criteria_in, headline_criterion, one_a_trial
from analysis.votes.errors import BadVotesError
from analysis.votes.reading import read_votes, votes_from_rows
from tests.analysis.criteria_votes import criteria_rows, write_rows

SUFFIXES = [".csv", ".jsonl"]


def test_a_trial_may_have_a_vote_by_each_criterion_and_no_second_one(tmp_path):
    rows = criteria_rows(raters=3, pairs=2)
    table = read_votes(write_rows(tmp_path / "votes.csv", rows)).table
    assert len(table) == len(rows) == 18
    assert criteria_in(table) == ("detail", "overall", "realism")
    with pytest.raises(BadVotesError) as refusal:
        votes_from_rows([*rows, rows[4] | {"choice": "left"}])
    (bad,) = refusal.value.bad_rows
    assert (bad.line, bad.column) == (19, "trial")
    assert "already has a vote on this trial by this criterion" in bad.reason


def test_files_without_the_column_are_read_as_before():
    rows = [{name: value for name, value in row.items() if name != "criterion"} for row in criteria_rows({"one": 0.6})]
    table = votes_from_rows(rows).table
    assert "criterion" not in table.extra
    assert criteria_in(table) == ()
    assert headline_criterion(table, None) is None
    assert one_a_trial(table, None) is table
    with pytest.raises(BadVotesError, match="already has a vote on this trial;"):
        votes_from_rows([*rows, rows[0]])


def test_an_empty_column_names_no_criterion():
    rows = [row | {"criterion": ""} for row in criteria_rows({"one": 0.6}, raters=2, pairs=2)]
    assert headline_criterion(votes_from_rows(rows).table, None) is None


def test_the_headline_is_the_planned_criterion_and_must_be_in_the_votes():
    table = votes_from_rows(criteria_rows(raters=2, pairs=2)).table
    assert headline_criterion(table, "overall") == "overall"
    assert headline_criterion(table, None) == "detail"
    with pytest.raises(ValueError, match="'beauty' is not in the votes; the criteria are detail, overall, realism"):
        headline_criterion(table, "beauty")


def test_rows_without_a_criterion_among_others_are_refused():
    rows = criteria_rows(raters=2, pairs=2)
    rows[0]["criterion"] = ""
    with pytest.raises(ValueError, match="name it in every row"):
        headline_criterion(votes_from_rows(rows).table, None)


@pytest.mark.parametrize("together", [True, False])
def test_screening_counts_a_trial_once(together):
    table = votes_from_rows(criteria_rows(raters=3, pairs=4, together=together)).table
    kept = one_a_trial(table, "realism")
    assert len(kept) == (12 if together else 36)
    assert set(kept.extra["criterion"]) == ({"realism"} if together else {"realism", "detail", "overall"})
    trials = np.stack([kept.rater, kept.extra["position"]])
    assert np.unique(trials, axis=1).shape[1] == len(kept)


def test_without_positions_the_headline_stands_for_all():
    rows = [{name: value for name, value in row.items() if name != "position"} for row in criteria_rows()]
    kept = one_a_trial(votes_from_rows(rows).table, "detail")
    assert set(kept.extra["criterion"]) == {"detail"}


def test_the_votes_by_one_criterion_keep_the_codes():
    table = votes_from_rows(criteria_rows(raters=3, pairs=4)).table
    one = by_criterion(table, "detail")
    assert (one.raters, one.pairs, one.arms) == (table.raters, table.pairs, table.arms)
    assert (len(one), "criterion" in one.extra) == (12, False)
