"""A sum over many rows on two cores, with the same bytes on one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["by_halves"]

# Fewer rows are done before a thread has started.
_FEW = 4096
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
