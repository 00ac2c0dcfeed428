"""The networks that recipes name: loaded once, pinned by digest, and checked to belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from diffusion.blocks import fuse_attention, pack_convolutions
from diffusion.catalogue import SCHEDULES
from diffusion.checkpoints import CheckpointCard, LoadedNetwork, load_network
from diffusion.classifier import Classifier
from diffusion.published import PUBLISHED
from diffusion.schedule import NoiseSchedule
from diffusion.unet import Denoiser
from generation.recipes.recipe import ArmRecipe, NetworkFile, ScheduleName

__all__ = [
    "NetworkMismatch",
    "NetworkStore",
    "PreparedArm",
    "check_class",
    "class_names",
    "for_sampling",
    "pinned",
    "prepare_arms",
]

# Pixels a side: on the small maps of smaller images packed convolutions take up to half as long again as plain ones.
PACKED_FROM = 32


class NetworkMismatch(ValueError):
    """Denoiser, classifier and recipe do not belong together; the message says what differs and where."""


@dataclass(frozen=True, kw_only=True)
class PreparedArm:
    """A recipe with its files pinned by digest, and the networks it names.

    Parameters
    ----------
    recipe : ArmRecipe
    denoiser : LoadedNetwork
    classifier : LoadedNetwork or None
    schedule : NoiseSchedule
        Respaced to the timesteps that are visited.
    null_label : int or None
    weak_denoiser : LoadedNetwork or None
        What autoguidance leads away from.
    refiner : LoadedNetwork or None
        The classifier that refines finished images; None where they are left as sampled.
    """

    recipe: ArmRecipe
    denoiser: LoadedNetwork
    classifier: LoadedNetwork | None
    schedule: NoiseSchedule
    null_label: int | None
    weak_denoiser: LoadedNetwork | None = None
    refiner: LoadedNetwork | None = None

    @property
    def networks(self) -> tuple[LoadedNetwork, ...]:
        """All networks of the arm, each once."""
        found = (self.denoiser, self.classifier, self.weak_denoiser, self.refiner)
        return tuple({id(one): one for one in found if one is not None}.values())


class NetworkStore:
    """Networks by file and precision, each in memory once however many arms use it.

    Parameters
    ----------
    device : torch.device or str
    compile : bool
        Compile each network with ``torch.compile``. Changes results within rounding, so a manifest records it.
    """

    def __init__(self, device: torch.device | str = "cpu", *, compile: bool = False):
        self.device = torch.device(device)
        self.compile = compile
        # Set when memory has run out, so that the next call does not try the larger batch again.
        self.largest_batch: int | None = None
        self._loaded: dict[tuple[str, str, str], LoadedNetwork] = {}
        self._callable: dict[int, object] = {}

    @property
    def paths(self) -> set[str]:
        """The files that were read."""
        return {path for path, _, _ in self._loaded}

    def load(self, file: NetworkFile, kind: str, precision: str) -> LoadedNetwork:
        """Read a checkpoint, or return it if it is here already with the digest that is wanted.

        Raises
        ------
        CheckpointError
            If the file cannot be read.
        NetworkMismatch
            If it is another kind of network, or its digests are not the recipe's.
        """
        # A cast is done in place: the same file in two precisions is two networks.
        key = (file.path, file.config, precision)
        loaded = self._loaded.get(key)
        # Another digest under a known path: the file may have been put back since it was read.
        if loaded is None or file.replaced_by(pinned(file, loaded.card)):
            loaded = load_network(file.path, file.config or None, device=self.device)
            if precision != "float32":
                loaded.network.cast_torso(getattr(torch, precision))
            for_sampling(loaded.network, is_compiled=self.compile)
            self._loaded[key] = loaded
        if loaded.card.kind != kind:
            raise NetworkMismatch(f"{file.path} holds a {loaded.card.kind}; a {kind} is wanted here")
        if replaced := file.replaced_by(pinned(file, loaded.card)):
            raise NetworkMismatch(
                f"{replaced}, which the recipe pins; the file was replaced: "
                "restore it, or make a new arm for the new weights"
            )
        return loaded

    def call(self, loaded: LoadedNetwork):
        """The network to call: itself, or compiled."""
        network = loaded.network
        if not self.compile:
            return network
        if id(network) not in self._callable:
            self._callable[id(network)] = torch.compile(network)
        return self._callable[id(network)]


def for_sampling(network: Denoiser | Classifier, *, is_compiled: bool = False) -> Denoiser | Classifier:
    """Freeze a network and make it fast where it is: layout, fused attention, a denoiser's convolutions; return it.

    Its outputs change within rounding. A network that is compiled keeps its convolutions: the compiler packs them.
    """
    network.requires_grad_(False)
    is_on_cpu = next(network.parameters()).device.type == "cpu"
    # On a CPU the backward pass of group norms is slower with channels last than convolutions gain.
    if not is_on_cpu or isinstance(network, Denoiser):
        network.to(memory_format=torch.channels_last)
    if is_on_cpu and not is_compiled and isinstance(network, Denoiser) and network.config.image_size >= PACKED_FROM:
        pack_convolutions(network)
    return fuse_attention(network)


def pinned(file: NetworkFile, card: CheckpointCard) -> NetworkFile:
    """Return a file with the digests of what it holds."""
    return replace(file, sha256=card.sha256, config_sha256=card.config_sha256)


def prepare_arms(recipes: Sequence[ArmRecipe], store: NetworkStore) -> list[PreparedArm]:
    """Load what the recipes name and check that it fits together.

    Raises
    ------
    CheckpointError
        If a file cannot be read.
    NetworkMismatch
        If networks differ in image size, channels, classes or schedule, or the schedule is not known.
    ValueError
        If the spacing does not fit the schedule.
    """
    arms = [_prepare(recipe, store) for recipe in recipes]
    first = arms[0].denoiser.network.config
    for arm in arms[1:]:
        _compare(
            "denoisers", arms[0].recipe.denoiser.path, first, arm.recipe.denoiser.path, arm.denoiser.network.config
        )
    _check_names([(f"arm {arm.recipe.name!r}", class_names(arm)) for arm in arms])
    return arms


def class_names(arm: PreparedArm) -> tuple[str, ...]:
    """Return the names of an arm's classes by label, as its checkpoints give them; empty where none does."""
    return next((one.card.class_names for one in (arm.denoiser, arm.classifier) if one and one.card.class_names), ())


