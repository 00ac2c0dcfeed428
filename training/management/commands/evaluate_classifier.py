"""Measure classifiers per timestep band: accuracy clean and under attack, calibration, gradients.

Several are shown the same images and the same noise, and their differences get paired intervals.
"""

from __future__ import annotations

import argparse
import json
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analysis.pictures.class_names import CLASS_MAP_HELP, class_map_named
from jobs.console import shown


class _Loaded(NamedTuple):
    path: Path
    network: Any
    card: Any
    settings: Any


class Command(BaseCommand):
    help = " ".join(__doc__.split()) + " Writes evaluation.json, evaluation.csv and evaluation.svg."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "checkpoints",
            type=Path,
            nargs="+",
            metavar="CHECKPOINT",
            help=".safetensors from training, or other weights; the others are compared with the first",
        )
        parser.add_argument("--data", metavar="PATH", help="images (default: those held out from its training)")
        parser.add_argument("--classes", metavar="FILE", help=CLASS_MAP_HELP)
        parser.add_argument(
            "--config",
            metavar="C",
            help="settings that give [network], [data] and [schedule] for a file without a card",
        )
        parser.add_argument("--limit", type=int, default=1000, metavar="N", help="images (default 1000; 0 for all)")
        parser.add_argument("--norm", default="l2", choices=["l2", "linf"], help="of the attack (default: %(default)s)")
        parser.add_argument(
            "--attack",
            action="append",
            choices=["pgd", "apgd-ce", "apgd-t"],
            help="attack (default pgd); may be repeated: then also what withstands all of them",
        )
        parser.add_argument(
            "--epsilon", type=float, action="append", metavar="E", help="radius in units of x_t; may be repeated"
        )
        parser.add_argument(
            "--steps",
            type=int,
            action="append",
            metavar="N",
            help="attack steps (default 20 of PGD, 100 of APGD); may be repeated",
        )
        parser.add_argument(
            "--restarts", type=int, default=1, help="attacks per image, from random points (default: %(default)s)"
        )
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
        parser.add_argument("--seed", type=int, default=0, help="of noise and attacks (default: %(default)s)")
        parser.add_argument("--out", type=Path, help="folder (default: beside the checkpoint)")

    def handle(self, *, checkpoints: list[Path], out: Path | None, **options: Any) -> None:
        try:
            results, found = self._measure(checkpoints, options)
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        from training.evaluation.by_timestep import table
        from training.evaluation.chart import comparison_svg, figure_svg
        from training.evaluation.comparison import comparison_table

        if len(results) == 1:
            (whole,) = results.values()
            text, figure = table(whole), figure_svg(whole)
        else:
            whole = {"classifiers": results, "differences": found}
            text, figure = comparison_table(results, found), comparison_svg(results, found)
        out = out or checkpoints[0].parent
        out.mkdir(parents=True, exist_ok=True)
        (out / "evaluation.json").write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n")
        (out / "evaluation.csv").write_text(text)
        (out / "evaluation.svg").write_text(figure)
        self.stdout.write(text, ending="")
        for name, one in results.items():
            error = one["calibration"]["expected_calibration_error"]
            self.stdout.write(f"{name}: expected calibration error {error:.4f}")
        self.stdout.write(f"written to {out}/evaluation.{{json,csv,svg}}")

    def _measure(self, checkpoints: list[Path], options: dict[str, Any]) -> tuple[dict[str, Any], list]:
        # Torch is loaded from here on.
        from training.evaluation.comparison import differences

        loaded = {
            name: self._loaded(path, options) for name, path in zip(_names(checkpoints), checkpoints, strict=True)
        }
        _check_comparable(loaded)
        # The images, schedule and attacks of the first: what is compared must have seen the same.
        first = next(iter(loaded.values()))
        results, outcomes = {}, {}
        for number, (name, one) in enumerate(loaded.items(), 1):
            outcomes[name] = {}
            what = f"measuring {name}" if len(loaded) == 1 else f"measuring {name} ({number} of {len(loaded)})"
            results[name] = self._evaluated(one, first, what, outcomes[name], options)
        return results, differences(outcomes) if len(loaded) > 1 else []

    def _loaded(self, checkpoint: Path, options: dict[str, Any]) -> _Loaded:
        from diffusion.checkpoints import load_network
        from diffusion.device import chosen_device
        from training.learning.config import read_config

        named = read_config(options["config"]).network if options["config"] else None
        network, card = load_network(checkpoint, default=named, device=str(chosen_device(settings.TORCH_DEVICE)))
        if card.kind != "classifier":
            raise CommandError(f"{checkpoint} is a {card.kind}; give a classifier")
        return _Loaded(checkpoint, network, card, _settings(card, options))

    def _evaluated(
        self, one: _Loaded, first: _Loaded, what: str, outcomes: dict, options: dict[str, Any]
    ) -> dict[str, Any]:
        from diffusion.device import chosen_device
        from training.data.batches import evaluation_images, open_data
        from training.evaluation.by_timestep import evaluate_classifier
        from training.evaluation.config import EvaluationConfig

        data = open_data(
            first.settings.data,
            split="validation",
            class_names=one.card.class_names,
            reader=str(one.path),
            class_map=class_map_named(options["classes"]),
        )
        if len(data.indices) == 0:
            raise CommandError("no images are held out; give some with --data, or set data.validation_share")
        images, labels = evaluation_images(
            data,
            first.settings.data,
            side=one.network.config.image_size,
            channels=one.network.config.in_channels,
            limit=options["limit"] or None,
        )
        schedule = first.settings.schedule.build()
        trained_at = first.settings.attack.epsilon if first.settings.attack else 0.5
        config = EvaluationConfig(
            norm=options["norm"],
            epsilons=tuple(options["epsilon"] or [trained_at]),
            methods=tuple(options["attack"] or ["pgd"]),
            attack_steps=tuple(options["steps"]) if options["steps"] else None,
            restarts=options["restarts"],
            bands=options["bands"],
            draws=options["bands"],
            seed=options["seed"],
            noised=first.settings.noised,
        )
        if not config.noised:
            self.stderr.write(f"{one.path.name} was trained on clean images: it is measured at t = 0 alone")
        denoisers = self._denoisers(options, one, schedule) if config.noised else None
        with shown(what, self.stderr) as told:
            results = evaluate_classifier(
                one.network,
                images,
                labels,
                schedule,
                config,
                denoisers=denoisers,
                device=str(chosen_device(settings.TORCH_DEVICE)),
                on_progress=lambda part, done, total: told(done, total, f"images, {part}"),
                outcomes=outcomes,
            )
        return {"checkpoint": {"path": str(one.path), "sha256": one.card.sha256}, **results}

    def _denoisers(self, options: dict[str, Any], one: _Loaded, schedule: Any) -> tuple[Any, Any] | None:
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
        _check_classes(options["denoiser"], card, one)
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


