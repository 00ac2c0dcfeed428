"""At the researchers' doors: guessed passwords, forged requests, filters that look elsewhere, others' studies."""

from __future__ import annotations

import re
import uuid

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import get_resolver, reverse

from survey.models import Study
from tests.factories import make_running, make_study, make_user, make_version

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"


def log_in(name: str, password: str, address: str = "203.0.113.9") -> int:
    return Client().post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address).status_code


def test_guessing_a_password_is_stopped_after_five_tries_even_when_the_sixth_is_right() -> None:
    make_user("ada")
    assert [log_in("ada", f"guess {number}") for number in range(5)] == [200] * 5
    assert log_in("ada", "ada") == 429
    assert log_in("ADA", "ada") == 429
    assert log_in("ada", "ada", "198.51.100.7") == 302, "her own network must not be locked out by a stranger's"


def test_guessing_many_names_from_one_network_is_stopped() -> None:
    answers = [log_in(f"name{number}", "x") for number in range(22)]
    assert answers == [200] * 20 + [429] * 2


def test_guessing_one_name_from_many_networks_is_stopped(monkeypatch) -> None:
    make_user("ada")
    answers = [log_in("ada", "x", f"10.0.{number // 4}.1") for number in range(101)]
    assert answers == [200] * 100 + [429]


def test_a_success_clears_the_count_of_its_name_and_network() -> None:
    make_user("ada")
    for _ in range(3):
        assert [log_in("ada", "x") for _ in range(4)] == [200] * 4
        assert log_in("ada", "ada") == 302


