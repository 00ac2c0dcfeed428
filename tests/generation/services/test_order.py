"""What may be ordered: seeds, classes, matched arms; and how an order is stopped, retried and logged."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.utils import timezone

from generation.models import GenerationRun
from generation.selectors import run_progress
from jobs.models import Job
from survey.models import AuditEntry
from survey.services.study.study import arm_add
from tests.factories import make_study
from tests.generation.orders import generate, run_queue

pytestmark = pytest.mark.django_db


def test_order_is_in_the_studys_log(draft):
    study = draft()
    generate(study, 4, seed=5)
    entry = AuditEntry.objects.get(study=study, action="order pairs")
    assert (entry.detail["pairs"], entry.detail["seed"]) == (4, 5)


def test_classes_are_those_asked_for_and_remembered(draft):
    study = draft()
    generate(study, 4, classes="3,1")
    assert set(study.pairs.values_list("key", flat=True)) == {"3-000000", "1-000000", "3-000001", "1-000001"}
    generate(study, 5)
    assert study.pairs.filter(key="3-000002").exists()
    assert study.pairs.count() == 5


def test_study_without_recipes_is_refused():
    study = make_study(pairs=0)
    with pytest.raises(CommandError, match="arm 'robust': the recipe is empty; it needs at least 'denoiser'"):
        generate(study)


def test_arms_that_differ_in_more_than_guidance_need_the_factor(draft, checkpoints):
    study = draft("vanilla")
    arm_add(study=study, name="robust", recipe=checkpoints.recipe("robust", spacing="4").to_json())
    with pytest.raises(CommandError, match="the arms differ in 'spacing'"):
        generate(study)
    generate(study, 2, factor=["spacing"])
    assert study.pairs.count() == 2


def test_second_seed_in_a_study_is_refused(draft):
    study = draft()
    generate(study, 2)
    with pytest.raises(CommandError, match="digits has pairs of seed 77; all pairs of a study have one seed"):
        generate(study, 4, seed=78)


def test_imported_images_do_not_mix_with_generated_ones(checkpoints):
    study = make_study(pairs=2)
    # A recipe that came after the images, past the service that would refuse it.
    for arm in study.arms.all():
        arm.recipe = checkpoints.recipe(arm.name).to_json()
        arm.save()
    with pytest.raises(CommandError, match="arm 'robust' has imported images"):
        generate(study)


def test_failed_shard_is_shown_and_retried(draft, monkeypatch):
    from generation.services.order import run_retry

    study = draft()
    generate(study, 4, shard=2, queue=True)

    def broken(*arguments, **options):
        raise ValueError("the denoiser caught fire")

    monkeypatch.setattr("generation.worker.order.generate_pairs", broken)
    run_queue()
    run = GenerationRun.objects.get()
    failed = run_progress(run)
    assert (failed.state, failed.failed, failed.done) == ("failed", 2, 0)
    assert "the denoiser caught fire" in failed.error
    monkeypatch.undo()
    run_retry(run)
    run_queue()
    assert run_progress(run).done == 4
    assert study.pairs.count() == 4


def test_the_time_left_counts_all_workers_and_the_shards_that_wait(draft):
    """By what the workers have done since they began: an order that waited for a day is not a slow one."""
    generate(draft(), 600, shard=200, queue=True)
    run_queue(once=True)
    run = GenerationRun.objects.get()
    began, now = timezone.now() - timedelta(seconds=100), timezone.now()
    shards = list(run.shards.order_by("pk").values_list("job", flat=True))
    pace = {"progress_done": 100, "progress_total": 200, "progress_began_at": began, "progress_at": now}
    Job.objects.filter(pk__in=shards).update(state="queued")
    assert run_progress(run).time_left == ""
    Job.objects.filter(pk__in=shards[:2]).update(state="running", **pace)
    # Two workers at a pair a second: 100 left of each, 200 that wait.
    assert run_progress(run).time_left == "about 3 min left"


def test_cancelled_order_stops_keeps_what_is_made_and_can_go_on(draft):
    from generation.services.order import run_cancel

    study = draft()
    generate(study, 6, shard=2, queue=True)
    run_queue(once=True)
    run = run_cancel(GenerationRun.objects.get())
    assert run.state == "cancelled"
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded", "cancelled"}
    assert run_queue() == []
    assert study.pairs.count() == 2
    generate(study, 6, shard=2, queue=True)
    run_queue()
    assert study.pairs.count() == 6
    assert run_progress(run).done == 6