def _names(checkpoints: list[Path]) -> list[str]:
    """Return a name for each file, as short as tells them apart: a run's files are named by their run."""
    runs = [
        path.parent.name if path.stem in {"last", "best"} and path.parent.name else path.stem for path in checkpoints
    ]
    files = [f"{path.parent.name}/{path.stem}" for path in checkpoints]
    for names in (runs, files, [str(path) for path in checkpoints]):
        if len(set(names)) == len(names):
            return names
    raise CommandError("a checkpoint is named twice; name every one once")


def _check_comparable(loaded: dict[str, _Loaded]) -> None:
    """Refuse classifiers that cannot be shown the same images."""
    (name, first), *others = loaded.items()

    def facts(one: _Loaded) -> dict[str, Any]:
        network, schedule = one.network.config, one.settings.schedule
        return {
            "image_size": network.image_size,
            "in_channels": network.in_channels,
            "noised": one.settings.noised,
            "schedule": (schedule.name, schedule.timesteps),
        }

    for other, one in others:
        for fact, mine in facts(first).items():
            if (theirs := facts(one)[fact]) != mine:
                raise CommandError(
                    f"{other} has {fact} {theirs!r}, {name} {mine!r}: they cannot be shown the same images; "
                    "measure them one by one"
                )


def _check_classes(path: Path, card: Any, one: _Loaded) -> None:
    """Refuse a denoiser whose labels are other classes: its score would be that of another class."""
    if card.class_names and one.card.class_names and card.class_names != one.card.class_names:
        label, mine, theirs = next(
            (label, mine, theirs)
            for label, (mine, theirs) in enumerate(zip_longest(one.card.class_names, card.class_names))
            if mine != theirs
        )
        raise ValueError(
            f"class {label} is {mine!r} to {one.path} and {theirs!r} to {path}; give a denoiser of its classes"
        )


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
    from training.data.sources import kind_at
    from training.learning.config import config_from_dict, read_config

    if options["config"]:
        values = read_config(options["config"]).to_dict()
    elif "training" in card.provenance:
        values = dict(card.provenance["training"])
    else:
        raise ValueError("the file does not say how it was trained; give --config, such as adm128_classifier")
    if options["data"]:
        path = str(Path(options["data"]).resolve())
        # A classifier trained from idx files may be measured on a folder: classes meet by name.
        kind = kind_at(path, otherwise=values["data"]["kind"])
        values["data"] = {**values["data"], "kind": kind, "path": path, "validation_path": path}
    return config_from_dict(values)
