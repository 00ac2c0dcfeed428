"""Train a denoiser: the UNet that both arms of a study share."""

from __future__ import annotations

from training.management.commands._shared import TrainCommand


class Command(TrainCommand):
    help = __doc__ + " The same command again continues where it stopped."
    task = "denoiser"
