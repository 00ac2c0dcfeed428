"""Pairs' files are read, or refused by line with the remedy; they bring names and groups to the votes."""

from __future__ import annotations

import pytest

from analysis.pairs.table import Pair, read_pairs, with_class_names
from tests.analysis.votes_factory import make_table


def written(folder, text):
    path = folder / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_pair_has_its_prompt_and_its_tags(tmp_path):
    text = 'pair,prompt,tags,class_label\np1,"\'=SUM(1), a cat",animal|indoor,c\np2,,,\n'
    assert read_pairs(written(tmp_path, text)) == {
        "p1": Pair(prompt="=SUM(1), a cat", tags=("animal", "indoor"), class_label="c"),
        "p2": Pair(),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,prompt\na,b\n", "there is no column pair; the header has path, prompt"),
        ("pair,prompt\n,b\n", "line 2: pair is empty"),
        ("pair,prompt\np,b\np,c\n", "line 3: pair p has a row on line 2 already"),
        ("pair,prompt\np\n", "line 2: has 1 fields; the header has 2"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        read_pairs(written(tmp_path, text))


def test_classes_are_called_what_raters_read_and_stay_apart():
    table = make_table(
        [("r", "p1", "a", "b", "left"), ("r", "p2", "a", "b", "left"), ("r", "p3", "a", "b", "tie")],
        class_label=["n01", "n02", "n03"],
    )
    names = {"p1": ("n01", "a cat"), "p2": ("n02", "a cat"), "p3": ("n03", "a dog")}
    pairs = {key: Pair(class_label=label, class_name=name) for key, (label, name) in names.items()}
    shown = with_class_names(table, pairs).extra["class_name"]
    assert list(shown) == ["a cat (n01)", "a cat (n02)", "a dog"]
    assert "class_name" not in with_class_names(table, {}).extra
