"""A sum over many rows on two cores, with the same bytes on one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["by_blocks", "by_halves"]

# Fewer rows are done before a thread has started.
_FEW = 4096
# Values at a time: few enough for a core's cache, where a formula's steps find what the last one left.
_BLOCK = 32_768
Result = TypeVar("Result")


def by_halves(work: Callable[[int, int], Result], rows: int) -> list[Result]:
    """Return what ``work(start, stop)`` gives for either half of the rows, worked on side by side.

    The halves follow from the number of rows alone: what is added up from them does not depend on the machine's cores.
    A small number of rows is one part.
    """
    if rows < _FEW:
        return [work(0, rows)]
    with ThreadPoolExecutor(max_workers=1) as beside:
        first = beside.submit(work, 0, rows // 2)
        second = work(rows // 2, rows)
        return [first.result(), second]


def by_blocks(work: Callable[[slice], Result], rows: int) -> list[Result]:
    """Return what ``work(block)`` gives for each block of the rows, in their order; the halves side by side.

    A formula of many steps over millions of values takes memory for one block's, not for all of them.
    """

    def through(start: int, stop: int) -> list[Result]:
        return [work(slice(begin, min(begin + _BLOCK, stop))) for begin in range(start, stop, _BLOCK)]

    # Of few blocks a thread would cost what it saves.
    if rows < 4 * _BLOCK:
        return through(0, rows)
    first, second = by_halves(through, rows)
    return first + second
