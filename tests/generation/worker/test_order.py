"""Making the pairs of an order: resumable, the same bytes in any order of work, nothing half done."""

from __future__ import annotations

import errno
import hashlib
import json
import uuid
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError

from generation.models import GenerationRun
from generation.recipes.noise import PairNoise, PairSpec, noise_sha256
from generation.selectors import run_progress
from generation.worker import order as run_worker
from generation.worker.order import _Shared
from jobs import console
from jobs.models import Job
from survey.models import PairImage
from survey.services.study.study import arm_add
from tests.generation.orders import generate, images, run_queue, stored

pytestmark = pytest.mark.django_db


def test_pairs_are_registered_with_files_recipes_and_manifest(draft):
    study = draft()
    assert "made 6 pairs" in generate(study)
    pairs = list(study.pairs.order_by("key").prefetch_related("images__arm"))
    assert [pair.key for pair in pairs] == ["0-000000", "0-000001", "1-000000", "1-000001", "2-000000", "3-000000"]
    for pair in pairs:
        spec = PairSpec(77, int(pair.class_label), pair.index)
        assert (pair.seed, pair.class_name) == (77, f"digit {pair.class_label}")
        assert pair.noise_sha256 == noise_sha256(PairNoise(spec, (1, 8, 8)).initial())
        assert 0 < pair.distance < 1
        assert {image.arm.name for image in pair.images.all()} == {"vanilla", "robust"}
        for image in pair.images.all():
            content = stored(image.file)
            assert hashlib.sha256(content).hexdigest() == image.sha256
            assert (image.width, image.height) == (8, 8)
            assert image.recipe["arm"] == image.arm.name
            assert image.recipe["recipe"]["classifier"]["path"].endswith(f"{image.arm.name}.safetensors")
            assert b"recipe" not in content
    run = GenerationRun.objects.get()
    assert (run.state, run.classes) == ("complete", [0, 1, 2, 3])
    manifest = stored(run.manifest_file)
    assert hashlib.sha256(manifest).hexdigest() == run.manifest_sha256
    lines = [json.loads(line) for line in manifest.splitlines()]
    assert {(line["pair"], line["arm"]): line["sha256"] for line in lines} == images(study)
    assert all(default_storage.exists(line["file"]) for line in lines)


def test_order_of_work_decides_nothing(draft):
    """One study at once, one in two orders with other shards, one through the queue: the same bytes."""
    whole, parts, queued = draft(slug="whole"), draft(slug="parts"), draft(slug="queued")
    generate(whole, 8)
    generate(parts, 3, shard=1)
    generate(parts, 8, shard=3)
    assert "queued 4 shards" in generate(queued, 8, shard=2, queue=True)
    run_queue()
    assert images(whole) == images(parts) == images(queued)
    assert len(images(whole)) == 16


def test_stopped_run_continues_where_it_was(draft, monkeypatch):
    study, undisturbed = draft(slug="stopped"), draft(slug="undisturbed")
    generate(undisturbed, 6, shard=2)
    original, calls = run_worker.make_pairs, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(run_worker, "make_pairs", interrupted)
    with pytest.raises(CommandError, match="stopped with 4 of 6 pairs; the same command continues"):
        generate(study, 6, shard=2)
    assert study.pairs.count() == 4
    monkeypatch.undo()
    assert "4 of 6 pairs are there" in generate(study, 6, shard=2)
    assert images(study) == images(undisturbed)
    assert GenerationRun.objects.filter(study=study).get().state == "complete"


def test_missing_rows_are_made_again_alike(draft):
    study = draft()
    generate(study)
    before = images(study)
    study.pairs.filter(key="1-000000").delete()
    PairImage.objects.filter(pair__key="2-000000", arm__name="robust").delete()
    assert "4 of 6 pairs are there" in generate(study)
    assert set(images(study)) == set(before)
    assert images(study)["1-000000", "vanilla"] == before["1-000000", "vanilla"]


def test_arm_added_later_gets_the_same_noise(draft, checkpoints):
    study = draft()
    generate(study, 4)
    before = images(study)
    distances = dict(study.pairs.values_list("key", "distance"))
    arm_add(study=study, name="unguided", recipe=checkpoints.recipe("unguided").to_json())
    assert "0 of 4 pairs are there" in generate(study, 4)
    after = images(study)
    assert before.items() <= after.items()
    assert len(after) == 12
    for image in PairImage.objects.filter(arm__name="unguided").select_related("pair"):
        assert image.recipe["x_T_sha256"] == image.pair.noise_sha256
        # The weakest comparison counts: three arms cannot be further apart than two of them.
        assert image.pair.distance <= distances[image.pair.key]


def test_pairs_that_look_the_same_stay_out(draft):
    study = draft()
    generate(study, 8)
    threshold = sorted(study.pairs.values_list("distance", flat=True))[3]
    other = draft(slug="chosen")
    generate(other, 8, minimum_distance=threshold)
    assert other.pairs.filter(is_selected=False).count() == 3
    assert not other.pairs.filter(is_selected=True, distance__lt=threshold).exists()


def test_full_disk_is_named_and_nothing_is_half_done(draft, monkeypatch):
    study = draft()
    original, saved = default_storage._save, []

    def full(name, content):
        saved.append(name)
        if len(saved) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(name, content)

    monkeypatch.setattr(default_storage._wrapped, "_save", full)
    with pytest.raises(CommandError, match=r"No room is left where images are stored\. Free some space"):
        generate(study, 8, shard=4)
    assert study.pairs.count() == 0
    assert GenerationRun.objects.get().state == "failed"
    monkeypatch.undo()
    assert "made 8 pairs" in generate(study, 8, shard=4)


