"""Figures 2 to 5 of the paper and the alignment plot, from the recipes of a study's arms and some real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.report.parts.figure import FigureSpec
from diffusion.checkpoints import CheckpointError, load_network
from diffusion.schedule import NoiseSchedule
from generation.figures.drawing import alignment_figure, image_rows_figure
from generation.figures.gradients import (
    alignment_bands,
    class_gradients,
    figure_noise,
    gradient_alignment,
    intermediate_estimates,
    maximise_class_probability,
    min_max_normalised,
)
from generation.recipes.class_labels import class_text
from generation.recipes.noise import PairSpec
from generation.recipes.recipe import ArmRecipe, NetworkFile
from generation.sampling.encoding import to_uint8
from generation.sampling.networks import NetworkStore, PreparedArm, prepare_arms
from generation.sampling.pairs import NoiseFeed, generate_pairs, guided_arm

__all__ = ["FigureInputs", "PaperFigures", "ascent_figures", "pairs_figure", "paper_figures"]


@dataclass(frozen=True, kw_only=True)
class FigureInputs:
    """What the figures are drawn of.

    Parameters
    ----------
    images : Tensor (n, C, H, W), float32 in [-1, 1]
        Real images, several a class if there are; the first ones are shown, all of them measured.
    labels : Tensor (n,), int64
    class_names : sequence of str
        Names by label; may be empty.
    shown : int
        Images in a row.
    seed : int
        Of noise and of the generated pairs.
    radius : float
        L2 ball of the ascent, in units of pixels in [-1, 1]; 0.25 per square-root pixel number without it.
    columns : int
        Timesteps of the gradient rows and steps of the estimates.
    """

    images: Tensor
    labels: Tensor
    class_names: Sequence[str] = ()
    shown: int = 8
    seed: int = 0
    radius: float | None = None
    columns: int = 5

    def name_of(self, label: int) -> str:
        """What to call a class."""
        return self.class_names[label] if label < len(self.class_names) else class_text(label)


@dataclass(frozen=True, kw_only=True)
class PaperFigures:
    """Drawn figures, the numbers behind them (JSON-ready), and what could not be drawn, with the reason."""

    specs: list[FigureSpec]
    numbers: dict
    missing: dict[str, str]


def paper_figures(
    recipes: Sequence[ArmRecipe],
    inputs: FigureInputs,
    *,
    store: NetworkStore | None = None,
    unconditional: NetworkFile | None = None,
) -> PaperFigures:
    """Draw matched pairs, gradients, ascents, estimates and, with an unconditional denoiser, the alignment.

    Parameters
    ----------
    recipes : sequence of ArmRecipe
        The arms, from the top of every figure; those guided by a classifier appear in the gradient figures.
    inputs : FigureInputs
    store : NetworkStore, optional
    unconditional : NetworkFile, optional
        Checkpoint of a denoiser without classes, trained on the same data and schedule. Not needed when the arms' own
        denoiser has a label for "no class".

    Raises
    ------
    ValueError
        If no arm has a classifier, or images and networks do not belong together.
    """
    store = store or NetworkStore()
    arms = prepare_arms(recipes, store)
    guided = {arm.recipe.name: arm for arm in arms if arm.classifier is not None}
    if not guided:
        raise ValueError("no arm is guided by a classifier; these figures show classifiers")
    classifiers = {name: store.call(arm.classifier) for name, arm in guided.items()}
    # Gradients are shown at timesteps of training, whatever the arms skip when they sample.
    schedule = _full_schedule(arms[0].schedule)
    ascents, ascent_numbers = ascent_figures(classifiers, inputs)
    specs = [
        pairs_figure(recipes, inputs, store=store),
        _gradients_figure(classifiers, schedule, inputs),
        ascents,
        _estimates_figure(arms, inputs, store),
    ]
    bands, reason = _alignment(arms[0], classifiers, schedule, inputs, store, unconditional)
    if bands is not None:
        specs.append(alignment_figure(bands))
    numbers = {"ascent": ascent_numbers, "alignment": bands}
    return PaperFigures(specs=specs, numbers=numbers, missing={} if bands else {"gradient_alignment": reason})


def _full_schedule(schedule: NoiseSchedule) -> NoiseSchedule:
    return NoiseSchedule.named(schedule.name, schedule.original_timesteps, rescale_timesteps=schedule.rescale_timesteps)


def _one_per_class(inputs: FigureInputs) -> Tensor:
    """Return indices of the first image of each class, then of second ones, until a row is full."""
    seen: dict[int, int] = {}
    ranks = []
    for label in inputs.labels.tolist():
        ranks.append(seen.get(label, 0))
        seen[label] = ranks[-1] + 1
    # The last key leads: rank first, then class, then the order of the images.
    order = np.lexsort((np.arange(len(ranks)), inputs.labels.cpu().numpy(), ranks))
    return torch.from_numpy(order[: inputs.shown].copy())


def pairs_figure(recipes: Sequence[ArmRecipe], inputs: FigureInputs, *, store: NetworkStore) -> FigureSpec:
    """Return matched pairs: the same class and noise in every column, one arm a row (paper, Figure 2)."""
    classes = sorted(set(inputs.labels.tolist()))[: inputs.shown]
    specs = [PairSpec(inputs.seed, label, 0) for label in classes]
    pairs = list(generate_pairs(recipes, specs, micro_batch=len(specs), store=store))
    rows = {recipe.name: np.stack([pair.images[recipe.name].pixels for pair in pairs]) for recipe in recipes}
    columns = [inputs.name_of(label) for label in classes]
    return image_rows_figure(
        "matched_pairs",
        "Images from the same class and the same noise, one arm a row "
        f"(n = {len(classes)} classes, seed {inputs.seed})",
        rows,
        columns,
        description=f"Rows: {', '.join(rows)}. Columns: classes {', '.join(columns)}.",
    )


def _pixels(x: Tensor) -> np.ndarray:
    return to_uint8(x.clamp(-1, 1))


def _gradients_figure(classifiers: dict, schedule: NoiseSchedule, inputs: FigureInputs) -> FigureSpec:
    """Gradients of one image's own class by timestep, min-max normalised (paper, Figure 3)."""
    picked = _one_per_class(inputs)[:2]
    x, y = inputs.images[picked], inputs.labels[picked]
    timesteps = [round(i * 0.75 * schedule.num_timesteps / (inputs.columns - 1)) for i in range(inputs.columns)]
    found = class_gradients(classifiers, schedule, x, y, timesteps, figure_noise(inputs.seed, x.shape).to(x))
    rows = {}
    for place, label in enumerate(y.tolist()):
        for arm, gradients in found.items():
            scaled = min_max_normalised(gradients[:, place]) * 2.0 - 1.0
            rows[f"{arm}: {inputs.name_of(label)}"] = np.concatenate([_pixels(x[place : place + 1]), _pixels(scaled)])
    columns = ["image", *(f"t = {t}" for t in timesteps)]
    return image_rows_figure(
        "class_gradients",
        "Gradients of log p(y | x_t, t) of images on their own class, each scaled to its own extremes "
        f"(n = {len(x)} images)",
        rows,
        columns,
        description=f"Rows: {', '.join(rows)}. First column the image, then the gradient at {', '.join(columns[1:])}.",
    )


