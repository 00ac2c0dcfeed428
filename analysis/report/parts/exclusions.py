"""What was kept out of the estimates, as a sentence says it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from analysis.report.parts.wording import count

__all__ = ["kept_out_words", "rule_shown"]

_WORDS = {
    "simulated vote": "simulated",
    "practice trial": "in practice trials",
    "check trial (identical images)": "in checks with identical images",
    "check trial (degraded image)": "in checks with a spoilt copy",
    "repeated pair": "on repeated pairs",
    "excluded without a stated rule": "excluded without a stated rule",
}
# The ledger names its rule before the reason; readers of a paper do not know these names.
_RULE_NAME = re.compile(r"excluded: (?:[a-z_]+: )?")


def kept_out_words(excluded: Mapping[str, int]) -> str:
    """Return ``12 in practice trials, 40 excluded (median response time under 500 ms)``, without rule names.

    Parameters
    ----------
    excluded : mapping of str to int
        The report's ``data.excluded``: votes by the first rule that kept them out.
    """
    return ", ".join(f"{count(number)} {_words(rule)}" for rule, number in excluded.items())


def rule_shown(rule: str) -> str:
    """Return what kept votes out as a table holds it: without the ledger's name of the rule.

    >>> rule_shown("excluded: too_fast: median response time under 500 ms")
    'excluded: median response time under 500 ms'
    """
    return _RULE_NAME.sub("excluded: ", rule, count=1)


def _words(rule: str) -> str:
    if rule in _WORDS:
        return _WORDS[rule]
    return f"excluded ({_RULE_NAME.sub('', rule, count=1)})"
