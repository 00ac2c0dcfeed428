"""Figures: what they hold, that they repeat to the byte, and what they refuse."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from analysis.report.figures.metrics import metric_against_preference_figure
from generation.figures.drawing import ablation_figure, alignment_figure, image_rows_figure, montage, write_figures


def _row(n: int = 3, side: int = 4, channels: int = 3, value: int = 7) -> np.ndarray:
    return np.full((n, side, side, channels), value, dtype=np.uint8)


def _bands(cosine: float) -> list[dict]:
    return [
        {
            "first_timestep": 10 * b,
            "last_timestep": 10 * b + 9,
            "n": 5,
            "cosine": cosine - 0.1 * b,
            "ci95": [cosine - 0.2, cosine + 0.2] if b else None,
            "relative_error": 0.9,
            "scale": 1.0,
        }
        for b in range(3)
    ]


def test_montage_puts_every_image_in_its_place():
    rows = [_row(value=10), _row(value=200, channels=3)]
    rows[1][2] = 99
    sheet = montage(rows)
    assert sheet.shape == (2 * 4 + 1, 3 * 4 + 2, 3)
    assert (sheet[:4, :4] == 10).all()
    assert (sheet[5:, 10:] == 99).all()
    assert (sheet[4] == 255).all()
    assert (montage([_row(channels=1)])[0, 0] == 7).all()


@pytest.mark.parametrize(
    "rows", [[], [_row(), _row(n=2)], [_row().astype(np.float32)], [_row(n=1)[:0]], [_row(), _row(channels=1)]]
)
def test_montage_refuses_rows_that_do_not_fit(rows: list):
    with pytest.raises(ValueError, match="uint8"):
        montage(rows)


def _all_specs() -> list:
    points = [
        {"class": str(i), "rate": i / 10, "ci95": [0.1, 0.9] if i else None, "difference": i - 4.0} for i in range(9)
    ]
    cells = [
        {"epsilon": e, "steps": s, "kid": None if (e, s) == (1.0, 7) else e * s} for e in (0.5, 1.0) for s in (1, 7)
    ]
    rows = {"vanilla": _row(), "robust": _row()}
    return [
        image_rows_figure("pairs", "Pairs", rows, ["0", "1", "2"], description="Images."),
        alignment_figure({"vanilla": _bands(0.3), "robust": _bands(0.5)}),
        metric_against_preference_figure(points, metric="KID", arm="robust", baseline="vanilla"),
        ablation_figure(cells, metric="kid", rows="epsilon", columns="steps"),
    ]


def test_every_figure_is_drawn_in_every_format_and_repeats_to_the_byte(tmp_path: Path):
    first = write_figures(_all_specs(), tmp_path / "a", ("svg", "png", "pdf"))
    again = write_figures(_all_specs(), tmp_path / "b", ("svg", "png", "pdf"))
    assert len(first) == 12
    magic = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for one, other in zip(first, again, strict=True):
        content = one.read_bytes()
        assert content.startswith(magic[one.suffix])
        assert content == other.read_bytes(), one.name


@pytest.mark.parametrize("columns", [2, 8])
def test_captions_of_image_rows_are_whole_and_apart(columns: int):
    rows = {
        "vanilla-0.5": _row(columns),
        "robust-1: golden retriever": _row(columns),
        "an-arm-of-a-very-long-name": _row(columns),
    }
    names = ["golden retriever", "great white shark", "hammerhead", "tench", "0", "to 7", "t = 999", "ray"][:columns]
    figure = image_rows_figure("pairs", "Pairs", rows, names, description="").draw()
    figure.canvas.draw()
    axes = figure.axes[0]
    for labels, low, high in ((axes.get_yticklabels(), "y0", "y1"), (axes.get_xticklabels(), "x0", "x1")):
        boxes = sorted((text.get_window_extent() for text in labels), key=lambda box: getattr(box, low))
        assert len(boxes) > 1
        for box in boxes:
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert all(getattr(one, high) < getattr(other, low) for one, other in pairwise(boxes))


def test_descriptions_carry_the_numbers():
    pairs, alignment, preference, ablation = _all_specs()
    assert "vanilla: cosine 0.300 at 0 to 9" in alignment.description
    assert "3: 30.0\u00a0% at -1" in preference.description
    assert "epsilon 1, steps 7: not computed" in ablation.description
    assert pairs.description == "Images."


def test_a_larger_number_changes_the_drawing(tmp_path: Path):
    drawn = [
        write_figures([alignment_figure({"a": _bands(cosine)})], tmp_path / str(cosine))[0].read_bytes()
        for cosine in (0.3, 0.4)
    ]
    assert drawn[0] != drawn[1]


def test_bad_requests_are_refused(tmp_path: Path):
    specs = _all_specs()
    with pytest.raises(ValueError, match="unknown format gif"):
        write_figures(specs, tmp_path, ("gif",))
    with pytest.raises(ValueError, match="one name"):
        write_figures([specs[0], specs[0]], tmp_path)
    with pytest.raises(ValueError, match="column captions"):
        image_rows_figure("pairs", "Pairs", {"a": _row()}, ["0"], description="")
    with pytest.raises(ValueError, match="no class"):
        metric_against_preference_figure([], metric="KID", arm="a", baseline="b")
