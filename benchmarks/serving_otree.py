"""The peer of ``benchmarks/serving.py``: a survey of oTree with the same pairs, on a server and a database of its own.

oTree needs older libraries than we do: install it in an environment of its own, and name its program by ``--otree``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import textwrap
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.driving import Ports, Script, request
from benchmarks.machinery import free_port
from benchmarks.serving_lab import DATABASES, Program, behind_nginx

__all__ = ["otree_raters", "otree_serving", "rate_at_otree"]

_ENVIRONMENT = {"OTREE_PRODUCTION": "1"}
# More than anybody answers in a turn; oTree makes them all beforehand.
_ROUNDS = 60
_SETTINGS = """
SESSION_CONFIGS = [{"name": "pairs", "app_sequence": ["pairs"], "num_demo_participants": 1}]
SESSION_CONFIG_DEFAULTS = {"real_world_currency_per_point": 1.0, "participation_fee": 0.0}
LANGUAGE_CODE, REAL_WORLD_CURRENCY_CODE = "en", "USD"
ADMIN_USERNAME, ADMIN_PASSWORD, SECRET_KEY, DEMO_PAGE_INTRO_HTML = "admin", "", "of the benchmark", ""
"""
_SURVEY = """
from otree.api import BaseConstants, BaseGroup, BasePlayer, BaseSubsession, Page, models

IMAGES = {images}


class C(BaseConstants):
    NAME_IN_URL = "pairs"
    PLAYERS_PER_GROUP = None
    NUM_ROUNDS = {rounds}


class Subsession(BaseSubsession):
    pass


class Group(BaseGroup):
    pass


class Player(BasePlayer):
    choice = models.StringField(choices=["left", "right"])


class Vote(Page):
    form_model = "player"
    form_fields = ["choice"]

    @staticmethod
    def vars_for_template(player):
        left, right = IMAGES[player.round_number % len(IMAGES)]
        return {{"left": left, "right": right}}


page_sequence = [Vote]
"""
_PAGE = """
{{ block title }}Which image is better?{{ endblock }}
{{ block content }}
<img src="{{ left }}"><img src="{{ right }}">
{{ formfields }}
{{ next_button }}
{{ endblock }}
"""


def _project(folder: Path, images: list[tuple[str, str]], *, rounds: int) -> None:
    """Write a survey of so many pairs to a visit; ``images`` are the addresses of each pair's two."""
    for name in ("_static", "_templates", "pairs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "settings.py").write_text(_SETTINGS)
    survey = textwrap.dedent(_SURVEY).format(images=json.dumps(images), rounds=rounds)
    (folder / "pairs" / "__init__.py").write_text(survey)
    (folder / "pairs" / "Vote.html").write_text(_PAGE)


@contextmanager
def otree_serving(
    program: str, database: str, *, media: Path, by_nginx: frozenset[str]
) -> Iterator[tuple[Ports, psutil.Process]]:
    """Serve the same pairs by oTree, its images by nginx, from a new database."""
    with tempfile.TemporaryDirectory(prefix="blindpair-otree-") as name, DATABASES[database](Path(name)) as url:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        files = [f"/media/{file.relative_to(media)}" for file in sorted(media.glob("served/*/*/*/0.webp"))]
        _project(folder, list(zip(files[::2], files[1::2], strict=False)), rounds=_ROUNDS)
        path = f"{Path(program).parent}:{os.environ['PATH']}"
        environment = os.environ | _ENVIRONMENT | {"PATH": path}
        if database == "postgresql":
            environment["DATABASE_URL"] = url
        subprocess.run([program, "resetdb", "--noinput"], cwd=folder, env=environment, check=True, capture_output=True)
        started = Program([program, "prodserver1of2", f"127.0.0.1:{port}"], port, folder, environment)
        with behind_nginx(started, folder, media=media, by_nginx=by_nginx | {"images"}) as found:
            yield found


def otree_raters(port: int, count: int) -> list[dict[str, str]]:
    """Begin a session of so many participants at a running server; return their codes."""
    made = _asked(port, "/api/sessions", {"session_config_name": "pairs", "num_participants": count})
    return [{"session": row["code"]} for row in _asked(port, f"/api/sessions/{made['code']}")["participants"]]


def _asked(port: int, path: str, body: dict | None = None) -> dict:
    content = json.dumps(body).encode() if body is not None else None
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=content, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=600) as answer:
        return json.load(answer)


def rate_at_otree(rater: dict[str, str], is_over: Callable[[], bool], think: float) -> Script:
    """Vote until the time is over: send the form, follow to the next page, load its two images."""
    path = (yield "window", request("GET", f"/InitializeParticipant/{rater['session']}")).decode()
    page, count = (yield "window", request("GET", path)), 0
    while b"<form" in page and not is_over():
        path = (yield "vote", request("POST", path, form="choice=left")).decode()
        page = yield "next", request("GET", path)
        for image in re.findall(rb'<img src="([^"]+)"', page):
            yield "image", request("GET", image.decode())
        count += 1
        if think:
            yield "look", think
    return count
