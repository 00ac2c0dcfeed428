from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image

from diffusion.checkpoints import load_network
from diffusion.files import folder_locked
from jobs.models import Job
from jobs.runner import job_run
from tests.workers import wait_until
from training.models import TrainingRun
from training.presets import ConfigError
from training.services import run_create

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "var"
    settings.TORCH_DEVICE = "cpu"


def run_command(*arguments, command="train_classifier"):
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.mark.django_db
def test_command_trains_records_and_does_not_train_again(preset):
    first = run_command("--config", preset, "--robust")
    run = TrainingRun.objects.get(name="tiny")

    assert "held-out images: accuracy" in first
    assert (run.state, run.iteration, run.iterations) == ("finished", 6, 6)
    assert [row["iteration"] for row in run.curve] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "clean_accuracy", "active_share"} <= run.curve[0].keys()
    assert run.config["attack"]["epsilon"] == 1.0
    roles = {checkpoint.role: checkpoint for checkpoint in run.checkpoints.all()}
    assert set(roles) == {"last", "best"}
    loaded = load_network(roles["last"].path)
    assert loaded.card.sha256 == roles["last"].sha256
    assert "trained already" in run_command("--config", preset)


@pytest.mark.django_db
def test_progress_is_told_in_lines_of_json(preset):
    lines = run_command("--config", preset, "--json").splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert [(one["done"], one["total"]) for one in told][:6] == [(done, 6) for done in range(1, 7)]
    assert "images/s" in told[0]["note"]


@pytest.mark.django_db
def test_command_refuses_a_device_that_does_not_exist_and_records_it(preset, settings):
    settings.TORCH_DEVICE = "gpu"
    with pytest.raises(CommandError, match="BLINDPAIR_DEVICE is 'gpu'; give auto, cpu, cuda"):
        run_command("--config", preset)
    run = TrainingRun.objects.get(name="tiny")
    assert (run.state, run.error[:16]) == ("failed", "BLINDPAIR_DEVICE")


@pytest.mark.django_db
def test_vanilla_removes_the_attack_and_set_changes_a_setting(preset):
    run_command("--config", preset, "--vanilla", "--name", "plain", "--set", "optimizer.iterations=1")

    run = TrainingRun.objects.get(name="plain")
    assert "attack" not in run.config
    assert run.iterations == 1


@pytest.mark.django_db
def test_other_order_under_the_same_name_is_refused_until_started_afresh(preset):
    run_command("--config", preset)

    with pytest.raises(CommandError, match=r"run 'tiny' was begun with optimizer\.iterations = 6, asked for 2"):
        run_command("--config", preset, "--set", "optimizer.iterations=2")
    run_command("--config", preset, "--set", "optimizer.iterations=2", "--no-resume")
    assert TrainingRun.objects.get(name="tiny").iteration == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "optimizer.iteration=2"], "did you mean 'iterations'"),
        (["--set", "data.path=/nowhere.npz"], "no file at /nowhere.npz"),
        (["--set", "nonsense"], r"write section\.name=value"),
        (["--vanilla", "--set", "network.num_classes=4"], "the data has 3 classes, the network 4"),
        (["--name", "no such name"], "name is 'no such name'"),
    ],
)
def test_bad_input_is_refused_by_name(preset, arguments, message):
    with pytest.raises(CommandError, match=message):
        run_command("--config", preset, *arguments)


@pytest.mark.django_db
def test_wrong_command_for_the_task(preset):
    with pytest.raises(CommandError, match="trains a classifier, not a denoiser"):
        run_command("--config", preset, command="train_denoiser")
    with pytest.raises(CommandError, match="has no \\[attack\\]"):
        run_command("--config", "digits_vanilla", "--robust")


@pytest.mark.django_db(transaction=True)
def test_queue_leaves_the_run_to_the_workers(preset):
    assert "queued tiny" in run_command("--config", preset, "--queue")

    job = Job.objects.get()
    assert (job.kind, job.queue, job.parameters) == ("training.train", "gpu", {"run": "tiny"})
    assert TrainingRun.objects.get(name="tiny").job == job


