"""The order of pairs through the command: resumable, idempotent, clear about what is wrong."""

from __future__ import annotations

import errno
import hashlib
import json
import uuid
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from diffusion.checkpoints import read_card, save_network
from generation.models import GenerationRun
from generation.recipes.noise import PairNoise, PairSpec, noise_sha256
from generation.selectors import run_progress
from generation.worker import order as run_worker
from generation.worker.order import _Shared
from jobs.models import Job
from jobs.runner import job_next, job_run
from survey.exceptions import StudyNotReady
from survey.models import AuditEntry, ImagePair, PairImage, Study
from survey.services.study.study import arm_add
from survey.services.study.version import version_freeze
from tests.factories import make_study
from tests.generation.conftest import CLASS_NAMES, SCHEDULE
from tests.generation.toys import tiny_classifier, tiny_denoiser

pytestmark = pytest.mark.django_db


def generate(study: Study | str = "digits", pairs: int = 6, **options) -> str:
    output = StringIO()
    slug = study if isinstance(study, str) else study.slug
    call_command("generate_pairs", study=slug, pairs=pairs, stdout=output, stderr=StringIO(), **{"batch": 2} | options)
    return output.getvalue()


def images(study: Study) -> dict[tuple[str, str], str]:
    rows = PairImage.objects.filter(pair__study=study).values_list("pair__key", "arm__name", "sha256")
    return {(key, arm): sha256 for key, arm, sha256 in rows}


def stored(name: str) -> bytes:
    with default_storage.open(name) as file:
        return file.read()


def run_queue(*, once: bool = False) -> list[Job]:
    """Do what a worker does, in this process."""
    done = []
    while (job := job_next(["gpu", "default"])) is not None:
        done.append(job_run(job.pk))
        if once:
            break
    return done


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


def test_missing_and_damaged_files_are_mended_to_the_recorded_bytes(draft):
    study = draft()
    generate(study)
    assert "all files of the pairs that are there have their recorded digests" in generate(study, check_files=True)
    lost, damaged = PairImage.objects.order_by("pair__key", "arm__name")[1:3]
    default_storage.delete(lost.file)
    with default_storage.open(damaged.file, "wb") as file:
        file.write(b"not what it was")
    before = images(study)
    assert "2 files were missing or damaged; 2 made again" in generate(study, check_files=True)
    for image in (lost, damaged):
        assert hashlib.sha256(stored(image.file)).hexdigest() == image.sha256
    assert images(study) == before


def test_file_that_does_not_come_out_the_same_is_not_replaced(draft):
    study = draft()
    generate(study)
    image = PairImage.objects.first()
    default_storage.delete(image.file)
    PairImage.objects.filter(pk=image.pk).update(sha256="0" * 64)
    with pytest.raises(CommandError, match="1 files came out with other bytes, the first is images/"):
        generate(study, check_files=True)
    assert not default_storage.exists(image.file)


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


def test_classes_are_those_asked_for_and_remembered(draft):
    study = draft()
    generate(study, 4, classes="3,1")
    assert set(study.pairs.values_list("key", flat=True)) == {"3-000000", "1-000000", "3-000001", "1-000001"}
    generate(study, 5)
    assert study.pairs.filter(key="3-000002").exists()
    assert study.pairs.count() == 5


def test_order_is_in_the_studys_log(draft):
    study = draft()
    generate(study, 4, seed=5)
    entry = AuditEntry.objects.get(study=study, action="order pairs")
    assert (entry.detail["pairs"], entry.detail["seed"]) == (4, 5)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"pairs": 0}, "pairs is 0; it must be a whole number from 1"),
        ({"pairs": -3}, "pairs is -3"),
        ({"classes": "0,7"}, "class 7 is out of range: the networks of arm 'robust' know the classes 0 to 3"),
        ({"classes": "1,1"}, "class 1 is named twice"),
        ({"classes": "cat"}, "'cat' is no class label; give numbers such as 207,360 or 0-9"),
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


def test_weights_that_cannot_be_read_or_do_not_fit_are_refused(draft, tmp_path):
    study = draft(denoiser=str(tmp_path / "gone.safetensors"))
    with pytest.raises(CommandError, match=r"arm 'robust': no checkpoint at .*gone\.safetensors"):
        generate(study)
    (tmp_path / "gone.safetensors").write_bytes(b"no weights")
    with pytest.raises(CommandError, match="not a readable checkpoint"):
        generate(study)
    save_network(tmp_path / "gone.safetensors", tiny_denoiser(in_channels=3), schedule=SCHEDULE)
    with pytest.raises(CommandError, match="denoiser and classifier differ in in_channels"):
        generate(study)
    assert run_progress(GenerationRun.objects.get()).state == "failed"
    save_network(tmp_path / "gone.safetensors", tiny_denoiser(), schedule=SCHEDULE)
    assert "made 2 pairs" in generate(study, 2)


