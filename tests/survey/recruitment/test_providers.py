from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from django.core.cache import cache
from django.test import Client
from django.utils.html import escape

from survey.exceptions import StudyNotReady
from survey.models import PersonalLink, Rater, RaterIdentity, RaterSession, StudyVersion
from survey.outgoing import OutgoingRefused, outgoing_check, outgoing_get
from survey.recruitment import PROVIDERS, provider_of, recruitment_problems
from survey.selectors.version import frozen_config
from survey.services.panel.links import personal_link_revoke, personal_links_create
from survey.services.study.version import version_freeze
from survey.tokens import personal_link_token, session_token
from tests.factories import make_running, make_study

pytestmark = pytest.mark.django_db
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PERSON, SUBMISSION, STUDY = "5c2f3a9d7b1e4f6082a1c0de", "60d9aadeb86739de712faee0", "61f0c2b4a89e5d3716fb0a2c"
IDS = {"PROLIFIC_PID": PERSON, "STUDY_ID": STUDY, "SESSION_ID": SUBMISSION}
PROLIFIC = {"provider": "prolific", "study_id": STUDY, "codes": {"complete": "CDONE", "withdrawn": "CGONE"}}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def signed(claims: dict | None = None, *, key=KEY, header: dict | None = None, **changes) -> str:
    body = {"aud": "127.0.0.1:8000", "exp": time.time() + 600, "prolific": IDS | {"workspace_id": "w"}} | changes
    body |= claims or {}
    head = {"alg": "RS256", "kid": "one"} | (header or {})
    text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"
    return f"{text}.{b64(key.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


@pytest.fixture
def key_set(settings, monkeypatch):
    """Serve the public key as the panel does, over HTTP on this machine."""
    numbers = KEY.public_key().public_numbers()
    keys = {"keys": [{"kty": "RSA", "kid": "one", "alg": "RS256", "n": number(numbers.n), "e": number(numbers.e)}]}
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(keys).encode())

        def log_message(self, *args) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    settings.OUTGOING_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    monkeypatch.setattr("survey.recruitment.prolific.KEY_SET", f"http://127.0.0.1:{server.server_port}/keys.json")
    cache.clear()
    yield asked
    cache.clear()
    server.shutdown()
    server.server_close()
    thread.join()


