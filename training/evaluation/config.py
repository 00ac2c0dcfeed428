"""What to measure of a classifier: timesteps, attacks and how hard they try."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

from training.attack.apgd import Apgd, ApgdLoss
from training.attack.config import AttackConfig, Norm
from training.learning.validation import TOP_FEW

__all__ = ["ALL_ATTACKS", "METHODS", "Attack", "EvaluationConfig", "Method", "attack_facts", "attack_name"]

Method = Literal["pgd", "apgd-ce", "apgd-t"]
METHODS: tuple[Method, ...] = get_args(Method)
APGD_LOSSES: dict[Method, ApgdLoss] = {"apgd-ce": "ce", "apgd-t": "dlr-targeted"}
_METHOD_OF = {loss: method for method, loss in APGD_LOSSES.items()}
USUAL_STEPS: dict[Method, int] = {"pgd": 20, "apgd-ce": 100, "apgd-t": 100}
#: In place of a method: an image counts if it withstands every one of them.
ALL_ATTACKS = "all"

Attack = AttackConfig | Apgd


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What to measure.

    Parameters
    ----------
    norm : {"l2", "linf"}
    epsilons : tuple of float
        Radii of the attacks, in units of x_t.
    methods : tuple of {"pgd", "apgd-ce", "apgd-t"}
        Attacks; every radius is tried with each.
    attack_steps : tuple of int or None
        More than in training, so that the attack is the stronger one; every radius is tried with each. None for 20
        of PGD and 100 of APGD, as published.
    restarts : int
        Attacks per image, and with "apgd-t" per class aimed at; PGD starts at random points beyond one, APGD always.
    draws : int
        Timesteps per image, one in each of as many bands.
    bands : int
        Bands of equal length over the process.
    seed : int
    batch_size : int
    noised : bool
        False for a classifier of clean images, which is measured at t = 0 alone.
    """

    norm: Norm = "l2"
    epsilons: tuple[float, ...] = (0.5,)
    methods: tuple[Method, ...] = ("pgd",)
    attack_steps: tuple[int, ...] | None = None
    restarts: int = 1
    draws: int = 4
    bands: int = 4
    seed: int = 0
    batch_size: int = 128
    noised: bool = True

    def __post_init__(self) -> None:
        for name in ("restarts", "draws", "bands", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if min(self.attack_steps or (), default=1) < 1:
            raise ValueError(f"attack_steps is {self.attack_steps}; each must be at least 1")
        if unknown := set(self.methods) - set(get_args(Method)):
            raise ValueError(f"methods has {', '.join(sorted(unknown))}; each must be one of {', '.join(METHODS)}")
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods is {self.methods}; name each once")
        # Built to be checked: a bad radius is refused here, before the clean measures have taken their time.
        _ = self.attacks
        if not self.noised:
            # One timestep, hence one band.
            object.__setattr__(self, "bands", 1)
            object.__setattr__(self, "draws", 1)

    @property
    def attacks(self) -> list[Attack]:
        """The attacks to measure under; a step of PGD is 2.5 epsilon / steps, so that it can cross the ball."""
        return [
            self._attack(method, epsilon, steps)
            for epsilon, method in product(self.epsilons, self.methods)
            for steps in self.attack_steps or (USUAL_STEPS[method],)
        ]

    def _attack(self, method: Method, epsilon: float, steps: int) -> Attack:
        if method == "pgd":
            start = self.restarts > 1
            return AttackConfig(norm=self.norm, epsilon=epsilon, steps=steps, step_rule="cifar10", random_start=start)
        return Apgd(loss=APGD_LOSSES[method], norm=self.norm, epsilon=epsilon, steps=steps)

    def passes(self, attack: Attack, classes: int) -> float:
        """Return an image's passes of the network, one to look at it and two for a step: there and back again."""
        # PGD attacks the top five beside the first place.
        runs = attack.aims(classes) if isinstance(attack, Apgd) else 1 + (classes > TOP_FEW)
        return 1.0 + 2.0 * attack.steps * self.restarts * runs


def attack_facts(attack: Attack, restarts: int) -> dict:
    """Return what tells one attack from another, JSON-ready."""
    return {
        "attack": _METHOD_OF[attack.loss] if isinstance(attack, Apgd) else "pgd",
        "norm": attack.norm,
        "epsilon": attack.epsilon,
        "steps": attack.steps,
        "restarts": restarts,
    }


def attack_name(facts: dict) -> str:
    """Return what to call an attack in a line of text."""
    method = facts.get("attack", "pgd")
    if method == ALL_ATTACKS:
        return f"all attacks, {facts['norm']} {facts['epsilon']:g}"
    words = f"{facts['norm']} {facts['epsilon']:g}, {facts['steps']} steps"
    return words if method == "pgd" else f"{method.upper()} {words}"
