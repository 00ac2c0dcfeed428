"""An owner who wants to know early: every address is asked, then asked again with all preferences turned round.

What is seen must be the same to the last letter. Nothing but the votes' choices differs between the two readings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import product

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db.models import Case, F, Value, When
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from jobs.runner import job_next, job_run
from survey.models import RaterSession, Study, Vote
from survey.services.access.api_token import token_create
from survey.services.panel.links import personal_links_create
from survey.services.records.webhook import webhook_add, webhook_test
from survey.services.results.report_build import report_request
from survey.services.study.study import study_transition, study_update
from survey.services.study.version import version_freeze
from tests.factories import make_running, make_study, make_user, make_visit
from tests.visits import active, vote

pytestmark = pytest.mark.django_db
ANYTIME = Study.StoppingRule.ANYTIME
RULES = (
    "too_fast",
    "many_fast",
    "same_side_run",
    "left_share",
    "tie_share",
    "failed_checks",
    "duplicates",
    "log_likelihood",
)
# Every free parameter of a rule, from what flags everybody to what flags nobody.
FREE = {
    "significance": (0.999, 0.6, 0.3, 0.05),
    "share": (0.0, 0.2, 0.5),
    "deviations": (0.0, 0.1, 1.0),
    "failures": (0, 1),
    "votes": (0,),
    "median_ms": (1.0, 1e6),
}
ACCEPTS = {
    "same_side_run": ["significance"],
    "left_share": ["significance"],
    "tie_share": ["share"],
    "many_fast": ["share"],
    "log_likelihood": ["deviations"],
    "failed_checks": ["failures"],
    "duplicates": ["votes"],
    "too_fast": ["median_ms"],
}


def patterns(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        else:
            yield route, entry


class World:
    """A study with votes, its owner, and everything that has an address in it."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.owner = study.members.get().user
        self.page = Client(raise_request_exception=False)
        self.page.force_login(self.owner)
        token, _ = token_create(user=self.owner, name="curious", scopes=("read", "write", "run"))
        self.api = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})

    def values(self, route: str, name: str) -> list[str]:
        """Return what may stand for a variable part of an address."""
        study = self.study
        known: dict[str, Callable[[], list]] = {
            "pk": lambda: [study.pk],
            "slug": lambda: [study.slug],
            "number": lambda: [1, 2],
            "batch": lambda: [1],
            "image": lambda: list(study.pairs.first().images.values_list("pk", flat=True)),
            "exclusion": lambda: [1],
            "build": lambda: list(study.reports.values_list("pk", flat=True)) or [1],
            "webhook": lambda: list(study.webhooks.values_list("pk", flat=True)),
            "job": lambda: ["00000000-0000-0000-0000-000000000000"],
            "user": lambda: [self.owner.username],
            "name": lambda: ["report.json", "votes.csv", "freeze", "close", "vanilla", "bundle.zip"],
            "object_id": lambda: self._rows(route),
            "app_label": lambda: ["survey"],
            "content_type_id": lambda: [1],
            "url": lambda: ["x"],
        }
        return [str(value) for value in known.get(name, lambda: ["1"])()]

    def _rows(self, route: str) -> list:
        found = re.match(r"admin/(\w+)/(\w+)/", route)
        if found is None:
            return [1]
        model = apps.get_model(found[1], found[2])
        return list(model._default_manager.order_by("pk").values_list("pk", flat=True)[:5])

    def addresses(self) -> list[str]:
        """Return every address of pages and API that can be asked for, filled in."""
        found = []
        for route, _ in patterns(get_resolver()):
            if (
                not route.startswith(("admin/", "api/"))
                or "logout" in route
                or "apitoken" in route  # tells when a token was used last: by this reading itself
                or route.endswith("/add/")  # proposes a seed, another one each time
                or route.endswith(("(?P<url>.*)$", "^.*$"))
            ):
                continue
            names = re.findall(r"<(?:\w+:)?(\w+)>", route)
            for filled in product(*(self.values(route, name) for name in names)):
                address = route
                for value in filled:
                    address = re.sub(r"<(?:\w+:)?\w+>", value, address, count=1)
                found.append("/" + re.sub(r"[\^$\\]", "", address))
        return sorted(set(found))

    def queries(self, address: str) -> list[str]:
        """Return the lists' filters, orders and searches, those that are not offered included."""
        session = RaterSession.objects.order_by("pk").first().pk
        if address.endswith("/votes/") or re.fullmatch(r"/admin/survey/(vote|trial|ratersession|exclusion)/", address):
            filters = [
                "choice=left",
                "choice__exact=left",
                "readable_choice=left",
                "readable_choice__exact=left",
                "is_current__exact=1",
                "trial__arm_left__name=robust",
                "votes__choice=left",
                "session__exclusions=1",
                "trials__votes__choice__exact=left",
                "state__exact=answered",
            ]
            orders = [f"o={number}" for number in range(1, 12)] + ["o=-5.4", "ordering=choice", "order_by=choice"]
            others = [f"q={session}", f"of_study={self.study.pk}", "as_format=jsonl", "p=1", "all=", "format=csv"]
            return ["", *filters, *orders, *others]
        if address.endswith("/exclusions/"):
            phases = ("main", "pilot")
            return ["", *(f"preview=1&rules={rule}&phase={one}" for rule in ("plan", "all", *RULES) for one in phases)]
        return [""]

    def seen(self) -> dict[str, str]:
        """Ask everything; return what was answered."""
        cache.clear()
        answers = {}
        for address in self.addresses():
            client = self.api if address.startswith("/api/") else self.page
            for query in self.queries(address):
                place = f"{address}?{query}"
                answers[place] = shown(client.get(place))
        answers |= self._proposed()
        return answers

    def _proposed(self) -> dict[str, str]:
        """Preview rules with parameters of one's own choice, which the API takes."""
        answers = {}
        place = f"/api/v1/studies/{self.study.slug}/exclusions/"
        for rule, names in ACCEPTS.items():
            for name in names:
                for value in FREE[name]:
                    asked = {"rules": [{"rule": rule, "parameters": {name: value}}], "is_preview": True}
                    answer = self.api.post(place, json.dumps(asked), content_type="application/json")
                    answers[f"{rule} {name}={value}"] = shown(answer)
        for asked in ({"is_preview": True}, {"rules": [], "is_preview": True}):
            answers[str(asked)] = shown(self.api.post(place, json.dumps(asked), content_type="application/json"))
        return answers