@pytest.mark.slow
def test_killed_process_loses_nothing_but_time(preset, tmp_path):
    def command(out):
        options = ["--config", preset, "--out", str(tmp_path / out)]
        # Long enough that it cannot end between the first saved state and the signal.
        options += ["--set", "optimizer.iterations=200", "--set", "run.save_every=20", "--set", "attack.steps=1"]
        return [sys.executable, "-m", "training", *options]

    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command("killed"), env=environment, stdout=subprocess.PIPE) as process:
        wait_until((tmp_path / "killed" / "state.pt").is_file, "a state is saved", seconds=300)
        process.send_signal(signal.SIGKILL)
    at_death = torch.load(tmp_path / "killed" / "state.pt", weights_only=True)["iteration"]

    for out in ("killed", "whole"):
        subprocess.run(command(out), env=environment, check=True, capture_output=True, timeout=600)

    assert 0 < at_death < 200, "the process was not killed in the middle"
    ours, theirs = (
        load_network(tmp_path / out / "last.safetensors").network.state_dict() for out in ("killed", "whole")
    )
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    rows = [json.loads(line)["iteration"] for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert rows[:200] == list(range(1, 201))


@pytest.mark.django_db
def test_data_check_counts_classes_and_names_bad_files(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (40, 40)).save(tmp_path / "images" / name / f"{number}.png")
    arguments = ["--config", "cifar10_classifier", "--data", str(tmp_path / "images"), "--set", "data.kind=folder"]

    with pytest.raises(CommandError, match=r"set network\.num_classes = 2"):
        run_command(*arguments, command="check_training_data")
    arguments += ["--set", "network.num_classes=2", "--set", "data.crop=center"]
    assert "train: 6 images of 2 classes, 3 to 3" in run_command(*arguments, command="check_training_data")
    (tmp_path / "images" / "dog" / "1.png").write_bytes(b"no image")
    with pytest.raises(CommandError, match=r"1 image\(s\) would stop the run"):
        run_command(*arguments, command="check_training_data")
    told = run_command(*arguments, "--set", "data.corrupt=skip", command="check_training_data")
    assert "0 that cannot be used, 1 left out" in told


@pytest.mark.django_db
def test_data_check_says_once_what_is_wrong_with_many_and_looks_at_held_out_images(tmp_path, capsys):
    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(6):
                level = 20 * number + (105 if name == "cat" else 0) + (0 if split == "train" else 10)
                Image.new("RGB", (32, 32), (level, 0, 0)).save(tmp_path / split / name / f"{number}.png")
    shutil.copy(tmp_path / "train/cat/3.png", tmp_path / "train/cat/4.png")
    shutil.copy(tmp_path / "train/cat/3.png", tmp_path / "validation/cat/5.png")
    arguments = ["--config", "cifar10_classifier", "--data", str(tmp_path / "train"), "--set", "data.kind=folder"]
    arguments += ["--set", f"data.validation_path={tmp_path / 'validation'}", "--set", "network.num_classes=2"]
    said = run_command(*arguments, command="check_training_data")
    train, twice, held_out, shared = said.splitlines()
    assert train.startswith("train: 12 images of 2 classes, 6 to 6 in a class")
    assert twice.endswith(f"{tmp_path}/train/cat/4.png = {tmp_path}/train/cat/3.png")
    assert held_out.startswith("validation: 12 images of 2 classes")
    assert "1 of them are training images too, pixel by pixel" in shared
    assert shared.endswith(f"{tmp_path}/validation/cat/5.png = {tmp_path}/train/cat/3.png")

    for side, path in enumerate((tmp_path / "validation" / "dog").iterdir(), 20):
        Image.new("RGB", (side, side)).save(path)
    errors = io.StringIO()
    with pytest.raises(CommandError, match=r"6 image\(s\) would stop the run"):
        call_command("check_training_data", *arguments, stdout=io.StringIO(), stderr=errors)
    (line,) = [line for line in errors.getvalue().splitlines() if "images, " in line]
    assert line.startswith("6 images, ")


@pytest.mark.django_db
def test_a_logged_run_is_exported_as_table_charts_and_events(preset, tmp_path):
    run_command("--config", preset, "--set", "run.validate_every=3")
    run = TrainingRun.objects.get(name="tiny")
    assert [row["iteration"] for row in run.curve if "validation_accuracy" in row] == [3, 6]
    assert (run.folder / "examples.png").is_file()
    assert "held out" in (run.folder / "curves.svg").read_text()

    said = run_command(
        "tiny", "--out", str(tmp_path / "out"), "--tensorboard", str(tmp_path / "tb"), command="export_curves"
    )
    assert str(tmp_path / "out" / "log.csv") in said
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "log.csv").read_text())))
    assert [bool(row["validation_loss"]) for row in rows] == [False, False, True] * 2
    (events,) = (tmp_path / "tb" / "tiny").glob("events.out.tfevents.*")
    content = events.read_bytes()
    assert b"loss/training" in content
    assert b"loss/validation" in content
    with pytest.raises(CommandError, match="no training run 'none'; known: tiny"):
        run_command("none", command="export_curves")


