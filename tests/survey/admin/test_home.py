"""The admin's first page: whose studies, what next, what failed."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from jobs.models import Job
from survey.models import StudyMember
from survey.selectors.jobs import study_subject
from tests.factories import make_running, make_study, make_user, make_visit

pytestmark = pytest.mark.django_db


def home_of(user) -> str:
    client = Client()
    client.force_login(user)
    return " ".join(client.get("/admin/").content.decode().split())


def test_nobody_with_a_study_is_told_how_to_begin() -> None:
    page = home_of(make_user())
    assert 'href="/admin/survey/study/add/"' in page
    assert "You have no study yet" in page


def test_own_studies_stand_with_their_votes_and_what_comes_next() -> None:
    owner = make_user()
    draft = make_study(owner=owner, consent_text="")
    running = make_running(owner=owner)
    make_visit(running)
    theirs = make_study(owner=make_user())
    page = home_of(owner)
    assert f'href="/admin/survey/study/{draft.pk}/">{draft.title}</a>' in page
    assert "<td>Describe the study</td>" in page
    assert f"<td>6 of {running.slots.filter(pool='main').count()}</td>" in page
    assert theirs.title not in page


def test_a_viewer_is_asked_to_do_nothing() -> None:
    study, viewer = make_study(), make_user()
    StudyMember.objects.create(study=study, user=viewer, role="viewer")
    page = home_of(viewer)
    assert study.title in page
    assert "Describe the study" not in page


def test_jobs_that_failed_lately_wait_for_their_people_alone() -> None:
    owner = make_user()
    study = make_study(owner=owner)
    job = Job.objects.create(
        kind="survey.report", subject=study_subject(study), state="failed", error="no arm x", max_attempts=3
    )
    page = home_of(owner)
    assert f'<a href="/admin/survey/study/{study.pk}/">{study.title}</a>, Build a report: no arm x' in page
    assert "no arm x" not in home_of(make_user())
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timezone.timedelta(days=30))
    assert "no arm x" not in home_of(owner)


def test_the_page_costs_the_same_for_many_studies_as_it_lists(django_assert_max_num_queries) -> None:
    owner = make_user()
    for _ in range(13):
        make_running(owner=owner)
    with django_assert_max_num_queries(60):
        page = home_of(owner)
    assert page.count("bp-pill bp-running") == 10
    assert "The newest are shown" in page
