"""The whole reproduction, and the ablation grid; both go on where they were stopped."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import torch

from diffusion.checkpoints import library_versions, read_card
from diffusion.files import write_atomically
from generation.figures.drawing import ablation_figure, require_formats, write_figures
from generation.figures.inputs import pick_images
from generation.figures.paper import FigureInputs, PaperFigures, paper_figures
from generation.recipes.recipe import NetworkFile
from generation.reproduction.claims import findings
from generation.reproduction.experiment import Laboratory, arm_name
from generation.reproduction.page import reproduction_page

__all__ = ["ablate", "provenance", "reproduce"]

_CELL_METRICS = ("frechet_distance", "kid", "precision", "recall")


def reproduce(laboratory: Laboratory, *, formats: Sequence[str] = ("svg",)) -> dict[str, Any]:
    """Do the experiment and write ``reproduction.html``, ``reproduction.json`` and ``figures/``; return the results.

    Everything that an earlier call finished is found again; an interrupted training goes on at its last saved state.
    """
    require_formats(formats)
    experiment, folder = laboratory.experiment, laboratory.folder
    seeds = [_one_seed(laboratory, seed) for seed in experiment.seeds]
    drawn = _figures(laboratory)
    results = {
        "schema": "blindpair.reproduction/1",
        "experiment": asdict(experiment),
        "seeds": seeds,
        "findings": [finding.as_json() for finding in findings(experiment, seeds)],
        "missing": drawn.missing,
        "provenance": provenance(laboratory, networks=("denoiser", "unconditional", "judge")),
    }
    results = json.loads(json.dumps(results))
    write_figures(drawn.specs, folder / "figures", formats)
    text = json.dumps(results, indent=2, sort_keys=True) + "\n"
    write_atomically(folder / "reproduction.json", [text.encode()])
    write_atomically(folder / "reproduction.html", [reproduction_page(results, drawn.specs).encode()])
    return results


def _one_seed(laboratory: Laboratory, seed: int) -> dict[str, Any]:
    classifiers = {"vanilla": laboratory.vanilla(seed), "robust": laboratory.robust(seed)}
    recipes = laboratory.recipes(classifiers, laboratory.experiment.scales)
    digests = {kind: read_card(path).sha256 for kind, path in classifiers.items()}
    shared = {name: read_card(getattr(laboratory, name)()).sha256 for name in ("denoiser", "judge", "unconditional")}
    inputs = {"seed": seed, "classifiers": digests, "shared": shared}
    return {
        "seed": seed,
        "sha256": digests,
        "classifiers": laboratory.remembered(
            f"accuracy-seed{seed}",
            lambda: {kind: laboratory.classifier_accuracy(path) for kind, path in classifiers.items()},
            inputs=inputs,
        ),
        "arms": laboratory.remembered(
            f"images-seed{seed}", lambda: laboratory.measure(laboratory.samples(recipes, seed)), inputs=inputs
        ),
        "alignment": laboratory.remembered(
            f"alignment-seed{seed}", lambda: laboratory.alignment(classifiers, seed), inputs=inputs
        ),
    }


def _figures(laboratory: Laboratory) -> PaperFigures:
    """Draw the paper's figures of the first seed, at the published scales."""
    experiment = laboratory.experiment
    seed = experiment.seeds[0]
    classifiers = {"vanilla": laboratory.vanilla(seed), "robust": laboratory.robust(seed)}
    wanted = [arm_name(kind, scale) for kind, scale in zip(classifiers, experiment.published_scales, strict=True)]
    recipes = [arm for arm in laboratory.recipes(classifiers, experiment.scales) if arm.name in wanted]
    card = read_card(laboratory.denoiser())
    images, labels = pick_images(
        laboratory.reference(),
        per_class=experiment.alignment_per_class,
        side=card.config.image_size,
        channels=card.config.in_channels,
    )
    laboratory.progress("drawing figures", 0, 1)
    inputs = FigureInputs(
        images=images.to(laboratory.device),
        labels=labels.to(laboratory.device),
        class_names=card.class_names,
        shown=10,
        seed=seed,
    )
    return paper_figures(
        recipes, inputs, store=laboratory.store, unconditional=NetworkFile(path=str(laboratory.unconditional()))
    )


