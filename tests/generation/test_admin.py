"""Orders in the admin: placed, watched, stopped, retried - by those who may, and seen by nobody else."""

from __future__ import annotations

import re
from pathlib import PurePath

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generation.models import GenerationRun
from jobs.models import Job
from jobs.runner import job_next, job_run
from survey.exceptions import StudyNotDeletable
from survey.services.access.member import member_set
from survey.services.study.study import study_delete
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LIST = "/admin/generation/generationrun/"


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def owner():
    return make_user("ada")


def place(client: Client, study, **changes):
    order = {"study": study.pk, "pairs": 4, "micro_batch": 2, "class_labels": "0-1"} | changes
    return client.post(LIST + "add/", order)


def work() -> None:
    while (job := job_next(["gpu"])) is not None:
        job_run(job.pk)


def test_order_is_placed_done_by_a_worker_and_shown(draft, owner):
    study, client = draft(owner=owner), client_of(owner)
    answer = place(client, study)
    run = GenerationRun.objects.get()
    address = reverse("admin:generation_generationrun_change", args=[run.pk])
    assert (answer.status_code, answer.url) == (302, address)
    assert (run.classes, run.seed, run.created_by) == ([0, 1], 77, owner)
    assert Job.objects.get().kind == "generation.plan"
    assert client.get(address)["Refresh"] == "10"
    work()
    answer = client.get(address)
    assert "Refresh" not in answer
    page = answer.content.decode()
    assert "4 of 4" in page
    assert "bp-complete" in page
    assert page.count("<img src=") == 8
    assert "1-000001 by robust" in page
    assert f"/admin/survey/study/{study.pk}/exclusions/" in page
    # Recipes are a table in which no folder of the server is named.
    file = PurePath(study.arms.first().recipe["denoiser"]["path"])
    assert '<th scope="row">denoiser</th>' in page
    assert "/".join(file.parts[-2:]) in page
    assert str(file.parent) not in page
    assert "4 of 4" in client.get(LIST).content.decode()


def test_classes_are_ordered_by_name_and_shown_with_their_numbers(draft, owner):
    study, client = draft(owner=owner), client_of(owner)
    form = client.get(LIST + "add/", {"study": study.pk}).content.decode()
    assert "The networks know 0 digit 0, 1 digit 1, 2 digit 2, 3 digit 3." in form
    assert client.get(LIST + "add/", {"study": "none"}).status_code == 200
    assert "The networks know 0 digit 0" in place(client, study, class_labels="digt 0").content.decode()
    place(client, study, class_labels="digit 3, 0")
    run = GenerationRun.objects.get()
    assert run.classes == [3, 0]
    page = client.get(reverse("admin:generation_generationrun_change", args=[run.pk])).content.decode()
    assert "3 digit 3, 0 digit 0" in page
    work()
    study.pairs.filter(class_label="3").update(class_name="three")
    page = client.get(reverse("admin:generation_generationrun_change", args=[run.pk])).content.decode()
    assert "3 three, 0 digit 0" in page


def test_names_in_a_file_that_the_web_server_cannot_read_are_refused_with_the_remedy(draft, owner, tmp_path):
    study, client = draft(owner=owner), client_of(owner)
    for arm in study.arms.all():
        for part in ("denoiser", "classifier"):
            arm.recipe[part]["path"] = str(tmp_path / "elsewhere.safetensors")
        arm.save(update_fields=["recipe"])
    page = place(client, study, class_labels="digit 3").content.decode()
    assert "elsewhere.safetensors, which cannot be read here (No such file or directory); give class numbers" in page
    assert "The networks know" not in client.get(LIST + "add/", {"study": study.pk}).content.decode()
    assert place(client, study, class_labels="3").status_code == 302


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pairs": 0}, "pairs is 0"),
        ({"class_labels": "cats"}, "is no class of the arms"),
        ({"class_labels": "digt 0"}, "did you mean &#x27;digit 0&#x27;?"),
        ({"class_labels": "0--3"}, "is no class label"),
        ({"minimum_distance": 3}, "minimum_distance is 3.0"),
        ({"micro_batch": 0}, "micro_batch is 0"),
    ],
)
def test_bad_order_is_shown_with_the_form(draft, owner, changes, complaint):
    answer = place(client_of(owner), draft(owner=owner), **changes)
    assert answer.status_code == 200
    assert complaint in answer.content.decode()
    assert not GenerationRun.objects.exists()


