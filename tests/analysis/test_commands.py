import json

import pytest

from analysis.__main__ import main
from analysis.planning.power import plan_power
from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from analysis.votes.reading import read_votes


def test_power_prints_the_plan_and_its_ceiling(capsys):
    assert main(["power", "--raters", "30", "--pairs", "40", "--sd-pair", "1"]) == 0
    text = capsys.readouterr().out
    plan = plan_power(Scenario(raters=30, pairs=40, sd_pair=1.0))
    assert f"power           {plan.power:.3f}" in text
    assert f"ceiling         {plan.ceiling_power:.3f}" in text


def test_power_knows_where_the_places_end(capsys):
    asked = ["power", "--raters", "60", "--pairs", "40", "--votes-per-pair", "12", "--looks", "3"]
    assert main([*asked, "--repetitions", "12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    alone = plan_power(Scenario(raters=12, pairs=40))
    assert (found["plan"]["votes"], found["plan"]["power"]) == (480, alone.power)
    assert found["looks"]["power_of_one_look"] == alone.power
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert "design          60 raters, of whom 12 find a place, 40 pairs, 480 votes" in text
    assert "more raters than places" in text


def test_power_as_json_with_simulation(capsys):
    assert main(["power", "--raters", "8", "--pairs", "10", "--repetitions", "12", "--seed", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"]["power"] == plan_power(Scenario(raters=8, pairs=10)).power
    assert found["simulated"]["repetitions"] == 12


def test_power_takes_variances_from_a_pilot(tmp_path, capsys):
    pilot = tmp_path / "pilot.csv"
    assert main(["simulate", "--out", str(pilot), "--raters", "12", "--pairs", "20", "--preference", "0.7"]) == 0
    capsys.readouterr()
    assert main(["power", "--pilot", str(pilot), "--raters", "30", "--pairs", "30", "--json"]) == 0
    rate = json.loads(capsys.readouterr().out)["plan"]["rate"]
    assert main(["power", "--pilot", str(pilot), "--raters", "30", "--pairs", "30", "--arm", "vanilla", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["rate"] == pytest.approx(1 - rate)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_simulate_writes_the_scenario_s_votes_marked_as_simulated(tmp_path, capsys, kind):
    out = tmp_path / f"votes.{kind}"
    asked = ["--raters", "5", "--pairs", "8", "--tie-rate", "0.2", "--repeats", "2", "--classes", "2", "--seed", "4"]
    assert main(["simulate", "--out", str(out), *asked]) == 0
    scenario = Scenario(raters=5, pairs=8, tie_rate=0.2, repeats=2, classes=2, seed=4)
    expected, found = simulate_votes(scenario), read_votes(out).table
    assert found.choice.tolist() == expected.choice.tolist()
    assert [found.pairs[code] for code in found.pair] == [expected.pairs[code] for code in expected.pair]
    assert found.extra["is_repeat"].sum() == 10
    assert found.extra["simulated"].all()
    assert f"{marginal_rates(scenario).ties_split:.4f}" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_simulate_takes_several_arms(tmp_path, capsys):
    out = tmp_path / "votes.csv"
    arms = ["--strength", "a=0.5", "--strength", "b=0", "--strength", "c=-0.5"]
    assert main(["simulate", "--out", str(out), *arms]) == 0
    assert read_votes(out).table.arms == ("a", "b", "c")
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["power", "--raters", "1"], "raters is 1"),
        (["power", "--pilot", "missing.csv"], "missing.csv"),
        (["simulate", "--out", "votes.xlsx"], "--out votes.xlsx"),
        (["simulate", "--out", "votes.csv", "--preference", "1.5"], "preference"),
        (["simulate", "--out", "votes.csv", "--strength", "robust"], "ARM=LOGODDS"),
    ],
)
def test_unusable_arguments_give_exit_code_2_and_the_reason(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
