"""Votes of other tools, from files that the tools themselves wrote (tests/data/foreign_votes), beside their tallies."""

import json
from collections import Counter
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.votes.criteria import by_criterion, criteria_in
from analysis.votes.foreign import TOOLS
from analysis.votes.foreign.reading import read_foreign_votes
from analysis.votes.reading import BadVotesError, read_votes

SAMPLES = Path(__file__).parents[3] / "data" / "foreign_votes"
ITEMS = {"items": SAMPLES / "potato_items.jsonl"}
# jsPsych stores the places of three buttons, not what stood on them.
BUTTONS = {"answers": {"0": "left", "1": "right", "2": "tie"}}
TOLD = {"potato": ITEMS, "jspsych": BUTTONS}

# What each tool was made to record (write_*.py), as wins of robust, wins of vanilla, ties, and records without a vote.
TALLIES = {
    ("jspsych", "jspsych.csv"): ((2, 2, 1), {"no answer": 1, "no comparison": 1}),
    ("jspsych", "jspsych.json"): ((2, 2, 1), {"no answer": 1, "no comparison": 1}),
    ("label-studio", "label_studio.json"): ((2, 1, 0), {"no answer": 1, "skipped": 1}),
    ("label-studio", "label_studio_min.json"): ((2, 1, 0), {"no answer": 1}),
    ("label-studio", "label_studio.csv"): ((2, 1, 0), {"no answer": 1}),
    ("potato", "potato/ann/user_state.json"): ((2, 1, 1), {}),
    ("potato", "potato/bob/user_state.json"): ((2, 0, 0), {"no answer": 1}),
    ("otree", "otree_wide.csv"): ((5, 0, 3), {"no answer": 1}),
    ("otree", "otree_app.csv"): ((5, 0, 3), {"no answer": 1}),
    ("gradio", "gradio/dataset1.csv"): ((1, 0, 1), {"no answer": 1}),
    ("gradio", "gradio/dataset2.csv"): ((0, 1, 0), {}),
    ("arena", "arena.jsonl"): ((1, 1, 2), {}),
    ("evalica", "evalica.csv"): ((3, 1, 1), {}),
    ("evalica", "evalica_names.csv"): ((3, 1, 1), {}),
    ("psychopy", "psychopy.csv"): ((2, 1, 0), {"no answer": 1, "no comparison": 1}),
    ("preferences", "preferences.jsonl"): ((2, 1, 0), {}),
}


def _read(tool, name, **options):
    return read_foreign_votes(SAMPLES / name, tool, **TOLD.get(tool, {}), **options)


def _tally(table):
    scores = table.comparison(*table.arms).score.tolist()
    counts = Counter(scores)
    return counts[1.0], counts[0.0], counts[0.5]


@pytest.mark.parametrize(("tool", "name"), TALLIES)
def test_a_tools_votes_are_read_as_the_tool_counts_them(tool, name):
    read = _read(tool, name)
    tally, left_out = TALLIES[tool, name]
    assert (_tally(read.table), read.left_out) == (tally, left_out)
    assert read.table.arms[0].lstrip("=") == "robust"


def test_every_tool_has_a_sample():
    assert {tool for tool, _ in TALLIES} == set(TOOLS) - {"table"}


def test_evalicas_own_count_is_met():
    robust, vanilla, ties = _tally(_read("evalica", "evalica.csv").table)
    tally = json.loads((SAMPLES / "evalica_tally.json").read_text())
    assert tally == {"robust": robust + ties / 2, "vanilla": vanilla + ties / 2}


@pytest.mark.parametrize(("tool", "name"), TALLIES)
def test_the_converted_table_gives_the_same_votes(tool, name, tmp_path, capsys):
    out = tmp_path / "votes.csv"
    options = {"potato": ["--items", str(ITEMS["items"])]}
    options["jspsych"] = [part for said in BUTTONS["answers"].items() for part in ("--answer", "=".join(said))]
    command = ["convert", str(SAMPLES / name), "--from", tool, *options.get(tool, []), "--out", str(out)]
    assert main(command) == 0
    again = read_votes(out)
    assert _tally(again.table) == TALLIES[tool, name][0]
    assert (again.table.raters, again.table.pairs) == (_read(tool, name).table.raters, _read(tool, name).table.pairs)
    said = capsys.readouterr().err
    assert all(f"left out, {why}: {number}" in said for why, number in TALLIES[tool, name][1].items())
    assert main(command) == 2


def test_the_other_way_round_is_told_by_potatos_own_note():
    table = _read("potato", "potato/bob/user_state.json").table
    first = table.pairs.index("item_0")
    assert [table.arms[code] for code in table.arm_left[table.pair == first]] == ["vanilla"]


def test_times_are_milliseconds_whatever_the_tool_counts_in():
    assert set(_read("psychopy", "psychopy.csv").table.extra["response_ms"]) == {750.0}
    assert sorted(_read("label-studio", "label_studio.csv").table.extra["response_ms"]) == [1500, 2500, 3250]


def test_a_second_file_of_gradio_is_named():
    assert "dataset2.csv" in _read("gradio", "gradio/dataset1.csv").unknown[0]


