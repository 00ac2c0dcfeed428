"""A server of its own for the time of a rehearsal."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application


class _Quiet(WSGIRequestHandler):
    # Headers and body leave in two writes: without this, each answer waits for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of requests: the command shows its own progress."""


def _as_the_proxy_passes_it_on(environ: dict[str, Any], start_response: Any) -> Any:
    """Serve a request as one to the public address: production answers no other host and nothing without TLS."""
    public = urlsplit(settings.PUBLIC_URL)
    environ |= {"HTTP_HOST": public.netloc, "wsgi.url_scheme": public.scheme}
    return get_internal_wsgi_application()(environ, start_response)


class OwnServer:
    """Django's threaded server on a free port of this machine, for the time of a rehearsal."""

    def __enter__(self) -> str:
        # Port 0: the system gives a free one.
        self._server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
        self._server.set_app(_as_the_proxy_passes_it_on)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
