"""Images of several arms from the same pairs, kept in a folder: what is there is not made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diffusion.checkpoints import read_card
from generation.recipes.noise import PairSpec
from generation.recipes.recipe import FILE_FIELDS, ArmRecipe
from generation.sampling.networks import NetworkStore, pinned
from generation.sampling.pairs import generate_pairs

__all__ = ["SampleFolder", "pairs_in_turn", "with_digests"]

Progress = Callable[[str, int, int], None]


def pairs_in_turn(seed: int, classes: int, per_class: int) -> list[PairSpec]:
    """Return so many pairs of every class, classes in turn, so that a part of the sequence has all of them."""
    return [PairSpec(seed, label, index) for index in range(per_class) for label in range(classes)]


def with_digests(recipe: ArmRecipe) -> ArmRecipe:
    """Return the recipe with its files pinned: weights trained again make another recipe."""
    files = {name: getattr(recipe, name) for name in FILE_FIELDS}
    cards = {name: pinned(file, read_card(file.path)) for name, file in files.items() if file is not None}
    return replace(recipe, **cards)


@dataclass(frozen=True)
class SampleFolder:
    """Where samples are kept.

    Parameters
    ----------
    folder : Path
    store : NetworkStore
    micro_batch : int
        Pairs sampled at once.
    progress : callable
        Called with what is being done, pairs done and pairs in all.
    """

    folder: Path
    store: NetworkStore
    micro_batch: int
    progress: Progress

    def samples(self, recipes: Sequence[ArmRecipe], pairs: Sequence[PairSpec], *, what: str) -> dict[str, Path]:
        """Return every arm's images as an `.npz` with labels, row i of each being pair i."""
        recipes = [with_digests(recipe) for recipe in recipes]
        told = [[(recipe.name, recipe.sha256) for recipe in recipes], [pair.key for pair in pairs], self.micro_batch]
        key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        files = {recipe.name: self.folder / key / f"{recipe.name}.npz" for recipe in recipes}
        if not all(path.is_file() for path in files.values()):
            self._make(recipes, pairs, files, what)
        return files

    def _make(self, recipes: Sequence[ArmRecipe], pairs: Sequence[PairSpec], files: dict[str, Path], what: str) -> None:
        pixels: dict[str, list[np.ndarray]] = {recipe.name: [] for recipe in recipes}
        made = generate_pairs(recipes, pairs, micro_batch=self.micro_batch, store=self.store)
        for done, pair in enumerate(made, start=1):
            for arm, image in pair.images.items():
                pixels[arm].append(image.pixels)
            self.progress(what, done, len(pairs))
        labels = np.array([pair.class_label for pair in pairs])
        for arm, path in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # A name that np.savez leaves alone, and that nobody takes for the finished file.
            aside = path.with_suffix(".part.npz")
            np.savez(aside, np.stack(pixels[arm]), labels)
            aside.replace(path)