def ascent_figures(classifiers: dict, inputs: FigureInputs) -> tuple[FigureSpec, dict]:
    """Return images pushed towards another class by each classifier (paper, Figure 4), and the probabilities."""
    picked = _one_per_class(inputs)
    x, y = inputs.images[picked], inputs.labels[picked]
    classes = torch.tensor(sorted(set(inputs.labels.tolist())), device=y.device)
    target = classes[(torch.searchsorted(classes, y) + 1) % len(classes)]
    # In proportion to the root of the number of pixels: the same change per pixel at any image size.
    radius = inputs.radius or 0.25 * float(x[0].numel()) ** 0.5
    rows, numbers = {"image": _pixels(x)}, {"radius": radius, "target": target.tolist()}
    for arm, classifier in classifiers.items():
        found = maximise_class_probability(classifier, x, target, radius=radius)
        rows[arm] = _pixels(found.images)
        numbers[arm] = {
            "log_probability_before": found.log_probability_before.tolist(),
            "log_probability_after": found.log_probability_after.tolist(),
        }
    columns = [f"to {inputs.name_of(label)}" for label in target.tolist()]
    spec = image_rows_figure(
        "class_ascent",
        f"Climbing log p(target | x) at t = 0 inside an L2 ball of radius {radius:.3g} (n = {len(x)} images)",
        rows,
        columns,
        description=f"Top row: the images; below, one arm's classifier a row. Targets: {', '.join(columns)}.",
    )
    return spec, numbers


