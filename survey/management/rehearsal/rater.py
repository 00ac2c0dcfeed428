"""Simulated raters that take the same way as people.

What they prefer is looked up in the database by the trial's key, as nothing that the server sends tells the arms apart.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db import connections

from survey.management.rehearsal.behaviour import Behaviour, RaterModel
from survey.management.rehearsal.browser import Browser, RehearsalFailed
from survey.models import Trial
from survey.tokens import session_id_of


def asked_of(trial: dict[str, Any]) -> list[str]:
    """Return the criteria that a trial asks, in the order of the page; one without a key where it asks one question."""
    return [one["key"] for one in trial.get("criteria", [{"key": ""}])]


@dataclass
class Visit:
    """What became of one simulated rater."""

    session_id: uuid.UUID | None = None
    votes: int = 0
    outcome: str = "dropped out"
    code: str = ""


class SimulatedRater:
    """One visit from the landing page to the completion code."""

    def __init__(
        self,
        *,
        base_url: str,
        slug: str,
        ticket: str,
        behaviour: Behaviour,
        seed: int,
        number: int,
        speed: float = 0.0,
        on_vote: Any = lambda: None,
    ) -> None:
        self._browser = Browser(base_url)
        self._slug, self._ticket = slug, ticket
        self._behaviour, self._seed, self._number = behaviour, seed, number
        self._speed, self._on_vote = speed, on_vote
        self.visit = Visit()

    def run(self) -> Visit:
        """Take the whole visit; close the thread's database connections after it."""
        try:
            self._run()
        finally:
            self._browser.close()
            # Each thread has connections of its own, which nobody else closes.
            connections.close_all()
        return self.visit

    def _run(self) -> None:
        browser = self._browser
        ticket = urlencode({"ticket": self._ticket})
        browser.page(f"/s/{self._slug}/?{ticket}")
        here = browser.submit(f"/s/{self._slug}/start?{ticket}", language="en")
        self.visit.session_id = session_id_of(here.rstrip("/").rsplit("/", 1)[1])
        digest = re.search(r'name="consent_sha256" value="([0-9a-f]{64})"', browser.page(here))
        if digest is None:
            raise RehearsalFailed(f"GET {here}: no consent form")
        browser.submit(here + "consent", consent_sha256=digest[1], agreed="on")
        browser.page(here)
        browser.submit(here + "device", width="1920", height="1080", pixel_ratio="1", is_touch="false")
        if "begin" not in browser.page(here):
            self.visit.outcome = "screen"
            return
        browser.submit(here + "begin")
        page = browser.page(here)
        setup = re.search(r'<script id="setup" type="application/json">(.*?)</script>', page, re.S)
        if setup is None:
            self.visit.outcome = "full"
            return
        if self._trials(json.loads(setup[1])):
            self._end(here)

    def _trials(self, setup: dict[str, Any]) -> bool:
        """Answer every trial; return False when the rater drops out."""
        urls, tab = setup["urls"], str(uuid.uuid4())
        window = self._browser.post(urls["window"], {"tab": tab})
        model = RaterModel(self._behaviour, self._seed, self._number)
        has_ties = {one["key"]: one["ties"] for one in setup["criteria"]}
        # Spread over the trials, so that the share who leave is that of whole visits.
        stay = (1 - self._behaviour.drop_out) ** (1 / max(1, window["total"]))
        truth: dict[str, dict[str, Any]] = {}
        seen: set[str] = set()
        while window["trials"]:
            for trial in window["trials"]:
                if trial["id"] not in seen:
                    seen.add(trial["id"])
                    # Fetched as a browser does: addresses that do not open must fail the rehearsal.
                    self._browser.image(trial["left"])
                    self._browser.image(trial["right"])
            trial = window["trials"][0]
            if trial["id"] not in truth:
                truth = self._truth()
            response_ms = model.response_ms()
            if self._speed:
                time.sleep(response_ms / 1000 / self._speed)
            if model.rng.random() > stay:
                return False
            window = self._browser.post(
                urls["vote"],
                {
                    "tab": tab,
                    "trial": trial["id"],
                    "key": str(uuid.uuid4()),
                    "answers": [
                        {"criterion": key, "choice": choice} | model.beyond(choice, setup.get("beyond", []))
                        for key in asked_of(trial)
                        for choice in (model.choice(truth[trial["id"]], has_ties=has_ties[key]),)
                    ],
                    "response_ms": response_ms,
                    "exposure_ms": response_ms,
                    "presentation": {"layout": "row", "input": "key", "pixel_ratio": 1},
                },
            )
            self.visit.votes += 1
            self._on_vote()
        return True

    def _truth(self) -> dict[str, dict[str, Any]]:
        rows = Trial.objects.filter(session_id=self.visit.session_id).values(
            "id", "pair_id", "arm_left__name", "arm_right__name", "check_kind", "degraded_side"
        )
        return {str(row["id"]): row for row in rows}

    def _end(self, here: str) -> None:
        self._browser.submit(here + "finish")
        if "/questions" in self._browser.page(here):
            self._browser.submit(here + "questions")
        code = re.search(r'<output id="code" dir="ltr">([^<]+)</output>', self._browser.page(here))
        if code is None:
            raise RehearsalFailed(f"GET {here}: no completion code after the last trial")
        self.visit.outcome, self.visit.code = "complete", code[1]