def _changed(tmp_path, name, old, new):
    text = (SAMPLES / name).read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / Path(name).name
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("tool", "name", "old", "line"),
    [
        ("arena", "arena.jsonl", 'model_a", "judge', 1),
        ("jspsych", "jspsych.csv", '"1","html-button-response","2"', 4),
        ("evalica", "evalica_names.csv", "vanilla,left", 2),
        ("label-studio", "label_studio.csv", '""right""', 2),
        ("otree", "otree_app.csv", "vanilla,robust,right", 4),
        ("psychopy", "psychopy.csv", ",left,", 3),
        ("gradio", "gradio/dataset1.csv", "vanilla,left", 2),
        ("potato", "potato/ann/user_state.json", '"tie"', 3),
    ],
)
def test_an_answer_that_nobody_knows_is_refused_with_its_place(tool, name, old, line, tmp_path):
    last = old.rstrip('",').rpartition("left")[1] or ("right" if "right" in old else "tie" if "tie" in old else None)
    new = old.replace(last, "bottom") if last else old.replace("model_a", "bottom").replace('"1"', '"9"', 1)
    path = _changed(tmp_path, name, old, new)
    with pytest.raises(BadVotesError) as caught:
        read_foreign_votes(path, tool, **TOLD.get(tool, {}))
    (bad,) = caught.value.bad_rows
    assert (bad.line, bad.column) == (line, "choice")
    assert "'bottom'" in bad.reason or "'9'" in bad.reason


@pytest.mark.parametrize("name", ["jspsych.csv", "jspsych.json"])
def test_which_of_three_buttons_is_the_tie_is_not_guessed(name):
    with pytest.raises(BadVotesError, match="--answer 0=left") as caught:
        read_foreign_votes(SAMPLES / name, "jspsych")
    assert caught.value.total == 5
    turned = {"answers": {"0": "left", "1": "tie", "2": "right"}}
    assert read_foreign_votes(SAMPLES / name, "jspsych", **turned).table.choice.tolist().count(2) == 2


