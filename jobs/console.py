"""How far long work is, shown to whoever waits at a console: bars on a terminal, plain lines anywhere else.

A terminal gets one page that renews itself (rich). A pipe, a file or the log of a machine gets a line when a phase
begins, one soon after, then one every ten seconds, and one when it ends: no control characters, no colours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, Any

from django.core.management.base import CommandError
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column, Table
from rich.text import Text

__all__ = ["Board", "Report", "Stopped", "console_of", "shown"]

#: Says how far a phase is: ``report(done, total, note)``.
Report = Callable[[float, float, str], None]
# Between two lines of one phase where nothing renews itself: a log of an hour stays readable.
_LINE_SECONDS = 10.0
# Before the first of them: whoever waits sees early that something moves, and how long it takes.
_FIRST_LINE_SECONDS = 2.0
# Room at the right of a page, where a terminal writes ^C: pushed onto a line of its own, it would break the page.
_RIGHT = 3
# A shorter bar says nothing, and neither does a shorter note.
_LEAST_BAR, _MOST_BAR, _LEAST_NOTE = 6, 24, 16
# A phase's state, share and "2:54:21 left", each with a space.
_BESIDE_NAME_AND_BAR = 2 + 6 + 13


class Stopped(CommandError):
    """Stopped on request. The same command continues where it stopped."""

    def __init__(self, message: str) -> None:
        # 128 + SIGINT, as a shell has it for what Ctrl-C ended.
        super().__init__(message, returncode=130)


def console_of(stream: Any) -> Console:
    """Return rich's console on a stream of a management command or a plain one."""
    # Django's wrapper would end every write with a line of its own.
    return Console(file=getattr(stream, "_out", stream), highlight=False, soft_wrap=True)


class Board:
    """The phases of some work, all named from the start; each is entered once, in any order and also several at once.

    Parameters
    ----------
    phases : sequence of str
        What will be done.
    stream : text stream
        Where to show it, as a rule the command's standard error.
    """

    def __init__(self, phases: Sequence[str], stream: Any) -> None:
        console = console_of(stream)
        self._shown: _Bars | _Lines = _Bars(phases, console) if console.is_terminal else _Lines(phases, console.file)

    def __enter__(self) -> Board:
        self._shown.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.end()

    def phase(self, name: str) -> AbstractContextManager[Report]:
        """Show a phase as long as the block runs; it gives the function that says how far the phase is."""
        return self._shown.phase(name)


