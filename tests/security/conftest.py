from __future__ import annotations

import pytest

from config.throttle import Limit


@pytest.fixture(autouse=True)
def _one_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each limit in the span in which it is first asked: a test that runs over the full hour counts on."""
    honest, spans = Limit._span, {}
    monkeypatch.setattr(Limit, "_span", lambda limit: spans.setdefault(limit.seconds, honest(limit)))
