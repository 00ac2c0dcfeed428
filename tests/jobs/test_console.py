"""Progress at a console: bars on a terminal, plain lines in a pipe, and a time left that holds."""

from __future__ import annotations

import io
import re

import pytest
from django.core.management.base import OutputWrapper

from jobs import console
from jobs.console import Board, Stopped, shown


class Clock:
    """A clock that the test turns on."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(console.time, "monotonic", clock.monotonic)
    return clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_plain_lines_now_and_then(clock: Clock) -> None:
    stream = io.StringIO()
    with Board(["train", "make pairs"], stream) as board:
        with board.phase("train"):
            clock.now += 75
        with board.phase("make pairs") as report:
            for done in range(0, 100, 5):
                report(done, 100, f"step {done}")
                clock.now += 1.5
    assert stream.getvalue().splitlines() == [
        "[1/2] train",
        "  done in 1:15",
        "[2/2] make pairs",
        "  10 of 100, step 10, about 0:27 left",
        "  45 of 100, step 45, about 0:17 left",
        "  80 of 100, step 80, about 0:06 left",
        "  done in 0:30",
    ]


def test_lines_of_phases_that_run_at_the_same_time_say_whose_they_are(clock: Clock) -> None:
    stream = io.StringIO()
    with Board(["train one", "train two", "make pairs"], stream) as board:
        with board.phase("train one") as one:
            with board.phase("train two") as two:
                clock.now += 10
                one(10, 100, "loss 0.5")
                two(20, 100, "loss 0.4")
            clock.now += 10
            one(20, 100, "loss 0.3")
        with board.phase("make pairs") as pairs:
            clock.now += 10
            pairs(1, 2, "")
    assert stream.getvalue().splitlines() == [
        "[1/3] train one",
        "[2/3] train two",
        "  [1/3] 10 of 100, loss 0.5",
        "  [2/3] 20 of 100, loss 0.4",
        "  [2/3] done in 0:10",
        "  [1/3] 20 of 100, loss 0.3, about 1:20 left",
        "  [1/3] done in 0:20",
        "[3/3] make pairs",
        "  1 of 2",
        "  done in 0:10",
    ]


def test_what_was_there_before_takes_no_part_in_the_time_left(clock: Clock) -> None:
    stream = io.StringIO()
    with shown("make pairs", stream) as report:
        report(90, 100, "")
        clock.now += 20
        report(92, 100, "")
    assert "92 of 100, about 1:20 left" in stream.getvalue()


def test_a_part_of_another_length_is_timed_by_itself(clock: Clock) -> None:
    stream = io.StringIO()
    with shown("measure", stream) as report:
        report(0, 10, "features")
        clock.now += 100
        report(10, 10, "features")
        report(0, 1000, "distances")
        clock.now += 11
        report(500, 1000, "distances")
    assert "500 of 1000, distances, about 0:11 left" in stream.getvalue()


def test_a_terminal_shows_every_phase_and_what_runs(clock: Clock) -> None:
    stream = Terminal()
    with Board(["train", "make pairs"], stream) as board, board.phase("train") as report:
        report(1, 4, "loss 0.5")
        clock.now += 10
        report(2, 4, "loss 0.4")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "train" in text
    assert "make pairs" in text
    assert "✓" in text


def test_a_terminal_shows_phases_that_run_at_the_same_time_on_one_page(clock: Clock) -> None:
    stream = Terminal()
    board = Board(["train one", "train two"], stream)
    with board, board.phase("train one") as one, board.phase("train two") as two:
        one(1, 4, "loss 0.5")
        two(3, 4, "loss 0.4")
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).rsplit("train one", 1)[1]
    assert "train two" in last
    assert (last + stream.getvalue()).count("✓") >= 2


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_phase_is_one_line_at_any_width_with_room_for_what_ctrl_c_writes(
    width: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page broken into longer lines, or into others by the terminal's own ^C, is drawn twice."""
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    phases = ["train the classifier that judges the images of both arms", "make pairs"]
    with Board(phases, stream) as board, board.phase(phases[0]) as report:
        for done in (1, 2):
            clock.now += 3600
            report(done, 400, "loss 0.934 mse 0.9198, 2 images/s")
            board._shown._progress.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text)]
    assert max(map(len, lines)) <= width - 3
    shown = [line for line in lines if line.endswith("398:00:00 left") or "398:00:00 left loss" in line]
    assert shown, lines
    assert all(("loss 0.934" in line) == (width == 160) for line in shown)
    assert {line.split()[0] for line in lines if "make pairs" in line} == {"·"}


def test_a_failure_leaves_the_terminal_in_order(clock: Clock) -> None:
    stream = Terminal()
    with pytest.raises(ValueError, match="broken"), shown("train", stream):
        raise ValueError("broken")
    assert stream.getvalue().endswith("\x1b[?25h"), "the cursor is back"


def test_streams_of_commands_get_the_same_lines(clock: Clock) -> None:
    stream = io.StringIO()
    with shown("train", OutputWrapper(stream)):
        pass
    assert stream.getvalue() == "train\n  done in 0:00\n"


def test_a_command_inside_another_reports_to_its_board() -> None:
    stream, told = io.StringIO(), []
    with shown("train", stream, lambda *now: told.append(now)) as report:
        report(1, 2, "")
    assert told == [(1, 2, "")]
    assert stream.getvalue() == ""


def test_what_ctrl_c_ended_has_its_exit_status() -> None:
    assert Stopped("stopped").returncode == 130
