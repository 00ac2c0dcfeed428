from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.console import Report, shown


class Command(BaseCommand):
    help = "Run the paper's experiment at laptop scale: train, sample, measure, and print what agrees."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--preset", default="digits", help="digits (default), or fashion_mnist with --data")
        parser.add_argument("--data", default="", metavar="DIR", help="folder with the four idx files of Fashion-MNIST")
        parser.add_argument(
            "--out", type=Path, metavar="DIR", help="output folder (default: reproduction/ in the data folder)"
        )
        parser.add_argument(
            "--seeds", default="", metavar="0,1,2", help="training and sampling seeds (default: the preset's)"
        )
        parser.add_argument(
            "--images-per-class", type=int, help="images per class, arm and seed (default: the preset's)"
        )
        parser.add_argument(
            "--iterations", type=int, help="training iterations of every network (default: the preset's)"
        )
        parser.add_argument("--spacing", help="sampling steps (default: the preset's)")
        parser.add_argument(
            "--formats", default="svg", help="formats of the figures: svg, png, pdf (default: %(default)s)"
        )
        parser.add_argument("--ablation", action="store_true", help="run the grid of the three options below instead")
        parser.add_argument(
            "--epsilons", default="0.25,0.5,1", help="attack radii of the ablation (default: %(default)s)"
        )
        parser.add_argument("--attack-steps", default="1,5", help="attack steps of the ablation (default: %(default)s)")
        parser.add_argument(
            "--scales", default="0.5,1,2", help="guidance scales of the ablation (default: %(default)s)"
        )

    def handle(self, *, preset: str, out: Path | None, ablation: bool, **options) -> None:
        from diffusion.checkpoints import CheckpointError

        try:
            formats = tuple(_values(options["formats"], str))
            with shown(f"experiment {preset}", self.stderr) as told:
                laboratory = self._laboratory(preset, out, options, told)
                results = _ablated(laboratory, options, formats) if ablation else _reproduced(laboratory, formats)
            self._print(laboratory.folder, results)
        except (CheckpointError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error

    def _laboratory(self, preset: str, out: Path | None, options: dict[str, Any], told: Report) -> Any:
        # Only the work itself loads torch.
        from diffusion.device import chosen_device
        from generation.reproduction.compared import COMPARISONS
        from generation.reproduction.experiment import PRESETS, Laboratory

        presets = PRESETS | COMPARISONS
        if preset not in presets:
            raise ValueError(f"unknown preset {preset!r}; known: {', '.join(presets)}")
        if (preset in COMPARISONS) != bool(options["data"]):
            raise ValueError(f"preset {preset} {'needs --data DIR' if preset in COMPARISONS else 'takes no --data'}")
        given = {name: options[name] for name in ("images_per_class", "iterations", "spacing")}
        changes = {name: value for name, value in given.items() if value is not None}
        if options["seeds"]:
            changes["seeds"] = tuple(_values(options["seeds"], int))
        if options["data"]:
            changes["data"] = options["data"]
        experiment = replace(presets[preset], **changes)
        folder = out or settings.DATA_DIR / "reproduction"
        device = chosen_device(settings.TORCH_DEVICE)
        return Laboratory(experiment, folder, device=device, progress=lambda what, done, total: told(done, total, what))

    def _print(self, folder: Path, results: Any) -> None:
        if isinstance(results, list):
            self._print_table(folder, results)
        elif "findings" in results:
            self._print_findings(folder, results)
        else:
            self._print_differences(folder, results)

    def _print_differences(self, folder: Path, results: dict[str, Any]) -> None:
        from analysis.report.content.metric_differences import difference_sentences

        shown = dict.fromkeys((entry["arm"], entry["baseline"]) for entry in results["differences"])
        for sentence in difference_sentences(results["differences"], list(shown)):
            self.stdout.write(sentence)
        self.stdout.write(f"page: {folder / 'reproduction.html'}")

    def _print_findings(self, folder: Path, results: dict[str, Any]) -> None:
        for finding in results["findings"]:
            found = "" if finding["mean"] is None else f", mean {finding['mean']:+.4g}"
            interval = finding["ci95"]
            found += "" if interval is None else f" [{interval[0]:+.4g}, {interval[1]:+.4g}]"
            self.stdout.write(f"{finding['verdict']:>10}: {finding['claim']} ({finding['comparison']}{found})")
        self.stdout.write(f"page: {folder / 'reproduction.html'}")

    def _print_table(self, folder: Path, cells: list[dict[str, Any]]) -> None:
        for cell in cells:
            self.stdout.write(", ".join(f"{name} {_number(value)}" for name, value in cell.items()))
        self.stdout.write(f"table: {folder / 'ablation.csv'}")


def _reproduced(laboratory: Any, formats: tuple[str, ...]) -> dict[str, Any]:
    from generation.reproduction.compared import Comparison, compare
    from generation.reproduction.run import reproduce

    if isinstance(laboratory.experiment, Comparison):
        return compare(laboratory, formats=formats)
    return reproduce(laboratory, formats=formats)


def _ablated(laboratory: Any, options: dict[str, Any], formats: tuple[str, ...]) -> list[dict[str, Any]]:
    from generation.reproduction.run import ablate

    return ablate(
        laboratory,
        epsilons=_values(options["epsilons"], float),
        attack_steps=_values(options["attack_steps"], int),
        scales=_values(options["scales"], float),
        formats=formats,
    )


def _values(text: str, kind: type) -> list:
    try:
        return [kind(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"{text!r}: expected {kind.__name__} numbers with commas between them") from None


def _number(value: float | None) -> str:
    return "refused" if value is None else f"{value:.4g}"