def test_error_of_a_worker_is_shown_and_retried(draft, owner):
    study, client = draft(owner=owner), client_of(owner)
    place(client, study, class_labels="9")
    work()
    run = GenerationRun.objects.get()
    page = client.get(reverse("admin:generation_generationrun_change", args=[run.pk])).content.decode()
    assert "bp-failed" in page
    assert "class 9 is out of range" in page
    assert "Fix what the message names, then try again" in page
    client.post(LIST, {"action": "retry", "_selected_action": [str(run.pk)]})
    assert Job.objects.get().state == "queued"


def test_an_order_is_cancelled_and_tried_again_on_its_own_page(draft, owner):
    study, client = draft(owner=owner), client_of(owner)
    place(client, study)
    run = GenerationRun.objects.get()
    address = reverse("admin:generation_generationrun_change", args=[run.pk])

    def press(action: str) -> str:
        assert offered() == [action]
        answer = client.post(LIST, {"action": action, "_selected_action": [str(run.pk)], "one": "1"})
        assert (answer.status_code, answer.url) == (302, address)
        run.refresh_from_db()
        return run.state

    def offered() -> list[str]:
        return re.findall(r'name="action" value="(\w+)"', client.get(address).content.decode())

    assert press("cancel") == "cancelled"
    assert "Refresh" not in client.get(address)
    assert press("retry") == "planning"
    work()
    assert "bp-complete" in client.get(address).content.decode()
    assert offered() == []
    viewer = make_user("bob")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    GenerationRun.objects.update(state="cancelled")
    assert 'name="action"' not in client_of(viewer).get(address).content.decode()


def test_a_study_under_generation_is_kept_and_later_takes_its_manifest_along(
    draft, owner, django_capture_on_commit_callbacks
):
    study, client = draft(owner=owner), client_of(owner)
    place(client, study)
    job_run(job_next(["gpu"]).pk)
    with pytest.raises(StudyNotDeletable, match="make_shard"):
        study_delete(study=study, actor=owner)
    work()
    manifest = GenerationRun.objects.get().manifest_file
    assert default_storage.exists(manifest)
    with django_capture_on_commit_callbacks(execute=True):
        study_delete(study=study, actor=owner)
    assert not default_storage.exists(manifest)


def test_pairs_of_a_shard_at_work_are_told(draft, owner):
    study, client = draft(owner=owner), client_of(owner)
    place(client, study)
    job_run(job_next(["gpu"]).pk)
    Job.objects.filter(kind="generation.make_shard").update(state="running", progress_done=3, progress_total=4)
    page = client.get(reverse("admin:generation_generationrun_change", args=[GenerationRun.objects.get().pk]))
    assert "1 waiting or at work (3 pairs made" in page.content.decode()


def test_order_is_cancelled_from_the_list(draft, owner):
    study, client = draft(owner=owner), client_of(owner)
    place(client, study)
    run = GenerationRun.objects.get()
    client.post(LIST, {"action": "cancel", "_selected_action": [str(run.pk)]})
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert Job.objects.get().state == "cancelled"


def test_stranger_sees_and_does_nothing(draft, owner):
    study = draft(owner=owner)
    place(client_of(owner), study)
    run = GenerationRun.objects.get()
    stranger = client_of(make_user("eve"))
    assert "digits" not in stranger.get(LIST).content.decode()
    assert stranger.get(reverse("admin:generation_generationrun_change", args=[run.pk])).status_code == 302
    stranger.post(LIST, {"action": "cancel", "_selected_action": [str(run.pk)]})
    assert place(stranger, study).status_code == 200
    run.refresh_from_db()
    assert (run.state, GenerationRun.objects.count()) == ("planning", 1)


def test_viewer_looks_but_does_not_order(draft, owner):
    study = draft(owner=owner)
    place(client_of(owner), study)
    run = GenerationRun.objects.get()
    viewer = make_user("bob")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    client = client_of(viewer)
    assert client.get(reverse("admin:generation_generationrun_change", args=[run.pk])).status_code == 200
    answer = place(client, study, pairs=9)
    assert "You may look at this study but not change it" in answer.content.decode()
    client.post(LIST, {"action": "cancel", "_selected_action": [str(run.pk)]})
    run.refresh_from_db()
    assert (run.state, GenerationRun.objects.count()) == ("planning", 1)


def test_detail_page_costs_the_same_for_few_and_many_pairs(draft, owner):
    study, client = draft(owner=owner), client_of(owner)

    def queries(pairs: int) -> int:
        call_command("generate_pairs", study="digits", pairs=pairs, batch=4, verbosity=0)
        run = GenerationRun.objects.first()
        address = reverse("admin:generation_generationrun_change", args=[run.pk])
        client.get(address)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            client.get(address)
        return len(captured)

    assert queries(2) == queries(8)
    assert study.pairs.count() == 8
