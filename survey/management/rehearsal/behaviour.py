"""How simulated raters choose."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, field
from typing import Any

# Scale of a logit that a standard normal deviation attenuates by; Zeger, Liang and Albert (1988), Biometrics 44, eq. 3.
_ATTENUATION = (16 * math.sqrt(3) / (15 * math.pi)) ** 2


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How simulated raters choose.

    Parameters
    ----------
    arm : str
        The arm that they prefer.
    preference : float
        How often, over all raters and pairs, it is chosen where sides do not matter.
    position_bias : float
        By how much the left side is chosen more often than half of the time by somebody who sees no difference.
    lapse : float
        Probability that an answer is given without looking.
    tie_rate : float
        Probability of a tie from somebody who sees no difference.
    sd_rater, sd_pair : float
        Spread of preference between raters and between pairs, in logits.
    drop_out : float
        Probability that a rater leaves before the end.
    response_ms : float
        Median response time.
    """

    arm: str
    preference: float = 0.6
    position_bias: float = 0.0
    lapse: float = 0.02
    tie_rate: float = 0.1
    sd_rater: float = 0.3
    sd_pair: float = 0.5
    drop_out: float = 0.0
    response_ms: float = 1800.0

    def __post_init__(self) -> None:
        for name in ("lapse", "tie_rate", "drop_out"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 to 1")
        if not 0 < self.preference < 1:
            raise ValueError(f"preference is {self.preference}; it must lie between 0 and 1")
        if not -0.5 < self.position_bias < 0.5:
            raise ValueError(f"position_bias is {self.position_bias}; it must lie between -0.5 and 0.5")
        if self.sd_rater < 0 or self.sd_pair < 0 or self.response_ms <= 0:
            raise ValueError("sd_rater, sd_pair must be 0 or more, response_ms above 0")

    def centre(self) -> float:
        """Return the logit whose average over raters and pairs is ``preference``."""
        spread = self.sd_rater**2 + self.sd_pair**2
        return _logit(self.preference) * math.sqrt(1 + _ATTENUATION * spread)


def _logit(rate: float) -> float:
    return math.log(rate / (1 - rate))


def _rate(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@dataclass
class RaterModel:
    """One rater's answers to trials."""

    behaviour: Behaviour
    seed: int
    number: int
    rng: random.Random = field(init=False)
    aside: random.Random = field(init=False)
    taste: float = field(init=False)

    def __post_init__(self) -> None:
        # One generator a rater: the same answers however many are at work at once.
        self.rng = random.Random(f"{self.seed}/{self.number}")
        # Apart: what is asked beyond the choice changes no choice.
        self.aside = random.Random(f"{self.seed}/{self.number}/beyond")
        self.taste = self.rng.gauss(0, self.behaviour.sd_rater)

    def choice(self, trial: dict[str, Any], *, has_ties: bool) -> str:
        """Return left, right or tie for a trial as the database knows it; by every criterion with the same taste."""
        rng, behaviour = self.rng, self.behaviour
        if rng.random() < behaviour.lapse:
            # A lapse is a coin: no pull of arm or side.
            return rng.choice(("left", "right"))
        if trial["degraded_side"]:
            return "right" if trial["degraded_side"] == "left" else "left"
        to_left = _rate(self._pull_left(trial) + _logit(0.5 + behaviour.position_bias))
        # Ties come where the sides are hard to tell, most of all where they are the same.
        ties = 0.8 if trial["check_kind"] == "identical" else behaviour.tie_rate * 4 * to_left * (1 - to_left)
        if has_ties and rng.random() < ties:
            return "tie"
        return "left" if rng.random() < to_left else "right"

    def beyond(self, choice: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
        """Return an answer to each question that follows a choice: at random, as nothing is rehearsed but the way."""
        said: dict[str, Any] = {}
        for step in steps:
            name, values = step["name"], step["values"]
            if name == "acceptable":
                picked = self.aside.choice([value for value in values if choice != "tie" or value != "one"])
                said[name] = choice if picked == "one" else picked
            elif choice != "tie":
                said[name] = [self.aside.choice(values)] if step["isSeveral"] else self.aside.choice(values)
        return said

    def _pull_left(self, trial: dict[str, Any]) -> float:
        arms = (trial["arm_left__name"], trial["arm_right__name"])
        if arms[0] == arms[1] or self.behaviour.arm not in arms:
            return 0.0
        # A pair appeals alike to every rater; hashed, for Python's own hash differs from run to run.
        pair = int.from_bytes(hashlib.sha256(f"{self.seed}/{trial['pair_id']}".encode()).digest()[:8])
        appeal = random.Random(pair).gauss(0, self.behaviour.sd_pair)
        pull = self.behaviour.centre() + self.taste + appeal
        return pull if arms[0] == self.behaviour.arm else -pull

    def response_ms(self) -> float:
        """Return a log-normal response time."""
        return round(self.rng.lognormvariate(math.log(self.behaviour.response_ms), 0.45), 1)
