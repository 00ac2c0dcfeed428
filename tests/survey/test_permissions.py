"""Every address of the researchers' side, tried by everybody: who sees a study, and who may change it."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from survey.models import Exclusion, RaterSession, Study
from survey.services.access.api_token import token_create
from survey.services.access.member import member_set
from survey.services.panel.links import personal_links_create
from survey.services.records.audit import audit_record
from survey.services.results.report_build import report_request
from tests.factories import make_running, make_user
from tests.survey.admin.test_study_pages import vote_on

pytestmark = pytest.mark.django_db

PEOPLE = ("owner", "viewer", "stranger", "other researcher", "nobody")


def study_patterns(name_prefix: str = "survey_study_") -> list[str]:
    """Return the names of all pages that hang below a study in the admin."""
    found = []

    def walk(patterns) -> None:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns)
            elif isinstance(pattern, URLPattern) and (pattern.name or "").startswith(name_prefix):
                found.append(pattern.name)

    walk(get_resolver().url_patterns)
    return sorted(set(found))


def api_paths() -> list[tuple[str, str]]:
    from drf_spectacular.generators import SchemaGenerator

    document = SchemaGenerator(api_version="v1").get_schema(public=True)
    return [(method, path) for path, methods in document["paths"].items() for method in methods]


@pytest.fixture
def world():
    """Return a running study with something of everything, and one client a person."""
    owner = make_user("owner")
    version = make_running(owner=owner, stopping_rule="anytime")
    vote_on(version, raters=2, trials=3)
    study = version.study
    viewer, stranger, other = make_user("viewer"), make_user("stranger"), make_user("other")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    make_running(owner=other)
    session = RaterSession.objects.filter(version=version).first()
    exclusion = Exclusion.objects.create(session=session, rule="hand", reason="slept")
    build = report_request(study=study, actor=owner)
    personal_links_create(study=study, count=2, actor=owner)
    audit_record(study=study, actor=owner, action="note")
    facts = {
        "pk": study.pk,
        "slug": study.slug,
        "number": version.number,
        "name": "pause",
        "build": build.pk,
        "job": build.job,
        "exclusion": exclusion.pk,
        "batch": 1,
        "webhook": 1,
        "image": study.pairs.first().images.first().pk,
        "user": "viewer",
        "session": session.pk,
        "order": session.pk,
    }
    clients = {}
    for person, user in zip(PEOPLE, (owner, viewer, stranger, other, None), strict=True):
        clients[person] = Client()
        if user:
            clients[person].force_login(user)
    return study, facts, clients


ADDRESSES = {
    "survey_study_page": "",
    "survey_study_progress": "progress/",
    "survey_study_step": "step/{name}/",
    "survey_study_setup": "setup/read/",
    "survey_study_pairs": "pairs/",
    "survey_study_image": "image/{image}/",
    "survey_study_people": "people/",
    "survey_study_log": "log/",
    "survey_study_log_export": "log.jsonl",
    "survey_study_version_json": "version/{number}.json",
    "survey_study_recruitment": "recruitment/",
    "survey_study_links_csv": "links/{batch}.csv",
    "survey_study_links_print": "links/{batch}/",
    "survey_study_exclusions": "exclusions/",
    "survey_study_exclusion_revoke": "exclusion/{exclusion}/revoke/",
    "survey_study_reports": "reports/",
    "survey_study_report_file": "report/{build}/report.html",
    "survey_study_release": "release/",
    "survey_study_release_file": "release/{job}.zip",
    "survey_study_planning": "planning/",
    "survey_study_preview": "preview/",
    "survey_study_import": "import/",
    "survey_study_jobs": "jobs/",
    "survey_study_job_step": "job/{job}/cancel/",
    "survey_study_change": "change/",
    "survey_study_history": "history/",
    "survey_study_delete": "delete/",
    "survey_study_webhooks": "webhooks/",
}
POST_ONLY = {"survey_study_exclusion_revoke", "survey_study_job_step"}
WITHOUT_STUDY = {"survey_study_add", "survey_study_changelist"}


def test_every_page_of_a_study_is_in_this_matrix() -> None:
    assert set(study_patterns()) - WITHOUT_STUDY == set(ADDRESSES)


def test_admin_pages_by_person(world) -> None:
    study, facts, clients = world
    for name, tail in ADDRESSES.items():
        address = f"/admin/survey/study/{study.pk}/{tail.format(**facts)}"
        method = "post" if name in POST_ONLY else "get"
        for person in ("stranger", "other researcher", "nobody"):
            status = getattr(clients[person], method)(address).status_code
            # Django's own pages send a stranger to the index, ours answer as if there was no study.
            assert status in ({302, 403, 404} if person != "nobody" else {302}), (name, person, status)
        if name in POST_ONLY:
            assert clients["viewer"].post(address).status_code == 403, name
        elif name == "survey_study_setup":
            # Steps of a draft: this study is none any more.
            assert clients["owner"].get(address)["Location"] == f"/admin/survey/study/{study.pk}/", name
        elif name not in {"survey_study_delete", "survey_study_report_file", "survey_study_release_file"}:
            assert clients["viewer"].get(address).status_code == 200, name
            assert clients["owner"].get(address).status_code == 200, name


def test_no_post_of_anybody_else_changes_a_study(world) -> None:
    study, facts, clients = world
    before = (Study.objects.get(pk=study.pk).state, study.audit_entries.count(), study.members.count())
    for tail in ADDRESSES.values():
        address = f"/admin/survey/study/{study.pk}/{tail.format(**facts)}"
        for person in ("viewer", "stranger", "other researcher", "nobody"):
            data = {"reason": "why", "do": "erase", "user": "owner", "role": "viewer", "phase": "main", "title": "mine"}
            allowed = {302, 403, 404, 405} | ({200} if (person, tail) == ("viewer", "history/") else set())
            assert clients[person].post(address, data).status_code in allowed, (tail, person)
    study.refresh_from_db()
    assert (study.state, study.audit_entries.count(), study.members.count()) == before
    assert Exclusion.objects.filter(revoked_at=None).count() == 1


def test_lists_of_the_admin_show_a_stranger_no_row_of_the_study(world) -> None:
    study, _, clients = world
    scoped = [model for model in admin.site._registry if model._meta.app_label in {"survey", "generation"}]
    assert len(scoped) > 8
    for model in scoped:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        answer = clients["stranger"].get(address)
        assert answer.status_code == 200, address
        assert list(answer.context["cl"].result_list) == [], address
        assert study.slug not in answer.content.decode(), address


def test_api_by_person(world) -> None:
    _, facts, _ = world
    token, _ = token_create(user=make_user("program"), name="t", scopes=["read", "write", "run"])
    stranger = Client(headers={"Authorization": f"Bearer {token}"})
    paths = [(method, path) for method, path in api_paths() if "{slug}" in path]
    assert len(paths) > 25
    for method, path in paths:
        name = "cancel" if "/jobs/" in path or "/orders/" in path else "pause"
        address = path.format(**(facts | {"name": name}))
        body = {} if method == "get" else {"data": "{}", "content_type": "application/json"}
        answer = getattr(stranger, method)(address, **body)
        assert answer.status_code in {404, 415}, (method, path, answer.status_code)
        assert getattr(Client(), method)(address).status_code == 401, (method, path)