def test_retrained_weights_do_not_mix_with_older_images(draft, checkpoints, tmp_path):
    path = tmp_path / "classifier.safetensors"
    first = save_network(path, tiny_classifier(1), schedule=SCHEDULE, class_names=CLASS_NAMES)
    study = draft(classifier=str(path))
    generate(study, 2)
    second = save_network(path, tiny_classifier(5), schedule=SCHEDULE, class_names=CLASS_NAMES)
    told = rf"weights of digest {second.sha256[:12]}.* instead of {first.sha256[:12]}"
    with pytest.raises(CommandError, match=rf"arm 'robust' has images made by other weights or settings: .*{told}"):
        generate(study, 4)
    study.pairs.first().delete()
    with pytest.raises(CommandError, match=rf"{told}.*the file was replaced: restore it, or make a new arm"):
        generate(study, 2)
    assert study.pairs.count() == 1


def test_frozen_version_holds_the_digests_of_what_made_its_images(draft, checkpoints):
    """The arms name their checkpoints by path alone; the images know which weights and settings these were."""
    study = draft()
    generate(study, 4, minimum_distance=0.0)
    arms = {arm["name"]: arm["recipe"] for arm in version_freeze(study=study).config["arms"]}
    for name, recipe in arms.items():
        for kind, path in (("denoiser", checkpoints.denoiser), ("classifier", getattr(checkpoints, name))):
            card = read_card(path)
            assert recipe[kind] == {"path": path, "sha256": card.sha256, "config_sha256": card.config_sha256}
    steps = study.versions.get().config["pairs"]["steps"]
    assert [(step["action"], step["detail"]["minimum_distance"]) for step in steps] == [("order pairs", 0.0)]


def test_images_of_an_earlier_release_take_more_beside_them(draft):
    """Its recipes pinned the weights and not the settings; that is no other recipe."""
    study = draft()
    generate(study, 2)
    for image in PairImage.objects.filter(pair__study=study):
        for kind in ("denoiser", "classifier"):
            del image.recipe["recipe"][kind]["config_sha256"]
        image.save()
    generate(study, 4)
    arms = version_freeze(study=study).config["arms"]
    assert all(len(arm["recipe"]["denoiser"]["config_sha256"]) == 64 for arm in arms)


def test_images_of_two_recipes_cannot_be_frozen_as_one_arm(draft):
    study = draft()
    generate(study, 3)
    image = PairImage.objects.filter(pair__study=study, arm__name="robust").first()
    image.recipe["recipe"]["classifier"]["sha256"] = "0" * 64
    image.save()
    with pytest.raises(StudyNotReady, match="arm robust has images of 2 recipes"):
        version_freeze(study=study)


def test_imported_images_do_not_mix_with_generated_ones(checkpoints):
    study = make_study(pairs=2)
    # A recipe that came after the images, past the service that would refuse it.
    for arm in study.arms.all():
        arm.recipe = checkpoints.recipe(arm.name).to_json()
        arm.save()
    with pytest.raises(CommandError, match="arm 'robust' has imported images"):
        generate(study)


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


def test_positions_of_an_order_are_a_prefix_of_a_larger_one():
    small = GenerationRun(pairs=7, classes=[5, 2, 9], seed=1)
    large = GenerationRun(pairs=20, classes=[5, 2, 9], seed=1)
    assert [small.spec_at(p) for p in range(7)] == [large.spec_at(p) for p in range(7)]
    assert len({large.spec_at(p) for p in range(20)}) == 20


def test_wanted_pairs_are_exactly_the_positions(draft):
    study = draft()
    run = GenerationRun(study=study, pairs=7, classes=[3, 1, 2], seed=1)
    for label in range(4):
        for index in range(4):
            ImagePair.objects.create(study=study, key=f"{label}-{index}", class_label=str(label), index=index, seed=1)
    wanted = {(int(p.class_label), p.index) for p in ImagePair.objects.filter(run.wanted)}
    assert wanted == {(spec.class_label, spec.index) for spec in map(run.spec_at, range(7))}


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


def test_device_that_is_not_there_is_named_and_recorded_on_the_order(draft, settings):
    draft()
    settings.TORCH_DEVICE = "gpu"
    with pytest.raises(CommandError, match="BLINDPAIR_DEVICE is 'gpu'; give auto, cpu, cuda"):
        generate()
    run = GenerationRun.objects.get()
    assert (run.state, run.error[:25]) == ("failed", "BLINDPAIR_DEVICE is 'gpu'")


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
