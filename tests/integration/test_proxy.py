"""The reference deployment's nginx, as it is configured, before the application with the settings of production."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from email.utils import formatdate
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.files.storage import default_storage
from django.urls import reverse

from benchmarks.campaign.proxy import NGINX, Proxy
from benchmarks.machinery import free_port
from survey.models import PairImage, RaterSession, Vote
from survey.services.access.api_token import token_create
from survey.tokens import image_token, session_token
from tests.copies import copy_bytes, copy_folder, copy_name
from tests.factories import make_running, make_study, make_user
from tests.survey.services.images.test_importing import matched, zipped
from tests.visits import TAB, active, next_trial
from tests.workers import process_environment, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)"),
]
ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
METRICS_TOKEN = "metrics-token-of-the-tests"


@pytest.fixture(scope="module")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collect the static files as the image's build does: pages name them by their digests."""
    folder = tmp_path_factory.mktemp("static")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "BLINDPAIR_SECRET_KEY": settings.SECRET_KEY,
        "BLINDPAIR_ALLOWED_HOSTS": "build",
        "BLINDPAIR_STATIC_ROOT": str(folder),
    }
    command = [sys.executable, "manage.py", "collectstatic", "--noinput"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def proxy(tmp_path: Path, static_root: Path) -> Iterator[Proxy]:
    web, desk, plain, tls = (free_port() for _ in range(4))
    made = Proxy(tmp_path, media=settings.MEDIA_ROOT, web=web, desk=desk, plain=plain, tls=tls)
    environment = process_environment() | {
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "BLINDPAIR_SECRET_KEY": settings.SECRET_KEY,
        "BLINDPAIR_ALLOWED_HOSTS": "127.0.0.1",
        "BLINDPAIR_PROXIES": "1",
        "BLINDPAIR_IMAGE_ACCEL": "/protected/",
        "BLINDPAIR_PAIR_ACCEL": "/protected-pair/",
        "BLINDPAIR_METRICS_TOKEN": METRICS_TOKEN,
        "BLINDPAIR_STATIC_ROOT": str(static_root),
        "WEB_CONCURRENCY": "1",
    }
    server = [sys.executable, "deploy/serve.py"]
    desk_variables = COMPOSE["services"]["desk"]["environment"]
    started = [
        (server, {"BLINDPAIR_BIND": f"127.0.0.1:{web}"}),
        (server, {"BLINDPAIR_BIND": f"127.0.0.1:{desk}", "WEB_THREADS": desk_variables["WEB_THREADS"]}),
        (made.command, {}),
    ]
    with (tmp_path / "servers.log").open("ab") as log:
        servers = [
            subprocess.Popen(command, cwd=ROOT, env=environment | variables, stdout=log, stderr=log)
            for command, variables in started
        ]

    def is_up() -> bool:
        assert all(server.poll() is None for server in servers), (tmp_path / "servers.log").read_text()[-3000:]
        with suppress(OSError):
            return made.ask("GET", "/readyz")[0] == 200 and made.ask("GET", "/api/v1/studies/")[0] == 401
        return False

    try:
        wait_until(is_up, "nginx and the application serve", seconds=120)
        # Each of nginx's processes remembers that a server was not there yet, as it was asked while they started: for a
        # second (fail_timeout), which its clock of whole seconds may take for two.
        time.sleep(2.1)
        yield made
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()


def test_images_come_from_the_proxy_after_the_application_has_checked_the_token(proxy: Proxy) -> None:
    version = make_running()
    images = PairImage.objects.filter(pair__study=version.study)
    seen = set()
    for image in images:
        token = image_token(served=copy_folder(image), trial_id=uuid.uuid4(), side="left")
        status, headers, content = proxy.ask("GET", f"/i/{token}.0.webp")
        assert (status, content) == (200, copy_bytes(image))
        # Date aside, every answer has the same headers: none tells one image from another.
        seen.add(tuple((name, value) for name, value in headers.items() if name != "Date"))
        assert headers["Content-Type"] == "image/webp"
        assert headers["Cache-Control"].startswith("private")
    assert len(images) == 12
    assert len(seen) == 1, seen
    names = {name for name, _ in seen.pop()}
    assert not {"ETag", "Last-Modified", "X-Accel-Redirect", "Set-Cookie", "Accept-Ranges"} & names
    image = images[0]
    for path in (f"/protected/{copy_name(image)}", f"/protected/../protected/{copy_name(image)}", f"/i/{'x' * 60}.png"):
        assert proxy.ask("GET", path)[0] == 404, path


def test_both_images_of_a_trial_come_from_the_proxy_in_one_answer(proxy: Proxy) -> None:
    version = make_running()
    headers_seen = set()
    for pair in version.study.pairs.all():
        left, right = pair.images.all()
        trial = uuid.uuid4()
        tokens = [
            image_token(served=copy_folder(image), trial_id=trial, side=side)
            for image, side in ((left, "left"), (right, "right"))
        ]
        status, headers, content = proxy.ask("GET", f"/i/{'~'.join(tokens)}.0.pair")
        assert (status, content) == (200, copy_bytes(left) + copy_bytes(right))
        headers_seen.add(tuple((name, value) for name, value in headers.items() if name != "Date"))
    assert len(headers_seen) == 1, headers_seen
    names = {name for name, _ in headers_seen.pop()}
    assert not {"ETag", "Last-Modified", "X-Accel-Redirect", "Set-Cookie", "Accept-Ranges"} & names
    for path in (f"/protected-pair/{copy_name(left)}/{copy_name(right)}", "/protected-right"):
        assert proxy.ask("GET", path)[0] == 404, path


def conditions(moment: float) -> list[dict[str, str]]:
    date, tag = formatdate(moment, usegmt=True), f'"{int(moment):x}-400"'
    return [
        {"If-Unmodified-Since": date},
        {"If-Modified-Since": date},
        {"If-Match": tag},
        {"If-Match": "*"},
        {"If-None-Match": tag},
        {"If-None-Match": "*"},
        {"Range": "bytes=0-9", "If-Range": date},
        {"Range": "bytes=0-9", "If-Range": tag},
        {"Range": "bytes=0-9"},
        {"If-Unmodified-Since": date, "Range": "bytes=0-9"},
    ]


def test_no_condition_tells_when_an_image_was_written(proxy: Proxy) -> None:
    """One image's file is a year older than the other's, as in a study that reuses copies of an earlier one."""
    old, new = PairImage.objects.filter(pair__study=make_running().study)[:2]
    now = time.time()
    for image, moment in ((old, now - 31_536_000), (new, now)):
        os.utime(default_storage.path(copy_name(image)), (moment, moment))
    for moment in (now - 31_536_000, now - 1000, now, now + 1000):
        for asked in conditions(moment):
            answers = []
            for image in (old, new):
                token = image_token(served=copy_folder(image), trial_id=uuid.uuid4(), side="left")
                status, headers, content = proxy.ask("GET", f"/i/{token}.0.webp", **asked)
                kept = sorted((name, value) for name, value in headers.items() if name != "Date")
                answers.append((status, kept, len(content)))
            assert answers[0] == answers[1], asked
            assert answers[0][0] in {200, 400}, asked


def test_served_copies_all_bear_one_time() -> None:
    images = PairImage.objects.filter(pair__study=make_running().study)
    names = {copy_name(image) for image in images}
    assert len(names) == 12
    assert len({default_storage.get_modified_time(name) for name in names}) == 1


def test_the_proxy_ends_tls_hides_the_metrics_and_keeps_floods_of_bytes_out(proxy: Proxy) -> None:
    assert proxy.ask_plainly("/readyz") == (301, "https://127.0.0.1/readyz")
    assert proxy.ask_plainly("/proxy-health")[0] == 200
    status, headers, _ = proxy.ask("GET", "/healthz")
    assert (status, headers["Strict-Transport-Security"][:16]) == (200, "max-age=31536000")
    assert proxy.ask("GET", "/metrics", Authorization=f"Bearer {METRICS_TOKEN}")[0] == 404
    too_much = {"Content-Length": str(5 << 20), "Content-Type": "application/json"}
    assert proxy.ask("POST", "/r/anything/api/votes", **too_much)[0] == 413
    assert proxy.ask("POST", "/admin/login/", **too_much)[0] == 413


@pytest.mark.parametrize("size", [65_000, 70_000, 1 << 20, 4 << 20, 5 << 20])
def test_a_body_that_is_too_long_is_told_so(proxy: Proxy, size: int) -> None:
    session = active(make_running())
    address = session_token(session.pk)
    for path in (f"/r/{address}/api/votes", f"/r/{address}/consent", f"/s/{session.version.study.slug}/start"):
        # As a browser sends it: all of it, whatever comes back meanwhile.
        status = proxy.ask("POST", path, b"x" * size, **{"Content-Type": "application/json"})[0]
        assert 300 <= status < 500, (path, status)


def test_uploads_are_for_those_who_are_signed_in(proxy: Proxy) -> None:
    owner = make_user("owner")
    study = make_study(owner=owner, slug="pictures", arms=("a", "b"), pairs=0)
    write, read = (token_create(user=owner, name=scope, scopes=(scope,))[0] for scope in ("write", "read"))
    files = {f"{arm}/{name}": body for arm, images in matched().items() for name, body in images.items()}
    parts = b'--x\r\nContent-Disposition: form-data; name="zip"; filename="z.zip"\r\n\r\n' + zipped(files).read()
    body, kind = parts + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}
    path = f"/api/v1/studies/{study.slug}/import/"
    too_much = {"Content-Length": str(1 << 31), "Content-Type": "application/json"}
    assert proxy.ask("POST", path, **too_much)[0] in {401, 413}
    assert proxy.ask("POST", path, b"x", **kind)[0] == 401
    assert proxy.ask("POST", path, body, Authorization="Bearer bp_made-up", **kind)[0] == 401
    assert proxy.ask("POST", path, body, Authorization=f"Bearer {read}", **kind)[0] == 403
    status, _, answer = proxy.ask("POST", path, body, Authorization=f"Bearer {write}", **kind)
    assert (status, json.loads(answer)["new_pairs"]) == (200, 3), answer
    page = f"/admin/survey/study/{study.pk}/import/"
    status, headers, _ = proxy.ask("POST", page, body, **kind)
    assert (status, headers["Location"]) == (302, f"/admin/login/?next={page}")


