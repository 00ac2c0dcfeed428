"""Raters who vote through whatever happens, and what became of their votes."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.lab import Lab

__all__ = ["RaterSubmissions", "count_votes", "longest_waits", "make_electorate", "patiently"]


@dataclass
class RaterSubmissions:
    """One rater's votes, and which of them the server has acknowledged."""

    path: str
    bodies: list[dict]
    number: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    # Trials in answers to this rater that are another's.
    misdirected: int = 0
    # (when the vote was first sent, for how long it was sent until it was acknowledged)
    waits: list[tuple[float, float]] = field(default_factory=list)

    def send_all(self, lab: Lab, think: float, stop_after: float, over: threading.Event) -> None:
        """Send each vote until it is acknowledged, as the page's outbox does: same key, again and again."""
        connection = lab.client(self.number)
        for body in self.bodies:
            over.wait(random.expovariate(1 / think))
            began = time.monotonic()
            while not self._send(connection, body):
                self.retries += 1
                if over.wait(0.3) or time.monotonic() > stop_after:
                    return
            self.waits.append((began, time.monotonic() - began))
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, body: dict) -> bool:
        try:
            connection.request("POST", self.path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return False
        if answer.status == 200:
            said = json.loads(content)
            stored, own = said["stored"], {one["trial"] for one in self.bodies}
            self.misdirected += sum(trial["id"] not in own for trial in said["trials"])
            if stored["trial"] != body["trial"]:
                raise AssertionError(f"the answer to {body['trial']} is about {stored['trial']}")
            self.acknowledged[body["key"]] = stored["choice"]
            return True
        if answer.status < 500:
            raise AssertionError(f"a vote was refused: {answer.status} {content[:200]!r}")
        return False


def longest_waits(submissions: list[RaterSubmissions], spans: list[tuple[str, float, float]]) -> dict[str, float]:
    """Return, for each fault's kind, the longest wait of a vote that was first sent while the fault was at work."""
    longest: dict[str, float] = {}
    for kind, start, end in spans:
        waits = [wait for one in submissions for began, wait in one.waits if start <= began <= end]
        longest[kind] = round(max([longest.get(kind, 0.0), *waits]), 2)
    return longest


def make_electorate(owner, slug: str, raters: int, votes: int) -> list[RaterSubmissions]:
    """Return the submissions of raters of a new running study, whose visits stand before the first trial."""
    from django.urls import reverse

    from survey.tokens import session_token
    from tests.factories import make_running, make_study
    from tests.visits import TAB, active

    checks = {"practice_trials": 0, "repeat_trials": 0, "identical_trials": 0, "degraded_trials": 0}
    pairs = max(8, votes)
    study = make_study(
        owner=owner, slug=slug, pairs=pairs, votes_per_pair=2 * raters, trials_per_session=votes, **checks
    )
    version = make_running(study)
    submissions = []
    for number in range(raters):
        session = active(version)
        trials = session.trials.order_by("position").values_list("pk", flat=True)
        bodies = [
            {"tab": TAB, "trial": str(pk), "key": str(uuid.uuid4()), "choice": random.choice(("left", "right", "tie"))}
            for pk in trials
        ]
        submissions.append(
            RaterSubmissions(reverse("survey:api-vote", args=[session_token(session.pk)]), bodies, number)
        )
    return submissions


def patiently(read):
    """Ask the database; None while it does not answer."""
    from django.db import InterfaceError, OperationalError, connection

    try:
        return read()
    except (InterfaceError, OperationalError):
        connection.close()
        return None


def count_votes(submissions: list[RaterSubmissions]) -> dict[str, int]:
    """Compare what was acknowledged with the rows of the table; what is misdirected was shown to another rater."""
    from survey.models import Vote

    sent = {body["key"]: body["trial"] for submission in submissions for body in submission.bodies}
    acknowledged = {key: choice for submission in submissions for key, choice in submission.acknowledged.items()}
    rows = Vote.objects.filter(submission_key__in=list(sent)).values_list(
        "submission_key", "choice", "trial_id", "is_current"
    )
    stored = Counter(str(key) for key, *_ in rows)
    choices = {str(key): choice for key, choice, *_ in rows}
    trials = Counter(trial for _, _, trial, is_current in rows if is_current)
    return {
        "sent": len(sent),
        "acknowledged": len(acknowledged),
        "lost": sum(stored[key] == 0 for key in acknowledged),
        "changed": sum(choices.get(key, choice) != choice for key, choice in acknowledged.items()),
        "misdirected": sum(submission.misdirected for submission in submissions)
        + sum(sent[str(key)] != str(trial) for key, _, trial, _ in rows),
        "duplicated": sum(count - 1 for count in stored.values()) + sum(count - 1 for count in trials.values()),
        "retries": sum(submission.retries for submission in submissions),
    }
