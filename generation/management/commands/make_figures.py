from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analysis.pictures.class_names import CLASS_MAP_HELP, class_map_named
from survey.exceptions import SurveyError
from survey.selectors.pair import arm_recipe, arm_recipes
from survey.services.results.figures import study_figures_store
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = (
        "Draw the paper's figures for a study (pairs, gradients, ascents, estimates, alignment) "
        "in a folder and in the study's report."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument(
            "--images", required=True, metavar="REF", help="real images with classes: folder, .npz or digits"
        )
        parser.add_argument("--classes", metavar="FILE", help=CLASS_MAP_HELP)
        parser.add_argument("--out", required=True, type=Path, metavar="DIR")
        parser.add_argument("--formats", default="svg", help="comma-separated: svg, png, pdf (default svg)")
        parser.add_argument(
            "--unconditional", type=Path, metavar="FILE", help="denoiser without classes, for the alignment"
        )
        parser.add_argument(
            "--unconditional-config",
            metavar="C",
            help="network of --unconditional if its file has no card: a published name, or a card's .json",
        )
        parser.add_argument("--per-class", type=int, default=20, help="images per class to measure (default 20)")
        parser.add_argument("--shown", type=int, default=8, help="images in a row (default 8)")
        parser.add_argument("--report", type=Path, metavar="FILE", help="report.json, for metric against preference")
        parser.add_argument(
            "--metrics", type=Path, metavar="FILE", help="output of evaluate_images --out, for the same figure"
        )

    def handle(self, *, study: str, out: Path, formats: str, **options) -> None:
        try:
            row = study_get(study)
            if (options["report"] is None) != (options["metrics"] is None):
                raise ValueError("--report and --metrics belong together: give both or neither")
            kinds = tuple(kind.strip() for kind in formats.split(",") if kind.strip())
            files, missing = self._draw(row, out, kinds, options)
        except (SurveyError, ValueError, OSError, json.JSONDecodeError) as error:
            raise CommandError(str(error)) from error
        for file in files:
            self.stdout.write(str(file))
        for name, reason in missing.items():
            self.stdout.write(f"{name}: not drawn - {reason}")

    def _draw(
        self, study: Any, out: Path, formats: tuple[str, ...], options: dict
    ) -> tuple[list[Path], dict[str, str]]:
        # Only the drawing itself loads torch and matplotlib.
        from diffusion.device import chosen_device
        from diffusion.files import write_atomically
        from generation.figures.drawing import given_figure, write_figures
        from generation.figures.paper import paper_figures
        from generation.recipes.recipe import ArmRecipe, NetworkFile
        from generation.sampling.networks import NetworkStore

        # With the digests of the study's images: figures never show other weights under the same path.
        made_by = arm_recipes(study)
        recipes = [ArmRecipe.from_json(arm.name, arm_recipe(arm, made_by[arm.name])) for arm in _in_order(study)]
        store = NetworkStore(chosen_device(settings.TORCH_DEVICE))
        inputs = _inputs(recipes[0], store, study.noise_seed, options)
        other = options["unconditional"]
        unconditional = (
            None if other is None else NetworkFile(path=str(other), config=options["unconditional_config"] or "")
        )
        drawn = paper_figures(recipes, inputs, store=store, unconditional=unconditional)
        files = write_figures([*drawn.specs, *_preference_figure(options)], out, formats)
        figures = [given_figure(spec, formats) for spec in drawn.specs]
        captions = [
            {"name": figure.name, "title": figure.title, "description": figure.description} for figure in figures
        ]
        numbers = json.dumps({"figures": captions} | drawn.numbers, indent=2, sort_keys=True) + "\n"
        write_atomically(out / "figures.json", [numbers.encode()])
        study_figures_store(
            study=study,
            figures=[caption | {"files": figure.files} for caption, figure in zip(captions, figures, strict=True)],
            actor="command line",
        )
        return [*files, out / "figures.json"], drawn.missing


def _in_order(study: Any) -> list[Any]:
    """Return the arms with the baseline first: it stands on top of every figure."""
    arms = sorted(study.arms.all(), key=lambda arm: (arm.pk != study.baseline_id, arm.name))
    if not arms:
        raise ValueError(f"{study.slug} has no arms")
    return arms


def _inputs(recipe: Any, store: Any, seed: int, options: dict) -> Any:
    from generation.features.classes import labelled_as
    from generation.figures.inputs import pick_images
    from generation.figures.paper import FigureInputs
    from generation.sampling.networks import class_names, prepare_arms
    from generation.worker.sources import named_reference

    source = named_reference(options["images"]).source
    if source is None:
        raise ValueError(f"--images {options['images']} holds no images")
    (arm,) = prepare_arms([recipe], store)
    config, names = arm.denoiser.network.config, class_names(arm)
    source = labelled_as(source, names, reader=f"arm {recipe.name}", class_map=class_map_named(options["classes"]))
    images, labels = pick_images(
        source, per_class=options["per_class"], side=config.image_size, channels=config.in_channels
    )
    return FigureInputs(
        images=images.to(store.device),
        labels=labels.to(store.device),
        class_names=names,
        shown=options["shown"],
        seed=seed,
    )


def _preference_figure(options: dict) -> list:
    from analysis.report.figures.metrics import metric_against_preference_figure, preference_points

    if options["report"] is None:
        return []
    report, metrics = (json.loads(options[name].read_text()) for name in ("report", "metrics"))
    points, arm, baseline = preference_points(report, metrics)
    return [metric_against_preference_figure(points, metric="KID", arm=arm, baseline=baseline)]
