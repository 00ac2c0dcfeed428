"""The price of looks: dearer than one, cheapest by O'Brien and Fleming's type, and on the command line."""

import json

import numpy as np
import pytest

from analysis.commands import power_command
from analysis.planning.looks import price_of_any_looks, price_of_looks
from analysis.planning.variance_components import VarianceComponents
from analysis.preference.sequential import anytime_p_values, betting_sequence

PARTS = VarianceComponents(rate=0.6, rater=0.02, pair=0.01, residual=0.2)
DESIGN = {"raters": 50, "pairs": 60, "votes_per_rater": 20}


def test_more_looks_cost_more_and_pocock_costs_most_at_the_end():
    late = [price_of_looks(PARTS, **DESIGN, looks=looks) for looks in (2, 5, 11)]
    early = price_of_looks(PARTS, **DESIGN, looks=5, spending="pocock")
    assert late[0].last_level > late[1].last_level > late[2].last_level > early.last_level
    assert 1.0 < late[0].inflation < late[1].inflation < late[2].inflation < early.inflation
    assert early.power < late[1].power < late[1].power_of_one_look
    assert late[1].first_level < 1e-5 < early.first_level


def test_any_number_of_looks_costs_more_than_eleven():
    price = price_of_any_looks(PARTS, **DESIGN)
    assert 0.05 < price.power < price_of_looks(PARTS, **DESIGN, looks=11).power
    assert price == price_of_any_looks(PARTS, **DESIGN)


def test_many_sequences_at_once_end_as_each_one_does():
    paths = np.random.default_rng(1).uniform(0.3, 1.0, (5, 40))
    expected = [betting_sequence(path).p_value[-1] for path in paths]
    assert anytime_p_values(paths) == pytest.approx(expected)


def test_one_look_has_no_price():
    with pytest.raises(ValueError, match="two or more"):
        price_of_looks(PARTS, **DESIGN, looks=1)


def test_the_planning_command_shows_the_price(capsys):
    assert power_command(["--raters", "40", "--pairs", "60", "--looks", "5", "--json"]) == 0
    looks = json.loads(capsys.readouterr().out)["looks"]
    assert (looks["looks"], round(looks["inflation"], 3)) == (5, 1.025)
    assert power_command(["--raters", "40", "--pairs", "60", "--looks", "anytime"]) == 0
    assert "any number of looks" in capsys.readouterr().out
    assert power_command(["--looks", "often"]) == 2
    assert "--looks often" in capsys.readouterr().err
