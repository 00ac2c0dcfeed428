"""Measure a classifier per timestep band: accuracy clean and under attack, calibration, gradients."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analysis.pictures.class_names import CLASS_MAP_HELP, class_map_named
from jobs.console import shown


class Command(BaseCommand):
    help = __doc__ + " Writes evaluation.json, evaluation.csv and evaluation.svg."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("checkpoint", type=Path, help="a .safetensors file from training, or other weights")
        parser.add_argument("--data", metavar="PATH", help="images (default: those held out from its training)")
        parser.add_argument("--classes", metavar="FILE", help=CLASS_MAP_HELP)
        parser.add_argument(
            "--config",
            metavar="C",
            help="settings that give [network], [data] and [schedule] for a file without a card",
        )
        parser.add_argument("--limit", type=int, default=1000, metavar="N", help="images (default 1000; 0 for all)")
        parser.add_argument("--norm", default="l2", choices=["l2", "linf"])
        parser.add_argument(
            "--epsilon", type=float, action="append", metavar="E", help="radius in units of x_t; may be repeated"
        )
        parser.add_argument(
            "--steps", type=int, action="append", metavar="N", help="attack steps (default 20); may be repeated"
        )
        parser.add_argument("--restarts", type=int, default=1, help="attacks per image, from random points")
        parser.add_argument("--bands", type=int, default=4, help="timestep bands (default 4)")
        parser.add_argument(
            "--denoiser",
            type=Path,
            metavar="PATH",
            help="class-conditional denoiser: compare the classifier's gradients with its class score",
        )
        parser.add_argument(
            "--unconditional",
            type=Path,
            metavar="PATH",
            help='denoiser without classes, if --denoiser has no label for "no class"',
        )
        for name in ("denoiser", "unconditional"):
            parser.add_argument(
                f"--{name}-config",
                metavar="C",
                help=f"network of --{name} if its file has no card: a published name, or a card's .json",
            )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--out", type=Path, help="folder (default: beside the checkpoint)")

    def handle(self, *, checkpoint: Path, out: Path | None, **options: Any) -> None:
        try:
            results = self._measure(checkpoint, options)
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        from training.evaluation.by_timestep import table
        from training.evaluation.chart import figure_svg

        out = out or checkpoint.parent
        out.mkdir(parents=True, exist_ok=True)
        (out / "evaluation.json").write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
        (out / "evaluation.csv").write_text(table(results))
        (out / "evaluation.svg").write_text(figure_svg(results))
        self.stdout.write(table(results), ending="")
        error = results["calibration"]["expected_calibration_error"]
        self.stdout.write(f"expected calibration error {error:.4f}; written to {out}/evaluation.{{json,csv,svg}}")

    def _measure(self, checkpoint: Path, options: dict[str, Any]) -> dict[str, Any]:
        # Torch is loaded from here on.
        from diffusion.checkpoints import load_network
        from diffusion.device import chosen_device
        from training.data.batches import evaluation_images, open_data
        from training.evaluation.by_timestep import EvaluationConfig, evaluate_classifier
        from training.learning.config import read_config

        named = read_config(options["config"]).network if options["config"] else None
        network, card = load_network(checkpoint, default=named, device=str(chosen_device(settings.TORCH_DEVICE)))
        if card.kind != "classifier":
            raise CommandError(f"{checkpoint} is a {card.kind}; give a classifier")
        trained_with = _settings(card, options)
        data = open_data(
            trained_with.data,
            split="validation",
            class_names=card.class_names,
            reader=str(checkpoint),
            class_map=class_map_named(options["classes"]),
        )
        if len(data.indices) == 0:
            raise CommandError("no images are held out; give some with --data, or set data.validation_share")
        images, labels = evaluation_images(
            data,
            trained_with.data,
            side=network.config.image_size,
            channels=network.config.in_channels,
            limit=options["limit"] or None,
        )
        schedule = trained_with.schedule.build()
        trained_at = trained_with.attack.epsilon if trained_with.attack else 0.5
        config = EvaluationConfig(
            norm=options["norm"],
            epsilons=tuple(options["epsilon"] or [trained_at]),
            attack_steps=tuple(options["steps"] or [20]),
            restarts=options["restarts"],
            bands=options["bands"],
            draws=options["bands"],
            seed=options["seed"],
        )
        denoisers = self._denoisers(options, schedule)
        with shown(f"measuring {checkpoint.name}", self.stderr) as told:
            results = evaluate_classifier(
                network,
                images,
                labels,
                schedule,
                config,
                denoisers=denoisers,
                device=str(chosen_device(settings.TORCH_DEVICE)),
                on_progress=lambda what, done, total: told(done, total, what),
            )
        return {"checkpoint": {"path": str(checkpoint), "sha256": card.sha256}, **results}

    def _denoisers(self, options: dict[str, Any], schedule: Any) -> tuple[Any, Any] | None:
        from diffusion.alignment import without_class
        from diffusion.checkpoints import load_network
        from diffusion.device import chosen_device

        if options["denoiser"] is None:
            if options["unconditional"] is not None:
                raise ValueError("--unconditional is only used beside --denoiser; give both")
            return None
        device = str(chosen_device(settings.TORCH_DEVICE))
        denoiser, card = load_network(options["denoiser"], default=options["denoiser_config"], device=device)
        if card.kind != "denoiser" or denoiser.config.num_classes is None:
            raise ValueError(f"{options['denoiser']} is no class-conditional denoiser; give one with --denoiser")
        _check_schedule(options["denoiser"], card, schedule)
        if options["unconditional"] is None:
            if denoiser.config.num_classes != len(card.class_names) + 1:
                raise ValueError(
                    f"{options['denoiser']} has no label for 'no class' (it is trained with label_dropout); "
                    "give a denoiser without classes with --unconditional"
                )
            return denoiser, without_class(denoiser, denoiser.config.num_classes - 1)
        other, other_card = load_network(
            options["unconditional"], default=options["unconditional_config"], device=device
        )
        if other_card.kind != "denoiser" or other.config.num_classes is not None:
            raise ValueError(f"{options['unconditional']} is no denoiser without classes")
        _check_schedule(options["unconditional"], other_card, schedule)
        return denoiser, other


def _check_schedule(path: Path, card: Any, schedule: Any) -> None:
    """Refuse a denoiser of another noise process: at the same t it would see other noise."""
    ours = schedule.describe()
    for name in ("name", "timesteps"):
        if card.schedule and card.schedule.get(name) != ours[name]:
            raise ValueError(
                f"{path} was trained with schedule.{name} = {card.schedule.get(name)!r}, the classifier with "
                f"{ours[name]!r}; give a denoiser of the same schedule"
            )


def _settings(card: Any, options: dict[str, Any]) -> Any:
    """Return the settings it was trained with, or those given; `--data` replaces the images."""
    from training.learning.config import config_from_dict, read_config

    if options["config"]:
        values = read_config(options["config"]).to_dict()
    elif "training" in card.provenance:
        values = dict(card.provenance["training"])
    else:
        raise ValueError("the file does not say how it was trained; give --config, such as adm128_classifier")
    if options["data"]:
        path = str(Path(options["data"]).resolve())
        values["data"] = {**values["data"], "path": path, "validation_path": path}
    return config_from_dict(values)
