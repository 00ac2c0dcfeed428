import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion import files
from diffusion.checkpoints import load_network
from training.data.batches import Batch
from training.learning.config import config_from_dict
from training.learning.distributed import Processes
from training.learning.learner import Learner
from training.learning.loop import TrainingDiverged, train
from training.learning.meters import Meter
from training.learning.state import RunFolder, StateError

ROOT = Path(__file__).parents[3]
NETWORK = {
    "image_size": 8,
    "model_channels": 32,
    "channel_mult": [1, 2],
    "num_res_blocks": 1,
    "attention_resolutions": [4],
    "num_head_channels": 32,
    "num_classes": 3,
}


def config(path, *, task="classifier", network=None, optimizer=None, run=None, data=None, **rest):
    return config_from_dict(
        {
            "name": "tiny",
            "task": task,
            "network": {**NETWORK, **(network or {})},
            "data": {"kind": "npz", "path": str(path), "validation_share": 0.2, "crop": "none", "workers": 1}
            | (data or {}),
            "optimizer": {"iterations": 6, "batch_size": 8, "learning_rate": 1e-3, "weight_decay": 0.05}
            | (optimizer or {}),
            "run": {"log_every": 2, "save_every": 100, "seed": 3} | (run or {}),
            **rest,
        }
    )


ATTACK = {"norm": "l2", "epsilon": 1.0, "steps": 2, "step_rule": "cifar10"}
RUNS = {
    "vanilla": {"optimizer": {"anneal": True, "warmup": 2, "clip_norm": 1.0}},
    "robust": {"attack": {**ATTACK, "random_start": True}, "optimizer": {"ema_decay": 0.9}},
    "bfloat16": {"attack": ATTACK, "run": {"precision": "bfloat16"}},
    "float16": {"attack": ATTACK, "run": {"precision": "float16"}, "optimizer": {"clip_norm": 1.0}},
    "robust dropout": {"attack": ATTACK, "network": {"dropout": 0.2}},
    "dropout": {"network": {"dropout": 0.2}, "optimizer": {"microbatch": 3}},
    "clean": {"noised": False},
    "importance": {"timestep_sampler": "loss_second_moment", "schedule": {"name": "cosine", "timesteps": 3}},
    "denoiser": {"task": "denoiser", "optimizer": {"ema_decay": 0.9}},
    "label dropout": {"task": "denoiser", "label_dropout": 0.5, "network": {"num_classes": 4}},
}


def weights(path):
    return load_network(path).network.state_dict()


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


@pytest.mark.parametrize("name", RUNS)
def test_interrupted_run_continues_with_the_same_bits(name, images, tmp_path):
    settings = config(images, **RUNS[name])
    whole = train(settings, out_dir=tmp_path / "whole")

    asked = []
    first = train(settings, out_dir=tmp_path / "parts", should_stop=lambda: len(asked) == 2 or asked.append(None))
    second = train(settings, out_dir=tmp_path / "parts", max_seconds=0)
    last = train(settings, out_dir=tmp_path / "parts")

    assert [r.state for r in (first, second, last)] == ["paused", "paused", "finished"]
    assert [r.iteration for r in (first, second, last)] == [3, 4, 6]
    assert_equal(weights(whole.checkpoint), weights(last.checkpoint))
    states = [torch.load(tmp_path / run / "state.pt", weights_only=True) for run in ("whole", "parts")]
    for part in ("network", "averaged"):
        if states[0][part] is not None:
            assert_equal(*(state[part] for state in states))
    moments = [[entry["exp_avg_sq"] for entry in state["optimizer"]["state"].values()] for state in states]
    assert all(torch.equal(a, b) for a, b in zip(*moments, strict=True))
    assert whole.metrics == last.metrics


def test_finished_run_is_not_trained_again(images, tmp_path):
    settings = config(images)
    first = train(settings, out_dir=tmp_path / "run")
    before = first.checkpoint.stat().st_mtime_ns

    again = train(settings, out_dir=tmp_path / "run")

    assert (again.state, again.iteration, again.metrics) == ("finished", 6, first.metrics)
    assert first.checkpoint.stat().st_mtime_ns == before