# Half-sent requests ---------------------------------------------------------------------------------------------------

HELD = 200
# One for each rule of deploy/nginx.conf, and some within.
LOCATIONS = [
    "/",
    "/s/{slug}/start",
    "/r/{token}/",
    "/r/{token}/consent",
    "/r/{token}/api/votes",
    "/i/{token}.png",
    "/static/x.css",
    "/healthz",
    "/metrics",
    "/protected/served/x.png",
    "/may-upload",
    "/admin/",
    "/admin/login/",
    "/admin/survey/study/{pk}/recruitment/",
    "/admin/survey/study/{pk}/import/",
    "/api/v1/studies/",
    "/api/v1/studies/{slug}/import/",
    "/api/v1/may-upload/",
]


def vote_over(proxy: Proxy, session: RaterSession) -> float:
    """Answer the visit's next trial and load the next images; return how long it took."""
    path = reverse("survey:api-vote", args=[session_token(session.pk)])
    body = {"tab": TAB, "trial": str(next_trial(session).pk), "key": str(uuid.uuid4()), "choice": "left"}
    began = time.monotonic()
    status, _, answer = proxy.ask("POST", path, json.dumps(body).encode(), **{"Content-Type": "application/json"})
    assert status == 200, answer
    for trial in json.loads(answer)["trials"][:1]:
        assert {proxy.ask("GET", trial[side])[0] for side in ("left", "right")} == {200}
    return time.monotonic() - began


