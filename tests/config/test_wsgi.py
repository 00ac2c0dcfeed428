"""The application as servers call it."""

from __future__ import annotations

import io
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpResponse, StreamingHttpResponse

from config import wsgi

pytestmark = pytest.mark.django_db


def answered(monkeypatch: pytest.MonkeyPatch, response: HttpResponse, **environ: Any) -> Any:
    """Return what a server gets to send of a response of Django's."""
    handler = WSGIHandler()
    monkeypatch.setattr(handler, "get_response", lambda request: response)
    monkeypatch.setattr(wsgi, "_django", handler)
    setup_testing_defaults(environ)
    return wsgi.application(environ, lambda status, headers, error=None: None)


def test_an_answer_goes_to_the_server_in_one_piece_and_is_closed(monkeypatch) -> None:
    response = HttpResponse("whole")
    closed: list[bool] = []
    monkeypatch.setattr(response, "close", lambda: closed.append(True))
    assert answered(monkeypatch, response) == [b"whole"]
    assert closed == [True]


def test_a_stream_stays_one(monkeypatch) -> None:
    parts = answered(monkeypatch, StreamingHttpResponse(iter(["in ", "parts"])))
    assert not isinstance(parts, list)
    assert list(parts) == [b"in ", b"parts"]
    parts.close()


def test_a_file_goes_through_the_wrapper_of_a_server_that_has_one(monkeypatch) -> None:
    parts = answered(monkeypatch, FileResponse(io.BytesIO(b"a file")), **{"wsgi.file_wrapper": FileWrapper})
    assert isinstance(parts, FileWrapper)
    assert b"".join(parts) == b"a file"
    # As a server does, or the end of this request would be told amid a later test, when the file is thrown away.
    parts.close()
