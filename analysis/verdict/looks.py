"""How often the plan lets one look at the results, and what that asks of a p-value and an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.inference.spending import SPENDING, SpendingType, nominal_levels, repeated_p_value

__all__ = ["Basis", "Looks", "planned_looks"]

Basis = Literal["one look", "group sequential", "anytime"]


@dataclass(frozen=True, kw_only=True)
class Looks:
    """The looks that were taken, the present one last.

    Parameters
    ----------
    basis : {"one look", "group sequential", "anytime"}
    number : int
        Looks planned.
    fractions : tuple of float
        Information fractions of the looks taken, planned or not; the last belongs to this look.
    spending : {"obrien_fleming", "pocock"}
    is_planned : bool
        Whether a plan says how often to look.
    """

    basis: Basis = "one look"
    number: int = 1
    fractions: tuple[float, ...] = (1.0,)
    spending: SpendingType = "obrien_fleming"
    is_planned: bool = False

    @property
    def look(self) -> int:
        """Which look this is, 1-based."""
        return len(self.fractions)

    def p_value(self, p_value: float) -> float:
        """Return a fixed-sample p-value made to count every look so far."""
        if self.basis != "group sequential":
            return p_value
        return repeated_p_value(p_value, self.fractions, spending=self.spending)

    def nominal(self, level: float) -> float:
        """Return the level at which this look tests, so that all looks together keep the level given."""
        if self.basis != "group sequential":
            return level
        return float(nominal_levels(self.fractions, level=level, spending=self.spending)[-1])


def planned_looks(plan: Mapping, *, taken: int | Sequence[float] | None = None, raters: int | None = None) -> Looks:
    """Return the looks of a plan.

    Parameters
    ----------
    plan : mapping
        ``looks`` is ``"one"``, ``"anytime"``, a number, or ``{"number": 5, "spending": "pocock", "fractions": [...]}``
        (``fractions``: planned information fractions, equal steps without them; ``spending``: O'Brien and Fleming's
        type without it; ``taken``: the fractions of all looks so far, for when ``taken`` below says nothing).
        ``target_raters`` is the planned end.
    taken : int, sequence of float, or None
        Which look this is, or the information fractions of all looks so far. Without it the share of the planned raters
        who voted says so, and without planned raters this is the last look.
    raters : int or None
        Raters who voted.

    Raises
    ------
    ValueError
        If the plan's looks cannot be followed.
    """
    given = plan.get("looks")
    if given in (None, "one") or (given == 1 and given is not True):
        return Looks(is_planned=given is not None)
    if given == "anytime":
        return Looks(basis="anytime", is_planned=True)
    number, spending, planned = _parts(given)
    if taken is None and isinstance(given, Mapping):
        taken = given.get("taken") or None
    if number == 1 and taken is None:
        return Looks(is_planned=True)
    fractions = _taken(planned, taken, _share(raters, plan.get("target_raters")))
    looks = Looks(basis="group sequential", number=number, fractions=fractions, spending=spending, is_planned=True)
    looks.nominal(0.05)  # refuses fractions that do not increase
    return looks


def _parts(given: object) -> tuple[int, SpendingType, tuple[float, ...]]:
    whole = {"number": given} if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(whole, Mapping) or not {"number", "fractions"} & whole.keys():
        raise ValueError(
            f"the plan's looks is {given!r}; give 'one', 'anytime', a number of at least 1, or "
            '{"number": 5, "spending": "obrien_fleming"}'
        )
    planned = tuple(whole.get("fractions") or ())
    number = whole.get("number", len(planned))
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"the plan's looks is {given!r}; their number must be at least 1")
    if planned and len(planned) != number:
        raise ValueError(f"the plan's looks has {len(planned)} fractions for {number} looks; give one a look")
    is_number = all(isinstance(one, int | float) and not isinstance(one, bool) for one in planned)
    if not is_number or not all(0.0 < one <= 1.0 for one in planned) or list(planned) != sorted(set(planned)):
        raise ValueError(f"the plan's looks has fractions {list(planned)}; give increasing numbers within (0, 1]")
    spending = whole.get("spending", "obrien_fleming")
    if spending not in SPENDING:
        raise ValueError(f"the plan's looks has spending {spending!r}; it must be one of {', '.join(SPENDING)}")
    return number, spending, planned or tuple(look / number for look in range(1, number + 1))


def _taken(planned: tuple[float, ...], taken: int | Sequence[float] | None, share: float | None) -> tuple[float, ...]:
    """Return the fractions of the looks so far, from what is known of them."""
    if isinstance(taken, int):
        if not 1 <= taken <= len(planned):
            raise ValueError(f"look {taken} of {len(planned)}: give a number from 1 to {len(planned)}")
        return planned[:taken]
    if taken is not None:
        return tuple(float(fraction) for fraction in taken)
    if share is None or share >= 0.999:
        return (*planned[:-1], 1.0)
    # Earlier looks as planned, this one where the raters are: spending needs no look to be on time.
    return (*(fraction for fraction in planned if fraction < share - 0.001), share)


def _share(raters: int | None, target: object) -> float | None:
    if not raters or not isinstance(target, int) or isinstance(target, bool) or target < 1:
        return None
    return max(0.001, min(1.0, raters / target))
