from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from diffusion.checkpoints import save_network
from generation.recipes.recipe import ArmRecipe
from tests.generation.toys import NUM_CLASSES, tiny_classifier, tiny_denoiser

CLASS_NAMES = tuple(f"digit {number}" for number in range(NUM_CLASSES))
SCHEDULE = {"name": "cosine", "timesteps": 1000, "rescale_timesteps": True}


@dataclass(frozen=True)
class Checkpoints:
    folder: Path
    denoiser: str
    vanilla: str
    robust: str

    def recipe(self, name: str = "vanilla", **changes) -> ArmRecipe:
        """The recipe of an arm guided by the classifier of that name (none for other names)."""
        values = {"denoiser": self.denoiser, "spacing": "6"}
        if name in ("vanilla", "robust"):
            values |= {"classifier": getattr(self, name), "classifier_scale": 0.5 if name == "vanilla" else 2.0}
        return ArmRecipe.from_json(name, values | changes)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """Three tiny networks on disk: random weights, but real files."""
    folder = tmp_path_factory.mktemp("checkpoints")
    facts = {"schedule": SCHEDULE, "class_names": CLASS_NAMES}
    networks = {"denoiser": tiny_denoiser(), "vanilla": tiny_classifier(1), "robust": tiny_classifier(2)}
    paths = {}
    for name, network in networks.items():
        paths[name] = str(folder / f"{name}.safetensors")
        save_network(paths[name], network, **facts)
    return Checkpoints(folder, **paths)


@pytest.fixture
def draft(db, checkpoints: Checkpoints):
    """Make a draft whose arms have recipes: ``draft("vanilla", "robust", slug="s")``."""
    from survey.services.study.study import arm_add, study_create
    from tests.factories import make_user

    def make(*arms: str, slug: str = "digits", owner=None, **changes):
        owner = owner or make_user()
        study = study_create(
            owner=owner, slug=slug, title="Digits", seed=77, consent_text="I agree.", practice_trials=0
        )
        for name in arms or ("vanilla", "robust"):
            arm_add(study=study, name=name, actor=owner, recipe=checkpoints.recipe(name, **changes).to_json())
        return study

    return make
