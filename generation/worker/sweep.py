"""Scale-quality curves of a study's arms, from their recipes: the worker's path, torch included."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from analysis.images import EvaluationRules
from diffusion.device import chosen_device
from diffusion.files import write_atomically
from generation.features.image_sets import NpzSource
from generation.features.networks import load_feature_network
from generation.figures.drawing import write_figures
from generation.recipes.class_labels import StudyClasses, class_texts
from generation.recipes.recipe import ArmRecipe
from generation.reproduction.samples import SampleFolder, pairs_in_turn
from generation.reproduction.sweep import HELD_OUT_SEED, best_scales, curve_figure, curve_table, sweep_scales
from generation.sampling.networks import NetworkStore, PreparedArm, class_names, prepare_arms
from generation.worker.measuring import Measuring
from generation.worker.sources import named_reference
from survey.models import Study

__all__ = ["study_sweep"]


def study_sweep(
    study: Study,
    *,
    scales: Sequence[float],
    reference: str,
    features: str,
    weights: str | None,
    per_class: int,
    out: Path,
    micro_batch: int = 16,
    formats: Sequence[str] = ("svg",),
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, float]:
    """Sample every guided arm at every scale, measure it, and write ``curve.csv``, ``curve.json`` and the figure.

    Parameters
    ----------
    study : Study
        Its arms have recipes; its own pairs are not touched.
    scales : sequence of float
    reference, features, weights : str
        As in ``evaluate_images``.
    per_class : int
        Images of each class, arm and scale.
    out : Path
        Keeps the samples too: a second call makes what is missing.

    Returns
    -------
    dict of str to float
        The scale of the lowest KID of each arm.

    Raises
    ------
    ValueError
        If no arm is guided by a classifier, networks do not fit, or an argument is out of range.
    """
    told = progress or (lambda what, done, total: None)
    if per_class < 1:
        raise ValueError(f"per_class is {per_class}; it must be at least 1")
    recipes = [ArmRecipe.from_json(arm.name, arm.recipe) for arm in study.arms.order_by("name") if arm.recipe]
    device = chosen_device(settings.TORCH_DEVICE)
    store = NetworkStore(device)
    prepared = prepare_arms(recipes, store) if recipes else []
    classes = _classes(prepared)
    network = load_feature_network(features, None if weights is None else Path(weights), device=device)
    measuring = Measuring(network, named_reference(reference), classes, EvaluationRules(), 32, told)

    def measure(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
        found = measuring.evaluated({arm: NpzSource(path) for arm, path in files.items()})
        return {arm: {name: m.as_json() for name, m in metrics.items()} for arm, metrics in found.arms.items()}

    points = sweep_scales(
        recipes,
        scales,
        pairs_in_turn(HELD_OUT_SEED, len(classes.labels), per_class),
        samples=SampleFolder(out / "samples", store, micro_batch, told),
        measure=measure,
    )
    best = best_scales(points)
    text = json.dumps({"points": points, "best": best, "chosen_by": "kid"}, indent=2, sort_keys=True) + "\n"
    write_atomically(out / "curve.json", [text.encode()])
    write_atomically(out / "curve.csv", [curve_table(points).encode()])
    write_figures([curve_figure(points)], out, formats)
    return best


def _classes(arms: Sequence[PreparedArm]) -> StudyClasses:
    """Return the classes of the arms' networks: those with a name, else as many as the fewest logits."""
    names = next((found for arm in arms if (found := class_names(arm))), ())
    counts = [one.network.config.num_classes for arm in arms for one in arm.networks if one.network.config.num_classes]
    labels = tuple(range(len(names) or min(counts, default=1)))
    texts = tuple(class_texts(labels))
    return StudyClasses(texts, labels, tuple(names) or texts)
