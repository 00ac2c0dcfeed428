import json
import subprocess
import sys

import pytest

from analysis.__main__ import _parser, main
from analysis.commands import _power_parser as power_parser
from analysis.commands import _simulate_parser as simulate_parser
from analysis.votes.foreign.command import _parser as convert_parser
from analysis.votes.writing import write_votes
from tests.analysis.vote_rows import study_rows, vote_row


@pytest.fixture
def votes(tmp_path):
    write_votes(study_rows(), tmp_path, formats=["csv"])
    return tmp_path / "votes.csv"


def test_json_goes_to_standard_output_and_names_the_file(votes, capsys):
    assert main([str(votes), "--json", "--arm", "vanilla"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["comparisons"][0]["arm"] == "vanilla"
    assert (report["data"]["source"], report["data"]["sha256_of"]) == ("votes.csv", "file")


def test_module_runs_as_a_program_and_writes_the_folder(votes, tmp_path):
    command = [sys.executable, "-m", "analysis", str(votes), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"report.html", "report.json", "tables", "figures"} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert "robust" in done.stderr


def test_bad_rows_are_listed_and_stop_the_command(tmp_path, capsys):
    path = tmp_path / "votes.jsonl"
    rows = [vote_row(1), vote_row(2, choice="up"), vote_row(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([str(path), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "votes.jsonl:2: choice: 'up' is not one of left, right, tie" in captured.err
    assert "--skip-bad-rows" in captured.err
    assert main([str(path), "--json", "--skip-bad-rows"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["data"]["bad_rows"] == {"choice": 1}
    assert "1 bad row" in captured.err


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ([], "--out"),
        (["--json", "--arm", "nobody"], "'nobody' is not in the votes"),
        (["--json", "--plan", "missing.json"], "missing.json"),
    ],
)
def test_unusable_options_give_exit_code_2_and_the_remedy(votes, capsys, extra, said):
    assert main([str(votes), *extra]) == 2
    assert said in capsys.readouterr().err


def test_a_plan_that_is_no_object_is_refused(votes, tmp_path, capsys):
    (tmp_path / "plan.json").write_text("[1]")
    assert main([str(votes), "--json", "--plan", str(tmp_path / "plan.json")]) == 2
    assert "not a JSON object" in capsys.readouterr().err


PARSERS = {"": _parser, "convert": convert_parser, "power": power_parser, "simulate": simulate_parser}


@pytest.mark.parametrize("command", PARSERS)
def test_every_example_of_the_help_is_understood(command):
    parser = PARSERS[command]()
    lines = [line.split() for line in parser.epilog.splitlines() if line.startswith("  python -m analysis ")]
    if not command:
        assert {words[3] for words in lines} >= PARSERS.keys() - {""}
        lines = [words for words in lines if words[3] not in PARSERS]
    assert len(lines) >= 2
    for words in lines:
        options = parser.parse_args(words[4:] if command else words[3:])
        assert command == "power" or options.out or options.json


@pytest.mark.parametrize("command", PARSERS)
def test_help_names_the_default_of_every_option_and_all_exit_codes(command):
    parser = PARSERS[command]()
    assert "\nexit codes:\n  0  " in parser.epilog
    assert "\n  2  " in parser.epilog
    asked = [
        action for action in parser._actions if action.option_strings and action.nargs != 0 and not action.required
    ]
    assert len(asked) >= 4
    assert [action.dest for action in asked if "(default: " not in action.help] == []


def test_pairs_are_taken_beside_the_votes_or_named_and_left_out_alone(votes, tmp_path, capsys):
    names = sorted({row["pair"] for row in study_rows()})
    lines = [f"{name},prompt {place % 3},{'even' if place % 2 else 'odd'}" for place, name in enumerate(names)]
    table = "\n".join(["pair,prompt,tags", *lines]) + "\n"

    def groups(*options):
        assert main([str(votes), "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)["comparisons"][0].get("per_group")

    assert groups() is None
    named = tmp_path / "mine.csv"
    named.write_text(table)
    found = groups("--pairs", str(named))
    assert [group["name"] for group in found["prompt"]["groups"]] == ["prompt 0", "prompt 1", "prompt 2"]
    assert [group["name"] for group in found["tag"]["groups"]] == ["even", "odd"]
    named.rename(tmp_path / "pairs.csv")
    assert groups() == found
    assert groups("--alone") is None
