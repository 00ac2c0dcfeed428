"""Line 1.9 and the copied rows of line 1.8 of the issue on conclusions: found at reading, named, refused."""

import unicodedata

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.votes.reading import BadVotesError, votes_from_rows
from analysis.votes.spelling import copied_rows, misspelt, tidied, unified
from tests.analysis.votes_factory import make_table

NAMES = ("rater", "pair", "arm_left", "arm_right", "choice")


def rows(*changes, count=12):
    """Votes of three raters on four pairs; each change is (column, spelling, every how many rows)."""
    found = []
    for number in range(count):
        row = dict(zip(NAMES, (f"r{number % 3}", f"p{number // 3}", "robust", "vanilla", "left"), strict=True))
        for column, spelling, every in changes:
            if number % every == 0:
                row[column] = spelling(row[column])
        found.append(row)
    return found


SPELLINGS = [
    pytest.param(lambda text: text + " ", id="trailing space"),
    pytest.param(lambda text: text + "\u00a0", id="no-break space"),
    pytest.param(lambda text: "\u200b" + text, id="zero-width space"),
    pytest.param(str.upper, id="case"),
]


@pytest.mark.parametrize("column", ["rater", "pair", "arm_left"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_names_that_look_alike_are_refused_by_name_line_and_remedy(column, spelling):
    given = rows((column, spelling, 4))
    with pytest.raises(BadVotesError) as caught:
        votes_from_rows(given, skip_bad_rows=True)
    reasons = [bad.reason for bad in caught.value.bad_rows]
    assert all("differ only in spaces, case, Unicode form or a .0" in reason for reason in reasons)
    assert any(repr(given[0][column]) in reason for reason in reasons)
    assert "--trim" in reasons[0]
    assert caught.value.bad_rows[0].line in (1, 5, 9)


@pytest.mark.parametrize("column", ["rater", "pair", "arm_left"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_trimming_gives_the_table_of_the_clean_names(column, spelling):
    clean = votes_from_rows(rows()).table
    trimmed = votes_from_rows(rows((column, spelling, 4)), spelling="trim").table
    assert (trimmed.raters, trimmed.pairs, trimmed.arms) == (clean.raters, clean.pairs, clean.arms)
    for name in ("rater", "pair", "arm_left", "arm_right", "choice"):
        assert np.array_equal(getattr(trimmed, name), getattr(clean, name))


def test_a_number_with_and_without_its_point_is_one_name_and_a_version_is_another():
    seven = [{**row, "rater": "7.0" if place % 2 else "7", "pair": f"p{place}"} for place, row in enumerate(rows())]
    with pytest.raises(BadVotesError, match=r"'7' and '7\.0' differ only in"):
        votes_from_rows(seven)
    assert votes_from_rows(seven, spelling="trim").table.raters == ("7",)
    versions = [{**row, "arm_left": "v1.0", "arm_right": "v1"} for row in rows()]
    assert votes_from_rows(versions, keep_copies=True).table.arms == ("v1", "v1.0")


def test_unicode_forms_of_one_name_are_one_name():
    composed, apart = "zoë", unicodedata.normalize("NFD", "zoë")
    assert misspelt([composed, apart]) == [tuple(sorted((composed, apart)))]
    assert tidied(apart) == composed


def test_names_that_differ_in_more_than_spelling_stay_apart():
    assert misspelt(["p1", "p2", "p 1", "p_1"]) == []
    assert votes_from_rows(rows(("rater", str.upper, 2)), spelling="keep").table.raters[:2] == ("R0", "R1")


def test_one_name_with_a_stray_space_everywhere_is_nobodys_twin():
    assert votes_from_rows(rows(("arm_left", lambda text: text + " ", 1))).table.arms == ("robust ", "vanilla")


def test_unifying_takes_the_commonest_spelling():
    table = make_table([("r", "p", "Robust", "vanilla", "left"), *[("s", "q", "robust", "vanilla", "left")] * 2])
    assert unified(table).arms == ("robust", "vanilla")


def test_a_copied_row_without_a_trial_is_a_bad_row():
    given = rows()
    with pytest.raises(BadVotesError) as caught:
        votes_from_rows([*given, given[4], given[4]])
    assert [bad.line for bad in caught.value.bad_rows] == [13, 14]
    assert "word for word" in caught.value.bad_rows[0].reason
    read = votes_from_rows([*given, given[4]], skip_bad_rows=True)
    assert (len(read.table), read.bad_row_counts) == (12, {"row": 1})
    assert len(votes_from_rows([*given, given[4]], keep_copies=True).table) == 13


def test_equal_votes_under_trials_of_their_own_are_two_votes():
    given = [{**row, "trial": f"t{number}"} for number, row in enumerate([*rows(), rows()[4]])]
    assert len(votes_from_rows(given).table) == 13


def test_rows_that_differ_in_a_number_or_time_alone_are_no_copies():
    columns = {"code": np.array([1, 1, 1, 1]), "ms": np.array([1.5, np.nan, np.nan, 1.5])}
    assert copied_rows(columns, np.ones(4, dtype=bool)).tolist() == [False, False, True, True]
    assert copied_rows(columns, np.array([True, True, False, True])).tolist() == [False, False, False, True]


def test_the_command_names_misspelt_arms_and_trims_them(tmp_path, capsys):
    path = tmp_path / "votes.csv"
    lines = [",".join(row.values()) for row in rows(("arm_left", lambda text: text + "\u00a0", 2))]
    path.write_text("\n".join([",".join(NAMES), *lines]) + "\n", encoding="utf-8")
    assert main([str(path), "--json"]) == 2
    assert "'robust\\xa0'" in capsys.readouterr().err
    assert main([str(path), "--json", "--trim"]) == 0
    assert '"vanilla"' in capsys.readouterr().out
