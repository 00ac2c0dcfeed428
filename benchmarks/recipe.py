"""The demo's four trainings against those of commit 13bc07b: ``python -m benchmarks.recipe``.

Claim: at most 0.7 of the time; at most a quarter of the ink where a digit's class never has any (the mean square of the
generated images there, "ground"); the judge sees at least 98 of 100 images of each arm as their class; the robust
classifier withstands a stronger attack on held-out images at least as often. Both trees train as their ``make demo``
does, in turns, each time from nothing; what they made first is then sampled and measured by this tree. The record is
``recipe.json``; ``--times`` repeats the trainings, whose medians count.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.before_and_after import compared, machine
from config.management.demo.recipe import ARM, BASELINE, EARLIER, NOW, DemoRecipe
from diffusion.checkpoints import load_network
from diffusion.schedule import NoiseSchedule
from generation.recipes.noise import PairSpec
from generation.recipes.recipe import ArmRecipe, NetworkFile
from generation.sampling.pairs import generate_pairs
from training.attack.config import AttackConfig
from training.data.batches import DataConfig, evaluation_images, open_data
from training.data.image_sets import digits_images
from training.learning.validation import NoisedImages, classifier_measures, noised_images

RECORD = Path(__file__).with_suffix(".json")
TRAIN = """
import json, os, resource, sys, tempfile, time
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.dev"
sys.path.insert(0, os.getcwd())
try:
    from config.management.demo.recipe import NOW
    name = "after"
except ImportError:
    name = "before"
os.environ["BLINDPAIR_DATA_DIR"] = tempfile.mkdtemp(prefix=name, dir=sys.argv[1])
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
def used():
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)
began, worked = time.perf_counter(), used()
if name == "before":
    from config.management.commands.demo import NETWORKS
    for command, preset, _ in NETWORKS:
        call_command(command, config=preset)
else:
    from config.management.demo.training import train_side_by_side, usable_cores
    from jobs.console import Board
    with Board([network.title for network in NOW.networks], sys.stderr) as board:
        train_side_by_side(NOW.networks, board, cores=usable_cores())
