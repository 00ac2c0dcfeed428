"""One BLAS thread for a computation, so that its last digits do not depend on the machine's cores."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

__all__ = ["on_one_blas_thread"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def on_one_blas_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function run with one BLAS thread; the caller's setting stands again when it returns.

    Threads split a sum where the number of cores says so, and the last bits of a fit follow. The models factor many
    small matrices, which threads do not speed up, and slow down tenfold and more where the cores are busy.
    """

    @wraps(function)
    def alone(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*arguments, **options)

    return alone
