"""What `make demo` trains and how it samples: names of presets and an arm's settings, without Django or torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ARM", "BASELINE", "EARLIER", "NOW", "DemoRecipe", "Network"]

BASELINE, ARM = "vanilla", "robust"


@dataclass(frozen=True)
class Network:
    """A network of the demo: what the board calls its training, the command and the preset, whose name the run has."""

    title: str
    command: str
    preset: str


@dataclass(frozen=True)
class DemoRecipe:
    """The presets of the networks, by what their names begin with, and what both arms sample with.

    Parameters
    ----------
    presets : str
    sampling : mapping
        Fields of `generation.recipes.recipe.ArmRecipe` that both arms share.
    scales : mapping
        Guidance scale of every arm. At 16 x 16 pixels the published scales change next to nothing that one could see.
    """

    presets: str
    sampling: Mapping[str, Any]
    scales: Mapping[str, float]

    def run(self, role: str) -> str:
        """Name the preset, and the run, of a network: "denoiser", "vanilla", "robust" or "judge"."""
        return f"{self.presets}_{role}"

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks, the longest training first: side by side they are then done soonest."""
        return (
            Network("Train the denoiser that both arms share", "train_denoiser", self.run("denoiser")),
            Network("Train the robust classifier (PGD)", "train_classifier", self.run("robust")),
            Network("Train the vanilla classifier", "train_classifier", self.run("vanilla")),
            Network("Train a classifier that judges the images", "train_classifier", self.run("judge")),
        )


# Fresh noise at every step lets later steps mend what a denoiser of seconds gets wrong at the first, where it can tell
# least. DDIM carries such errors to the end: grey or speckled grounds.
NOW = DemoRecipe("demo", {"sampler": "ancestral", "spacing": "50"}, {BASELINE: 25.0, ARM: 25.0})
#: Of release 0.1. Its presets are also what the experiment on digits is defined by.
EARLIER = DemoRecipe("digits", {"sampler": "ddim", "spacing": "ddim25"}, {BASELINE: 25.0, ARM: 25.0})