def test_loss_falls_and_the_card_says_how_it_was_trained(images, tmp_path):
    seen = []
    settings = config(images, optimizer={"iterations": 40}, run={"log_every": 10}, schedule={"timesteps": 100})

    result = train(settings, out_dir=tmp_path / "run", on_progress=seen.append)

    *rows, held_out = [progress for progress in seen if progress.is_row]
    assert (held_out.iteration, "validation_loss" in held_out.metrics, "loss" in held_out.metrics) == (40, True, False)
    losses = [progress.metrics["loss"] for progress in rows]
    assert [progress.iteration for progress in rows] == [10, 20, 30, 40]
    assert (seen[0].iteration, seen[0].is_row, seen[0].metrics) == (1, False, {}), "who watches need not wait for a row"
    assert losses[-1] < 0.8 * losses[0]
    assert seen[-1].seconds_left == 0
    assert "loss" in str(seen[-1])
    card = load_network(result.checkpoint).card
    assert card.class_names == ("0", "1", "2")
    assert (card.schedule["name"], card.schedule["timesteps"]) == ("linear", 100)
    assert card.metrics == result.metrics
    assert card.provenance["iteration"] == 40
    assert config_from_dict(card.provenance["training"]) == settings
    assert load_network(result.best).card.metrics["accuracy"] <= 1


def test_robust_run_logs_clean_accuracy_and_active_share_by_band(images, tmp_path):
    train(config(images, attack=ATTACK, run={"log_every": 6}), out_dir=tmp_path / "run")

    row, validation = (json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines())

    for name in ("clean_accuracy", "active_share", "accuracy", "loss"):
        assert len(row[f"{name}_by_band"]) == 4
    assert row["active_share"] <= row["clean_accuracy"]
    assert validation["validation_robust_accuracy"] <= validation["validation_accuracy"]


def test_golden_loss_curve(images, tmp_path):
    losses = []
    settings = config(images, attack=ATTACK, run={"log_every": 1})

    def note(progress):
        if progress.is_row and "loss" in progress.metrics:
            losses.append(progress.metrics["loss"])

    train(settings, out_dir=tmp_path / "run", on_progress=note)

    assert losses == pytest.approx(GOLDEN, abs=2e-3)


# float32 on a CPU, seed 3.
GOLDEN = [1.11632, 1.12369, 1.07196, 1.16908, 1.1283, 1.07812]


def gradients(run):
    """Return the first gradients of a run of one iteration: AdamW's first moment is a tenth of them."""
    state = torch.load(run / "state.pt", weights_only=True)
    return {index: 10 * entry["exp_avg"] for index, entry in state["optimizer"]["state"].items()}


def assert_gradients_equal(one, other):
    largest = max(gradient.abs().max().item() for gradient in one.values())
    assert largest > 1e-3
    for index, gradient in one.items():
        torch.testing.assert_close(other[index], gradient, rtol=0, atol=1e-5 * largest, msg=str(index))


def test_microbatches_add_up_to_the_batch(images, tmp_path):
    train(config(images, optimizer={"iterations": 1}), out_dir=tmp_path / "whole")
    train(config(images, optimizer={"iterations": 1, "microbatch": 3}), out_dir=tmp_path / "parts")

    assert_gradients_equal(gradients(tmp_path / "whole"), gradients(tmp_path / "parts"))


