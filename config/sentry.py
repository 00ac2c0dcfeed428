"""Errors to Sentry, where ``BLINDPAIR_SENTRY_DSN`` names a project: where the code broke, never who met it.

An event is rebuilt from what is listed here, so that nothing a later version of the package collects goes out. Even an
error's text stays behind, since it may quote what a rater has typed: the id of the request or job finds it in our logs.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from analysis.report.provenance import code_version
from config.logs import log_context, without_secrets

__all__ = ["scrubbed", "sentry_start"]

_EVENT = ("event_id", "timestamp", "platform", "level", "logger", "release", "environment", "sdk")
_FRAME = ("filename", "function", "module", "lineno", "pre_context", "context_line", "post_context", "in_app")


def sentry_start(dsn: str) -> None:
    """Report unhandled errors of requests and jobs from now on.

    Raises
    ------
    ImproperlyConfigured
        If the extra ``sentry`` is not installed.
    """
    try:
        import sentry_sdk
        from sentry_sdk.integrations.celery import CeleryIntegration
        from sentry_sdk.integrations.django import DjangoIntegration
    except ModuleNotFoundError:
        raise ImproperlyConfigured(
            "BLINDPAIR_SENTRY_DSN is set, but sentry-sdk is not installed; pip install 'blindpair[sentry]', or unset it"
        ) from None
    sentry_sdk.init(
        dsn=dsn,
        release=code_version(),
        before_send=scrubbed,
        integrations=[DjangoIntegration(), CeleryIntegration()],
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        include_local_variables=False,
        max_breadcrumbs=0,
        max_request_body_size="never",
        send_client_reports=False,
        send_default_pii=False,
    )


def scrubbed(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    """Return the event with the code's place and state alone."""
    kept = {name: event[name] for name in _EVENT if name in event}
    kept["tags"] = {"context": log_context.get()}
    # Anything but a route's or a task's name is the path that was asked for, with the token in it.
    if event.get("transaction_info", {}).get("source") in {"route", "task"}:
        kept["transaction"] = event["transaction"]
    if "exception" in event:
        kept["exception"] = {"values": [_place(one) for one in event["exception"]["values"]]}
    elif "logentry" in event:
        text = event["logentry"].get("formatted") or event["logentry"].get("message") or ""
        kept["logentry"] = {"formatted": without_secrets(text)}
    return kept


def _place(error: dict[str, Any]) -> dict[str, Any]:
    frames = (error.get("stacktrace") or {}).get("frames", [])
    return {
        "type": error.get("type"),
        "module": error.get("module"),
        "stacktrace": {"frames": [{name: frame[name] for name in _FRAME if name in frame} for frame in frames]},
    }
