"""How large two images stand in a window: the server's rules, and that the page's script has the same."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import survey
from survey.geometry import CAPTION_PX, CONTROLS_PX, FIT_CONTROLS_PX, GUTTER_PX, PROMPT_PX, SIDE_PX, Room, Window
from survey.renditions import STEP, fitted_sizes, rendition_sizes
from tests.programs import program

PIXELS = Room(
    display="pixels",
    frame=(128, 128),
    least=(128, 128),
    narrowest=1.0,
    widest=1.0,
    box_px=640,
    pixel_multiple=1,
    may_stack=True,
)
FIT = replace(PIXELS, display="fit", frame=(1024, 1024), least=(256, 256))
MIXED = replace(FIT, frame=(1920, 1080), least=(455, 341), narrowest=0.75, widest=16 / 9)


BETWEEN = replace(FIT, has_prompt=True, reference="between")
ABOVE = replace(FIT, has_prompt=True, reference="above", least=(96, 96))


def kind(room: Room, width: int, height: int, ratio: float = 1.0) -> str | None:
    layout = room.layout(Window(width, height, ratio))
    return layout.kind if layout else None


@pytest.mark.parametrize("ratio", [1.0, 1.25, 1.5, 2.0, 2.625, 3.0])
@pytest.mark.parametrize("multiple", [1, 2, 3])
def test_an_image_pixel_is_a_whole_number_of_screen_pixels_near_the_size_asked_for(ratio, multiple) -> None:
    times = replace(PIXELS, pixel_multiple=multiple).multiple(ratio)
    assert isinstance(times, int)
    assert abs(times / ratio - multiple) <= 0.5 / ratio + 1e-9


def test_two_images_stand_in_a_row_exactly_where_they_fit() -> None:
    edges = GUTTER_PX + 2 * SIDE_PX
    assert kind(PIXELS, 2 * 128 + edges, 128 + CONTROLS_PX) == "row"
    assert kind(PIXELS, 2 * 128 + edges - 1, 128 + CONTROLS_PX) is None
    assert kind(PIXELS, 2 * 128 + edges, 128 + CONTROLS_PX - 1) is None
    assert kind(FIT, 2 * 256 + edges, 256 + FIT_CONTROLS_PX) == "row"
    assert kind(FIT, 2 * 256 + edges - 1, 256 + FIT_CONTROLS_PX) is None


def test_images_are_stacked_on_narrow_screens_only_where_the_study_allows() -> None:
    double = replace(PIXELS, pixel_multiple=2)
    assert kind(double, 390, 844) == "stack"
    assert kind(replace(double, may_stack=False), 390, 844) is None
    assert kind(double, 844, 390) is None
    assert kind(replace(double, pixel_multiple=3), 390, 844) is None


def test_the_box_is_what_the_window_allows_and_the_images_can_fill() -> None:
    assert FIT.layout(Window(1920, 950)).box == (640, 640)
    assert FIT.layout(Window(1366, 657)).box == (657 - FIT_CONTROLS_PX,) * 2
    assert replace(FIT, frame=(300, 300)).layout(Window(1920, 950)).box == (300, 300)
    wide = replace(FIT, frame=(1920, 1080), least=(455, 256), narrowest=16 / 9, widest=16 / 9)
    assert wide.layout(Window(1920, 950)).box == (640, 360)


@pytest.mark.parametrize("size", [(512, 512), (640, 480), (384, 512), (1024, 1024), (1920, 1080), (257, 3000)])
def test_sizes_go_down_by_the_step_to_the_least_and_keep_the_shape(size) -> None:
    sizes = rendition_sizes(*size, least_px=256)
    assert sizes[0] == size
    assert min(sizes[-1]) == 256
    for larger, smaller in itertools.pairwise(sizes):
        assert 1 < max(larger) / max(smaller) <= STEP**1.5 + 0.01
        assert abs(smaller[0] / smaller[1] - size[0] / size[1]) <= 0.01 * size[0] / size[1]
    assert rendition_sizes(*size, least_px=None) == [size]


ROOMS = [
    (PIXELS, (128, 128)),
    (FIT, (1024, 1024)),
    (MIXED, (1920, 1080)),
    (MIXED, (480, 640)),
    (BETWEEN, (1024, 1024)),
    (ABOVE, (640, 480)),
]


def test_a_reference_takes_a_third_place_of_the_same_size_and_a_prompt_a_fixed_height() -> None:
    beside = PROMPT_PX + CAPTION_PX
    assert BETWEEN.layout(Window(1366, 657)).box == (657 - FIT_CONTROLS_PX - beside,) * 2
    assert kind(BETWEEN, 3 * 256 + 2 * GUTTER_PX + 2 * SIDE_PX - 1, 900) is None
    assert ABOVE.layout(Window(1366, 657)).box == ((657 - FIT_CONTROLS_PX - beside - GUTTER_PX) // 2,) * 2
    assert BETWEEN.layout(Window(390, 844, 3)).kind == "stack"
    assert ABOVE.layout(Window(390, 844, 3)).box[0] > BETWEEN.layout(Window(390, 844, 3)).box[0]


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1024, 1024), [(1024, 1024), (512, 512)]),
        ((256, 256), [(1024, 1024), (512, 512)]),
        ((1000, 500), [(1024, 512), (512, 256)]),
        ((3, 4000), [(1, 1024), (1, 512)]),
    ],
)
def test_a_reference_is_fitted_into_each_size_of_its_pairs_images(size, wanted) -> None:
    assert fitted_sizes(*size, [(1024, 1024), (512, 512)]) == wanted


def test_the_page_and_the_server_place_images_alike() -> None:
    cases = [
        [room.as_json(), width, height, ratio, rendition_sizes(*size, least_px=256 if room.is_fit else None)]
        for room, size in ROOMS
        for width, height in ((1280, 800), (1366, 657), (1280, 600), (820, 1106), (390, 844), (500, 500))
        for ratio in (0.9, 1, 1.1, 1.25, 1.5, 2, 2.625, 3)
    ]
    script = """
        import { layoutOf, neededOf, shownOf } from "./geometry.js";
        const cases = JSON.parse(await new Response(process.stdin).text());
        console.log(JSON.stringify(cases.map(([room, width, height, ratio, sizes]) => {
            const window = { width, height, ratio };
            const layout = layoutOf(room, window);
            return [neededOf(room, window), layout, layout && shownOf(room, sizes, layout.box, ratio)];
        })));"""
    folder = Path(survey.__file__).parent / "static" / "survey" / "js"
    command = [program("node", remedy="install it with `apt-get install nodejs`"), "--input-type=module", "-e", script]
    answer = subprocess.run(command, cwd=folder, input=json.dumps(cases), capture_output=True, text=True, check=True)
    for number, (case, theirs) in enumerate(zip(cases, json.loads(answer.stdout), strict=True)):
        room, window = ROOMS[number // 48][0], Window(*case[1:4])
        layout = room.layout(window)
        needed = list(room.needed(window))
        if layout is None:
            assert theirs == [needed, None, None], case
            continue
        shown = room.shown(case[4], layout, pixel_ratio=window.pixel_ratio)
        placed = {"kind": layout.kind, "box": list(layout.box)}
        assert theirs == [needed, placed, {"index": shown.index, "multiple": shown.multiple}], case
