"""A browser as far as a rehearsal needs one: pages, forms, JSON and images over HTTP."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any
from urllib.parse import urlencode, urlsplit


class RehearsalFailed(Exception):
    """The server answered what a rater's browser could not use."""


class Browser:
    """One connection, no cookies, as a browser in cookie-free mode would use it."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.netloc, timeout=60)
        self._prefix = parts.path.rstrip("/")

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, str, bytes]:
        """Return (status, location, body); one retry on a connection that the server has closed meanwhile."""
        headers = {"Accept-Language": "en"} | ({"Content-Type": kind} if kind else {})
        # A server may close an idle connection just as it is used again; twice in a row is an error.
        for attempt in (1, 2):
            try:
                self._connection.request(method, self._prefix + path, body, headers)
                response = self._connection.getresponse()
                return response.status, response.getheader("Location", ""), response.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                self._connection.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def page(self, path: str) -> str:
        status, _, body = self.request("GET", path)
        if status != 200:
            raise RehearsalFailed(f"GET {path}: {status} {_gist(body)}")
        return body.decode()

    def submit(self, path: str, **fields: str) -> str:
        """Post a form; return where it leads."""
        status, location, body = self.request(
            "POST", path, urlencode(fields).encode(), "application/x-www-form-urlencoded"
        )
        if status != 303:
            raise RehearsalFailed(f"POST {path}: {status} {_gist(body)}")
        return location.removeprefix(self._prefix)

    def post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        status, _, body = self.request("POST", path, json.dumps(content).encode(), "application/json")
        if status != 200:
            raise RehearsalFailed(f"POST {path}: {status} {_gist(body)}")
        return json.loads(body)

    def image(self, path: str) -> bytes:
        status, _, body = self.request("GET", path)
        if status != 200:
            raise RehearsalFailed(f"GET {path}: {status} {_gist(body)}")
        return body


def _gist(body: bytes) -> str:
    text = re.sub(r"<(script|style|head).*?</\1>|<[^>]+>", " ", body.decode(errors="replace"), flags=re.S)
    return " ".join(text.split())[:300]