def test_an_unknown_name_looks_like_a_wrong_password() -> None:
    make_user("ada")
    pages = [Client().post(LOGIN, {"username": name, "password": "x"}).content.decode() for name in ("ada", "eve")]
    plain = [re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"|value="(ada|eve)"', "", page) for page in pages]
    assert plain[0] == plain[1]


def test_the_session_is_another_one_after_login_and_ends_with_logout() -> None:
    make_user("ada")
    client = Client()
    client.get(LOGIN)
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["sessionid"] = planted = session.session_key
    assert client.post(LOGIN, {"username": "ada", "password": "ada"}).status_code == 302
    assert client.cookies["sessionid"].value != planted
    inside = client.cookies["sessionid"].value
    client.post("/admin/logout/")
    late = Client()
    late.cookies["sessionid"] = inside
    assert late.get("/admin/survey/study/").status_code == 302


def forms() -> list[str]:
    """Every address below a study that changes something when posted to."""
    return ["step/freeze/", "people/", "exclusions/", "reports/", "recruitment/", "import/"]


@pytest.mark.parametrize("page", forms())
def test_forms_of_other_sites_are_refused(page: str) -> None:
    study = make_study()
    client = Client(enforce_csrf_checks=True)
    client.force_login(study.members.get().user)
    answer = client.post(f"/admin/survey/study/{study.pk}/{page}", {"reason": "x", "user": "x"})
    assert answer.status_code == 403
    study.refresh_from_db()
    assert study.state == Study.State.DRAFT


def test_a_login_form_of_another_site_is_refused() -> None:
    make_user("ada")
    client = Client(enforce_csrf_checks=True)
    assert client.post(LOGIN, {"username": "ada", "password": "ada"}).status_code == 403


LOOKUPS = [
    "study__owner__password__startswith=a",
    "study__members__user__password__startswith=a",
    "made_by__password__contains=a",
    "rater__identity__submission_key__startswith=a",
    "session__rater__provider_key__startswith=a",
    "trial__session__rater__identity__return_url__contains=x",
    "choice=left",
    "choice__exact=left",
    "submission_key__startswith=0",
    "version__study__webhooks__secret__startswith=a",
    "_to_field=password",
    "id__in=1) OR (1=1",
]
TABLES = ["study", "studyversion", "imagepair", "ratersession", "trial", "vote", "exclusion", "faultreport"]


@pytest.mark.parametrize("table", TABLES)
def test_lists_take_no_lookups_but_those_they_offer(table: str) -> None:
    version = make_running()
    client = Client(raise_request_exception=False)
    client.force_login(version.study.members.get().user)
    for lookup in LOOKUPS:
        answer = client.get(f"/admin/survey/{table}/?{lookup}")
        assert answer.status_code in {302, 400, 403}, lookup
        if answer.status_code == 302:  # the admin's own way to say that it does not know the filter
            assert answer["Location"].endswith("e=1"), lookup


ODD_QUERIES = [
    "q=' OR 1=1 --",
    "q=%00",
    "of_study=' OR 1=1",
    "of_study=²",
    "of_study=" + "9" * 5000,
    "of_study=-1",
    "o=99.-99",
    "o=%27",
    "p=-1",
    "p=x",
    "state__exact=%00",
    "all=",
    "q=" + "%22" * 300,
]


@pytest.mark.parametrize("table", TABLES)
def test_odd_queries_never_break_the_lists_or_widen_them(table: str) -> None:
    mine, other = make_running(), make_running()
    client = Client(raise_request_exception=False)
    client.force_login(mine.study.members.get().user)
    for query in [*ODD_QUERIES, f"of_study={other.study_id}"]:
        answer = client.get(f"/admin/survey/{table}/?{query}")
        assert answer.status_code < 500, query
        assert other.study.slug.encode() not in answer.content, query


def test_odd_queries_never_break_the_pages_of_a_study() -> None:
    study = make_study()
    client = Client(raise_request_exception=False)
    client.force_login(study.members.get().user)
    for page in ("pairs/", "exclusions/", "log/", "planning/"):
        for query in ("q=' OR 1=1 --", "class=%00", "p=x", "raters=x&pairs=nan", "rules=' OR 1", "phase=<"):
            assert client.get(f"/admin/survey/study/{study.pk}/{page}?{query}").status_code < 500, (page, query)
    assert client.get(f"/admin/survey/study/{10**30}/").status_code == 404


def study_addresses(study: Study) -> list[str]:
    """Every address of the admin that names a study, with ids that exist or are made up."""
    urls = get_resolver("config.urls").namespace_dict["admin"][1].reverse_dict
    without_study = {"survey_study_changelist", "survey_study_add"}
    names = [name for name in urls if str(name).startswith("survey_study_") and name not in without_study]
    values = {
        "pk": study.pk,
        "name": "freeze",
        "number": 1,
        "image": uuid.uuid4(),
        "batch": 1,
        "exclusion": 1,
        "build": 1,
        "job": uuid.uuid4(),
        "step": "plan",
    }
    found = []
    for name in names:
        route = urls.getlist(name)[0][0][0][1]
        if "object_id" in route:
            found.append(reverse(f"admin:{name}", args=[study.pk]))
        else:
            found.append(reverse(f"admin:{name}", kwargs={key: values[key] for key in route}))
    return found


def test_no_address_of_a_study_tells_a_stranger_that_it_exists() -> None:
    study = make_version().study
    image = study.pairs.first().images.first()
    stranger = Client()
    stranger.force_login(make_user("stranger"))
    addresses = [*study_addresses(study), f"/admin/survey/study/{study.pk}/image/{image.pk}/"]
    assert len(addresses) > 20
    for address in addresses:
        for answer in (stranger.get(address), stranger.post(address)):
            assert answer.status_code in {302, 403, 404, 405}, address
            assert study.title.encode() not in answer.content, address
            if answer.status_code == 302:
                assert answer["Location"] == "/admin/", address
        assert Client().get(address).status_code in {302, 405}, address
    study.refresh_from_db()
    assert study.state == Study.State.FROZEN


def test_a_rater_who_is_no_staff_sees_no_admin_page() -> None:
    from django.contrib.auth import get_user_model

    client = Client()
    client.force_login(get_user_model().objects.create_user("rater", password="x"))
    for model in admin.site._registry:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert client.get(address).status_code == 302, address
