from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from django.core.management import call_command
from django.core.management.base import CommandError

from diffusion.checkpoints import read_checkpoint
from diffusion.classifier import classifier_gradient
from diffusion.schedule import NoiseSchedule
from tests.training.networks import tiny_classifier
from training.attack.config import AttackConfig
from training.attack.pgd import is_among_top, pgd
from training.evaluation.by_timestep import calibration, evaluate_classifier, table
from training.evaluation.chart import figure_svg
from training.evaluation.config import EvaluationConfig, attack_name
from training.learning.validation import classifier_measures, clean_images, noised_images

SCHEDULE = NoiseSchedule.named("linear")


def images(count=24):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, 8, 8, generator=generator) * 2 - 1, torch.arange(count) % 4


def test_every_band_is_met_alike_and_the_same_for_the_same_seed():
    x, y = images()
    first, second = (noised_images(x, y, SCHEDULE, draws=2, seed=5) for _ in range(2))

    assert torch.equal(first.x_t, second.x_t)
    assert torch.bincount(first.t * 4 // 1000).tolist() == [12, 12, 12, 12]
    assert not torch.equal(first.x_t, noised_images(x, y, SCHEDULE, draws=2, seed=6).x_t)


def test_stronger_attacks_leave_less_accuracy():
    network = tiny_classifier()
    x, _ = images()
    with torch.no_grad():
        y = network(x, torch.zeros(len(x), dtype=torch.long)).argmax(-1)
    config = EvaluationConfig(epsilons=(0.05, 2.0), attack_steps=(5,), draws=1)

    results = evaluate_classifier(network, x, y, SCHEDULE, config)

    clean, weak, strong = results["clean"]["accuracy"], *(a["robust_accuracy"] for a in results["attacks"])
    assert clean >= weak >= strong
    assert clean > strong
    assert [attack["robust_top5_accuracy"] for attack in results["attacks"]] == [1.0, 1.0]  # of four classes
    assert results["bands"] == ["0-249", "250-499", "500-749", "750-999"]
    rows = list(csv.reader(io.StringIO(table(results))))
    attacked = ["robust_accuracy", "robust_top5_accuracy"]
    assert [row[0] for row in rows] == [
        "measure",
        "accuracy",
        "top5_accuracy",
        "loss",
        *attacked * 2,
        "expected_calibration_error",
    ]
    assert len({len(row) for row in rows}) == 1
    assert figure_svg(results).count("<rect") == 2 * 12


def test_restarts_can_only_lower_robust_accuracy():
    network = tiny_classifier()
    x, y = images(12)
    found = [
        evaluate_classifier(
            network, x, y, SCHEDULE, EvaluationConfig(epsilons=(0.5,), attack_steps=(2,), restarts=restarts, draws=1)
        )["attacks"][0]["robust_accuracy"]
        for restarts in (2, 4)
    ]
    assert found[1] <= found[0]


def test_auto_pgd_is_measured_beside_pgd_and_all_attacks_together():
    network = tiny_classifier(num_classes=6)
    x, _ = images(16)
    with torch.no_grad():
        y = network(x, torch.zeros(len(x), dtype=torch.long)).argmax(-1)
    outcomes: dict[str, np.ndarray] = {}
    told = []
    config = EvaluationConfig(
        epsilons=(0.2, 0.5), methods=("pgd", "apgd-ce", "apgd-t"), attack_steps=(4,), draws=1, batch_size=7
    )
    options = {"outcomes": outcomes, "on_progress": lambda *now: told.append(now)}

    results = evaluate_classifier(network, x, y, SCHEDULE, config, **options)

    methods = ["pgd", "apgd-ce", "apgd-t", "all"]
    assert [(a["epsilon"], a["attack"]) for a in results["attacks"]] == [(e, m) for e in (0.2, 0.5) for m in methods]
    for first in (0, 4):
        *single, together = results["attacks"][first : first + 4]
        assert together["robust_accuracy"] <= min(a["robust_accuracy"] for a in single) <= results["clean"]["accuracy"]
        assert together["steps"] is None
    names = [attack_name(a) for a in results["attacks"]]
    assert names[4:] == [
        "l2 0.5, 4 steps",
        "APGD-CE l2 0.5, 4 steps",
        "APGD-T l2 0.5, 4 steps",
        "all attacks, l2 0.5",
    ]
    withstood = np.all([outcomes[name] == 1 for name in names[4:7]], axis=0)[~np.isnan(outcomes["accuracy"])]
    assert results["attacks"][7]["robust_accuracy"] == pytest.approx(withstood.mean())
    shares = [done / total for _, done, total in told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    rows = list(csv.reader(io.StringIO(table(results))))
    assert len({len(row) for row in rows}) == 1
    assert [row[5] for row in rows if row[0] == "robust_accuracy"] == methods * 2
    assert "APGD-T l2 0.5, 4 steps" in figure_svg(results)
    # Keyed by image: neither the batches nor what else is measured moves a start.
    alone = EvaluationConfig(epsilons=(0.5,), methods=("apgd-t",), attack_steps=(4,), draws=1, batch_size=16)
    (again,) = evaluate_classifier(network, x, y, SCHEDULE, alone)["attacks"]
    assert again["robust_accuracy"] == results["attacks"][6]["robust_accuracy"]


def test_the_work_left_is_told_within_a_fifth_of_the_whole():
    network = tiny_classifier(num_classes=4)
    x, _ = images(48)
    with torch.no_grad():
        y = network(x, torch.zeros(len(x), dtype=torch.long)).argmax(-1)
    passes, told = [0], []

    def counted(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        # There and back again where a gradient is asked for.
        passes[0] += len(x_t) * (2 if x_t.requires_grad else 1)
        return network(x_t, t)

    config = EvaluationConfig(
        epsilons=(2.0,), methods=("pgd", "apgd-ce", "apgd-t"), attack_steps=(10,), draws=1, batch_size=8
    )
    evaluate_classifier(
        counted, x, y, SCHEDULE, config, on_progress=lambda what, done, total: told.append((done / total, passes[0]))
    )
    whole = told[-1][1]
    late = [(share, done) for share, done in told if 0.5 < done / whole < 0.95]
    assert len(late) > 5
    for share, done in late:
        assert done * (1 - share) / share == pytest.approx(whole - done, abs=0.2 * whole)


def test_usual_steps_are_those_of_the_method():
    config = EvaluationConfig(methods=("pgd", "apgd-ce"))
    assert [attack.steps for attack in config.attacks] == [20, 100]


def test_evaluations_of_before_are_still_tabled():
    results = evaluate_classifier(tiny_classifier(), *images(8), SCHEDULE, EvaluationConfig(attack_steps=(1,), draws=1))
    for found in results["attacks"]:
        del found["attack"]
    assert "robust_accuracy,l2,0.5,1,1,pgd" in table(results)
    assert "accuracy, l2 0.5, 1 steps" in figure_svg(results)


def overtaking_classes(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Logits of 7 classes by the first value of an image: class i > 0 is ahead of class 0 from i / 5 - 0.1 on."""
    places = x.flatten(1)[:, :1] - torch.arange(1, 7) / 5 + 0.1
    return torch.cat([torch.zeros_like(x.flatten(1)[:, :1]), 10 * places], dim=1)


@pytest.mark.parametrize(("epsilon", "expected"), [(0.05, 1.0), (0.8, 1.0), (1.0, 0.0)])
def test_top5_under_attack_is_that_of_an_attack_which_goes_on_until_five_classes_are_ahead(epsilon, expected):
    x, y = torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    config = AttackConfig(epsilon=epsilon, steps=20, step_rule="cifar10")

    found = classifier_measures(
        overtaking_classes, clean_images(x, y), SCHEDULE, attack_config=config, with_top5=True, bands=1
    )

    assert found["robust_top5_accuracy"] == expected
    assert found["robust_accuracy"] == float(epsilon < 0.1)
    # The attack on the first place stops at the first class that is ahead: its images would flatter the top 5.
    stopped = pgd(overtaking_classes, x, y, y, norm="l2", epsilon=epsilon, step_size=epsilon / 8, steps=20).x_adv
    assert is_among_top(overtaking_classes(stopped, y), y, 5).all()


def test_measuring_the_top5_leaves_the_top1_figures_as_they_are():
    network = tiny_classifier(num_classes=8)
    x, _ = images(16)
    with torch.no_grad():
        y = network(x, torch.zeros(len(x), dtype=torch.long)).argmax(-1)
    config = AttackConfig(epsilon=0.4, steps=3, random_start=True)
    noised = clean_images(x, y)

    alone, both = (
        classifier_measures(
            network, noised, SCHEDULE, attack_config=config, restarts=3, batch_size=5, with_top5=with_top5
        )
        for with_top5 in (False, True)
    )

    assert {name: both[name] for name in alone} == alone
    assert both.keys() - alone.keys() == {"robust_top5_accuracy", "robust_top5_accuracy_by_band"}
    assert both["robust_accuracy"] < both["robust_top5_accuracy"] <= both["top5_accuracy"]


def test_batches_move_no_random_start():
    seen: dict[int, torch.Tensor] = {}
    x, y = images(12)
    config = AttackConfig(epsilon=0.4, steps=1, random_start=True)
    for batch_size in (1, 5, 12):
        given: list[torch.Tensor] = []

        def network(x_t: torch.Tensor, t: torch.Tensor, given: list[torch.Tensor] = given) -> torch.Tensor:
            given.append(x_t.detach())
            return x_t.flatten(1)[:, :10] * 0.01

        classifier_measures(network, clean_images(x, y), SCHEDULE, attack_config=config, batch_size=batch_size)
        # Of each batch: the images, the start that is attacked, where it led.
        seen[batch_size] = torch.cat(given[1::3])
    assert torch.equal(seen[1], seen[12])
    assert torch.equal(seen[5], seen[12])
    assert not torch.equal(seen[12], x)
    assert not torch.allclose(seen[12][0] - x[0], seen[12][1] - x[1])


def test_calibration_against_hand_computed_bins():
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    y = torch.tensor([0, 1, 0, 1])

    found = calibration(
        lambda x, t: probabilities.log(), clean_images(torch.zeros(4, 3, 2, 2), y), SCHEDULE, bins=10, batch_size=4
    )

    counts = [row["count"] for row in found["bins"]]
    assert sorted(counts) == [1, 1, 2]
    # Gaps: 0.9 against 0.5 for two images, 0.6 and 0.7 against 1 for one each.
    assert found["expected_calibration_error"] == pytest.approx((2 * 0.4 + 0.4 + 0.3) / 4, abs=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_are_compared_with_the_denoisers_class_score_in_every_band(sign):
    network = tiny_classifier()
    x, y = images()

    def conditional(x_t, t, y):
        """A denoiser whose class score is the classifier's own, or its opposite."""
        gradient = classifier_gradient(network, x_t, t, y)
        return -sign * SCHEDULE.at("sqrt_one_minus_alphas_cumprod", t, x_t) * gradient

    config = EvaluationConfig(epsilons=(), draws=1, bands=4, batch_size=7)
    denoisers = (conditional, lambda x_t, t: torch.zeros_like(x_t))
    results = evaluate_classifier(network, x, y, SCHEDULE, config, denoisers=denoisers)

    rows = results["gradient_alignment"]
    assert [row["n"] for row in rows] == [24] * 4
    for band, row in enumerate(rows):
        assert 250 * band <= row["first_timestep"] <= row["last_timestep"] < 250 * (band + 1)
        assert row["cosine"] == pytest.approx(sign, abs=1e-4)
        assert row["scale"] == pytest.approx(sign, rel=1e-3)
        assert row["relative_error"] == pytest.approx(0.0, abs=1e-4)
    lines = [line.split(",")[0] for line in table(results).splitlines()]
    assert lines[-3:] == ["gradient_cosine", "gradient_relative_error", "expected_calibration_error"]
    figure = ElementTree.fromstring(figure_svg(results))
    assert len(figure.findall(".//{*}rect")) == 12
    assert all(float(bar.get("height")) >= 0 for bar in figure.findall(".//{*}rect"))


@pytest.mark.parametrize(
    "change", [{"attack_steps": (20, 0)}, {"restarts": 0}, {"epsilons": (-1.0,)}, {"methods": ("fgsm",)}]
)
def test_bad_settings_are_refused(change):
    with pytest.raises(ValueError, match=r"must be"):
        EvaluationConfig(**change)


@pytest.mark.django_db
def test_command_measures_a_trained_checkpoint(preset, settings, tmp_path):
    settings.DATA_DIR, settings.TORCH_DEVICE = tmp_path / "var", "cpu"
    out = io.StringIO()
    call_command("train_classifier", "--config", preset, stdout=io.StringIO(), stderr=io.StringIO())
    checkpoint = tmp_path / "var" / "training" / "tiny" / "last.safetensors"

    steps = ["--steps", "2", "--steps", "4"]
    call_command("evaluate_classifier", str(checkpoint), *steps, "--out", str(tmp_path / "out"), stdout=out)

    results = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert results["images"] == 12
    assert [(attack["epsilon"], attack["steps"]) for attack in results["attacks"]] == [(1.0, 2), (1.0, 4)]
    assert "robust_accuracy,l2,1.0,2,1,pgd," in out.getvalue()
    assert (tmp_path / "out" / "evaluation.svg").read_text().startswith("<svg")
    call_command(
        "evaluate_classifier", str(checkpoint), "--attack", "apgd-ce", "--steps", "3", "--out", str(tmp_path / "auto")
    )
    (auto,) = json.loads((tmp_path / "auto" / "evaluation.json").read_text())["attacks"]
    assert (auto["attack"], auto["steps"]) == ("apgd-ce", 3)
    with pytest.raises(CommandError, match="3 classes; the targeted loss of APGD needs 4 or more: use apgd-ce"):
        call_command("evaluate_classifier", str(checkpoint), "--attack", "apgd-t")
    with pytest.raises(CommandError, match="no checkpoint at"):
        call_command("evaluate_classifier", str(tmp_path / "none.safetensors"))
    foreign = tmp_path / "model.pth.tar"
    torch.save({"state_dict": {f"module.{k}": v for k, v in read_checkpoint(checkpoint)[0].items()}}, foreign)
    with pytest.raises(CommandError, match="give its config"):
        call_command("evaluate_classifier", str(foreign))
    call_command("evaluate_classifier", str(foreign), "--config", preset, *steps, "--out", str(tmp_path / "theirs"))
    theirs = json.loads((tmp_path / "theirs" / "evaluation.json").read_text())
    assert theirs["attacks"] == results["attacks"]


def train_denoiser(preset, name, *changes):
    """Train a denoiser of the preset's images for an iteration; return its weights' path."""
    network = {"image_size": 8, "model_channels": 32, "channel_mult": [1, 2], "num_res_blocks": 1, "num_heads": 1}
    given = ["task=denoiser", f"network={json.dumps(network).replace(':', '=')}", "optimizer.iterations=1", *changes]
    options = [option for change in given for option in ("--set", change)]
    text = Path(preset).read_text().partition("[attack]")[0] + "\n[run]\nsave_every = 2\n"
    path = Path(preset).with_name(f"{name}.toml")
    path.write_text(text.replace('name = "tiny"', f'name = "{name}"'))
    call_command("train_denoiser", "--config", str(path), *options, stdout=io.StringIO(), stderr=io.StringIO())
    return str(Path(preset).parent / "var" / "training" / name / "last.safetensors")


@pytest.mark.django_db
def test_command_compares_gradients_with_a_denoiser(preset, settings, tmp_path):
    settings.DATA_DIR, settings.TORCH_DEVICE = tmp_path / "var", "cpu"
    call_command("train_classifier", "--config", preset, stdout=io.StringIO(), stderr=io.StringIO())
    checkpoint = str(tmp_path / "var" / "training" / "tiny" / "last.safetensors")
    both = train_denoiser(preset, "both", "network.num_classes=4", "label_dropout=0.5")
    conditional = train_denoiser(preset, "conditional", "network.num_classes=3")
    plain = train_denoiser(preset, "plain")
    short = train_denoiser(preset, "short", "network.num_classes=3", "schedule.timesteps=100")

    def evaluate(*options):
        out = str(tmp_path / "out")
        common = ["--steps", "1", "--bands", "2", "--out", out]
        call_command("evaluate_classifier", checkpoint, *common, *options, stdout=io.StringIO())
        return json.loads((tmp_path / "out" / "evaluation.json").read_text())["gradient_alignment"]

    assert evaluate() is None
    for options in (["--denoiser", both], ["--denoiser", conditional, "--unconditional", plain]):
        assert [row["n"] for row in evaluate(*options)] == [12, 12]
    for options, message in [
        (["--denoiser", conditional], "has no label for 'no class'"),
        (["--denoiser", plain], "is no class-conditional denoiser"),
        (["--denoiser", checkpoint], "is no class-conditional denoiser"),
        (["--denoiser", conditional, "--unconditional", both], "is no denoiser without classes"),
        (["--unconditional", plain], "only used beside --denoiser"),
        (["--denoiser", short, "--unconditional", plain], r"schedule\.timesteps = 100, the classifier with 1000"),
    ]:
        with pytest.raises(CommandError, match=message):
            evaluate(*options)