@pytest.mark.django_db
def test_data_check_and_presets_agree_on_images_smaller_than_the_network(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("RGB", (50, 90)).save(tmp_path / "images" / name / "1.png")
    arguments = ["--data", str(tmp_path / "images"), "--set", "network.num_classes=2"]
    arguments += ["--set", "data.validation_share=0"]
    said = run_command("--config", "adm64_classifier", *arguments, command="check_training_data")
    assert "0 that cannot be used, 0 left out" in said
    with pytest.raises(CommandError, match="2 image"):
        run_command(
            "--config", "adm64_classifier", *arguments, "--set", "data.upscale=false", command="check_training_data"
        )


@pytest.mark.django_db
def test_an_order_may_change_how_images_are_taken_in():
    order = {"name": "tiny", "preset": "digits_vanilla"}
    run_create(**order, changes={"data.corrupt": "refuse"})
    assert run_create(**order, changes={"data.upscale": True}).changes == {"data.upscale": True}
    with pytest.raises(ConfigError, match=r"was begun with data\.flip = False, asked for True"):
        run_create(**order, changes={"data.upscale": True, "data.flip": True})


@pytest.mark.django_db
@pytest.mark.parametrize("queue", [[], ["--queue"]])
def test_a_refused_setting_does_not_take_the_name_of_the_run(preset, queue):
    with pytest.raises(CommandError, match=r"optimizer\.batch_size is 0; it must be at least 1"):
        run_command("--config", preset, "--set", "optimizer.batch_size=0", *queue)
    assert not TrainingRun.objects.exists()
    run_command("--config", preset, *queue)


@pytest.mark.django_db
def test_a_file_that_was_edited_since_is_refused_by_what_differs(preset):
    run_command("--config", preset)
    path = Path(preset)
    path.write_text(path.read_text().replace("iterations = 6", "iterations = 9"))
    with pytest.raises(CommandError, match=r"run 'tiny' was begun with optimizer\.iterations = 6, asked for 9"):
        run_command("--config", preset)


@pytest.mark.django_db(transaction=True)
def test_workers_train_what_the_file_said_wherever_they_run(preset, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run_command("--config", Path(preset).name, "--queue")
    Path(preset).unlink()
    run = TrainingRun.objects.get()
    assert job_run(run.job.pk).state == "succeeded"
    run.refresh_from_db()
    assert run.config["optimizer"]["iterations"] == 6


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("more", "message"),
    [([], "tiny is being trained already"), (["--no-resume"], "is being trained by another process")],
)
def test_a_second_command_on_a_run_is_refused_and_changes_nothing(preset, more, message):
    run = run_create(name="tiny", preset=preset)
    TrainingRun.objects.update(state="running", iteration=3)
    with folder_locked(run.folder), pytest.raises(CommandError, match=message):
        run_command("--config", preset, *more)
    run.refresh_from_db()
    assert (run.state, run.iteration, run.error) == ("running", 3, "")


@pytest.mark.django_db
def test_a_run_whose_command_was_killed_does_not_read_running(preset):
    run = run_create(name="tiny", preset=preset)
    TrainingRun.objects.update(state="running")
    run.refresh_from_db()
    with folder_locked(run.folder):
        assert run.current_state == "running"
    assert run.current_state == "paused"


@pytest.mark.django_db
def test_a_finished_run_goes_on_where_it_was_and_records_by_how_much(preset, tmp_path):
    run_command("--config", preset)
    before = (tmp_path / "var/training/tiny/log.jsonl").read_text()
    assert "iteration 9" not in before

    run_command("--config", preset, "--extend", "3")
    run = TrainingRun.objects.get(name="tiny")
    assert (run.state, run.iteration, run.iterations) == ("finished", 9, 9)
    assert (tmp_path / "var/training/tiny/log.jsonl").read_text().startswith(before)
    card = load_network(run.folder / "last.safetensors").card
    assert card.provenance["iteration"] == 9
    assert (card.provenance["training"]["optimizer"]["iterations"], run.config["optimizer"]["extension"]) == (6, 3)
    # The order as it was is the run as it is; twice extended is extended by both.
    assert "trained already" in run_command("--config", preset)
    run_command("--config", preset, "--extend", "1")
    assert TrainingRun.objects.get(name="tiny").iteration == 10


@pytest.mark.django_db
@pytest.mark.parametrize(("by", "message"), [("0", "must be at least 1"), ("5", "run 'tiny' has not begun")])
def test_what_cannot_be_extended_is_refused(preset, by, message):
    with pytest.raises(CommandError, match=message):
        run_command("--config", preset, "--extend", by)


@pytest.mark.django_db
def test_a_run_begins_with_the_weights_of_a_checkpoint_and_its_cards_say_so(preset, tmp_path):
    run_command("--config", preset, "--name", "first")
    start = tmp_path / "var/training/first/last.safetensors"
    # A rate at which nothing moves: what comes out is what went in.
    still = ["--set", "optimizer.learning_rate=1e-12", "--set", "optimizer.iterations=1"]
    run_command("--config", preset, "--name", "second", "--init", str(start), *still)

    first, second = (load_network(tmp_path / f"var/training/{name}/last.safetensors") for name in ("first", "second"))
    for name, tensor in first.network.state_dict().items():
        torch.testing.assert_close(second.network.state_dict()[name], tensor, atol=1e-6, rtol=0)
    assert second.card.provenance["init"] == {
        "path": str(start),
        "sha256": first.card.sha256,
        "class_names": ["0", "1", "2"],
        "iteration": 6,
    }
    with pytest.raises(CommandError, match=r"whose network has channel_mult = \[1, 2\], this one \[1, 1\]"):
        run_command("--config", preset, "--name", "third", "--init", str(start), "--set", "network.channel_mult=[1, 1]")
    assert not TrainingRun.objects.filter(name="third").exists()


@pytest.mark.django_db
def test_a_start_with_the_classes_in_another_order_is_refused(preset, images, tmp_path):
    run_command("--config", preset, "--name", "first", "--set", 'data.classes={0="cat",1="dog",2="eel"}')
    start = str(tmp_path / "var/training/first/last.safetensors")
    with pytest.raises(CommandError, match="in another order: 0 is 'cat' there and 'dog' here"):
        run_command(
            "--config", preset, "--name", "second", "--init", start, "--set", 'data.classes={0="dog",1="cat",2="eel"}'
        )
