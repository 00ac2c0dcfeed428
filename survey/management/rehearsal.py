"""Simulated raters that take the same way as people: pages, forms, JSON and images over HTTP.

What they prefer is looked up in the database by the trial's key, as nothing that the server sends tells the arms apart.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import math
import random
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application
from django.db import connections

from survey.models import Trial
from survey.tokens import session_id_of

__all__ = ["Behaviour", "OwnServer", "RehearsalFailed", "SimulatedRater", "Visit"]

# Scale of a logit that a standard normal deviation attenuates by; Zeger, Liang and Albert (1988), Biometrics 44, eq. 3.
_ATTENUATION = (16 * math.sqrt(3) / (15 * math.pi)) ** 2


class RehearsalFailed(Exception):
    """The server answered what a rater's browser could not use."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How simulated raters choose.

    Parameters
    ----------
    arm : str
        The arm that they prefer.
    preference : float
        How often, over all raters and pairs, it is chosen where sides do not matter.
    position_bias : float
        By how much the left side is chosen more often than half of the time by somebody who sees no difference.
    lapse : float
        Probability that an answer is given without looking.
    tie_rate : float
        Probability of a tie from somebody who sees no difference.
    sd_rater, sd_pair : float
        Spread of preference between raters and between pairs, in logits.
    drop_out : float
        Probability that a rater leaves before the end.
    response_ms : float
        Median response time.
    """

    arm: str
    preference: float = 0.6
    position_bias: float = 0.0
    lapse: float = 0.02
    tie_rate: float = 0.1
    sd_rater: float = 0.3
    sd_pair: float = 0.5
    drop_out: float = 0.0
    response_ms: float = 1800.0

    def __post_init__(self) -> None:
        for name in ("lapse", "tie_rate", "drop_out"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 to 1")
        if not 0 < self.preference < 1:
            raise ValueError(f"preference is {self.preference}; it must lie between 0 and 1")
        if not -0.5 < self.position_bias < 0.5:
            raise ValueError(f"position_bias is {self.position_bias}; it must lie between -0.5 and 0.5")
        if self.sd_rater < 0 or self.sd_pair < 0 or self.response_ms <= 0:
            raise ValueError("sd_rater, sd_pair must be 0 or more, response_ms above 0")

    def centre(self) -> float:
        """Return the logit whose average over raters and pairs is ``preference``."""
        spread = self.sd_rater**2 + self.sd_pair**2
        return _logit(self.preference) * math.sqrt(1 + _ATTENUATION * spread)


def _logit(rate: float) -> float:
    return math.log(rate / (1 - rate))


def _rate(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@dataclass
class RaterModel:
    """One rater's answers to trials."""

    behaviour: Behaviour
    seed: int
    number: int
    has_ties: bool
    rng: random.Random = field(init=False)
    taste: float = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed}/{self.number}")
        self.taste = self.rng.gauss(0, self.behaviour.sd_rater)

    def choice(self, trial: dict[str, Any]) -> str:
        """Return left, right or tie for a trial as the database knows it."""
        rng, behaviour = self.rng, self.behaviour
        if rng.random() < behaviour.lapse:
            return rng.choice(("left", "right"))
        if trial["degraded_side"]:
            return "right" if trial["degraded_side"] == "left" else "left"
        to_left = _rate(self._pull_left(trial) + _logit(0.5 + behaviour.position_bias))
        # Ties come where the sides are hard to tell, most of all where they are the same.
        ties = 0.8 if trial["check_kind"] == "identical" else behaviour.tie_rate * 4 * to_left * (1 - to_left)
        if self.has_ties and rng.random() < ties:
            return "tie"
        return "left" if rng.random() < to_left else "right"

    def _pull_left(self, trial: dict[str, Any]) -> float:
        arms = (trial["arm_left__name"], trial["arm_right__name"])
        if arms[0] == arms[1] or self.behaviour.arm not in arms:
            return 0.0
        pair = int.from_bytes(hashlib.sha256(f"{self.seed}/{trial['pair_id']}".encode()).digest()[:8])
        appeal = random.Random(pair).gauss(0, self.behaviour.sd_pair)
        pull = self.behaviour.centre() + self.taste + appeal
        return pull if arms[0] == self.behaviour.arm else -pull

    def response_ms(self) -> float:
        """Return a log-normal response time."""
        return round(self.rng.lognormvariate(math.log(self.behaviour.response_ms), 0.45), 1)


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
        model = RaterModel(self._behaviour, self._seed, self._number, setup["ties"])
        stay = (1 - self._behaviour.drop_out) ** (1 / max(1, window["total"]))
        truth: dict[str, dict[str, Any]] = {}
        seen: set[str] = set()
        while window["trials"]:
            for trial in window["trials"]:
                if trial["id"] not in seen:
                    seen.add(trial["id"])
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
                    "choice": model.choice(truth[trial["id"]]),
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
        self._server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
        self._server.set_app(_as_the_proxy_passes_it_on)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
