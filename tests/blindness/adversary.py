"""An adversary who keeps everything that a browser receives, pixels apart, and learns to tell the arms from it.

Nothing here knows where a leak may be: whatever the server sends is flattened into features, and two classifiers of
different kinds are cross-validated on them against the truth in the database.
"""

from __future__ import annotations

import json
import struct
import time
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.test import Client
from django.urls import reverse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from config.metrics import observe_request
from survey.models import StudyVersion, Trial
from survey.services.visit.device import Device
from survey.services.visit.session import (
    session_begin,
    session_check_device,
    session_consent,
    session_start,
    session_take_tab,
)
from survey.tokens import session_token
from survey.views.image import ImageMiddleware

# Characters of a high-cardinality text whose codes become features, from its start and from its end.
_CHARACTERS = 20
_MOST_CATEGORIES = 40
# The size of copies that the visits are shown, counted from the original's.
SIZE = 0
_TIMES = ("pair.ms", "left.ms", "right.ms", "reference.ms", "vote.ms")
clock = time.perf_counter


@dataclass
class Loot:
    """What was received, a row a trial, and what the database says of it."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    arm_a_left: list[bool] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


class Images:
    """Asks for images as a server does: at the door in front of Django, which lets the test's client answer behind."""

    def __init__(self) -> None:
        self._client = Client()
        self._door = ImageMiddleware(self._behind, observe_request)

    def _behind(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        response = self._client.get(environ["PATH_INFO"])
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.headers.items()))
        return [response.content]

    def get(self, path: str, method: str = "GET") -> tuple[str, list[tuple[str, str]], bytes]:
        """Return the status, the headers and the body of the answer."""
        answer: list[Any] = []
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.url_scheme": "http"}
        content = b"".join(self._door(environ, lambda *start: answer.extend(start)))
        return answer[0], answer[1], content


def collect(version: StudyVersion, sessions: int) -> Loot:
    """Take whole visits and keep all that comes back, as well as how long it took."""
    loot = Loot()
    client, images = Client(), Images()
    for number in range(sessions):
        session = session_start(study=version.study)
        session_consent(session_id=session.pk, consent_sha256=version.consent_sha256)
        session_check_device(session_id=session.pk, device=Device(width=1920, height=1080))
        session_begin(session_id=session.pk)
        session_take_tab(session_id=session.pk, tab="tab")
        truth = {
            str(key): (left, kind)
            for key, left, kind in Trial.objects.filter(session=session).values_list(
                "pk", "arm_left__name", "check_kind"
            )
        }
        first = min(name for name, _ in truth.values())
        for trial, row in _visit(client, images, session_token(session.pk)):
            name, kind = truth[trial]
            if kind == "practice":
                continue
            loot.rows.append(row)
            loot.sessions.append(number)
            loot.arm_a_left.append(name == first)
            loot.kinds.append(kind)
    return loot


def _visit(client: Client, images: Images, token: str):
    page = client.get(reverse("survey:visit", args=[token]))
    shared = {"page.length": len(page.content)}
    answer = client.post(reverse("survey:api-window", args=[token]), {"tab": "tab"}, content_type="application/json")
    seen: dict[str, dict[str, Any]] = {}
    lengths: list[int] = []
    while True:
        window = json.loads(answer.content)
        if not window["trials"]:
            return
        for place, trial in enumerate(window["trials"]):
            if trial["id"] not in seen:
                seen[trial["id"]] = shared | _look(images, trial, place)
        trial = window["trials"][0]
        before = clock()
        answer = client.post(
            reverse("survey:api-vote", args=[token]),
            {"tab": "tab", "trial": trial["id"], "key": str(uuid.uuid4()), "choice": "left", "response_ms": 900},
            content_type="application/json",
        )
        row = seen.pop(trial["id"])
        # What the visit has seen of this length before: repeats could give themselves away by it.
        row["visit.same_length"] = lengths.count(row["left.length"])
        row["visit.had_length"] = float(row["left.length"] in lengths)
        lengths.append(row["left.length"])
        row["vote.ms"] = 1000 * (clock() - before)
        row["vote.length"] = len(answer.content)
        row["vote.keys"] = ",".join(json.loads(answer.content))
        row |= {f"vote.header.{name}": value for name, value in answer.headers.items() if name != "Content-Length"}
        yield trial["id"], row


def _look(images: Images, trial: dict[str, Any], place: int) -> dict[str, Any]:
    row: dict[str, Any] = {"json.keys": ",".join(trial), "json.length": len(json.dumps(trial)), "json.place": place}
    row |= {f"json.{name}": value for name, value in _flat(trial)}
    row |= _look_at_pair(images, trial)
    sides = {}
    for side in ("left", "right", *(["reference"] if trial.get("reference") else [])):
        before = clock()
        status, headers, content = images.get(trial[side].replace(".0.webp", f".{SIZE}.webp"))
        elapsed = 1000 * (clock() - before)
        assert status == "200 OK"
        sides[side] = {"ms": elapsed, "status": status} | _bytes(content)
        sides[side] |= {f"header.{name}": value for name, value in headers}
        row |= {f"{side}.{name}": value for name, value in sides[side].items()}
    for name in sides["left"].keys() & sides["right"].keys():
        one, other = sides["left"][name], sides["right"][name]
        row[f"order.{name}"] = float(one > other) - float(one < other)
    row["order.url"] = float(trial["left"] > trial["right"])
    if "reference" in sides:
        row["order.reference_url"] = float(trial["left"] > trial["reference"])
        row["order.reference_length"] = sides["left"]["length"] - sides["reference"]["length"]
    return row


