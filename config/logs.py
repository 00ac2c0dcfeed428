"""Logs as one JSON object a line, each with the request or job it belongs to; never an address, a name or a vote."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

from jobs.log_context import log_context

__all__ = ["JsonLines", "WithContext", "log_context", "without_secrets"]


# Addresses of visits and images hold secrets, and Django logs the address of every refused request.
_SECRET_PATH = re.compile(
    r"/(r|i)/[A-Za-z0-9_=-]{16,}(?:[.0-9]*\.(?:png|webp))?|((?:link|ticket|token|key)=)[^&\s\"']+"
)


def without_secrets(text: str) -> str:
    return _SECRET_PATH.sub(lambda found: f"/{found[1]}/..." if found[1] else f"{found[2]}...", text)


class WithContext(logging.Filter):
    """Put the current request or job id on every record, and take the secrets of addresses out of its text."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.context = log_context.get()
        record.msg, record.args = without_secrets(record.getMessage()), ()
        return True


class JsonLines(logging.Formatter):
    """Format a record as JSON: time, level, logger, message, context and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if context := getattr(record, "context", ""):
            entry["context"] = context
        if record.exc_info:
            entry["error"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)
