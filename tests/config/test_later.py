"""Answers after a pause, which hold no thread meanwhile."""

from __future__ import annotations

import threading
import time
from typing import Any

from deploy.later import Later, answering_later, pause


class Protocol:
    """What the server is answered by."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, ...]] = []
        self.is_answered = threading.Event()

    def response_bytes(self, *answer: Any) -> None:
        self.answers.append(answer)
        self.is_answered.set()

    response_iter = response_bytes


def asked(body: Any, seconds: float) -> Protocol:
    def application(environ: dict[str, Any], start: Any) -> Any:
        start("200 OK", [("A", "b")])
        pause(seconds)
        return body

    protocol = Protocol()
    answering_later(application, {}, None)(protocol, {"PATH_INFO": "/"})
    return protocol


def test_the_thread_is_free_before_the_answer_is_sent() -> None:
    protocol = asked([b"who", b"le"], 0.2)
    assert not protocol.answers
    assert protocol.is_answered.wait(10)
    assert protocol.answers == [(200, [("A", "b")], b"whole")]


def test_an_answer_without_a_pause_is_sent_at_once() -> None:
    assert asked([b"whole"], 0.0).answers


def test_an_answer_in_parts_is_sent_after_its_pause() -> None:
    started = time.monotonic()
    assert asked(iter([b"part"]), 0.05).answers
    assert time.monotonic() - started >= 0.05


def test_where_no_such_server_runs_a_pause_is_slept() -> None:
    started = time.monotonic()
    pause(0.05)
    assert time.monotonic() - started >= 0.05


def test_calls_are_made_in_the_order_in_which_they_are_due_and_outlive_one_that_fails() -> None:
    later, made, done = Later(), [], threading.Event()
    later.call(0.3, done.set)
    later.call(0.2, made.append, "second")
    later.call(0.1, made.append, "first")
    later.call(0.0, lambda: 1 / 0)
    assert done.wait(10)
    assert made == ["first", "second"]
