"""Train a time-dependent classifier, vanilla or robust."""

from __future__ import annotations

import argparse
from typing import Any

from training.management.commands._shared import TrainCommand
from training.presets import ConfigError, read_settings


class Command(TrainCommand):
    help = __doc__ + " Repeating the command continues a stopped run."
    task = "classifier"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--robust", action="store_true", help="require settings that attack the training images")
        kind.add_argument("--vanilla", action="store_true", help="train without attack, whatever the settings say")

    def changes(self, options: dict[str, Any]) -> dict[str, Any]:
        changes = super().changes(options)
        if options["vanilla"]:
            changes["attack"] = None
        elif options["robust"] and "attack" not in read_settings(options["config"], changes=changes):
            raise ConfigError(
                f"{options['config']} has no [attack]; choose a preset that ends in _robust, "
                "or add --set attack.epsilon=0.5 (L2, units of x_t)"
            )
        return changes
