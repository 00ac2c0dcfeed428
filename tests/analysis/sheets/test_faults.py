import numpy as np
import pytest

from analysis.judges.scores import read_scores
from analysis.pairs.table import read_pairs
from analysis.pictures.class_names import ClassMismatch, read_class_map
from analysis.ranking.options import read_covariates
from analysis.raters.table import read_raters
from analysis.sheets.faults import BadTableError, Faults
from analysis.votes.foreign.reading import read_foreign_votes
from analysis.votes.reading import BadVotesError, read_votes
from tests.analysis.sheets.test_workbook import book

VOTES = "rater,pair,arm_left,arm_right,choice\n"


def test_twenty_of_a_kind_are_listed_and_all_are_counted() -> None:
    faults = Faults("t.csv")
    for line in range(2, 30):
        faults.add(line, "pair", "is empty", kind="empty")
    faults.add_many(np.arange(21), lambda row: row + 40, "pair", lambda row: f"is {row}", kind="number")
    faults.add(1, "", "has 3 fields", kind="width")
    with pytest.raises(BadTableError) as caught:
        faults.refuse()
    error = caught.value
    assert (len(error.bad_rows), error.total) == (41, 50)
    assert error.problems[:2] == ["t.csv, line 1: has 3 fields", "t.csv, line 2: pair is empty"]
    assert str(error.bad_rows[1]) == "t.csv:2: pair: is empty"
    assert error.unlisted == ("t.csv: 8 more rows like line 21", "t.csv: 1 more row like line 59")
    assert faults.by_column == {"pair": 49, "row": 1}
    assert str(error).splitlines() == error.problems


# Of each table: its reader, a header, a row that is bad in one way, one that is bad in another, what is said of each.
TABLES = {
    "raters": (read_raters, "rater,minutes\n", ",1\n", "r{n},long\n", ("rater is empty", "minutes is 'long'")),
    "pairs": (read_pairs, "pair,prompt\n", ",x\n", "p,x\n", ("pair is empty", "pair p has a row")),
    "scores": (read_scores, "pair,arm,scorer,score\n", ",a,c,1\n", "p{n},a,c,?\n", ("pair is empty", "score is '?'")),
    "choices": (
        read_scores,
        "pair,arm_left,arm_right,scorer,choice\n",
        "p{n},a,a,c,left\n",
        "p{n},a,b,c,up\n",
        ("a stands on both sides", "choice is 'up'"),
    ),
    "covariates": (
        read_covariates,
        "pair,arm,size\n",
        "p{n},a,wide\n",
        "p,b,1\n",
        ("size is 'wide'", "b has a row for pair p"),
    ),
    "votes": (read_votes, VOTES, "r{n},p,a,b,up\n", ",p{n},a,b,left\n", ("choice: 'up'", "rater: is empty")),
    "class map": (
        lambda path: read_class_map(path.read_bytes(), where=path.name),
        "class,class_name\n",
        "c{n},\n",
        "d,e\n",
        ("expected two columns", "'d' is named twice"),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_lists_twenty_of_a_kind_and_counts_the_others(name, tmp_path) -> None:
    read, header, one, other, said = TABLES[name]
    path = tmp_path / "table.csv"
    # Of what may stand once and no more, the first row is good.
    rows = [text.format(n=number) for number in range(30) for text in (one, other)]
    path.write_text(header + "".join(rows) + other.format(n=99))
    with pytest.raises((BadTableError, ClassMismatch)) as caught:
        read(path)
    error = caught.value.__cause__ if isinstance(caught.value, ClassMismatch) else caught.value
    listed = [str(row) if name == "votes" else row.sentence for row in error.bad_rows]
    for words in said:
        assert sum(words in line for line in listed) == 20
    assert error.total == 60 + (name not in ("pairs", "covariates", "class map"))
    assert sum(int(line.split(": ")[1].split()[0]) for line in error.unlisted) == error.total - len(listed)


def test_rows_of_another_width_are_listed_together(tmp_path) -> None:
    path = tmp_path / "raters.csv"
    path.write_text("rater,site\n" + "r1\nr1,a,b\n" * 15)
    with pytest.raises(BadTableError, match="line 2: has 1 fields; the header has 2") as caught:
        read_raters(path)
    assert (len(caught.value.bad_rows), caught.value.total) == (20, 30)


def test_cells_of_a_workbook_that_cannot_be_taken_are_listed_together(tmp_path) -> None:
    path = tmp_path / "raters.xlsx"
    path.write_bytes(book(S=[["rater", "site"], *([1e18 + row, "lab"] for row in range(25))]))
    with pytest.raises(BadTableError) as caught:
        read_raters(path)
    assert (len(caught.value.bad_rows), caught.value.total) == (20, 25)
    assert "line 2: cell A2: Excel rounds" in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("v.jsonl", "{\n" * 22 + "[]\n"), ("v.json", "[" + "1, " * 22 + "2]")])
def test_records_of_other_tools_that_are_none_are_listed_together(name, content, tmp_path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BadVotesError) as caught:
        read_foreign_votes(path, "table")
    assert caught.value.total == 23
    assert 20 <= len(caught.value.bad_rows) <= 21
    assert caught.value.unlisted
