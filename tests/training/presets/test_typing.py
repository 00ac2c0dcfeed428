"""A setting of the wrong type is refused with the spelling that is wanted, wherever it comes from."""

import math

import pytest

from training.learning.config import config_from_dict, read_config
from training.presets import ConfigError, parse_change, preset_names


def changed(text):
    name, value = parse_change(text)
    return read_config("digits_robust", changes={name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.flip=False", r"data.flip is the text 'False'; write false"),
        ("attack.random_start=no", "attack.random_start is the text 'no'; write false"),
        ("attack.random_start=1", "attack.random_start is 1; it must be true or false"),
        ("data.flip=perhaps", "data.flip is 'perhaps'; it must be true or false"),
        ("optimizer.batch_size=64.5", "optimizer.batch_size is 64.5; it must be a whole number"),
        ("optimizer.iterations=1e3", r"optimizer.iterations is 1000.0; write the whole number 1000"),
        ("optimizer.iterations=true", "optimizer.iterations is True; it must be a whole number"),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate is inf; it must be a finite number"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate is nan; it must be a finite number"),
        ("optimizer.learning_rate=fast", "optimizer.learning_rate is 'fast'; it must be a finite number"),
        ("optimizer.betas=0.9", r"optimizer.betas is 0.9; it must be a list in brackets"),
        ("optimizer.betas=[0.9]", "optimizer.betas is .0.9.; it must be a list of 2"),
        ('optimizer.betas=[0.9, "x"]', r"optimizer.betas\[1\] is 'x'; it must be a finite number"),
        ("network.channel_mult=[1, true]", r"network.channel_mult\[1\] is True"),
        ("data.path=3", "data.path is 3; it must be text in quotes"),
        ("attack.norm=l3", "attack.norm is 'l3'; it must be one of l2, linf"),
        ("run.seed=0.0", "run.seed is 0.0; write the whole number 0"),
        ("noised=False", "noised is the text 'False'; write false"),
        ("optimizer=fast", "optimizer is 'fast'; it must be a section"),
        ("attack=true", "attack is True; it must be a section"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_spelling(change, message):
    with pytest.raises(ConfigError, match=message):
        changed(change)


def test_whole_numbers_pass_where_a_number_is_wanted_and_stay_as_written():
    assert repr(changed("optimizer.learning_rate=1").optimizer.learning_rate) == "1"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_passes_and_is_rebuilt_from_its_own_values(name):
    config = read_config(name)
    assert config_from_dict(config.to_dict()) == config
    assert math.isfinite(config.optimizer.learning_rate)
