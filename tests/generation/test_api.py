"""Orders over the API: placed, watched, stopped, retried by those who may, and unknown to everybody else."""

from __future__ import annotations

import pytest

from generation.models import GenerationRun
from jobs.runner import job_next, job_run
from survey.services.access.member import member_set
from tests.factories import make_user
from tests.survey.api.test_researcher_api import Caller, problem

pytestmark = pytest.mark.django_db
ORDER = {"pairs": 4, "micro_batch": 2, "classes": [0, 1]}


@pytest.fixture
def owner():
    return make_user("ada")


def test_an_order_is_placed_done_by_a_worker_and_shown(draft, owner) -> None:
    study, call = draft(owner=owner), Caller(owner)
    orders = f"studies/{study.slug}/orders/"
    placed = call("post", orders, ORDER)
    assert placed.status_code == 202, placed.content
    assert (placed.json()["state"], placed.json()["done"]) == ("planning", 0)
    assert call("post", orders, ORDER).json()["id"] == placed.json()["id"], "the same order goes on"
    while (job := job_next(["gpu"])) is not None:
        job_run(job.pk)
    shown = call("get", f"{orders}{placed.json()['id']}/").json()
    assert (shown["state"], shown["done"], shown["pairs"], shown["shards_failed"]) == ("complete", 4, 4, 0)
    assert call("get", orders).json() == [shown]


def test_an_order_is_cancelled_and_taken_up_again(draft, owner) -> None:
    study, call = draft(owner=owner), Caller(owner)
    order = f"studies/{study.slug}/orders/{call('post', f'studies/{study.slug}/orders/', ORDER).json()['id']}/"
    assert call("post", f"{order}cancel/").json()["state"] == "cancelled"
    assert call("post", f"{order}retry/").json()["state"] == "planning"
    problem(call("get", f"studies/{study.slug}/orders/{study.arms.first().pk:032d}/"), 404, "not_found")


def test_classes_are_ordered_by_name_and_told_with_it(draft, owner) -> None:
    study, call = draft(owner=owner), Caller(owner)
    orders = f"studies/{study.slug}/orders/"
    placed = call("post", orders, ORDER | {"classes": ["digit 2", 0, "1"]})
    assert placed.status_code == 202, placed.content
    named = [{"label": label, "name": f"digit {label}"} for label in (2, 0, 1)]
    assert placed.json()["classes"] == named
    assert call("post", orders, ORDER | {"classes": [2, 0, 1]}).json()["id"] == placed.json()["id"]
    for classes, part in (
        (["digt 0"], "did you mean 'digit 0'?"),
        ([True], "integer"),
        ([1.5], "integer"),
        ([""], "blank"),
        (["digit 1", 1], "named twice"),
        ([-1], "greater than or equal to 0"),
    ):
        refused = call("post", orders, ORDER | {"classes": classes})
        assert part in str(problem(refused, 400, "invalid")["errors"]), classes


def test_a_wrong_order_is_refused_with_its_reason(draft, owner) -> None:
    study, call = draft(owner=owner), Caller(owner)
    orders = f"studies/{study.slug}/orders/"
    for body, part in (({"pairs": 0}, "pairs"), ({"pairs": 4, "classes": [1, 1]}, "twice"), ({}, "required")):
        assert part in str(problem(call("post", orders, body), 400, "invalid")["errors"])
    assert not GenerationRun.objects.exists()


def test_viewers_look_and_strangers_find_nothing(draft, owner) -> None:
    study, viewer = draft(owner=owner), make_user("viewer")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    orders = f"studies/{study.slug}/orders/"
    order = f"{orders}{Caller(owner)('post', orders, ORDER).json()['id']}/"
    look, stranger = Caller(viewer), Caller(make_user("stranger"))
    assert len(look("get", orders).json()) == 1
    problem(look("post", orders, ORDER), 403, "permission_denied")
    problem(look("post", f"{order}cancel/"), 403, "permission_denied")
    for method, path in (("get", orders), ("post", orders), ("get", order), ("post", f"{order}cancel/")):
        problem(stranger(method, path, ORDER if method == "post" else None), 404, "not_found")
