"""Give an answer after a pause without holding a thread: granian sends it when it is told to, from whichever thread."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from granian.wsgi import _callback_wrapper

__all__ = ["Later", "answering_later", "pause"]

log = logging.getLogger(__name__)
_request = threading.local()


def pause(seconds: float) -> None:
    """Put off the answer to this thread's request; asleep where no server of ours would send it later."""
    answer = getattr(_request, "answer", None)
    if answer is None:
        time.sleep(seconds)
    else:
        answer.seconds += seconds


class Later:
    """A thread that makes calls when they are due."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()
        self._earlier = threading.Condition()
        threading.Thread(target=self._run, name="later", daemon=True).start()

    def call(self, seconds: float, function: Callable[..., None], *arguments: Any) -> None:
        entry = (time.monotonic() + seconds, next(self._numbers), function, arguments)
        with self._earlier:
            heapq.heappush(self._due, entry)
            if self._due[0] is entry:
                self._earlier.notify()

    def _run(self) -> None:
        while True:
            function, arguments = self._next()
            try:
                function(*arguments)
            # What the server raises of its own is no Exception; the thread must outlive it, or nobody is answered.
            except BaseException:
                log.exception("an answer could not be sent")

    def _next(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        with self._earlier:
            while not self._due or self._due[0][0] > time.monotonic():
                self._earlier.wait(self._due[0][0] - time.monotonic() if self._due else None)
            return heapq.heappop(self._due)[2:]


class _Answer:
    """What granian's wrapper answers by, with a pause before."""

    def __init__(self, protocol: Any, later: Later) -> None:
        self._protocol, self._later, self.seconds = protocol, later, 0.0

    def response_bytes(self, *answer: Any) -> None:
        if self.seconds:
            self._later.call(self.seconds, self._protocol.response_bytes, *answer)
        else:
            self._protocol.response_bytes(*answer)

    def response_iter(self, *answer: Any) -> None:
        time.sleep(self.seconds)
        self._protocol.response_iter(*answer)


def answering_later(*arguments: Any) -> Callable[[Any, dict[str, Any]], Any]:
    """Do what granian's own wrapper of an application does, and let ``pause`` put its answers off."""
    run, later = _callback_wrapper(*arguments), Later()

    def run_with_pauses(protocol: Any, scope: dict[str, Any]) -> Any:
        _request.answer = answer = _Answer(protocol, later)
        try:
            return run(answer, scope)
        finally:
            _request.answer = None

    return run_with_pauses
