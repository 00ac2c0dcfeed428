"""Numbers in words: none is rounded onto a border that a conclusion hangs on."""

import pytest

from analysis.report.parts.wording import interval, p_value, percent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "50.0"),
        (0.5 + 1e-13, "50.0"),
        (0.50021, "50.02"),
        (0.49999, "49.999"),
        (0.5004, "50.04"),
        (0.5005, "50.05"),
        (0.587, "58.7"),
        (0.0, "0.0"),
        (1.0, "100.0"),
    ],
)
def test_a_rate_beside_one_half_is_not_called_one_half(value, shown):
    assert percent(value) == f"{shown}\u00a0%"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.05, "0.050"),
        (0.0496, "0.0496"),
        (0.0495, "0.0495"),
        (0.04999, "0.04999"),
        (0.0502, "0.0502"),
        (0.0489, "0.049"),
        (0.0512, "0.051"),
        (1e-300, "<\u00a00.001"),
        (1.0, "1.000"),
    ],
)
def test_a_p_value_says_on_which_side_of_the_level_it_lies(value, shown):
    assert p_value(value) == shown


def test_bounds_say_on_which_side_of_one_half_and_of_the_margin_they_lie():
    assert interval((0.50021, 0.647)) == "[50.02, 64.7]"
    assert interval((0.35, 0.49996)) == "[35.0, 49.996]"
    assert interval((0.45004, 0.54998), margin=0.05) == "[45.004, 54.998]"
    assert interval((0.44996, 0.549), margin=0.05) == "[44.996, 54.9]"
    assert interval((0.45, 0.549), margin=0.05) == "[45.0, 54.9]"
    assert interval((0.05, 0.5), rate=False) == "[0.050, 0.500]"