DRAWS = {
    "dropout": {"network": {"dropout": 0.5}},
    "random start": {"attack": {**ATTACK, "random_start": True}},
    "linf start and targets": {"attack": {**ATTACK, "norm": "linf", "random_start": True, "targeted": True}},
    "robust dropout": {"attack": ATTACK, "network": {"dropout": 0.5}},
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_belong_to_samples_whatever_the_microbatch(name, images, tmp_path):
    for size in (0, 3, 1):
        settings = config(images, **DRAWS[name], optimizer={"iterations": 1, "microbatch": size})
        train(settings, out_dir=tmp_path / str(size))
    whole = gradients(tmp_path / "0")
    for size in (3, 1):
        assert_gradients_equal(whole, gradients(tmp_path / str(size)))


def test_importance_sampling_remembers_losses_in_the_order_of_samples(images, tmp_path):
    states = []
    for size in (0, 3, 1):
        settings = config(
            images, **RUNS["importance"], optimizer={"iterations": 1, "batch_size": 40, "microbatch": size}
        )
        train(settings, out_dir=tmp_path / str(size))
        states.append(torch.load(tmp_path / str(size) / "state.pt", weights_only=True)["timesteps"])
    for state in states[1:]:
        assert torch.equal(state["counts"], states[0]["counts"])
        torch.testing.assert_close(state["losses"], states[0]["losses"], rtol=1e-5, atol=1e-6)


def run_processes(count, script, *arguments):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    base = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    started = [
        subprocess.Popen(
            command, env={**base, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE
        )
        for rank in range(count)
    ]
    for process in started:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors.decode()[-2000:]


SCRIPT = """
import json, sys, torch
from training.learning.config import config_from_dict
from training.learning.loop import train
torch.set_num_threads(1)
train(config_from_dict(json.loads(sys.argv[1])), out_dir=sys.argv[2])
"""


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_batches(images, tmp_path):
    # One update is compared by its gradients: AdamW's division by their size would amplify rounding.
    drawn = {"attack": {**ATTACK, "random_start": True}, "network": {"dropout": 0.5}}
    settings = config(images, **drawn, optimizer={"iterations": 1, "ema_decay": 0.9}, run={"log_every": 1})
    train(settings, out_dir=tmp_path / "alone")

    run_processes(2, SCRIPT, json.dumps(settings.to_dict()), tmp_path / "two")

    assert_gradients_equal(gradients(tmp_path / "alone"), gradients(tmp_path / "two"))
    rows = [RunFolder(tmp_path / run).read_log() for run in ("alone", "two")]
    assert [row.keys() for row in rows[0]] == [row.keys() for row in rows[1]]
    for one, two in zip(*rows, strict=True):
        for name in ("loss", "clean_accuracy", "active_share", "validation_robust_accuracy"):
            assert one.get(name, 0) == pytest.approx(two.get(name, 0), abs=1e-4)


def test_loss_that_is_not_a_number_stops_and_names_the_last_good_checkpoint(images, tmp_path):
    train(config(images, run={"save_every": 2}), out_dir=tmp_path / "run", max_seconds=0)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    state["network"]["out.2.c_proj.bias"][0] = math.nan
    torch.save(state, tmp_path / "run" / "state.pt")
    before = (tmp_path / "run" / "last.safetensors").read_bytes()

    with pytest.raises(TrainingDiverged, match=r"last good checkpoint is .*last\.safetensors"):
        train(config(images, run={"save_every": 2}), out_dir=tmp_path / "run")
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before


def test_weights_that_are_no_numbers_are_never_saved(images, tmp_path, monkeypatch):
    settings = config(images, run={"save_every": 1, "log_every": 100})
    train(settings, out_dir=tmp_path / "run", max_seconds=0)
    before = (tmp_path / "run" / "last.safetensors").read_bytes()

    def overflow(self, *_):
        self.param_groups[0]["params"][0].data.fill_(math.inf)

    monkeypatch.setattr(torch.optim.AdamW, "step", overflow)
    with pytest.raises(TrainingDiverged, match=r"weights are not numbers at iteration 2; the last good checkpoint is"):
        train(settings, out_dir=tmp_path / "run")
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before


def test_other_settings_are_refused_by_name(images, tmp_path):
    train(config(images), out_dir=tmp_path / "run", max_seconds=0)

    with pytest.raises(StateError, match=r"optimizer\.learning_rate = 0\.001, asked for 0\.01"):
        train(config(images, optimizer={"learning_rate": 1e-2}), out_dir=tmp_path / "run")
    fresh = train(config(images, optimizer={"learning_rate": 1e-2}), out_dir=tmp_path / "run", resume=False)
    assert fresh.iteration == 6


def test_a_run_goes_on_with_another_way_to_take_images_in_and_from_another_place(images, tmp_path):
    train(config(images), out_dir=tmp_path / "whole")
    train(config(images), out_dir=tmp_path / "run", max_seconds=0)
    moved = tmp_path / "disk" / "same.npz"
    moved.parent.mkdir()
    moved.write_bytes(Path(images).read_bytes())
    changed = config(moved, data={"upscale": True, "corrupt": "skip", "workers": 0})
    assert train(changed, out_dir=tmp_path / "run").state == "finished"
    ours, whole = (load_network(tmp_path / name / "last.safetensors").network.state_dict() for name in ("run", "whole"))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in ours.items())


def test_a_run_does_not_go_on_with_other_images(images, tmp_path):
    train(config(images), out_dir=tmp_path / "run", max_seconds=0)
    with np.load(images) as arrays:
        other = {name: arrays[name] for name in arrays.files}
    np.savez(images, **{name: array[:-1] for name, array in other.items()})
    with pytest.raises(StateError, match="a run on other images"):
        train(config(images), out_dir=tmp_path / "run")


def test_damaged_state_is_refused(images, tmp_path):
    train(config(images), out_dir=tmp_path / "run", max_seconds=0)
    path = tmp_path / "run" / "state.pt"
    path.write_bytes(path.read_bytes()[:500])

    with pytest.raises(StateError, match=r"state\.pt is damaged"):
        train(config(images), out_dir=tmp_path / "run")


def test_full_disk_keeps_the_last_good_state(images, tmp_path, monkeypatch):
    train(config(images), out_dir=tmp_path / "run", max_seconds=0)
    before = (tmp_path / "run" / "state.pt").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            train(config(images), out_dir=tmp_path / "run")
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
    assert train(config(images), out_dir=tmp_path / "run").iteration == 6


def test_dropped_labels_train_the_last_label_and_leave_room_for_it(images, tmp_path):
    def rows(share):
        network = {"num_classes": 4, "out_channels": 6}
        settings = config(images, task="denoiser", network=network, label_dropout=share)
        learner = Learner(settings, Processes(0, 1, torch.device("cpu")))
        seen = []
        learner.parallel = lambda x, t, y: seen.append(y) or learner.network(x, t, y)
        numbers = np.arange(400)
        x = torch.zeros(400, 3, 8, 8)
        learner.step(
            Batch(x, torch.from_numpy(numbers % 3), torch.ones_like(x), numbers), Meter(1000, learner.processes)
        )
        return seen[0]

    assert torch.equal(rows(0.0), torch.arange(400) % 3)
    dropped = rows(0.25) == 3
    assert 0.18 < dropped.float().mean() < 0.32
    assert torch.equal(rows(0.25)[~dropped], (torch.arange(400) % 3)[~dropped])
    assert (rows(0.5) == 3)[dropped].all(), "a label dropped at one rate is dropped at every higher one"
    with pytest.raises(ValueError, match=r"set network\.num_classes = 4 \(the last label is \"no class\""):
        train(config(images, task="denoiser", label_dropout=0.1), out_dir=tmp_path / "run")


def test_number_of_classes_must_fit_the_data(images, tmp_path):
    with pytest.raises(ValueError, match=r"the data has 3 classes, the network 5; set network\.num_classes = 3"):
        train(config(images, network={"num_classes": 5}), out_dir=tmp_path / "run")


def test_a_denoiser_leaves_samples_and_every_run_its_curves_and_images(images, tmp_path):
    rows = []
    settings = config(images, task="denoiser", run={"validate_every": 3}, schedule={"name": "cosine", "timesteps": 20})
    train(settings, out_dir=tmp_path / "run", on_progress=lambda made: rows.append(made) if made.is_row else None)
    assert sorted(path.name for path in (tmp_path / "run" / "samples").iterdir()) == ["00000003.png", "00000006.png"]
    assert {"examples.png", "log.csv", "curves.svg"} <= {path.name for path in (tmp_path / "run").iterdir()}
    held_out = [(row.iteration, row.measured) for row in rows if "validation_loss" in row.metrics]
    assert [iteration for iteration, _ in held_out] == [3, 6]
    assert held_out[0][1].startswith("held out: loss ")
    # Started afresh, a folder shows nothing of the run before.
    train(config(images, optimizer={"iterations": 1}), out_dir=tmp_path / "run", resume=False)
    assert not (tmp_path / "run" / "samples").exists()