def start(version, **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return Client().post(f"/s/{version.study.slug}/start?{text}")


def test_open_links_know_nobody() -> None:
    version = make_running()
    assert start(version).status_code == 303
    assert start(version).status_code == 303
    assert Rater.objects.filter(provider_key=None).count() == 2
    assert not RaterIdentity.objects.exists()


def test_a_personal_link_opens_one_visit_again_and_again_until_it_is_closed() -> None:
    version = make_running(recruitment={"provider": "personal"})
    link, other = personal_links_create(study=version.study, count=2, actor=None)
    assert start(version).status_code == 403
    assert start(version, key="made-up").status_code == 403
    first = start(version, key=personal_link_token(link.pk))
    again = start(version, key=personal_link_token(link.pk))
    assert first["Location"] == again["Location"]
    assert RaterSession.objects.get().is_entry_verified
    personal_link_revoke(link=other, actor=None)
    assert start(version, key=personal_link_token(other.pk)).status_code == 403
    elsewhere = make_running(recruitment={"provider": "personal"})
    assert start(elsewhere, key=personal_link_token(link.pk)).status_code == 403
    assert PersonalLink.objects.filter(study=elsewhere.study).count() == 0


def test_a_signed_prolific_entry_is_verified_and_its_ids_are_kept_as_hashes(key_set) -> None:
    version = make_running(recruitment=PROLIFIC)
    assert start(version, prolific_token=signed(), **IDS).status_code == 303
    session = RaterSession.objects.get()
    assert session.is_entry_verified
    stored = f"{session.rater.provider_key} {vars(session.rater.identity)}"
    assert PERSON not in stored
    assert SUBMISSION not in stored
    assert start(version, prolific_token=signed()).status_code == 303
    assert RaterSession.objects.count() == 1
    assert len(key_set) == 1, "the keys are kept for a day"


@pytest.mark.parametrize(
    ("token", "query"),
    [
        (lambda: "", IDS),
        (lambda: "rubbish", IDS),
        (lambda: signed(key=OTHER_KEY), {}),
        (lambda: signed(exp=time.time() - 3600), {}),
        (lambda: signed(aud="evil.example"), {}),
        (lambda: signed(header={"kid": "two"}), {}),
        (lambda: signed(header={"alg": "none"}), {}),
        (lambda: signed(header={"alg": "HS256"}), {}),
        (lambda: signed(header={"kid": None}), {}),
        (lambda: signed(header={"crit": ["exp"]}), {}),
        (lambda: signed(nbf=time.time() + 3600), {}),
        (lambda: signed(exp="soon"), {}),
        (lambda: signed(exp=None), {}),
        (lambda: signed(aud=None), {}),
        (lambda: signed(aud=["evil.example", 1]), {}),
        (lambda: signed().rpartition(".")[0] + ".", {}),
        (lambda: f"{b64(b'[' * 2500)}.{b64(b'{}')}.{b64(b'x')}", {}),
        (lambda: signed(prolific=IDS | {"STUDY_ID": PERSON}), {}),
        (lambda: signed(prolific={}), {}),
        (lambda: signed(), IDS | {"PROLIFIC_PID": STUDY}),
    ],
)
def test_a_forged_prolific_entry_is_refused(key_set, token, query: dict[str, str]) -> None:
    version = make_running(recruitment=PROLIFIC)
    answer = start(version, **query, **({"prolific_token": token()} if token() else {}))
    assert answer.status_code == 403
    assert not RaterSession.objects.exists()
    assert not Rater.objects.exists()


@pytest.mark.parametrize("audience", ["https://127.0.0.1:8000", "127.0.0.1:8000/", ["other.example", "127.0.0.1:8000"]])
def test_an_audience_may_be_written_as_host_or_address(key_set, audience: str | list[str]) -> None:
    version = make_running(recruitment=PROLIFIC)
    assert start(version, prolific_token=signed(aud=audience)).status_code == 303


def test_claims_that_nobody_reads_refuse_nobody(key_set) -> None:
    version = make_running(recruitment=PROLIFIC)
    odd = {"sub": 7, "jti": 7, "iat": time.time() + 3600, "iss": "x"}
    assert start(version, prolific_token=signed(odd)).status_code == 303


def test_an_unknown_key_id_asks_the_panel_once_a_minute(key_set) -> None:
    version = make_running(recruitment=PROLIFIC)
    start(version, prolific_token=signed())
    for _ in range(3):
        assert start(version, prolific_token=signed(header={"kid": "two"})).status_code == 403
    assert len(key_set) == 2


def test_known_keys_serve_while_the_panel_is_down(key_set, monkeypatch) -> None:
    version = make_running(recruitment=PROLIFIC)
    start(version, prolific_token=signed())

    def refuse(address: str) -> bytes:
        raise OutgoingRefused("down")

    monkeypatch.setattr("survey.recruitment.signed_entry.outgoing_get", refuse)
    assert start(version, prolific_token=signed(header={"kid": "two"})).status_code == 403
    assert start(version, prolific_token=signed()).status_code == 303
    cache.clear()
    assert start(version, prolific_token=signed()).status_code == 403


def test_unsigned_entries_work_where_the_study_takes_them_but_open_nobody_elses_visit() -> None:
    version = make_running(recruitment=PROLIFIC | {"is_signed": False})
    first = start(version, **IDS)
    assert first.status_code == 303
    assert not RaterSession.objects.get().is_entry_verified
    assert start(version, **IDS)["Location"] == first["Location"]
    assert start(version, **(IDS | {"SESSION_ID": STUDY})).status_code == 403
    assert RaterSession.objects.count() == 1


def test_a_finished_prolific_visit_returns_with_the_code_of_its_outcome(key_set) -> None:
    version = make_running(recruitment=PROLIFIC)
    start(version, prolific_token=signed())
    session = RaterSession.objects.get()
    address = f"/r/{session_token(session.pk)}/"
    Client().post(f"{address}withdraw")
    page = Client().get(address).content.decode()
    assert "https://app.prolific.com/submissions/complete?cc=CGONE" in page
    returned = start(version, prolific_token=signed(prolific=IDS | {"SESSION_ID": STUDY}))
    assert returned.status_code == 403, "one visit a person"


WORKER, ASSIGNMENT = "A1B2C3D4E5F6G7", "3X4JMASXCM8QJ1ZV5R2D7K6W0YB9LT"
MTURK = {"assignmentId": ASSIGNMENT, "workerId": WORKER, "turkSubmitTo": "https://workersandbox.mturk.com"}


def test_mturk_shows_a_preview_stands_in_a_frame_and_posts_itself_back() -> None:
    version = make_running(recruitment={"provider": "mturk"})
    landing = Client().get(f"/s/{version.study.slug}/?assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE")
    assert landing.status_code == 200
    assert "frame-ancestors https://worker.mturk.com" in landing["Content-Security-Policy"]
    assert "X-Frame-Options" not in landing
    assert start(version, assignmentId="ASSIGNMENT_ID_NOT_AVAILABLE").status_code == 403
    assert start(version, **MTURK).status_code == 303
    session = RaterSession.objects.get()
    RaterSession.objects.update(state="completed", step="done", outcome="complete", completion_code="C-1")
    page = Client().get(f"/r/{session_token(session.pk)}/")
    body = page.content.decode()
    assert 'action="https://workersandbox.mturk.com/mturk/externalSubmit"' in body
    assert f'name="assignmentId" value="{ASSIGNMENT}"' in body
    assert "form-action 'self' https://www.mturk.com" in page["Content-Security-Policy"]


@pytest.mark.parametrize(
    "target", ["https://evil.example", "http://www.mturk.com", "https://www.mturk.com.evil.example", ""]
)
def test_mturk_posts_back_to_mturk_alone(target: str) -> None:
    version = make_running(recruitment={"provider": "mturk"})
    assert start(version, **(MTURK | {"turkSubmitTo": target})).status_code == 403


@pytest.mark.parametrize(
    ("recruitment", "part"),
    [
        ([], "not an object"),
        ({"provider": "pigeon"}, "no recruitment provider"),
        ({"provider": "open", "wings": 2}, "no setting wings"),
        ({"provider": "prolific"}, "needs a completion code"),
        ({"provider": "open", "codes": {"lost": "A"}}, "no outcome"),
        ({"provider": "open", "codes": {"complete": "A", "full": "A"}}, "same completion code"),
        ({"provider": "open", "completion_url": "javascript:alert(1)"}, "https://"),
        ({"provider": "open", "completion_url": "https://a.example/ x"}, "https://"),
        ({"provider": "open", "completion_url": ["https://a.example"]}, "https://"),
        ({"provider": ["x"]}, "no recruitment provider"),
        ({"provider": {"a": 1}}, "no recruitment provider"),
        ({"provider": "open", "codes": ["A"]}, "object of texts"),
        ({"provider": "open", "codes": {"complete": "A" * 41}}, "at most 40"),
        ({"provider": "open", "codes": {"complete": "A\n"}}, "object of texts"),
        (PROLIFIC | {"study_id": ["s"]}, "study_id"),
        (PROLIFIC | {"is_signed": "no"}, "is_signed"),
        *(
            ({"provider": "open", name: origins}, name)
            for name in ("frame_ancestors", "form_action")
            for origins in (
                "https://a.example",
                ["https://a.example\nX: y"],
                ["https://a.example; script-src *"],
                ["https://a.example https://b.example"],
                ["*"],
                ["https:"],
                ["'self'"],
                ["http://a.example"],
                ["https://a.example/path"],
                [{"a": 1}],
                {"https://a.example": 1},
            )
        ),
    ],
)
def test_wrong_recruitment_settings_keep_a_study_from_freezing(recruitment, part: str) -> None:
    assert part in recruitment_problems(recruitment)[0]
    with pytest.raises(StudyNotReady, match=part):
        version_freeze(study=make_study(recruitment=recruitment))


def test_a_policy_that_an_older_version_froze_adds_no_rule_of_its_own() -> None:
    version = make_running(recruitment={"provider": "open", "frame_ancestors": ["https://panel.example"]})
    kept = ["https://panel.example", "https://a.example\nX-Evil: 1", "https://b.example; script-src *"]
    version.config["recruitment"] |= {"frame_ancestors": kept, "form_action": kept}
    StudyVersion.objects.filter(pk=version.pk).update(config=version.config)
    frozen_config.cache_clear()
    page = Client().get(f"/s/{version.study.slug}/")
    policy = page["Content-Security-Policy"]
    assert page.status_code == 200
    assert "frame-ancestors https://panel.example;" in policy + ";"
    assert policy.count("script-src") == 1
    assert "form-action 'self' https://panel.example;" in policy + ";"


# Ids of nobody --------------------------------------------------------------------------------------------------------

# What arrives where nobody filled a placeholder in, and what scripts, forms and testers write for nothing.
NOBODY = [
    "{{%PROLIFIC_PID%}}",
    "{{PROLIFIC_PID}}",
    "{PROLIFIC_PID}",
    "%PROLIFIC_PID%",
    "${e://Field/PROLIFIC_PID}",
    "${workerId}",
    "[PROLIFIC_PID]",
    "[[worker]]",
    "<PROLIFIC_PID>",
    "<%= id %>",
    "@@ID@@",
    "__ID__",
    "$id",
    ":id",
    "#{id}",
    "*|UNIQID|*",
    "PROLIFIC_PID",
    "workerId",
    "ASSIGNMENT_ID_NOT_AVAILABLE",
    "undefined",
    "null",
    "None",
    "NaN",
    "nil",
    "[object Object]",
    "true",
    "false",
    "",
    " ",
    "+",
    "-",
    "--",
    ".",
    "?",
    "0",
    "1",
    "-1",
    "000000000000000000000000",
    "ffffffffffffffffffffffff",
    "test",
    "TEST",
    "xxx",
    "abc",
    "n/a",
    "N/A",
    "unknown",
    "anonymous",
    "id",
    "participant",
    "%00",
    "\u200b",
    "5c2f3a9d",
    "5c2f3a9d7b1e4f6082a1c0de5c2f3a9d7b1e4f6082a1c0de",
    "5c2f3a9d7b1e4f6082a1c0de ",
    "５c2f3a9d7b1e4f6082a1c0de",
]
ENTRIES = [
    ("PROLIFIC_PID", PROLIFIC | {"is_signed": False}, IDS),
    ("SESSION_ID", PROLIFIC | {"is_signed": False}, IDS),
    ("STUDY_ID", {"provider": "prolific", "is_signed": False, "codes": {"complete": "C"}}, IDS),
    ("workerId", {"provider": "mturk"}, MTURK),
    ("assignmentId", {"provider": "mturk"}, MTURK),
]


@pytest.mark.parametrize(("name", "recruitment", "ids"), ENTRIES, ids=[entry[0] for entry in ENTRIES])
def test_ids_that_are_nobodys_open_no_visit_and_say_what_to_mend(name: str, recruitment: dict, ids: dict) -> None:
    version = make_running(recruitment=recruitment)
    address = f"/s/{version.study.slug}/start?"
    for nobody in NOBODY:
        answer = Client().post(address + urlencode(ids | {name: nobody}), {"language": "de"})
        assert answer.status_code in {400, 403}, nobody
        # A worker who only looks at the task is told so; a NUL is refused before anybody reads it.
        if answer.status_code == 403 and nobody != "ASSIGNMENT_ID_NOT_AVAILABLE":
            page = answer.content.decode()
            assert "Für die Forschenden" in page, nobody
            assert f"{name} = „{escape(nobody)}“" in page, nobody
            assert escape(provider_of(recruitment).ids_remedy) in page
    without = {one: value for one, value in ids.items() if one != name}
    assert Client().post(address + urlencode(without)).status_code == 403
    assert not Rater.objects.exists()
    assert Client().post(address + urlencode(ids)).status_code == 303


def test_a_signed_token_may_not_hold_the_id_of_nobody_either(key_set) -> None:
    version = make_running(recruitment=PROLIFIC)
    for nobody in ("{{%PROLIFIC_PID%}}", "undefined", None):
        assert start(version, prolific_token=signed(prolific=IDS | {"PROLIFIC_PID": nobody})).status_code == 403
    assert not Rater.objects.exists()


def test_every_provider_states_the_shape_of_its_ids_and_what_to_mend() -> None:
    for name, kind in PROVIDERS.items():
        assert isinstance(kind.ids, dict), name
        assert bool(kind.ids) == bool(kind.ids_remedy), name


def test_the_link_for_prolific_carries_its_placeholders() -> None:
    link = provider_of(PROLIFIC).entry_link("https://x.example/s/a/")
    assert link.endswith("?PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}")


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "https://user:pw@example.org/", "https://example.org:8443/", "ftp://x/", "https:///x", "x"],
)
def test_outgoing_addresses_are_https_without_tricks(url: str) -> None:
    with pytest.raises(OutgoingRefused):
        outgoing_check(url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_outgoing_requests_reach_no_private_address(host: str) -> None:
    with pytest.raises(OutgoingRefused, match="private network"):
        outgoing_get(f"https://{host}/")