def provenance(laboratory: Laboratory, *, networks: Sequence[str] = ("denoiser", "judge")) -> dict[str, Any]:
    """Return what a reader needs to make it again: digests of the shared networks, versions, machine."""
    names = {name: read_card(getattr(laboratory, name)()).sha256[:16] for name in networks}
    facts = {f"{name} (SHA-256)": digest for name, digest in names.items()}
    machine = {"device": str(laboratory.device), "machine": platform.machine(), "threads": torch.get_num_threads()}
    return facts | library_versions() | machine


def ablate(
    laboratory: Laboratory,
    *,
    epsilons: Sequence[float],
    attack_steps: Sequence[int],
    scales: Sequence[float],
    formats: Sequence[str] = ("svg",),
) -> list[dict[str, Any]]:
    """Train a robust classifier for every radius and number of attack steps, and sample it at every scale.

    Writes ``ablation.csv``, ``ablation.json`` and one figure per metric and scale after every cell that is done; a
    second call with more values keeps the cells there are. The first seed of the experiment is used.

    Returns
    -------
    list of dict
        One per cell: epsilon, attack_steps, scale, the metrics, accuracy clean and attacked.
    """
    require_formats(formats)
    cells: list[dict[str, Any]] = []
    grid = list(product(sorted(set(epsilons)), sorted(set(attack_steps))))
    if not grid or not scales:
        raise ValueError("an ablation needs at least one epsilon, one number of attack steps and one scale")
    for done, (epsilon, steps) in enumerate(grid):
        laboratory.progress(f"ablation epsilon {epsilon:g}, {steps} steps", done, len(grid))
        cells += _ablation_cells(laboratory, epsilon, steps, sorted(set(scales)))
        _write_ablation(laboratory.folder, cells, formats)
    return cells


def _ablation_cells(
    laboratory: Laboratory, epsilon: float, steps: int, scales: Sequence[float]
) -> list[dict[str, Any]]:
    seed = laboratory.experiment.seeds[0]
    classifier = laboratory.robust(seed, epsilon=epsilon, attack_steps=steps)
    inputs = {"classifier": read_card(classifier).sha256, "judge": read_card(laboratory.judge()).sha256}
    inputs |= {"denoiser": read_card(laboratory.denoiser()).sha256, "seed": seed}
    name = f"eps{epsilon:g}-steps{steps}"
    accuracy = laboratory.remembered(
        f"ablation-accuracy-{name}", lambda: laboratory.classifier_accuracy(classifier), inputs=inputs
    )
    cells = []
    for scale in scales:
        recipes = laboratory.recipes({"robust": classifier}, [scale])
        arms = laboratory.remembered(
            f"ablation-{name}-scale{scale:g}",
            lambda recipes=recipes: laboratory.measure(laboratory.samples(recipes, seed)),
            inputs=inputs | {"scale": scale},
        )
        cells.append(_cell(arms[arm_name("robust", scale)], accuracy, epsilon, steps, scale))
    return cells


def _cell(metrics: Mapping, accuracy: Mapping, epsilon: float, steps: int, scale: float) -> dict[str, Any]:
    cell: dict[str, Any] = {"epsilon": epsilon, "attack_steps": steps, "scale": scale}
    cell |= {name: metrics[name]["value"] for name in _CELL_METRICS}
    cell |= {"judge_accuracy": metrics["judge_accuracy"]}
    return cell | {name: accuracy[name] for name in ("accuracy", "robust_accuracy")}


def _write_ablation(folder: Path, cells: Sequence[Mapping], formats: Sequence[str]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, list(cells[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    write_atomically(folder / "ablation.csv", [table.getvalue().encode()])
    write_atomically(folder / "ablation.json", [(json.dumps(list(cells), indent=2) + "\n").encode()])
    for scale in sorted({cell["scale"] for cell in cells}):
        part = [cell for cell in cells if cell["scale"] == scale]
        specs = [
            ablation_figure(part, metric=metric, rows="epsilon", columns="attack_steps")
            for metric in ("frechet_distance", "kid", "robust_accuracy")
        ]
        write_figures(specs, folder / "figures" / f"scale-{scale:g}", formats)
