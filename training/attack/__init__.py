"""Attacks on diffused images: :func:`pgd` is the loop, :func:`attack` runs it as an :class:`AttackConfig` says.

Auto-PGD, which measures and does not train, is in :mod:`training.attack.apgd`.
"""

from __future__ import annotations

from training.attack.pgd import AttackResult, attack, pgd
from training.attack.threat_model import AttackConfig, EpsilonRule, Norm, StepRule

__all__ = ["AttackConfig", "AttackResult", "EpsilonRule", "Norm", "StepRule", "attack", "pgd"]
