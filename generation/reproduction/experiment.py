"""The parts of a reproduction: each trains, samples or measures one thing and finds what an earlier call has done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.images import EvaluationRules
from diffusion.checkpoints import load_network, read_card
from diffusion.files import write_atomically
from diffusion.spacing import space_timesteps
from generation.features.evaluation import Reference, evaluate_images
from generation.features.image_sets import ArraySource, NpzSource
from generation.features.networks import load_feature_network
from generation.figures.gradients import alignment_bands, gradient_alignment
from generation.figures.inputs import pick_images
from generation.recipes.recipe import ArmRecipe, NetworkFile
from generation.reproduction.samples import SampleFolder, pairs_in_turn
from generation.sampling.networks import NetworkStore

#: Iterations that an interrupted training loses at most; presets for seconds of training save at the end alone.
_SAVE_EVERY = 100

__all__ = ["PRESETS", "Experiment", "Laboratory", "arm_name"]

Progress = Callable[[str, int, int], None]

#: Samples of different arms are measured against all digits; KID subsets must fit into one arm's images.
_RULES = EvaluationRules(kid_subsets=50, kid_subset_size=300, bootstrap_replicates=50)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is trained, sampled and compared.

    Parameters
    ----------
    seeds : tuple of int
        Each trains its own vanilla and robust classifier and samples its own noise; denoiser and judge are shared.
    scales : tuple of float
        Classifier scales at which both classifiers are sampled.
    published_scales : (float, float)
        Of the vanilla and the robust arm, both among ``scales``: the published ones at 128 pixels are 0.5 and 1.
    images_per_class : int
        Generated per arm and seed. The Frechet distance needs ten images for each of the judge's 128 features.
    spacing : str
        Sampling steps, as in :func:`diffusion.spacing.space_timesteps`.
    epsilon, attack_steps : float, int
        L2 attack that the robust classifier is trained on, in units of pixels in [-1, 1].
    evaluation_steps : int
        Attack steps when robust accuracy is measured: more than in training.
    alignment_per_class : int
        Real images of a class for gradient measures.
    denoiser, classifier, judge : str
        Training presets; robust training is the classifier's preset with the attack, so that nothing else differs.
    iterations : int or None
        Training length of every network; None takes the training presets' own.
    validation_images : int
        Held-out images that classifiers are measured on; 0 takes all.
    micro_batch : int
        Pairs sampled at once.
    kind, data : str
        Kind and path of the images, as in training's ``[data]``.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    scales: tuple[float, ...] = (0.5, 1.0)
    published_scales: tuple[float, float] = (0.5, 1.0)
    images_per_class: int = 130
    spacing: str = "25"
    epsilon: float = 0.5
    attack_steps: int = 5
    evaluation_steps: int = 20
    alignment_per_class: int = 20
    denoiser: str = "digits_denoiser"
    classifier: str = "digits_vanilla"
    judge: str = "digits_judge"
    iterations: int | None = None
    validation_images: int = 0
    micro_batch: int = 40
    kind: str = "digits"
    data: str = ""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds are {self.seeds}; expected at least one, each once")
        if missing := sorted(set(self.published_scales) - set(self.scales)):
            raise ValueError(f"published_scales {missing} are not among scales {self.scales}")
        space_timesteps(1000, self.spacing)  # refuses what is no spacing now, not after the training
        for name in ("images_per_class", "attack_steps", "evaluation_steps", "alignment_per_class", "micro_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")


#: 17 minutes on two cores: shorter trainings than the presets' own, fewer steps than the published 250.
PRESETS = {"digits": Experiment(iterations=400, spacing="10")}


def arm_name(kind: str, scale: float) -> str:
    """Return the name of an arm, e.g. ``robust-1`` or ``vanilla-0.5``."""
    return f"{kind}-{scale:g}"


class Laboratory:
    """A folder with everything an experiment has made so far; asking again for something finds it.

    Parameters
    ----------
    experiment : Experiment
    folder : Path
    device : torch.device
    progress : callable, optional
        Called with what is being done, and how far it is.
    """

    def __init__(
        self, experiment: Experiment, folder: Path, *, device: torch.device, progress: Progress | None = None
    ) -> None:
        self.experiment, self.folder, self.device = experiment, Path(folder), device
        self.progress: Progress = progress or (lambda what, done, total: None)
        self.store = NetworkStore(device)
        self._checkpoints: dict[str, Path] = {}

    def train(self, name: str, preset: str, changes: Mapping[str, Any]) -> Path:
        """Train a network to the end, continuing where an earlier call stopped; return its checkpoint."""
        if name not in self._checkpoints:
            self._checkpoints[name] = self._train(name, preset, changes)
        return self._checkpoints[name]

    def _train(self, name: str, preset: str, changes: Mapping[str, Any]) -> Path:
        from training.learning.config import read_config
        from training.learning.loop import train

        own = {"run.validation_images": self.experiment.validation_images, "run.save_every": _SAVE_EVERY}
        changes = own | dict(changes)
        if self.experiment.data:
            changes |= {"data.path": self.experiment.data}
        if self.experiment.iterations is not None:
            # The presets' warm-up is made for their own length; a shorter run would spend itself on it.
            changes |= {"optimizer.iterations": self.experiment.iterations, "optimizer.warmup": 0}
        config = read_config(preset, changes=changes)
        result = train(
            config,
            out_dir=self.folder / "networks" / name,
            device=str(self.device),
            on_progress=lambda at: self.progress(f"training {name}", at.iteration, at.iterations),
        )
        return result.checkpoint

    def denoiser(self) -> Path:
        """Return the class-conditional denoiser."""
        return self.train("denoiser", self.experiment.denoiser, {})

    def unconditional(self) -> Path:
        """Return a denoiser of the same settings that is shown no classes."""
        return self.train("unconditional", self.experiment.denoiser, {"network.num_classes": None})

    def judge(self) -> Path:
        """Return the classifier of clean images that measures and does not guide."""
        return self.train("judge", self.experiment.judge, {})

    def vanilla(self, seed: int) -> Path:
        """Return the classifier trained on x_t as it is."""
        return self.train(f"vanilla-seed{seed}", self.experiment.classifier, {"run.seed": seed})

    def robust(self, seed: int, *, epsilon: float | None = None, attack_steps: int | None = None) -> Path:
        """Return the classifier trained on attacked x_t; all else as :meth:`vanilla`."""
        epsilon = self.experiment.epsilon if epsilon is None else epsilon
        steps = self.experiment.attack_steps if attack_steps is None else attack_steps
        attack = {"norm": "l2", "epsilon": epsilon, "steps": steps, "step_rule": "cifar10"}
        changes = {"run.seed": seed} | {f"attack.{key}": value for key, value in attack.items()}
        return self.train(f"robust-eps{epsilon:g}-steps{steps}-seed{seed}", self.experiment.classifier, changes)

    def recipes(self, classifiers: Mapping[str, Path], scales: Sequence[float]) -> list[ArmRecipe]:
        """Return an unguided arm and every classifier at every scale."""
        denoiser = NetworkFile(path=str(self.denoiser()))
        arms = [ArmRecipe(name="unguided", denoiser=denoiser, spacing=self.experiment.spacing)]
        for kind, path in classifiers.items():
            arms += [
                ArmRecipe(
                    name=arm_name(kind, scale),
                    denoiser=denoiser,
                    classifier=NetworkFile(path=str(path)),
                    classifier_scale=scale,
                    spacing=self.experiment.spacing,
                )
                for scale in scales
            ]
        return arms

    def samples(self, recipes: Sequence[ArmRecipe], seed: int) -> dict[str, Path]:
        """Return every arm's images as an `.npz` with labels, all arms from the same classes and noise."""
        classes = len(read_card(recipes[0].denoiser.path).class_names)
        pairs = pairs_in_turn(seed, classes, self.experiment.images_per_class)
        return self.sample_folder().samples(recipes, pairs, what=f"sampling seed {seed}")

    def sample_folder(self) -> SampleFolder:
        """Return where samples are kept."""
        return SampleFolder(self.folder / "samples", self.store, self.experiment.micro_batch, self.progress)

    def reference(self) -> ArraySource:
        """Return the real images, with classes."""
        from training.data.sources import open_source

        # Of a set with a split of its own the part that no network was trained on.
        split = "train" if self.experiment.kind == "digits" else "validation"
        found = open_source(self.experiment.kind, self.experiment.data, split=split)
        pixels = found.pixels if found.pixels.ndim == 4 else found.pixels[..., None]
        return ArraySource(self.experiment.kind, pixels, found.labels)

    def measure(self, files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
        """Return per arm the report's metrics in the judge's features, and the share of images it recognises."""
        judge = load_feature_network("classifier", self.judge(), device=self.device)
        sources = {arm: NpzSource(path) for arm, path in files.items()}
        truth = Reference(name=self.experiment.kind, source=self.reference())
        cache = self.folder / "features"
        found = evaluate_images(sources, truth, judge, cache, rules=_RULES, batch_size=256, progress=self.progress)
        results: dict[str, dict[str, Any]] = {}
        for arm, metrics in found.arms.items():
            results[arm] = {name: metric.as_json() for name, metric in metrics.items()}
            results[arm]["judge_accuracy"] = _accuracy(judge, sources[arm])
        return results

    def classifier_accuracy(self, path: Path, seed: int = 0) -> dict[str, Any]:
        """Return accuracy on held-out x_t, clean and attacked harder than in training, in total and by band."""
        from training.attack.config import AttackConfig
        from training.data.batches import evaluation_images, open_data
        from training.learning.config import read_config
        from training.learning.validation import classifier_measures, noised_images

        changes = {"data.path": self.experiment.data} if self.experiment.data else {}
        config = read_config(self.experiment.classifier, changes=changes)
        data = open_data(config.data, split="validation")
        side, channels = config.network.image_size, config.network.in_channels
        limit = self.experiment.validation_images or None
        images, labels = evaluation_images(data, config.data, side=side, channels=channels, limit=limit)
        schedule = config.schedule.build()
        attack = AttackConfig(
            norm="l2",
            epsilon=self.experiment.epsilon,
            steps=self.experiment.evaluation_steps,
            step_rule="cifar10",
        )
        self.progress(f"attacking {path.parent.name}", 0, 1)
        network = load_network(path, device=self.device).network
        noised = noised_images(images, labels, schedule, seed=seed)
        return classifier_measures(network, noised, schedule, attack_config=attack, device=self.device, seed=seed)

    def alignment(self, classifiers: Mapping[str, Path], seed: int) -> dict[str, list[dict]]:
        """Return the agreement of classifier gradients with the denoisers' class score, by arm and band."""
        conditional = load_network(self.denoiser(), device=self.device)
        unconditional = load_network(self.unconditional(), device=self.device)
        config = conditional.network.config
        images, labels = pick_images(
            self.reference(),
            per_class=self.experiment.alignment_per_class,
            side=config.image_size,
            channels=config.in_channels,
        )
        from diffusion.schedule import NoiseSchedule

        card = conditional.card.schedule
        schedule = NoiseSchedule.named(
            card["name"], card["timesteps"], rescale_timesteps=card.get("rescale_timesteps", False)
        )
        self.progress("gradient alignment", 0, 1)
        networks = {name: load_network(path, device=self.device).network for name, path in classifiers.items()}
        found = gradient_alignment(
            networks,
            conditional.network,
            lambda x, t: unconditional.network(x, t),
            schedule,
            images.to(self.device),
            labels.to(self.device),
            seed=seed,
        )
        return alignment_bands(found)

    def remembered(self, name: str, compute: Callable[[], Any], *, inputs: Mapping[str, Any]) -> Any:
        """Return a JSON result kept under a name, computed anew when its inputs have changed."""
        path = self.folder / "results" / f"{name}.json"
        # Without the seeds: one more seed must not throw away what the others have found.
        key = {"experiment": asdict(self.experiment) | {"seeds": None}} | dict(inputs)
        # Through JSON as the kept one went, or tuples would never equal lists.
        key = json.loads(json.dumps(key))
        if path.is_file():
            kept = json.loads(path.read_text())
            if kept["inputs"] == key:
                return kept["result"]
        # What is returned the first time must be what is read the next time.
        result = json.loads(json.dumps(compute()))
        text = json.dumps({"inputs": key, "result": result}, indent=1)
        write_atomically(path, [text.encode()])
        return result


def _accuracy(judge: Any, source: NpzSource) -> float:
    """Return the share of images that the judge sees as the class they were made for."""
    right = [judge.predict(batch.images) == batch.labels for batch in source.batches(256)]
    return float(np.concatenate(right).mean())