def test_raters_vote_while_connections_are_held_open_on_any_location(proxy: Proxy) -> None:
    version = make_running(practice_trials=0, pairs=24, trials_per_session=24, votes_per_pair=9)
    sessions = [active(version) for _ in range(3)]
    study, token = version.study, session_token(sessions[0].pk)
    usual = vote_over(proxy, sessions[0])
    for place, location in enumerate(LOCATIONS):
        path = location.format(slug=study.slug, pk=study.pk, token=token)
        with ExitStack() as held:
            for number in range(HELD):
                # A body that the location would take, with no sign of who sends it; raters share the first address.
                line = proxy.half_sent(path, length=60_000, source=f"127.0.0.{1 + number % 2}")
                held.callback(line.close)
            times = [vote_over(proxy, sessions[place % 3]) for _ in range(2)]
        assert max(times) < max(3.0, 5 * usual), (location, usual, times)
    assert Vote.objects.filter(is_current=True).count() == 1 + 2 * len(LOCATIONS)


def test_a_researcher_whose_uploads_stall_stops_no_rater_and_no_colleague(proxy: Proxy) -> None:
    session = active(make_running(practice_trials=0))
    study = session.version.study
    token, _ = token_create(user=study.members.get().user, name="upload", scopes=("write", "read"))
    for path in (f"/admin/survey/study/{study.pk}/import/", f"/api/v1/studies/{study.slug}/import/"):
        with ExitStack() as held:
            for _ in range(HELD):
                line = proxy.half_sent(path, length=1 << 30, source="127.0.0.2", Authorization=f"Bearer {token}")
                held.callback(line.close)
            assert max(vote_over(proxy, session) for _ in range(2)) < 3.0
            began = time.monotonic()
            assert proxy.ask("GET", "/api/v1/studies/", Authorization=f"Bearer {token}")[0] == 200
            assert time.monotonic() - began < 5.0


def test_nobody_holds_a_connection_by_sending_nothing(proxy: Proxy) -> None:
    line = proxy.half_sent("/s/any/start", length=60_000)
    began = time.monotonic()
    line.settimeout(40)
    with line, suppress(OSError):
        while line.recv(4096):
            pass
    assert time.monotonic() - began < 30


def test_the_logs_of_the_proxy_name_no_rater_and_hold_no_token(proxy: Proxy) -> None:
    """Every kind of trouble that nginx reports of a request: a dead server, a body too long, a client that goes."""
    session = active(make_running())
    token = session_token(session.pk)
    row = PairImage.objects.filter(pair__study=session.version.study).first()
    served = copy_name(row)
    image = image_token(served=copy_folder(row), trial_id=uuid.uuid4(), side="left")
    Path(default_storage.path(served)).unlink()
    proxy.ask("GET", f"/i/{image}.0.webp")
    proxy.ask("POST", f"/r/{token}/api/votes", b"x" * 100_000)
    proxy.half_sent(f"/r/{token}/consent", length=60_000, source="127.0.0.3").close()
    proxy.ask("GET", f"/r/{token}/%00", Cookie="secret-cookie")
    text = "".join(path.read_text(errors="replace") for path in proxy.folder.glob("*.log"))
    assert text.count("\n") > 3
    for secret in (token, image, "127.0.0.3", "secret-cookie", served):
        assert secret not in text, secret
