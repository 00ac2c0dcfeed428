"""Raters' files are read, or refused by line with the remedy; they bring groups and sites to the votes."""

from __future__ import annotations

import pytest

from analysis.raters.table import groupings, read_raters, with_sites
from tests.analysis.votes_factory import make_table

HEADER = "rater,session,minutes,site,answer_age,answer_remark\n"


def written(folder, text):
    path = folder / "raters.csv"
    path.write_text(text)
    return path


def test_two_sessions_of_one_rater_are_one_rater(tmp_path):
    raters = read_raters(written(tmp_path, HEADER + "r1,s1,10,north,young,\nr1,s2,12,,old,fine\nr2,s3,,south,,\n"))
    assert raters.values["r1"]["answer_age"] == "old"
    assert raters.values["r1"]["site"] == "north"
    assert raters.minutes == (10.0, 12.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,age\n", "there is no column rater; the header has name, age"),
        (HEADER + ",s1,1,,,\n", "line 2: rater is empty"),
        (HEADER + "r1,s1,1,,,\nr1,s1,2,,,\n", "line 3: session s1 of r1 has a row on line 2 already"),
        ("rater,site\nr1,a\nr1,b\n", "line 3: rater r1 has a row on line 2 already; keep one of them"),
        (HEADER + "r1,s1,soon,,,\n", "line 2: minutes is 'soon'; give a number of 0 or more"),
        (HEADER + 'r1,s1,"1,5",,,\n', "line 2: minutes is '1,5'; give a number of 0 or more; write a decimal point"),
        (HEADER + "r1,s1,-1,,,\n", "line 2: minutes is '-1'"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_raters(written(tmp_path, text))


def test_columns_of_one_value_and_answers_in_own_words_group_nobody(tmp_path):
    rows = "".join(f"r{n},s{n},1,north,{'young' if n % 2 else 'old'},remark {n}\n" for n in range(20))
    raters = read_raters(written(tmp_path, HEADER + rows))
    assert groupings(raters, ["r1", "r2", "unknown"]) == {"answer_age": ["young", "old", ""]}


def test_sites_of_raters_become_sites_of_votes_unless_the_votes_name_their_own(tmp_path):
    raters = read_raters(written(tmp_path, HEADER + "r1,s1,1,north,,\nr2,s2,1,south,,\n"))
    table = make_table([("r1", "p", "robust", "vanilla", "left"), ("r2", "p", "robust", "vanilla", "tie")])
    assert with_sites(table, raters).extra["site"].tolist() == ["north", "south"]
    own = make_table([("r1", "p", "robust", "vanilla", "left")], site=["here"])
    assert with_sites(own, raters).extra["site"].tolist() == ["here"]
