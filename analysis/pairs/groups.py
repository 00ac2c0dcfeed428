"""The preference rate within groups of pairs: by tag, of which a pair may have several, and by prompt."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.inference.counts import Counts, count_votes
from analysis.inference.estimate import Estimate
from analysis.inference.intervals import clamped_p
from analysis.pairs.table import Pair, Pairs
from analysis.preference.per_class import Adjustment, adjusted_p_values, class_rates
from analysis.votes.table import Comparison

__all__ = ["KINDS", "GroupResult", "PairGroups", "by_prompt", "by_tag", "readable"]

KINDS = ("tag", "prompt")
# Characters of a prompt that name its group.
_SHOWN = 72


@dataclass(frozen=True, kw_only=True)
class GroupResult:
    """One group: what to call it, its whole text, counts, rate with interval and p, adjusted p where it was tested."""

    name: str
    text: str
    counts: Counts
    result: Estimate
    p_adjusted: float | None

    def as_json(self) -> dict:
        """Return the entry of ``report.json``."""
        return {
            "name": self.name,
            "text": self.text,
            "counts": self.counts.as_json(),
            "result": self.result.as_json(),
            "p_adjusted": self.p_adjusted,
        }


@dataclass(frozen=True, kw_only=True)
class PairGroups:
    """All groups of one kind in the order of their names, or why there are none."""

    groups: tuple[GroupResult, ...]
    adjustment: str
    reason: str | None = None

    def as_json(self) -> dict:
        size = sum(group.p_adjusted is not None for group in self.groups)
        entries = [group.as_json() for group in self.groups]
        return {"groups": entries, "size": size, "adjustment": self.adjustment, "reason": self.reason}


def by_tag(comparison: Comparison, labels: Sequence[str], pairs: Pairs, *, adjust: Adjustment = "bh") -> PairGroups:
    """Return the preference rate of the votes on pairs of each tag. A vote counts for every tag of its pair.

    Parameters
    ----------
    comparison : Comparison
    labels : sequence of str
        Names of the pairs, by the codes that the comparison has for them.
    pairs : mapping of str to Pair
    adjust : {"bh", "holm"}
        How p-values are adjusted for the family of tags.
    """
    tags = [pairs.get(label, Pair()).tags for label in labels]
    names = sorted({tag for of_pair in tags for tag in of_pair})
    has = {name: np.array([name in of_pair for of_pair in tags], dtype=bool) for name in names}
    groups = [(name, comparison.rows(has[name][comparison.pair])) for name in names]
    reason = None if names else "no pair has a tag"
    if names and any(len(of_pair) > 1 for of_pair in tags):
        reason = "pairs with several tags count for each of them, so that the rows are not independent"
    return _estimated([(name, name, group) for name, group in groups if len(group)], adjust, reason)


def by_prompt(comparison: Comparison, labels: Sequence[str], pairs: Pairs, *, adjust: Adjustment = "bh") -> PairGroups:
    """Return the preference rate of the votes on the pairs of each prompt, as :func:`by_tag` does.

    Where no prompt has two pairs voted on, there are no groups of pairs.
    """
    prompts = np.array([pairs.get(label, Pair()).prompt for label in labels], dtype=object)
    voted = sorted(set(comparison.pair.tolist()))
    counted = Counter(prompts[code] for code in voted if prompts[code])
    if not counted:
        return PairGroups(groups=(), adjustment=adjust, reason="no pair has a prompt")
    if max(counted.values()) == 1:
        return PairGroups(groups=(), adjustment=adjust, reason="no prompt has more than one pair")
    of_vote = prompts[comparison.pair]
    shown = readable(sorted(counted))
    groups = [(shown[text], text, comparison.rows(of_vote == text)) for text in sorted(counted)]
    return _estimated(groups, adjust, None)


def _estimated(named: list[tuple[str, str, Comparison]], adjust: Adjustment, reason: str | None) -> PairGroups:
    if not named:
        return PairGroups(groups=(), adjustment=adjust, reason=reason)
    bare = [
        replace(group, extra={name: group.extra[name] for name in ("site",) if name in group.extra})
        for _, _, group in named
    ]
    results = class_rates(bare)
    tested = [result.p_value for result in results if result.p_value is not None]
    adjusted = iter(adjusted_p_values(tested, adjust))
    groups = tuple(
        GroupResult(
            name=name,
            text=text,
            counts=count_votes(group),
            result=result,
            p_adjusted=None if result.p_value is None else clamped_p(float(next(adjusted))),
        )
        for (name, text, _), group, result in zip(named, bare, results, strict=True)
    )
    return PairGroups(groups=groups, adjustment=adjust, reason=reason)


def readable(texts: Sequence[str]) -> dict[str, str]:
    """Return a short name for each text, none of which is another's: the beginning, numbered where several share it.

    >>> readable(["a cat", "a dog"])
    {'a cat': 'a cat', 'a dog': 'a dog'}
    """
    short = {text: _shortened(text) for text in texts}
    shared = Counter(short.values())
    seen: Counter[str] = Counter()
    names = {}
    for text in texts:
        name = short[text]
        seen[name] += 1
        names[text] = f"{name} [{seen[name]}]" if shared[name] > 1 else name
    return names


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    if len(plain) <= _SHOWN:
        return plain
    # Scripts without spaces have no words to cut between.
    return textwrap.shorten(plain, _SHOWN, placeholder=" …") if " " in plain[:_SHOWN] else f"{plain[: _SHOWN - 1]}…"