@contextmanager
def shown(what: str, stream: Any, given: Report | None = None) -> Iterator[Report]:
    """Show one piece of work on a stream, or pass its progress to the board of a command around it."""
    if given is not None:
        yield given
        return
    with Board([what], stream) as board, board.phase(what) as report:
        yield report


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(max(seconds, 0) + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class _Pace:
    """How long it still takes, by the pace since the first report: what was there before took no time now."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._first: tuple[float, float] | None = None
        self._latest = (0.0, 0.0, 0.0)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def note(self, done: float, total: float) -> None:
        now = time.monotonic()
        # A phase of several parts begins to count again with each of them.
        if self._first is None or done < self._latest[1] or total != self._latest[2]:
            self._first = (now, done)
        self._latest = (now, done, total)

    @property
    def left(self) -> float | None:
        """Return the seconds left, or None while nothing was done."""
        if self._first is None:
            return None
        (began, start), (now, done, total) = self._first, self._latest
        return (now - began) / (done - start) * (total - done) if done > start else None


class _Lines:
    def __init__(self, phases: Sequence[str], file: IO[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(phases, 1)}
        self._file = file
        # Phases that run at the same time write here, each from a thread of its own.
        self._lock, self._running = threading.Lock(), list[str]()
        self._latest = ""

    def begin(self) -> None:
        pass

    def end(self) -> None:
        pass

    def _write(self, text: str) -> None:
        self._file.write(f"{text}\n")
        self._file.flush()

    def _number(self, name: str) -> str:
        return f"[{self._numbers[name]}/{len(self._numbers)}] " if len(self._numbers) > 1 else ""

    def _tell(self, name: str, text: str) -> None:
        """Write a line of a phase, under its number where the lines above are not all its own."""
        with self._lock:
            is_alone = self._running == [name] and self._latest == name
            self._write(f"  {'' if is_alone else self._number(name)}{text}")

    @contextmanager
    def phase(self, name: str) -> Iterator[Report]:
        pace, told_at, pause = _Pace(), time.monotonic(), _FIRST_LINE_SECONDS
        with self._lock:
            self._running.append(name)
            self._latest = name
            self._write(f"{self._number(name)}{name}")

        def report(done: float, total: float, note: str = "") -> None:
            nonlocal told_at, pause
            pace.note(done, total)
            if time.monotonic() - told_at < pause:
                return
            told_at, pause = time.monotonic(), _LINE_SECONDS
            left = "" if pace.left is None else f"about {_clock(pace.left)} left"
            self._tell(name, ", ".join(filter(None, [f"{done:.0f} of {total:.0f}", note, left])))

        try:
            yield report
            self._tell(name, f"done in {_clock(pace.seconds)}")
        finally:
            with self._lock:
                self._running.remove(name)


class _TimeColumn(ProgressColumn):
    """What is left of a phase that runs, what one took that is over."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        pace: _Pace | None = task.fields["pace"]
        if pace is None:
            return Text("")
        if task.finished_time is not None:
            return Text(_clock(task.finished_time), style="dim")
        return Text("" if pace.left is None else f"{_clock(pace.left)} left")


class _StateColumn(SpinnerColumn):
    """A dot for what is to come, a spinner for what runs, a tick for what is over."""

    def render(self, task: Task) -> RenderableType:
        return Text("·", style="dim") if not task.started else super().render(task)


class _RunningBar(ProgressColumn):
    """A bar for what runs or is over, nothing for what is to come."""

    def __init__(self, width: int, table_column: Column) -> None:
        super().__init__(table_column=table_column)
        self._bar = BarColumn(bar_width=width)

    def render(self, task: Task) -> RenderableType:
        return self._bar.render(task) if task.started else Text("")


class _ShareColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.total is None or task.finished else f"{task.percentage:.0f} %")


@dataclass(frozen=True)
class _Indented:
    """A table that leaves room at the right of the terminal, however wide that is now."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.table, options.update(width=options.max_width - _RIGHT))


class _Page(Progress):
    """One line a phase, whatever the width of the terminal."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield _Indented(self.make_tasks_table(self.tasks))


def _columns(phases: Sequence[str], width: int) -> list[ProgressColumn]:
    """Return the columns that fit into a line: state, share and time, then name, bar and what else is told."""
    room = width - _RIGHT - _BESIDE_NAME_AND_BAR
    name = min(max(map(len, phases)), room - 1)
    bar = min(room - name - 2, _MOST_BAR)
    note = room - name - bar - 3

    def whole(at_most: int | None = None) -> Column:
        return Column(no_wrap=True, overflow="ellipsis", max_width=at_most)

    return [
        _StateColumn(finished_text="[green]✓", table_column=whole()),
        TextColumn("{task.description}", table_column=whole(name)),
        *([_RunningBar(width=bar, table_column=whole())] if bar >= _LEAST_BAR else []),
        _ShareColumn(table_column=whole()),
        _TimeColumn(table_column=whole()),
        *([TextColumn("[dim]{task.fields[note]}", table_column=whole(note))] if note >= _LEAST_NOTE else []),
    ]


class _Bars:
    def __init__(self, phases: Sequence[str], console: Console) -> None:
        self._progress = _Page(*_columns(phases, console.width), console=console)
        self._tasks = {
            name: self._progress.add_task(name, total=None, start=False, note="", pace=None) for name in phases
        }

    def begin(self) -> None:
        self._progress.start()

    def end(self) -> None:
        self._progress.stop()

    @contextmanager
    def phase(self, name: str) -> Iterator[Report]:
        task, pace = self._tasks[name], _Pace()
        self._progress.start_task(task)
        self._progress.update(task, pace=pace)

        def report(done: float, total: float, note: str = "") -> None:
            pace.note(done, total)
            self._progress.update(task, completed=min(done, total), total=max(total, 1), note=note)

        yield report
        self._progress.update(task, completed=1, total=1, note="")
