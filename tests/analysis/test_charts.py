"""Charts as SVG: places, escaping, no inline style."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from analysis.charts import COLOURS, Frame, element, picture, text

FRAME = Frame(left=10, right=110, top=20, bottom=70, high=50)


def test_values_stand_between_the_edges_of_the_frame():
    assert (FRAME.y(0), FRAME.y(50), FRAME.y(25)) == (70, 20, 45)
    assert (FRAME.x(0), FRAME.x(1)) == (10, 110)
    assert FRAME.line([(0, 0), (0.5, 50)]) == '<polyline points="10.0,70.0 60.0,20.0"/>'


def test_frame_without_a_range_has_every_value_at_the_bottom():
    assert Frame(left=0, right=1, top=0, bottom=9, low=3, high=3).y(3) == 9


@pytest.mark.parametrize(("value", "y", "height"), [(25, "45", "25"), (0, "70", "0")])
def test_bar_stands_on_zero(value, y, height):
    bar = ElementTree.fromstring(FRAME.bar(12, value, width=8))
    assert (bar.get("y"), bar.get("height")) == (y, height)


def test_negative_bar_hangs_from_zero_and_is_cut_off_where_the_frame_ends():
    frame = Frame(left=0, right=1, top=0, bottom=120, low=-20, high=100)
    short, long = (ElementTree.fromstring(frame.bar(0, value, width=8)) for value in (-5, -500))
    assert (short.get("y"), short.get("height")) == ("100", "5")
    assert (long.get("y"), long.get("height")) == ("100", "20")


def test_words_and_attributes_are_escaped():
    hostile = '"><script>&'
    drawn = picture(9, 9, text(0, 0, hostile), element("rect", class_=hostile), title=hostile)
    svg = ElementTree.fromstring(drawn)
    assert svg.get("aria-label") == svg[0].text == svg[1].get("class") == hostile
    assert "<script" not in drawn


def test_legend_takes_the_colours_in_turn():
    legend = ElementTree.fromstring(f"<g>{FRAME.legend(['x'] * 7, x=0, y=0, step=10)}</g>")
    assert [line.get("fill") for line in legend] == [*COLOURS, COLOURS[0]]


def test_charts_load_nothing_but_the_standard_library():
    heavy = ("numpy", "scipy", "matplotlib", "django")
    code = f"import sys, analysis.charts; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
