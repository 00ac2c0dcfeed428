"""Curves as a table and as charts: held-out rows stand beside training rows, losses on a logarithmic axis."""

import csv
import io
import re
from xml.etree import ElementTree

from training.curves import curves_picture, curves_svg, curves_table, merged_rows

ROWS = [
    {"iteration": 10, "loss": 10.0, "clean_accuracy": 0.1, "loss_by_band": [1.0, None]},
    {"iteration": 20, "loss": 1.0, "clean_accuracy": 0.5},
    {"iteration": 20, "validation_loss": 0.1, "validation_accuracy": 0.25},
    {"iteration": 30, "loss": 0.0, "clean_accuracy": 0.9},
]


def test_what_was_measured_on_held_out_images_stands_beside_its_iteration():
    assert merged_rows(ROWS)[1] == ROWS[1] | ROWS[2]
    table = list(csv.DictReader(io.StringIO(curves_table(ROWS))))
    assert [row["iteration"] for row in table] == ["10", "20", "30"]
    assert [row["validation_loss"] for row in table] == ["", "0.1", ""]
    assert "loss_by_band" not in table[0]


def test_a_loss_falls_by_the_same_step_wherever_it_is_divided_by_ten():
    chart = ElementTree.fromstring(curves_svg(ROWS)[0])
    lines = chart.findall(".//{*}polyline")
    heights = [[float(point.split(",")[1]) for point in line.get("points").split()] for line in lines]
    # Of 10, 1 and 0.1 the middle lies in the middle; 0 has no logarithm and no point.
    assert [len(points) for points in heights] == [2, 1]
    assert abs(heights[0][1] - (heights[0][0] + heights[1][0]) / 2) < 0.2
    assert re.search(r">held out 0.1<", curves_svg(ROWS)[0])


def test_held_out_accuracy_is_drawn():
    assert "held out 0.25" in curves_svg(ROWS)[1]
    assert ElementTree.fromstring(curves_picture(ROWS)) is not None
    assert curves_picture([]) == ""
