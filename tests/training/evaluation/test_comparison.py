"""Differences of classifiers on the same images: paired, and right against a closed form."""

import csv
import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from django.core.management import call_command
from django.core.management.base import CommandError
from scipy import stats

from diffusion.checkpoints import load_network, save_network
from diffusion.classifier import classifier_gradient
from diffusion.schedule import NoiseSchedule
from tests.training.networks import tiny_batch, tiny_classifier
from training.evaluation.by_timestep import evaluate_classifier
from training.evaluation.chart import comparison_svg
from training.evaluation.comparison import differences
from training.evaluation.config import EvaluationConfig

SCHEDULE = NoiseSchedule.named("linear")


def test_a_difference_is_that_of_the_same_images():
    rng = np.random.default_rng(0)
    hard = rng.random((50, 1)) < 0.5
    first = np.where(hard, 0.0, 1.0) * np.ones((50, 4))
    second = np.where(rng.random((50, 4)) < 0.1, 1.0, first)
    (found,) = differences({"first": {"accuracy": first}, "second": {"accuracy": second}})

    expected = stats.ttest_rel(second.mean(1), first.mean(1)).confidence_interval()
    assert found["all"]["estimate"] == pytest.approx(second.mean() - first.mean())
    assert found["all"]["ci95"] == pytest.approx([expected.low, expected.high])
    assert (found["classifier"], found["baseline"], found["measure"]) == ("second", "first", "accuracy")
    # What is hard for both cancels: the interval is far narrower than that of two samples.
    apart = stats.ttest_ind(second.mean(1), first.mean(1)).confidence_interval()
    assert expected.high - expected.low < 0.5 * (apart.high - apart.low)


def test_equal_outcomes_have_a_difference_and_no_interval():
    (found,) = differences({"a": {"accuracy": np.ones((5, 2))}, "b": {"accuracy": np.ones((5, 2))}})
    assert (found["all"]["estimate"], found["all"]["ci95"]) == (0.0, None)
    assert "no spread" in found["all"]["reason"]


