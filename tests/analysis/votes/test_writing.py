import csv
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.votes.columns import VOTE_COLUMNS
from analysis.votes.csv_text import guard, unguard
from analysis.votes.reading import read_votes
from analysis.votes.writing import csv_chunks, jsonl_chunks, write_votes
from tests.analysis.vote_rows import study_rows, vote_row


def test_same_rows_give_the_same_bytes(tmp_path):
    one = write_votes(study_rows(), tmp_path / "one")
    other = write_votes(study_rows(), tmp_path / "other")
    assert one == other
    for name in ("votes.csv", "votes.jsonl", "votes.parquet", "datapackage.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_data_package_names_types_and_true_hashes(tmp_path):
    write_votes(study_rows(), tmp_path, title="Digits")
    package = json.loads((tmp_path / "datapackage.json").read_text())
    assert [resource["format"] for resource in package["resources"]] == ["csv", "jsonl", "parquet"]
    for resource in package["resources"]:
        data = (tmp_path / resource["path"]).read_bytes()
        assert resource["hash"] == "sha256:" + hashlib.sha256(data).hexdigest()
        assert resource["bytes"] == len(data)
        assert resource["rows"] == 12 * 24
        assert [field["name"] for field in resource["schema"]["fields"]] == [entry.name for entry in VOTE_COLUMNS]
    fields = {field["name"]: field for field in package["resources"][0]["schema"]["fields"]}
    assert fields["choice"]["constraints"] == {"required": True, "enum": ["left", "right", "tie"]}
    assert fields["response_ms"]["unit"] == "ms"


def test_streams_equal_the_files(tmp_path):
    write_votes(study_rows(), tmp_path)
    assert b"".join(csv_chunks(study_rows())) == (tmp_path / "votes.csv").read_bytes()
    assert b"".join(jsonl_chunks(study_rows())) == (tmp_path / "votes.jsonl").read_bytes()


def test_a_stream_takes_rows_as_it_goes():
    taken = 0

    def rows():
        nonlocal taken
        for number in range(40_000):
            taken += 1
            yield vote_row(number)

    chunks = csv_chunks(rows())
    next(chunks)
    assert 0 < taken < 40_000


def test_no_votes_make_files_with_a_header(tmp_path):
    write_votes([], tmp_path)
    assert (tmp_path / "votes.csv").read_text().startswith("study,study_version,rater")
    assert len(read_votes(tmp_path / "votes.csv").table) == 0
    assert len(read_votes(tmp_path / "votes.parquet").table) == 0


def test_a_failing_source_leaves_no_file_behind(tmp_path):
    def rows():
        yield vote_row(1)
        raise RuntimeError("database gone")

    with pytest.raises(RuntimeError, match="database gone"):
        write_votes(rows(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_columns_and_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match="mood"):
        write_votes([{**vote_row(1), "mood": 1}], tmp_path)
    with pytest.raises(ValueError, match="xlsx"):
        write_votes([], tmp_path, formats=["xlsx"])


def test_formulas_are_guarded_in_csv_and_read_back(tmp_path):
    arms = ('=cmd|" /C calc"!A0', "'+1")
    write_votes(study_rows(arms=arms), tmp_path)
    with (tmp_path / "votes.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert set(read_votes(tmp_path / "votes.csv").table.arms) == set(arms)
    assert set(read_votes(tmp_path / "votes.jsonl").table.arms) == set(arms)


@given(st.text(alphabet="'=+-@\t\rab1", max_size=6))
def test_guarding_is_undone_exactly_and_leaves_no_formula(text):
    assert unguard(guard(text)) == text
    assert not guard(text).startswith(("=", "+", "-", "@", "\t", "\r"))


LABELS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=60)
@given(st.lists(LABELS, min_size=3, max_size=3, unique=True))
def test_any_name_comes_back_as_itself_from_every_format(tmp_path, names):
    one, other, rater = names
    row = vote_row(1, rater=rater, arm_left=one, arm_right=other, choice_arm=one, class_label=rater)
    write_votes([row], tmp_path)
    for kind in ("csv", "jsonl", "parquet"):
        table = read_votes(tmp_path / f"votes.{kind}").table
        assert (set(table.arms), table.raters) == ({one, other}, (rater,)), kind
        assert table.extra["class_label"].tolist() == [rater]
