"""Auto-PGD against torchattacks' own, its losses against hand-computed values, and what an evaluation rests on."""

import json
from pathlib import Path

import pytest
import torch

from diffusion.schedule import NoiseSchedule
from tests.data.training.apgd_torchattacks import problem, start_of
from tests.training.networks import tiny_batch, tiny_classifier
from training.attack.apgd import Apgd, _windows, apgd, apgd_attack, boundary_start, dlr_targeted
from training.attack.pgd import pgd

STORED = json.loads(Path("tests/data/training/apgd_torchattacks.json").read_text())["cases"]


def generators(count):
    return [torch.Generator().manual_seed(100 + number) for number in range(count)]


def rightly_seen(network):
    """Return images that the network gets right."""
    x, _, t = tiny_batch(24)
    return x, network(x, t).argmax(1), t


def surface(norm, draws, epsilon):
    """Return the start of a run from its draws, as published: a random direction, up to the surface of the ball."""
    if norm == "L2":
        return epsilon * draws / draws.norm()
    return epsilon * (2 * draws - 1) / (2 * draws - 1).abs().max()


def test_stored_answers_hold_every_kind_of_run():
    assert {(case["norm"], case["loss"]) for case in STORED} == {
        (norm, loss) for norm in ("Linf", "L2") for loss in ("ce", "dlr-targeted")
    }
    fooled = [image["fooled"] for case in STORED for image in case["images"]]
    assert 0.2 < sum(fooled) / len(fooled) < 0.8
    assert len({case["steps"] for case in STORED}) > 1


@pytest.mark.parametrize("case", STORED, ids=lambda case: f"{case['norm']}-{case['loss']}-{case['steps']}")
def test_a_run_equals_that_of_torchattacks(case):
    network, x, y = problem()
    ranked = network(x).argsort(1, descending=True)
    apart = []
    for image, expected in enumerate(case["images"]):
        result = apgd(
            lambda x, t: network(x),
            x[image : image + 1],
            y[image : image + 1],
            torch.zeros(1, dtype=torch.long),
            norm=case["norm"].lower(),
            epsilon=case["epsilon"],
            steps=case["steps"],
            start=surface(case["norm"], start_of(case["norm"], image), case["epsilon"]),
            target=ranked[image : image + 1, 1] if case["loss"] == "dlr-targeted" else None,
            early_stop=False,
        )
        assert bool(result.fooled) == expected["fooled"]
        apart.append(abs(result.best_loss.item() / expected["best_loss"] - 1))
        assert result.image_passes == case["steps"] + 1
    # Two visits to one corner of the ball differ by rounding, which then decides where a run goes on: few may differ.
    assert sorted(apart)[5] < 1e-5
    assert max(apart) < 1e-2


def test_targeted_loss_against_hand_computed_values():
    logits = torch.tensor([[4.0, 3.0, 1.0, 0.0, -5.0], [1.0, 3.0, 2.0, 0.0, -1.0]])
    found = dlr_targeted(logits, torch.tensor([0, 0]), torch.tensor([1, 2]))
    # -(4 - 3) / (4 - (1 + 0) / 2) and -(1 - 2) / (3 - (1 + 0) / 2): above zero once the target is ahead.
    torch.testing.assert_close(found, torch.tensor([-1 / 3.5, 1 / 2.5]))
    torch.testing.assert_close(dlr_targeted(10 * logits + 3, torch.tensor([0, 0]), torch.tensor([1, 2])), found)