print(json.dumps({"train_s": time.perf_counter() - began, "train_cpu_s": used() - worked}))
"""
#: Of the demo, which asks for a hundred; more make the judge's share of one in fifty a figure.
PAIRS_PER_CLASS = 20
STUDY_SEED = 20230808
# A place whose class has less ink than this in every real digit is ground; ink goes from 0 to 1.
INK = 0.05
#: Of the process of 13bc07b's recipe and of today's.
SCHEDULES = ("linear", "cosine")
#: The threat that both robust classifiers were trained against, with more steps.
ATTACK = AttackConfig(norm="l2", epsilon=1.0, steps=20, step_rule="cifar10")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="trainings of each tree (default 1)")
    parser.add_argument("--trained", type=Path, metavar="DIR", help="measure what an earlier call trained in DIR again")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what is trained in DIR, which exists")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        folder = options.trained or options.keep or Path(aside)
        timed = {}
        if options.trained is None:
            timed = compared(TRAIN, [str(folder.resolve())], times=options.times)
        found = {name: _measured(_first(folder, name), recipe) for name, recipe in _RECIPES.items()}
    for name, facts in found.items():
        facts |= timed.get(name, {})
    ratios = _ratios(found)
    print(json.dumps(found, indent=2))
    print("after / before:", json.dumps(ratios))
    if options.trained is None:
        record = {"machine": machine(), "times": options.times, **found, "after_over_before": ratios}
        RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


_RECIPES = {"before": EARLIER, "after": NOW}


def _first(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"{name}*"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SystemExit(f"{folder} holds nothing that was trained {name}; call without --trained")
    return found[0] / "training"


def _ratios(found: dict[str, dict]) -> dict[str, float]:
    numbers = ["train_s", "train_cpu_s", *(f"ground_{arm}" for arm in (BASELINE, ARM)), "sample_s"]
    return {name: round(found["after"][name] / found["before"][name], 3) for name in numbers if name in found["before"]}


def _measured(trained: Path, recipe: DemoRecipe) -> dict[str, float]:
    began = time.perf_counter()
    images, labels = _sampled(trained, recipe)
    facts: dict[str, float] = {"sample_s": round(time.perf_counter() - began, 1)}
    judge = load_network(_weights(trained, recipe, "judge")).network
    ground = _ground()
    for arm, pixels in images.items():
        ink = pixels / 255.0
        levels = [(image[ground[label]] ** 2).mean() for image, label in zip(ink, labels, strict=True)]
        facts[f"ground_{arm}"] = round(float(np.mean(levels)), 7)
        facts[f"judged_{arm}"] = round(_judged(judge, ink, labels), 4)
    return facts | _withstood(trained, recipe)


def _weights(trained: Path, recipe: DemoRecipe, role: str) -> str:
    return str(trained / recipe.run(role) / "last.safetensors")


def _sampled(trained: Path, recipe: DemoRecipe) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Sample both arms as the demo does: images (N, 16, 16) uint8 by arm, and the classes asked for."""
    arms = [
        ArmRecipe(
            name=arm,
            denoiser=NetworkFile(path=_weights(trained, recipe, "denoiser")),
            classifier=NetworkFile(path=_weights(trained, recipe, arm)),
            classifier_scale=scale,
            **recipe.sampling,
        )
        for arm, scale in recipe.scales.items()
    ]
    specs = [PairSpec(study_seed=STUDY_SEED, class_label=i % 10, index=i // 10) for i in range(10 * PAIRS_PER_CLASS)]
    pairs = list(generate_pairs(arms, specs, micro_batch=50))
    made = {arm.name: np.stack([pair.images[arm.name].pixels.squeeze() for pair in pairs]) for arm in arms}
    return made, np.array([spec.class_label for spec in specs])


def _ground() -> list[np.ndarray]:
    """Return for every class where none of its real digits has ink: (16, 16), bool."""
    digits = digits_images()
    return [digits.pixels[digits.labels == label].max(axis=0) < INK * 255 for label in range(10)]


@torch.no_grad()
def _judged(judge: torch.nn.Module, ink: np.ndarray, labels: np.ndarray) -> float:
    x = torch.tensor(2 * ink - 1, dtype=torch.float32)[:, None]
    found = judge(x, torch.zeros(len(x), dtype=torch.int64)).argmax(-1)
    return float((found.numpy() == labels).mean())


def _withstood(trained: Path, recipe: DemoRecipe) -> dict[str, float]:
    """Measure the robust classifier on held-out digits at the noise levels of either recipe's process.

    Half of those of 13bc07b leave nothing to recognise. A classifier is shown the nearest timestep of its own process.
    """
    network, card = load_network(_weights(trained, recipe, ARM))
    config = DataConfig(kind="digits", validation_share=0.2, crop="none")
    images, labels = evaluation_images(open_data(config, split="validation"), config, side=16, channels=1, limit=None)
    own = NoiseSchedule.named(card.schedule["name"], card.schedule["timesteps"])
    facts = {}
    for name in SCHEDULES:
        levels = NoiseSchedule.named(name)
        shown = _shown_at(noised_images(images, labels, levels, draws=2), levels, own)
        found = classifier_measures(network, shown, own, attack_config=ATTACK)
        facts |= {f"{fact}_{name}": round(found[fact], 4) for fact in ("accuracy", "robust_accuracy")}
    return facts


def _shown_at(images: NoisedImages, levels: NoiseSchedule, own: NoiseSchedule) -> NoisedImages:
    """Move noised images to the timesteps of another process that leave as much of the image."""
    kept, wanted = own.alphas_cumprod, levels.alphas_cumprod[images.t.numpy()]
    t = torch.from_numpy(np.abs(np.sqrt(kept)[None] - np.sqrt(wanted)[:, None]).argmin(axis=1))
    return NoisedImages(images.x_start, images.y, t, images.noise, own.q_sample(images.x_start, t, images.noise))


if __name__ == "__main__":
    sys.exit(main())
