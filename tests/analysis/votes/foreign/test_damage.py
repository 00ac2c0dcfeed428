"""However a file of another tool is damaged, it is read or refused by name, and nothing is unaccounted for."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.votes.foreign.reading import read_foreign_votes
from analysis.votes.reading import BadVotesError
from tests.analysis.votes.foreign.test_tools import ITEMS, SAMPLES, TALLIES

_ODD = st.sampled_from([b"", b"\xff", b"null", b"[", b"{}", b'"', b",", b"\n", b"0", b"left", b"\x00", b"[[1]]"])
_VALUES = st.sampled_from([None, True, 0, 1.5, "", "left", "A", [], [1], {}, {"a": 1}, [["x"]], "nan", float("nan")])
_FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def _read(tool, path):
    read, refused = None, ()
    try:
        read = read_foreign_votes(path, tool, skip_bad_rows=True, **(ITEMS if tool == "potato" else {}))
    except BadVotesError as error:
        refused = error.bad_rows
    assert all(bad.file and bad.line >= 0 and bad.reason for bad in refused)
    assert refused or read.rows == len(read.table) + sum(read.bad_row_counts.values())


@pytest.mark.parametrize(("tool", "name"), TALLIES)
@_FUZZ
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused(tool, name, data, tmp_path_factory):
    content = (SAMPLES / name).read_bytes()
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(len(content), begin + 12)))
    path = tmp_path_factory.mktemp("damage") / Path(name).name
    path.write_bytes(content[:begin] + data.draw(_ODD) + content[end:])
    _read(tool, path)


def _places(value, at=()):
    yield at
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(inner, (*at, key))


_JSON = [(tool, name) for tool, name in TALLIES if name.endswith(".json")]


@pytest.mark.parametrize(("tool", "name"), _JSON)
@_FUZZ
@given(data=st.data())
def test_json_of_another_shape_is_read_or_refused(tool, name, data, tmp_path_factory):
    content = json.loads((SAMPLES / name).read_text(encoding="utf-8"))
    *way, last = data.draw(st.sampled_from([at for at in _places(content) if at]))
    inner = content
    for key in way:
        inner = inner[key]
    if isinstance(inner, dict) and data.draw(st.booleans()):
        del inner[last]
    else:
        inner[last] = data.draw(_VALUES)
    path = tmp_path_factory.mktemp("shape") / Path(name).name
    path.write_text(json.dumps(content), encoding="utf-8")
    _read(tool, path)