def test_order_whose_manifest_found_no_room_is_closed_by_the_same_command(draft, monkeypatch):
    study = draft()

    def full(name, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    original = default_storage._save
    monkeypatch.setattr(
        default_storage._wrapped,
        "_save",
        lambda name, content: (full if "manifests" in name else original)(name, content),
    )
    with pytest.raises(CommandError, match="No space left on device"):
        generate(study, 4)
    assert study.pairs.count() == 4
    assert GenerationRun.objects.get().state == "generating"
    monkeypatch.undo()
    assert "all 4 pairs are there" in generate(study, 4)
    run = GenerationRun.objects.get()
    assert run.state == "complete"
    assert hashlib.sha256(stored(run.manifest_file)).hexdigest() == run.manifest_sha256


def test_running_shard_notices_the_cancel_at_its_next_step(draft, monkeypatch):
    from generation.services.order import run_cancel

    study = draft()
    generate(study, 2, queue=True)
    run = GenerationRun.objects.get()
    original, steps = run_worker._Shared.step, []

    def step(self, done, total):
        steps.append(done)
        if len(steps) == 2:
            run_cancel(run)
            self.progress.__self__._beat()  # the heartbeat would see it a moment later
        original(self, done, total)

    monkeypatch.setattr(run_worker._Shared, "step", step)
    job = run_queue(once=True)[0]
    assert (job.state, len(steps)) == ("cancelled", 2)
    assert study.pairs.count() == 0


def test_planning_by_a_worker_reports_what_does_not_fit(draft, checkpoints):
    from generation.services.order import run_create, run_enqueue_plan, run_retry

    study = draft()
    run = run_create(study=study, pairs=4, classes=[0, 9], micro_batch=2)
    run_enqueue_plan(run)
    run_queue()
    run.refresh_from_db()
    assert (run.state, run_progress(run).state) == ("failed", "failed")
    assert "class 9 is out of range" in run.error
    assert "class 9 is out of range" in run_progress(run).error
    good = run_create(study=study, pairs=4, micro_batch=2)
    run_enqueue_plan(good)
    run_queue()
    good.refresh_from_db()
    assert (good.state, good.classes, study.pairs.count()) == ("complete", [0, 1, 2, 3], 4)
    assert run_retry(good).state == "complete"


def test_large_orders_take_constant_memory_per_shard_and_few_files_per_folder(draft):
    """Storage folders follow the digest: 256 of them whatever the number of pairs."""
    study = draft()
    generate(study, 4)
    names = PairImage.objects.filter(pair__study=study).values_list("file", "sha256")
    assert all(Path(name).parent.name == sha256[:2] for name, sha256 in names)


def test_worker_whose_lease_is_lost_registers_nothing(draft, monkeypatch):
    study = draft()
    generate(study, 2, queue=True)
    original = run_worker._Shared.pair

    def robbed(self):
        original(self)
        Job.objects.filter(state="running").update(lease_token=uuid.uuid4())

    monkeypatch.setattr(run_worker._Shared, "pair", robbed)
    job = run_queue(once=True)[0]
    assert job.state == "running"  # it is the other worker's now
    assert not study.pairs.exists()


def test_every_step_brings_all_pairs_of_its_batch_forward():
    told: list[tuple[int, int, str]] = []
    shard = _Shared(10, 4, lambda *told_now: told.append(told_now))
    for first in range(0, 10, 4):
        for step in (1, 2):
            shard.step(step, 2)
        for _ in range(min(4, 10 - first)):
            shard.pair()
    steps = [done for done, _, note in told if note.startswith("step")]
    assert steps == [2, 4, 6, 8, 9, 10]
    assert told == sorted(told, key=lambda row: row[0]), "what is done never becomes less"
    assert told[-1] == (10, 10, "stored")


def test_the_time_left_of_an_order_is_right_within_a_fifth_from_the_first_tenth_on(monkeypatch):
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    pace, total, batch, steps = console._Pace(), 64, 16, 250
    shard = _Shared(total, batch, lambda done, whole, note: pace.note(done, whole))
    estimates = []
    for _ in range(total // batch):
        for step in range(1, steps + 1):
            now += 1.0
            shard.step(step, steps)
            estimates.append((now, pace.left))
        for _ in range(batch):
            shard.pair()
    for at, left in estimates[100:-20]:
        assert left == pytest.approx(now - at, rel=0.2, abs=1.0)


def test_device_that_is_not_there_fails_planning_by_a_worker_at_its_first_attempt(draft, settings):
    from generation.services.order import run_create, run_enqueue_plan

    run = run_create(study=draft(), pairs=4, micro_batch=2)
    run_enqueue_plan(run)
    settings.TORCH_DEVICE = "gpu"
    jobs = run_queue()
    run.refresh_from_db()
    assert [(job.state, job.attempt) for job in jobs] == [("failed", 1)]
    assert (run.state, run.error[:25]) == ("failed", "BLINDPAIR_DEVICE is 'gpu'")


def test_error_of_one_shard_is_recorded_on_the_order_while_others_go_on_and_gone_when_all_is_made(draft, monkeypatch):
    study = draft()
    generate(study, 4, shard=2, queue=True)

    def break_down(*args, **kwargs):
        raise TypeError("a fault of ours")

    with monkeypatch.context() as broken:
        broken.setattr("generation.tasks.make_pairs", break_down)
        failed = run_queue(once=True)[0]
    run = GenerationRun.objects.get()
    assert (failed.state, run.state, run.error) == ("failed", "generating", "TypeError: a fault of ours")
    run_queue()
    assert run_progress(run).state == "failed"
    generate(study, 4, shard=2, queue=True)
    run_queue()
    run.refresh_from_db()
    assert (run.state, run.error) == ("complete", "")
