"""Images at the door in front of Django, and behind it: one rule, the same answers."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import resolve

from survey.tokens import image_token
from survey.views.image import ImageMiddleware, are_pairs_served
from tests.copies import copy_name
from tests.factories import make_version

pytestmark = pytest.mark.django_db
Answer = tuple[str, dict[str, str], bytes]


class Door:
    """A door with Django behind it, and a list of what came through to Django."""

    def __init__(self) -> None:
        self.passed_on: list[str] = []
        self.observed: list[tuple[str, str, int]] = []
        self._door = ImageMiddleware(self._django, lambda *seen: self.observed.append(seen[:3]))

    def _django(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.passed_on.append(environ["PATH_INFO"])
        response = Client().generic(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.headers.items()))
        return [response.content]

    def answer(self, path: str, method: str = "GET") -> Answer:
        started: list[Any] = []
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.url_scheme": "http"}
        content = b"".join(self._door(environ, lambda *start: started.extend(start)))
        return started[0], dict(started[1]), content


def behind(path: str, method: str = "GET") -> Answer:
    response = Client().generic(method, path)
    return f"{response.status_code} {response.reason_phrase}", dict(response.headers.items()), response.content


def address(served: str, **when: float) -> str:
    return f"/i/{image_token(served=served.removesuffix('/0.webp'), side='left', **when)}.0.webp"


@pytest.fixture
def served() -> list[str]:
    version = make_version(pairs=3)
    return [copy_name(image) for pair in version.study.pairs.all() for image in pair.images.all()]


def test_the_door_answers_as_django_does_and_asks_it_once(served) -> None:
    door = Door()
    assert len(set(served)) == 6
    for name in served:
        path = address(name)
        assert door.answer(path) == behind(path)
        assert door.answer(path)[2] == Path(default_storage.path(name)).read_bytes()
    assert len(door.passed_on) == 1
    assert set(door.observed) == {("GET", resolve(path).route, 200)}


def test_the_proxy_is_told_which_file_to_send(served, settings) -> None:
    settings.RATER_IMAGE_ACCEL = "/protected/"
    door = Door()
    for name in served[:3]:
        path = address(name)
        assert door.answer(path) == behind(path)
        assert door.answer(path)[1]["X-Accel-Redirect"] == f"/protected/{name}"
    assert len(door.passed_on) == 1


def address_of_two(left: str, right: str, *, trial: uuid.UUID | None = None, sides: str = "lr", size: str = "0") -> str:
    trials = [trial or uuid.UUID(int=7), uuid.UUID(int=7)]
    tokens = [
        image_token(served=name.removesuffix("/0.webp"), trial_id=of, side=side)
        for name, of, side in zip((left, right), trials, sides, strict=True)
    ]
    return f"/i/{'~'.join(tokens)}.{size}.pair"


def test_both_images_of_a_trial_come_in_one_answer_the_left_one_first(served) -> None:
    door = Door()
    left, right = served[:2]
    for _ in range(2):
        answer = door.answer(address_of_two(left, right))
        assert answer == behind(address_of_two(left, right))
        assert (
            answer[2] == Path(default_storage.path(left)).read_bytes() + Path(default_storage.path(right)).read_bytes()
        )
        assert answer[1]["Content-Type"] == "application/octet-stream"
    one = door.answer(address(left))[1]
    assert {name: value for name, value in answer[1].items() if name not in {"Content-Type", "Content-Length"}} == {
        name: value for name, value in one.items() if name not in {"Content-Type", "Content-Length"}
    }
    assert len(door.passed_on) == 2  # one of each type


def test_images_of_two_trials_or_sides_turned_round_are_no_pair(served) -> None:
    left, right = served[:2]
    assert behind(address_of_two(left, right))[0] == "200 OK"
    for path in (
        address_of_two(left, right, trial=uuid.UUID(int=8)),
        address_of_two(left, right, sides="rl"),
        address_of_two(left, right, sides="ll"),
        address_of_two(left, right, size="x"),
        address_of_two(left, right).replace("~", ""),
        address(left).replace(".0.webp", ".0.pair"),
        address_of_two(left, f"served/1234/ab/{'ab' * 32}.png"),
    ):
        assert behind(path)[0] == "404 Not Found", path


def test_the_proxy_is_told_which_two_files_to_send(served, settings) -> None:
    settings.RATER_PAIR_ACCEL = "/protected-pair/"
    door = Door()
    for left, right in (served[:2], served[2:4]):
        path = address_of_two(left, right)
        assert door.answer(path) == behind(path)
        assert door.answer(path)[1]["X-Accel-Redirect"] == f"/protected-pair/{left}/{right}"


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [("", "", True), ("/protected/", "", False), ("/protected/", "/protected-pair/", True)],
)
def test_pages_ask_for_both_images_at_once_unless_the_application_had_to_pass_them_on(
    one, two, expected, settings
) -> None:
    settings.RATER_IMAGE_ACCEL, settings.RATER_PAIR_ACCEL = one, two
    assert are_pairs_served() is expected


def test_what_is_no_image_goes_on_to_django(served) -> None:
    door, path = Door(), address(served[0])
    door.answer(path)  # from now on it needs nothing of Django for images
    expired = address(served[0], now=time.time() - 1e6)
    default_storage.delete(served[1])
    for method, other, status in (
        ("GET", "/i/forged.png", 404),
        ("GET", expired, 410),
        ("GET", address(served[1]), 404),
        ("POST", path, 405),
        ("HEAD", path, 405),
        ("GET", "/healthz", 200),
    ):
        answer = door.answer(other, method)
        assert door.passed_on[-1] == other
        assert answer == behind(other, method)
        assert answer[0].startswith(f"{status} ")


def test_the_one_copy_of_an_earlier_version_is_handed_out_as_before() -> None:
    name = f"served/1234/ab/{'ab' * 32}.png"
    default_storage.save(name, ContentFile(b"the copy"))
    door, path = Door(), f"/i/{image_token(served=name, side='left')}.png"
    for _ in range(2):
        answer = door.answer(path)
        assert answer == behind(path)
        assert answer[2] == b"the copy"
        assert answer[1]["Content-Type"] == "image/png"
    assert len(door.passed_on) == 1