def test_windows_are_those_of_the_paper():
    # 22, 41, 57, 70, 80, 87, then every 6 of 100 steps.
    assert list(_windows(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert list(_windows(3)) == [1, 2, 3]


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_start_lies_on_the_surface_and_belongs_to_the_image(norm):
    x, _, _ = tiny_batch(6)
    generators = [torch.Generator().manual_seed(seed) for seed in range(6)]
    start = boundary_start(norm, x, 0.3, generators).flatten(1)
    length = start.norm(dim=1) if norm == "l2" else start.abs().amax(1)
    torch.testing.assert_close(length, torch.full((6,), 0.3))
    alone = boundary_start(norm, x[4:5], 0.3, [torch.Generator().manual_seed(4)]).flatten(1)
    assert torch.equal(alone[0], start[4])


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("targeted", [False, True])
def test_points_stay_in_the_ball_and_fooled_ones_are_fooled(norm, targeted):
    network = tiny_classifier()
    x, _, t = tiny_batch(8)
    ranked = network(x, t).argsort(1, descending=True)
    epsilon = 1.5 if norm == "l2" else 0.15
    options = {"norm": norm, "epsilon": epsilon, "steps": 12, "target": ranked[:, 1] if targeted else None}
    result = apgd(network, x, ranked[:, 0], t, start=boundary_start(norm, x, epsilon), **options)
    moved = (result.x_adv - x).flatten(1)
    assert ((moved.norm(dim=1) if norm == "l2" else moved.abs().amax(1)) <= epsilon * (1 + 1e-5)).all()
    assert result.fooled.any()
    assert network(result.x_adv, t).argmax(1).ne(ranked[:, 0])[result.fooled].all()
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_stopping_early_changes_no_outcome_and_saves_passes():
    network = tiny_classifier()
    x, y, t = rightly_seen(network)
    options = {"norm": "l2", "epsilon": 0.6, "steps": 15, "start": boundary_start("l2", x, 0.6, generators(len(x)))}
    stopped = apgd(network, x, y, t, **options)
    whole = apgd(network, x, y, t, early_stop=False, **options)
    assert torch.equal(stopped.fooled, whole.fooled)
    assert 0 < stopped.fooled.sum() < len(x)
    assert stopped.image_passes < whole.image_passes


def test_restarts_and_targets_withstand_less_and_batches_change_nothing():
    network, schedule = tiny_classifier(), NoiseSchedule.named("linear")
    x, y, t = rightly_seen(network)

    def withstood(loss, restarts, size=24):
        config = Apgd(loss=loss, epsilon=0.4, steps=6)
        return torch.cat(
            [
                apgd_attack(
                    network,
                    x[rows],
                    y[rows],
                    t[rows],
                    config=config,
                    schedule=schedule,
                    restarts=restarts,
                    generator=generators(24)[rows],
                )
                for rows in (slice(first, first + size) for first in range(0, 24, size))
            ]
        )

    for loss in ("ce", "dlr-targeted"):
        once, often = withstood(loss, 1), withstood(loss, 4)
        assert not (often & ~once).any()
        assert torch.equal(once, withstood(loss, 1, size=5))
    plain = pgd(network, x, y, t, norm="l2", epsilon=0.4, step_size=0.4 * 2.5 / 6, steps=6)
    survivors = network(plain.x_adv, t).argmax(1).eq(y)
    assert withstood("dlr-targeted", 4).sum() <= survivors.sum()


def test_a_classifier_that_hides_its_gradient_is_fooled_by_the_targeted_loss_alone():
    plain = tiny_classifier()
    x, y, t = rightly_seen(plain)

    def hidden(x, t):
        """Logits so large that the cross-entropy of a right answer has no gradient in float32."""
        return 1e5 * plain(x, t)

    def withstood(loss):
        config = Apgd(loss=loss, epsilon=0.6, steps=10)
        schedule = NoiseSchedule.named("linear")
        return apgd_attack(hidden, x, y, t, config=config, schedule=schedule, generator=generators(len(x))).sum()

    assert withstood("dlr-targeted") < withstood("ce")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "dlr"}, "attack.loss is 'dlr'; it must be one of ce, dlr-targeted"),
        ({"norm": "l1"}, "attack.norm is 'l1'"),
        ({"epsilon": -1.0}, "attack.epsilon is -1.0"),
        ({"steps": 0}, "attack.steps is 0; it must be at least 1"),
        ({"targets": 0}, "attack.targets is 0"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Apgd(**change)


def test_too_few_classes_for_the_targeted_loss_are_refused():
    with pytest.raises(ValueError, match="3 classes; the targeted loss of APGD needs 4 or more: use apgd-ce"):
        Apgd(loss="dlr-targeted").aims(3)
    assert [Apgd(loss="dlr-targeted").aims(classes) for classes in (4, 10, 1000)] == [3, 9, 9]