def _look_at_pair(images: Images, trial: dict[str, Any]) -> dict[str, Any]:
    """Ask for both images in one answer, as the page does, and cut it where the first file says that it ends."""
    tokens = [trial[side].rpartition("/")[2].removesuffix(".0.webp") for side in ("left", "right")]
    before = clock()
    status, headers, content = images.get(f"/i/{'~'.join(tokens)}.{SIZE}.pair")
    elapsed = 1000 * (clock() - before)
    assert status == "200 OK"
    row = {"pair.ms": elapsed, "pair.length": len(content), "pair.status": status}
    row |= {f"pair.header.{name}": value for name, value in headers}
    first = int.from_bytes(content[4:8], "little") + 8
    halves = [_bytes(half) for half in (content[:first], content[first:])]
    row |= {f"pair.{place}.{name}": value for place, half in enumerate(halves) for name, value in half.items()}
    return row | {f"pair.order.{name}": float(halves[0][name] == halves[1][name]) for name in halves[0]}


def _flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [item for key, part in value.items() for item in _flat(part, f"{name}.{key}")]
    if isinstance(value, list):
        return [item for place, part in enumerate(value) for item in _flat(part, f"{name}.{place}")]
    return [(name, value)]


def _bytes(content: bytes) -> dict[str, Any]:
    """Return what a file says without its picture: length, chunks, everything outside the compressed pixels."""
    chunks, offset, outside = [], 12, content[:12]
    while offset < len(content):
        kind, length = struct.unpack("<4sI", content[offset : offset + 8])
        chunks.append(f"{kind.decode()}:{length}")
        outside += content[offset : offset + 8]
        if kind != b"VP8L":
            outside += content[offset + 8 : offset + 8 + length]
        offset += 8 + length + length % 2
    return {
        "length": len(content),
        "length_class": str(len(content)),
        "chunks": " ".join(chunks),
        "chunk_count": len(chunks),
        "outside": zlib.crc32(outside),
        "outside_length": len(outside),
    }


def with_time_ranks(rows: list[dict[str, Any]], sessions: list[int]) -> list[dict[str, Any]]:
    """Return the rows with each time as its rank among the trials of the same number, the visit's pace taken out.

    The number of a trial is no secret, and says by itself something of its kind (a repeat comes late) and of its time
    (less is left to load near the end): compared at the same number, only what the kind itself costs is left.
    """
    ranked = [dict(row) for row in rows]
    for name in (name for name in _TIMES if name in rows[0]):
        times = np.asarray([row[name] for row in rows])
        for session in set(sessions):
            mine = np.asarray(sessions) == session
            times[mine] /= np.median(times[mine])
        numbers = np.asarray([row["json..number"] for row in rows])
        for number in set(numbers):
            places = np.flatnonzero(numbers == number)
            for rank, place in enumerate(places[times[places].argsort()]):
                ranked[place][name] = rank / len(places)
    return ranked


def features(rows: list[dict[str, Any]], *, without: tuple[str, ...] = ()) -> tuple[np.ndarray, list[str]]:
    """Flatten rows of anything into numbers; names that contain a word of ``without`` are left out."""
    columns: dict[str, np.ndarray] = {}
    for name in sorted({name for row in rows for name in row}):
        if any(word in name for word in without):
            continue
        values = [row.get(name) for row in rows]
        if all(isinstance(value, int | float) for value in values):
            columns[name] = np.asarray(values, dtype=float)
            continue
        texts = ["" if value is None else str(value) for value in values]
        columns[f"{name}:length"] = np.asarray([len(text) for text in texts], dtype=float)
        categories = sorted(set(texts))
        if len(categories) <= _MOST_CATEGORIES:
            for category in categories[1:]:
                columns[f"{name}={category}"] = np.asarray([text == category for text in texts], dtype=float)
            continue
        padded = [text[:_CHARACTERS].ljust(_CHARACTERS) + text[-_CHARACTERS:].rjust(_CHARACTERS) for text in texts]
        codes = np.asarray([[ord(letter) for letter in text] for text in padded], dtype=float)
        columns |= {f"{name}[{place}]": codes[:, place] for place in range(codes.shape[1])}
    varying = {name: column for name, column in columns.items() if np.ptp(column) > 0}
    return np.column_stack(list(varying.values())), list(varying)


@dataclass(frozen=True)
class Verdict:
    """The best cross-validated area under the curve, and by how many standard errors it beats chance."""

    auc: float
    z: float
    clue: str


def verdict(matrix: np.ndarray, names: list[str], truth: np.ndarray, groups: np.ndarray) -> Verdict:
    """Cross-validate two classifiers by session; the standard error is that of the rank statistic under chance."""
    forest = RandomForestClassifier(80, min_samples_leaf=5, max_features=0.25, random_state=0)
    ridge = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10.0))
    folds = GroupKFold(5)
    scores = [
        cross_val_predict(forest, matrix, truth, groups=groups, cv=folds, method="predict_proba")[:, 1],
        cross_val_predict(ridge, matrix, truth, groups=groups, cv=folds, method="decision_function"),
    ]
    auc = max(roc_auc_score(truth, score) for score in scores)
    ones, zeros = int(truth.sum()), int((~truth).sum())
    error = np.sqrt((ones + zeros + 1) / (12 * ones * zeros))
    clue = names[int(forest.fit(matrix, truth).feature_importances_.argmax())]
    return Verdict(auc=float(auc), z=float((auc - 0.5) / error), clue=clue)