def _estimates_figure(arms: Sequence[PreparedArm], inputs: FigureInputs, store: NetworkStore) -> FigureSpec:
    """Estimates of the final image along one guided trajectory, every arm from the same noise (paper, Figure 5)."""
    first = arms[0]
    config = first.denoiser.network.config
    label = sorted(set(inputs.labels.tolist()))[0]
    shape = (config.in_channels, config.image_size, config.image_size)
    feed = NoiseFeed([PairSpec(inputs.seed, label, 0)], shape, first.schedule, store.device)
    guided = [guided_arm(arm, store) for arm in arms]
    try:
        timesteps, found = intermediate_estimates(
            store.call(first.denoiser),
            first.schedule,
            guided,
            feed.initial(),
            torch.tensor([label], device=store.device),
            feed.step,
            columns=min(2 * inputs.columns, first.schedule.num_timesteps),
            sampler=first.recipe.sampler,
            eta=first.recipe.eta,
            variance=first.recipe.variance,
            clip_x_start=first.recipe.clip_x_start,
            is_class_conditional=config.num_classes is not None,
        )
    finally:
        # Its thread would outlive the figure.
        feed.close()
    rows = {arm: _pixels(estimates[:, 0]) for arm, estimates in found.items()}
    columns = [f"{t}" for t in timesteps]
    return image_rows_figure(
        "intermediate_estimates",
        f"Estimates of the final image along the guided process, class {inputs.name_of(label)}, by timestep "
        "(n = 1 image an arm)",
        rows,
        columns,
        description=f"Rows: {', '.join(rows)}. Columns: timesteps {', '.join(columns)}.",
    )


def _alignment(
    arm: PreparedArm,
    classifiers: dict,
    schedule: NoiseSchedule,
    inputs: FigureInputs,
    store: NetworkStore,
    unconditional: NetworkFile | None,
) -> tuple[dict | None, str]:
    denoiser, null_label = store.call(arm.denoiser), arm.null_label
    if arm.denoiser.network.config.num_classes is None:
        return None, "the arms' denoiser knows no classes"
    if unconditional is not None:
        other = load_network(unconditional.path, default=unconditional.config or None, device=store.device)
        if other.card.kind != "denoiser" or other.network.config.num_classes is not None:
            raise CheckpointError(f"{unconditional.path} is no denoiser without classes")

        def without_class(x: Tensor, t: Tensor) -> Tensor:
            return other.network(x, t)

    elif null_label is not None:

        def without_class(x: Tensor, t: Tensor) -> Tensor:
            return denoiser(x, t, torch.full((x.shape[0],), null_label, dtype=torch.int64, device=x.device))

    else:
        return None, "no denoiser without classes: train one and give it, or one with a label for 'no class'"
    found = gradient_alignment(
        classifiers, denoiser, without_class, schedule, inputs.images, inputs.labels, seed=inputs.seed
    )
    return alignment_bands(found), ""