def shown(answer) -> str:
    """Return an answer without what differs each time: the clock, the tokens of forms."""
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    headers = sorted(
        (name, value) for name, value in answer.items() if name not in {"Expires", "Date", "Last-Modified"}
    )
    text = f"{answer.status_code} {headers} {content.decode(errors='replace')}"
    text = re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", text)
    return re.sub(r"nonce-[\w-]+|csrftoken=[^;]+", "", text)


def turn_round() -> None:
    """Turn every preference round; checks have a right answer and keep theirs."""
    swapped = Case(
        When(choice="left", then=Value("right")), When(choice="right", then=Value("left")), default=F("choice")
    )
    Vote.objects.filter(trial__check_kind__in=["", "repeat"]).update(choice=swapped)


def differences(world: World) -> list[str]:
    before = world.seen()
    assert len(before) > 250
    # An address that answers nothing hides nothing; most have to answer.
    assert sum(text.startswith("200") for text in before.values()) > 120
    broken = [place for place, text in before.items() if text.startswith("5")]
    assert not broken, [before[place][:500] for place in broken[:3]]
    turn_round()
    after = world.seen()
    turn_round()
    changed = [place for place, text in before.items() if after[place] != text]
    for place in changed[:2]:
        print(place, before[place][-3000:], after[place][-3000:], sep="\n")
    return changed


def one_sided(trial) -> str:
    """Prefer the robust arm, mostly; be sloppy, so that every rule has something to measure."""
    if trial.position % 5 == 0:
        return "tie"
    return "left"


def voted_study(**fields) -> Study:
    rules = [{"rule": rule} for rule in ("too_fast", "left_share", "tie_share", "failed_checks")]
    plan = {"exclusion_rules": rules, "practice_trials": 1, "repeat_trials": 1, "trials_per_session": 5, "pairs": 8}
    version = make_running(make_study(owner=make_user("owner"), **(plan | fields)))
    for _ in range(4):
        make_visit(version, one_sided)
    # One who is in the middle, as raters are while an owner looks.
    session = active(version)
    for _ in range(3):
        vote(session)
    return version.study


def furnish(study: Study, settings) -> World:
    """Give the study one of everything that has a page."""
    settings.OUTGOING_PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    owner = study.members.get().user
    personal_links_create(study=study, count=2, actor=owner)
    webhook_test(webhook=webhook_add(study=study, url="http://127.0.0.1:9/", actor=owner))
    while job := job_next(["default"]):
        job_run(job.pk)
    return World(study)


def test_a_running_study_shows_nothing_of_preferences_at_any_address(settings) -> None:
    assert differences(furnish(voted_study(), settings)) == []


def test_a_plan_revised_to_anytime_opens_nothing_of_the_votes_before_it(settings) -> None:
    """Revise, freeze with looks allowed, read the votes of version 1, revise back."""
    study = voted_study()
    owner = study.members.get().user
    study_transition(study=study, name="pause", actor=owner, reason="a look")
    study_transition(study=study, name="revise", actor=owner, reason="a look")
    study.refresh_from_db()
    study_update(study=study, actor=owner, stopping_rule=ANYTIME)
    world = furnish(study, settings)
    assert differences(world) == [], "as a draft"
    version = version_freeze(study=study, actor=owner)
    assert differences(world) == [], "as a frozen study"
    study_transition(study=study, name="open", actor=owner)
    study.refresh_from_db()
    make_visit(version, one_sided)
    assert differences(world) == [], "while it runs again"


def test_the_owner_of_a_plan_with_looks_and_of_a_closed_study_sees_the_difference(settings) -> None:
    """The two readings do differ where results may be seen: else they would prove nothing."""
    study = voted_study(stopping_rule=ANYTIME)
    seen = differences(furnish(study, settings))
    assert any("/votes/" in place for place in seen), seen
    assert any("left_share" in place for place in seen), seen
    assert any("/admin/survey/vote/" in place for place in seen), seen
    Study.objects.filter(pk=study.pk).update(state="closed", stopping_rule="fixed")
    assert any("/votes/" in place for place in differences(World(study)))


def test_a_report_built_while_looks_were_allowed_is_not_served_once_they_are_not(settings) -> None:
    study = voted_study(stopping_rule=ANYTIME)
    owner = study.members.get().user
    report_request(study=study, actor=owner)
    study_transition(study=study, name="pause", actor=owner, reason="x")
    study_transition(study=study, name="revise", actor=owner, reason="x")
    study.refresh_from_db()
    study_update(study=study, actor=owner, stopping_rule="fixed")
    version = version_freeze(study=study, actor=owner)
    study_transition(study=study, name="open", actor=owner)
    study.refresh_from_db()
    make_visit(version, one_sided)
    assert differences(furnish(study, settings)) == []
