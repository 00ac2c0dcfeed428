"""The command that orders pairs: the same again is safe, a wrong order is refused, progress is told."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from generation.models import GenerationRun
from generation.selectors import run_progress
from jobs.models import Job
from survey.models import PairImage
from survey.services.study.version import version_freeze
from tests.generation.orders import generate, images, run_queue

pytestmark = pytest.mark.django_db


def test_same_command_again_makes_nothing_and_more_pairs_leave_the_old_alone(draft):
    study = draft()
    generate(study, 5)
    first, rows = images(study), set(PairImage.objects.values_list("pk", flat=True))
    assert "all 5 pairs are there, nothing to do" in generate(study, 5)
    assert GenerationRun.objects.count() == 1
    assert "5 of 9 pairs are there" in generate(study, 9)
    assert first.items() <= images(study).items()
    assert rows <= set(PairImage.objects.values_list("pk", flat=True))
    assert study.pairs.count() == 9


def test_frozen_study_that_has_its_pairs_is_left_in_peace(draft):
    study = draft()
    generate(study, 4)
    version_freeze(study=study)
    assert "nothing to do" in generate(study, 4)
    with pytest.raises(CommandError, match="digits is frozen: only a draft can be changed"):
        generate(study, 5)
    assert study.pairs.count() == 4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"pairs": 0}, "pairs is 0; it must be a whole number from 1"),
        ({"pairs": -3}, "pairs is -3"),
        ({"classes": "0,7"}, "class 7 is out of range: the networks of arm 'robust' know the classes 0 to 3"),
        ({"classes": "1,1"}, "class 1 is named twice"),
        ({"classes": "cat"}, "'cat' is no class of the arms' networks; known: digit 0, digit 1"),
        ({"seed": -1}, "seed is -1"),
        ({"batch": 0}, "micro_batch is 0"),
        ({"shard": -1}, "shard_pairs is -1"),
        ({"minimum_distance": 2.0}, r"minimum_distance is 2.0; it must lie in \[0, 1\]"),
        ({"factor": ["size"]}, "factor 'size' is no field of a recipe"),
        ({"study": "nothing"}, "There is no study 'nothing'. Studies here: digits"),
    ],
)
def test_bad_order_is_refused_and_leaves_nothing(draft, options, complaint):
    study = draft()
    with pytest.raises(CommandError, match=complaint):
        generate(**{"study": "digits"} | options)
    assert not study.pairs.exists()
    assert not GenerationRun.objects.exclude(state="failed").exists()


def test_queued_order_is_done_by_a_worker_and_counts_down(draft):
    study = draft()
    generate(study, 5, shard=2, queue=True)
    run = GenerationRun.objects.get()
    before = run_progress(run)
    assert (before.done, before.total, before.active, before.state) == (0, 5, 3, "generating")
    generate(study, 5, shard=2, queue=True)  # again: nothing is queued twice
    assert Job.objects.count() == 3
    job = run_queue(once=True)[0]
    assert (job.state, job.result) == ("succeeded", {"pairs": 2})
    assert run_progress(run).done == 2
    run_queue()
    run.refresh_from_db()
    after = run_progress(run)
    assert (after.done, after.active, after.state) == (5, 0, "complete")
    assert run.manifest_sha256
    assert study.pairs.count() == 5


def test_device_that_is_not_there_is_named_and_recorded_on_the_order(draft, settings):
    draft()
    settings.TORCH_DEVICE = "gpu"
    with pytest.raises(CommandError, match="BLINDPAIR_DEVICE is 'gpu'; give auto, cpu, cuda"):
        generate()
    run = GenerationRun.objects.get()
    assert (run.state, run.error[:25]) == ("failed", "BLINDPAIR_DEVICE is 'gpu'")
