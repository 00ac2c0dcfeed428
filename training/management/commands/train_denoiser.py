"""Train a denoiser: the UNet that both arms of a study share."""

from __future__ import annotations

from training.management.commands._shared import TrainCommand


class Command(TrainCommand):
    help = __doc__ + " Repeating the command continues a stopped run."
    task = "denoiser"
