"""Weights of another run as the start of this one."""

import logging
from collections.abc import Sequence
from typing import Any

from diffusion.checkpoints import CheckpointCard, LoadedNetwork, load_network
from training.learning.config import ConfigError, TrainingConfig
from training.learning.learner import Learner

__all__ = ["check_init", "start_from"]

log = logging.getLogger(__name__)
# What decides no number of a network that is given its weights.
_FREE = {"dropout"}


def check_init(config: TrainingConfig) -> LoadedNetwork:
    """Return the network whose weights a run begins with.

    Raises
    ------
    CheckpointError
        The file cannot be read.
    ConfigError
        It is another network than the run's.
    """
    loaded = load_network(config.init, default=config.network)
    mine, its = (
        {"kind": kind, **network.to_dict()}
        for kind, network in ((config.task, config.network), (loaded.card.kind, loaded.network.config))
    )
    for name in sorted(mine.keys() | its.keys() - _FREE):
        if mine.get(name) != its.get(name) and name not in _FREE:
            raise ConfigError(
                f"init is {config.init!r}, whose network has {name} = {its.get(name)!r}, this one {mine.get(name)!r}; "
                "give a checkpoint of the same architecture, or change [network]"
            )
    return loaded


def start_from(learner: Learner, config: TrainingConfig, class_names: Sequence[str]) -> dict[str, Any]:
    """Give a learner the weights of `config.init`; return what is to be recorded of it.

    Raises
    ------
    CheckpointError, ConfigError
        See `check_init`; or the checkpoint has the run's classes in another order.
    """
    loaded = check_init(config)
    _check_order(config.init, loaded.card, tuple(class_names))
    learner.begin_with(loaded.network.state_dict())
    log.info("weights of %s are the start", config.init)
    facts = {"path": config.init, "sha256": loaded.card.sha256, "class_names": list(loaded.card.class_names)}
    return facts | {"iteration": loaded.card.provenance.get("iteration")}


def _check_order(path: str, card: CheckpointCard, class_names: tuple[str, ...]) -> None:
    its = card.class_names
    if its == class_names or not its:
        return
    if sorted(its) == sorted(class_names):
        label = next(i for i, (one, other) in enumerate(zip(its, class_names, strict=True)) if one != other)
        raise ConfigError(
            f"init is {path!r}, which has the classes of these images in another order: {label} is {its[label]!r} "
            f"there and {class_names[label]!r} here; bring the images into its order (data.classes)"
        )
    log.warning("%s was trained on other classes (%s, ...); its weights are a start alone", path, ", ".join(its[:3]))