def _check_names(named: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    """Refuse two that give a label two names; who names no class agrees with all."""
    named = [(who, names) for who, names in named if names]
    for who, names in named[1:]:
        other, known = named[0]
        if names == known:
            continue
        label = next((i for i, pair in enumerate(zip(known, names, strict=False)) if pair[0] != pair[1]), None)
        if label is None:
            raise NetworkMismatch(f"{other} has {len(known)} classes, {who} {len(names)}")
        raise NetworkMismatch(f"class {label} is {known[label]!r} to {other} and {names[label]!r} to {who}")


def _prepare(recipe: ArmRecipe, store: NetworkStore) -> PreparedArm:
    try:
        denoiser = store.load(recipe.denoiser, "denoiser", recipe.precision)
        classifier = None
        files = {"denoiser": pinned(recipe.denoiser, denoiser.card)}
        if recipe.classifier is not None:
            classifier = store.load(recipe.classifier, "classifier", recipe.classifier_precision)
            files["classifier"] = pinned(recipe.classifier, classifier.card)
            _check_together(recipe, denoiser, classifier)
        weak = refiner = None
        if recipe.weak_denoiser is not None:
            weak = store.load(recipe.weak_denoiser, "denoiser", recipe.precision)
            files["weak_denoiser"] = pinned(recipe.weak_denoiser, weak.card)
            _check_weak(recipe, denoiser, weak)
        if recipe.refine_steps and recipe.refine_classifier is not None:
            refiner = store.load(recipe.refine_classifier, "classifier", "float32")
            files["refine_classifier"] = pinned(recipe.refine_classifier, refiner.card)
            _check_images_and_classes(recipe, denoiser, recipe.refine_classifier, refiner)
        elif recipe.refine_steps:
            refiner = classifier
        name = _schedule_name(recipe, denoiser, classifier)
        schedule = NoiseSchedule.named(name.name, name.timesteps, rescale_timesteps=name.rescale_timesteps)
        return PreparedArm(
            recipe=replace(recipe, schedule=name, **files),
            denoiser=denoiser,
            classifier=classifier,
            schedule=schedule.respaced(recipe.spacing),
            null_label=_null_label(recipe, denoiser),
            weak_denoiser=weak,
            refiner=refiner,
        )
    except ValueError as error:
        # Every complaint names the arm; its kind (a missing file, a mismatch) stays what it was.
        raise type(error)(f"arm {recipe.name!r}: {error}") from error


def _compare(what: str, one_path: str, one, other_path: str, other) -> None:
    # What x_T is made of: arms that differ here cannot start from the same noise.
    for field in ("image_size", "in_channels"):
        if getattr(one, field) != getattr(other, field):
            raise NetworkMismatch(
                f"{what} differ in {field}: {one_path} has {getattr(one, field)}, {other_path} {getattr(other, field)}"
            )


def _check_together(recipe: ArmRecipe, denoiser: LoadedNetwork, classifier: LoadedNetwork) -> None:
    _check_images_and_classes(recipe, denoiser, recipe.classifier, classifier)
    trained = classifier.card.provenance.get("training")
    is_clean = isinstance(trained, dict) and trained.get("noised") is False
    if is_clean and recipe.guidance_point == "noisy":
        raise NetworkMismatch(
            f"the classifier {recipe.classifier.path} was trained on clean images (noised = false): it knows "
            "nothing of noisy ones and cannot guide there; train one with noised = true, or set "
            "guidance_point = denoised"
        )


def _check_images_and_classes(
    recipe: ArmRecipe, denoiser: LoadedNetwork, file: NetworkFile, classifier: LoadedNetwork
) -> None:
    mine, other = denoiser.network.config, classifier.network.config
    _compare("denoiser and classifier", recipe.denoiser.path, mine, file.path, other)
    classes = mine.num_classes
    # One label more is the denoiser's "no class" of label dropout.
    if classes is not None and classes not in (other.num_classes, other.num_classes + 1):
        raise NetworkMismatch(
            f"the denoiser {recipe.denoiser.path} knows {classes} classes, "
            f"the classifier {file.path} {other.num_classes}"
        )
    _check_names([("the denoiser", denoiser.card.class_names), ("the classifier", classifier.card.class_names)])


def _check_weak(recipe: ArmRecipe, denoiser: LoadedNetwork, weak: LoadedNetwork) -> None:
    """Both denoisers see the same state, timestep and class."""
    mine, other = denoiser.network.config, weak.network.config
    _compare("denoiser and weak_denoiser", recipe.denoiser.path, mine, recipe.weak_denoiser.path, other)
    if mine.num_classes != other.num_classes:
        raise NetworkMismatch(
            f"the denoiser {recipe.denoiser.path} knows {mine.num_classes or 'no'} classes, "
            f"the weak_denoiser {recipe.weak_denoiser.path} {other.num_classes or 'none'}"
        )
    _check_names([("the denoiser", denoiser.card.class_names), ("the weak_denoiser", weak.card.class_names)])
    one, another = _card_schedule(denoiser.card), _card_schedule(weak.card)
    if one is not None and another is not None and one != another:
        raise NetworkMismatch(
            f"the weak_denoiser {recipe.weak_denoiser.path} was trained with the {another.name} schedule of "
            f"{another.timesteps} timesteps, the denoiser with {one.name} of {one.timesteps}"
        )


def _card_schedule(card: CheckpointCard) -> ScheduleName | None:
    if not card.schedule:
        return None
    known = {key: card.schedule[key] for key in ("name", "timesteps", "rescale_timesteps") if key in card.schedule}
    return ScheduleName(**known)


def _schedule_name(recipe: ArmRecipe, denoiser: LoadedNetwork, classifier: LoadedNetwork | None) -> ScheduleName:
    """The denoiser's schedule, which recipe and classifier must not contradict."""
    stated = _card_schedule(denoiser.card) or _published_schedule(denoiser.network)
    chosen = recipe.schedule or stated
    if chosen is None:
        raise NetworkMismatch(
            f"{recipe.denoiser.path} does not say its noise schedule; "
            "give the recipe 'schedule': {'name': 'linear' or 'cosine', 'timesteps': ...}"
        )
    others = {f"the denoiser {recipe.denoiser.path}": stated}
    if classifier is not None:
        others[f"the classifier {recipe.classifier.path}"] = _card_schedule(classifier.card)
    for where, other in others.items():
        # At the same t it would look at images of another noise level than it was trained on.
        if other is not None and (other.name, other.timesteps) != (chosen.name, chosen.timesteps):
            raise NetworkMismatch(
                f"{where} was trained with the {other.name} schedule of {other.timesteps} timesteps, "
                f"this arm samples with {chosen.name} of {chosen.timesteps}"
            )
    return chosen


def _published_schedule(network: Denoiser | Classifier) -> ScheduleName | None:
    name = next((name for name, config in PUBLISHED.items() if config == network.config), None)
    return ScheduleName(**SCHEDULES[name]) if name in SCHEDULES else None


def _null_label(recipe: ArmRecipe, denoiser: LoadedNetwork) -> int | None:
    """The label of "no class": as the recipe says, or the one label beyond the named classes."""
    classes = denoiser.network.config.num_classes
    if recipe.null_label is not None:
        if classes is None or recipe.null_label >= classes:
            raise ValueError(f"null_label is {recipe.null_label}, but the denoiser has {classes or 'no'} labels")
        return recipe.null_label
    names = denoiser.card.class_names
    return classes - 1 if classes is not None and names and classes == len(names) + 1 else None


def check_class(arms: Sequence[PreparedArm], class_label: int) -> None:
    """Refuse a class that some network of the arms does not know.

    Raises
    ------
    ValueError
        Naming the class, the arm and the allowed range.
    """
    for arm in arms:
        counts = [loaded.network.config.num_classes for loaded in arm.networks]
        allowed = min((count for count in counts if count is not None), default=None)
        if allowed is not None and arm.null_label == allowed - 1 and arm.classifier is None:
            # The last label means "no class"; with a classifier its smaller number of classes rules it out already.
            allowed -= 1
        if allowed is not None and class_label >= allowed:
            raise ValueError(
                f"class {class_label} is out of range: the networks of arm {arm.recipe.name!r} know the classes "
                f"0 to {allowed - 1}"
            )
