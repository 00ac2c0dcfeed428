import pytest

from diffusion.checkpoints import load_network
from training.attack.config import AttackConfig
from training.data.batches import evaluation_images, open_data
from training.learning.config import read_config
from training.learning.loop import train
from training.learning.validation import classifier_measures, clean_images

EPSILON = 1.0
SMALL = {
    "network.image_size": 8,
    "network.channel_mult": [1, 2],
    "data.crop": "center",
    "data.workers": 0,
    "noised": False,
    "optimizer.iterations": 120,
    "optimizer.warmup": 10,
    "run.validation_images": 10,
}


def pgd20_accuracy(name, seed, folder):
    """Train on clean digits of 8x8 pixels; return accuracy and accuracy under PGD-20 at the trained epsilon."""
    changes = {**SMALL, "run.seed": seed}
    if name == "digits_robust":
        changes |= {"attack.epsilon": EPSILON, "attack.steps": 4}
    config = read_config(name, changes=changes)
    result = train(config, out_dir=folder / f"{name}{seed}")
    data = open_data(config.data, split="validation")
    images, labels = evaluation_images(data, config.data, side=8, channels=1, limit=120)
    attack = AttackConfig(norm="l2", epsilon=EPSILON, steps=20, step_rule="cifar10")
    found = classifier_measures(
        load_network(result.checkpoint).network,
        clean_images(images, labels),
        config.schedule.build(),
        attack_config=attack,
    )
    return found["accuracy"], found["robust_accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_robust_classifier_keeps_clearly_more_accuracy_under_attack(seed, tmp_path):
    accuracy, attacked = pgd20_accuracy("digits_vanilla", seed, tmp_path)
    robust_accuracy, robust_attacked = pgd20_accuracy("digits_robust", seed, tmp_path)

    assert min(accuracy, robust_accuracy) > 0.8
    assert robust_attacked > attacked + 0.1