def test_outcomes_are_those_behind_the_accuracies():
    network = tiny_classifier()
    x, y, _ = tiny_batch(10)
    outcomes: dict[str, np.ndarray] = {}
    told = []
    config = EvaluationConfig(epsilons=(0.1,), attack_steps=(2,), draws=4, batch_size=7)
    results = evaluate_classifier(
        network, x, y, SCHEDULE, config, outcomes=outcomes, on_progress=lambda *now: told.append(now)
    )
    assert set(outcomes) == {"accuracy", "l2 0.1, 2 steps", "confidence"}
    assert outcomes["accuracy"].mean(0) == pytest.approx(results["clean"]["accuracy_by_band"])
    assert outcomes["l2 0.1, 2 steps"].mean() == pytest.approx(results["attacks"][0]["robust_accuracy"])
    shares = [done / total for _, done, total in told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    # Four passes of the attack and one to look, against one on clean images.
    assert told[6][1] == pytest.approx(40 / 6)


def calibration_of(rng, images, *, sure):
    """Return confidences and outcomes (N, 4) of two classifiers: one as right as it thinks, one surer by `sure`."""
    chance = rng.uniform(0.5, 0.95, (images, 4))
    right = (rng.random((images, 4)) < chance).astype(float)
    return {
        "plain": {"accuracy": right, "confidence": chance},
        "sure": {"accuracy": right, "confidence": np.minimum(chance + sure, 1.0)},
    }


def test_calibration_is_compared_by_a_paired_bootstrap():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(60):
        *_, entry = differences(calibration_of(rng, 150, sure=0.1))
        assert entry["measure"] == "expected_calibration_error"
        assert len(entry["by_band"]) == 4
        found.append(entry["all"])
    estimates = np.array([one["estimate"] for one in found])
    half = np.mean([one["ci95"][1] - one["estimate"] for one in found])
    # The interval is as wide as the difference varies from set to set.
    assert half == pytest.approx(1.96 * estimates.std(ddof=1), rel=0.25)
    assert 0.0 < estimates.mean() < 0.1


def test_equally_calibrated_classifiers_differ_by_nothing():
    one = calibration_of(np.random.default_rng(0), 40, sure=0.0)["plain"]
    *_, entry = differences({"a": one, "b": one})
    assert (entry["all"]["estimate"], entry["all"]["ci95"]) == (0.0, None)
    assert "no spread" in entry["all"]["reason"]


def test_gradients_are_compared_on_the_same_images_and_noise():
    x, y, _ = tiny_batch(12)
    networks = {"first": tiny_classifier(), "second": tiny_classifier(1)}

    def conditional(x_t, t, y):
        """A denoiser whose class score is the first classifier's own."""
        scale = SCHEDULE.at("sqrt_one_minus_alphas_cumprod", t, x_t)
        return -scale * classifier_gradient(networks["first"], x_t, t, y)

    config = EvaluationConfig(epsilons=(), batch_size=5)
    denoisers = (conditional, lambda x_t, t: torch.zeros_like(x_t))
    outcomes: dict[str, dict] = {name: {} for name in networks}
    results = {
        name: evaluate_classifier(network, x, y, SCHEDULE, config, denoisers=denoisers, outcomes=outcomes[name])
        for name, network in networks.items()
    }
    entry = next(entry for entry in differences(outcomes) if entry["measure"] == "gradient_cosine")
    means = {name: [row["cosine"] for row in one["gradient_alignment"]] for name, one in results.items()}
    assert [part["n"] for part in entry["by_band"]] == [12] * 4
    for band, part in enumerate(entry["by_band"]):
        assert part["estimate"] == pytest.approx(means["second"][band] - means["first"][band])
        expected = stats.ttest_1samp(outcomes["second"]["gradient_cosine"][:, band] - 1.0, 0.0).confidence_interval()
        assert part["ci95"] == pytest.approx([expected.low, expected.high], abs=1e-3)
    figure = comparison_svg(results, differences(outcomes))
    assert "second less first: gradient cosine, 95 % interval over images" in figure


def test_a_classifier_of_clean_images_is_measured_at_the_first_timestep_alone():
    network = tiny_classifier()
    x, y, _ = tiny_batch(10)
    config = EvaluationConfig(epsilons=(0.1,), attack_steps=(2,), noised=False)
    results = evaluate_classifier(network, x, y, SCHEDULE, config)
    right = network(x, torch.zeros(10, dtype=torch.long)).argmax(1).eq(y).float().mean()
    assert results["bands"] == ["0"]
    assert results["clean"]["accuracy"] == pytest.approx(float(right))
    assert results["timesteps_per_image"] == 1


@pytest.mark.django_db
def test_command_compares_classifiers_in_one_table_and_figure(preset, settings, tmp_path):
    settings.DATA_DIR, settings.TORCH_DEVICE = tmp_path / "var", "cpu"
    call_command("train_classifier", "--config", preset, stdout=io.StringIO(), stderr=io.StringIO())
    first = tmp_path / "var" / "training" / "tiny" / "last.safetensors"
    network, card = load_network(first)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    facts = {"schedule": card.schedule, "class_names": card.class_names, "provenance": card.provenance}
    save_network(tmp_path / "other.safetensors", network, **facts)
    second = str(tmp_path / "other.safetensors")

    out = io.StringIO()
    options = ["--steps", "2", "--out", str(tmp_path / "out")]
    call_command("evaluate_classifier", str(first), second, *options, stdout=out, stderr=io.StringIO())
    results = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert list(results["classifiers"]) == ["other", "tiny"]
    assert [(entry["classifier"], entry["measure"]) for entry in results["differences"]] == [
        ("other", "accuracy"),
        ("other", "l2 1, 2 steps"),
        ("other", "confidence"),
        ("other", "expected_calibration_error"),
    ]
    one, other = (results["classifiers"][name]["calibration"] for name in ("other", "tiny"))
    assert results["differences"][3]["all"]["estimate"] == pytest.approx(
        one["expected_calibration_error"] - other["expected_calibration_error"]
    )
    clean = [results["classifiers"][name]["clean"]["accuracy"] for name in ("other", "tiny")]
    assert results["differences"][0]["all"]["estimate"] == pytest.approx(clean[0] - clean[1])
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert {row[0] for row in rows if len(row) > 6} == {"classifier", "tiny", "other", "other - tiny"}
    figure = ElementTree.fromstring((tmp_path / "out" / "evaluation.svg").read_text())
    assert "other less tiny" in "".join(figure.itertext())

    # The same classes in another order: labels follow the names, and nothing changes but the order.
    permuted = (2, 0, 1)
    state = network.state_dict()
    for name in [name for name in state if name.startswith("out.") and state[name].shape[0] == 3]:
        state[name] = state[name][list(permuted)]
    network.load_state_dict(state)
    facts |= {"class_names": tuple(card.class_names[label] for label in permuted)}
    save_network(tmp_path / "permuted.safetensors", network, **facts)
    call_command("evaluate_classifier", second, str(tmp_path / "permuted.safetensors"), *options, stdout=io.StringIO())
    results = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert results["differences"][0]["all"]["estimate"] == 0.0
    with pytest.raises(CommandError, match="a checkpoint is named twice"):
        call_command("evaluate_classifier", second, second)
