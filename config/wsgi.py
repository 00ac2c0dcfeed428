import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
_django = get_wsgi_application()

from config.metrics import observe_request  # noqa: E402 - the settings have to be there first
from survey.views.image import ImageMiddleware  # noqa: E402


def _in_one_piece(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with a list, which the server sends at once: what has to be iterated goes back and forth for each part."""
    response = _django(environ, start_response)
    # A file may come in a wrapper of the server's own, which does not say.
    if getattr(response, "streaming", True):
        return response
    response.close()
    return [response.content]


application = ImageMiddleware(_in_one_piece, observe_request)