@pytest.mark.parametrize("form", ["csv", "json"])
def test_the_space_bar_is_an_answer_and_two_buttons_need_no_word(form, tmp_path):
    names = ("participant", "pair_id", "left_arm", "right_arm", "response")
    rows = [("r1", f"p{place}", "a", "b", answer) for place, answer in enumerate(("0", "1", " ", "null"))]
    path = tmp_path / f"data.{form}"
    if form == "csv":
        path.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in (names, *rows)) + "\n")
    else:
        path.write_text(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
    with pytest.raises(BadVotesError, match=r"'space' is not one of .* --answer space=left"):
        read_foreign_votes(path, "jspsych")
    read = read_foreign_votes(path, "jspsych", answers={"space": "tie"})
    assert (read.table.choice.tolist(), read.left_out) == ([0, 1, 2], {"no answer": 1})


def test_battles_that_were_not_blind_are_left_out_as_the_arena_does(tmp_path):
    first = json.loads((SAMPLES / "arena.jsonl").read_text().splitlines()[0])
    rows = [{**first, "question_id": f"q{place}", "anony": anony} for place, anony in enumerate((True, False, "False"))]
    path = tmp_path / "battles.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = read_foreign_votes(path, "arena")
    assert (len(read.table), read.left_out) == (1, {"not blind (anony is false)": 2})


def test_a_person_in_an_annotators_place_gives_a_number_and_other_controls_are_named(tmp_path):
    tasks = json.loads((SAMPLES / "label_studio.json").read_text())
    for task in tasks:
        for annotation in task["annotations"]:
            annotation["completed_by"] = {"id": annotation["completed_by"], "email": "ann@example.org"}
    tasks[0]["annotations"][0]["result"] = [{"type": "choices", "from_name": "c", "value": {"choices": ["left"]}}]
    path = tmp_path / "people.json"
    path.write_text(json.dumps(tasks))
    read = read_foreign_votes(path, "label-studio")
    assert all(rater.isdecimal() for rater in read.table.raters)
    assert read.left_out["answered with choices, not Pairwise"] == 1


def test_numbers_of_a_boolean_are_not_guessed(tmp_path):
    with pytest.raises(BadVotesError, match="'0' is not one of"):
        read_foreign_votes(SAMPLES / "otree_wide.csv", "otree", named={"choice": "chose_left"})
    told = {"answers": {"1": "left", "0": "right"}, "named": {"choice": "chose_left"}}
    assert len(read_foreign_votes(SAMPLES / "otree_wide.csv", "otree", **told).table) == 8


def test_missing_columns_are_named_with_the_option_that_helps():
    with pytest.raises(BadVotesError, match=r"--map arm_left=COLUMN; the file has user_id, instance_id"):
        read_foreign_votes(SAMPLES / "potato/ann/user_state.json", "potato")
    with pytest.raises(BadVotesError, match="--map pair=nowhere"):
        read_foreign_votes(SAMPLES / "arena.jsonl", "arena", named={"pair": "nowhere"})
    with pytest.raises(ValueError, match="has no such column"):
        read_foreign_votes(SAMPLES / "arena.jsonl", "arena", named={"pear": "question_id"})


def test_raters_that_nobody_knows_are_an_explicit_choice(tmp_path):
    path = _changed(tmp_path, "arena.jsonl", "judge", "judge")
    path.write_text(path.read_text().replace('"judge"', '"nobody"'))
    with pytest.raises(BadVotesError, match="--own-raters"):
        read_foreign_votes(path, "arena")
    read = read_foreign_votes(path, "arena", has_own_raters=True)
    assert len(read.table.raters) == 4
    assert "every vote counts as a rater of its own" in read.unknown[0]


def test_the_report_leaves_out_what_nobody_recorded(tmp_path, capsys):
    path = tmp_path / "sets.jsonl"
    pairs = [(rater, item) for rater in range(12) for item in range(14)]
    rows = [
        {"prompt": f"p{item}", "annotator": f"a{rater}", "chosen_model": "ab"[odd], "rejected_model": "ba"[odd]}
        for rater, item in pairs
        for odd in [(rater * 7 + item * 5) % 3 == 0]
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([str(path), "--from", "preferences", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["position_bias"]["counts"] == {}
    assert report["position_bias"]["left_rate"]["estimate"] is None
    assert "nobody recorded" in report["position_bias"]["left_rate"]["reason"]
    assert report["comparisons"][0]["methods"]["two_way_t_adjusted"]["estimate"] is None
    assert "nobody recorded" in report["comparisons"][0]["headline"]["reason"]
    assert any(text.startswith("sides:") for text in report["data"]["unknown"])
    assert "Not recorded: sides" in report["text"]["methods"]


def test_a_table_under_other_names_is_read_by_map_and_answer(tmp_path, capsys):
    path = tmp_path / "mine.csv"
    path.write_text("who;item;a;b;best\nr1;p1;robust;vanilla;A\nr2;p1;vanilla;robust; B \nr2;p2;vanilla;robust;\n")
    names = "rater=who,pair=item,arm_left=a,arm_right=b,choice=best"
    out = tmp_path / "votes.csv"
    told = ["--map", names, "--answer", "A=left", "--answer", "b=right"]
    assert main(["convert", str(path), *told, "--out", str(out)]) == 0
    assert _tally(read_votes(out).table) == (2, 0, 0)
    assert "left out, no answer: 1" in capsys.readouterr().err
    assert main(["convert", str(path), "--map", names, "--out", str(tmp_path / "other.csv")]) == 2
    assert "'A' is not one of left, right, tie" in capsys.readouterr().err


def _two_questions(tool, tmp_path):
    """Return a file in which a second question was asked of each pair and answered the other way round."""
    other = {"left": "right", "right": "left", "A": "B", "B": "A"}
    name = {"label-studio": "label_studio.json", "csv": "label_studio.csv", "potato": "potato/ann/user_state.json"}[
        tool
    ]
    path = tmp_path / Path(name).name
    if tool == "csv":
        head, *rows = (SAMPLES / name).read_text().splitlines()
        turned = [next((other[side] for side in ("left", "right") if f'""{side}""' in row), "") for row in rows]
        cells = [f'"[{{""selected"":""{side}""}}]"' if side else "" for side in turned]
        lines = [f"{head},detail", *(f"{row},{cell}" for row, cell in zip(rows, cells, strict=True))]
        path.write_text("\n".join(lines) + "\n")
        return path
    content = json.loads((SAMPLES / name).read_text())
    if tool == "potato":
        for labels in content["instance_id_to_label_to_value"].values():
            labels += [[{**label, "schema": "detail"}, other.get(value, value)] for label, value in labels]
    else:
        for result in (annotation["result"] for task in content for annotation in task["annotations"]):
            result += [
                {**one, "from_name": "detail", "value": {"selected": other[one["value"]["selected"]]}}
                for one in result
                if one.get("type") == "pairwise"
            ]
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("tool", ["label-studio", "csv", "potato"])
def test_several_questions_of_a_pair_are_several_criteria(tool, tmp_path):
    path = _two_questions(tool, tmp_path)
    reader = "label-studio" if tool == "csv" else tool
    table = read_foreign_votes(path, reader, **(ITEMS if tool == "potato" else {})).table
    one, other = criteria_in(table)
    assert "detail" in (one, other)
    robust, vanilla, ties = _tally(by_criterion(table, one))
    assert _tally(by_criterion(table, other)) == (vanilla, robust, ties)
    assert robust + vanilla > 0


def test_two_keys_in_one_row_are_refused_not_chosen_from(tmp_path):
    path = _changed(
        tmp_path, "psychopy.csv", "p0,robust,vanilla,0,0,0,0,,,,left", "p0,robust,vanilla,0,0,0,0,,,up,left"
    )
    with pytest.raises(BadVotesError, match=r"--map choice=COLUMN; the file has .*key_start\.keys, key_resp\.keys"):
        read_foreign_votes(path, "psychopy")
    read = read_foreign_votes(path, "psychopy", named={"choice": "key_resp.keys"})
    assert _tally(read.table) == (2, 1, 0)
