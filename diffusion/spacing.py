"""Which timesteps of the original process a shorter sampler keeps. No torch: the web process checks recipes too."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["parse_spacing", "space_timesteps"]

DDIM_PREFIX = "ddim"


def space_timesteps(num_timesteps: int, spacing: str | Sequence[int] | None) -> tuple[int, ...]:
    """Timesteps of the original process that are kept, ascending.

    Parameters
    ----------
    num_timesteps : int
        Length T of the original process.
    spacing : str, sequence of int, or None
        ``None`` and ``""`` keep all T. ``"250"`` keeps 250 timesteps from end to end. ``"10,15,20"``, or these numbers,
        cuts the process into that many sections of (nearly) equal length and keeps so many timesteps of each; a section
        of 0 is left out. ``"ddim25"`` takes the one integer
        stride that gives exactly 25 timesteps, beginning at 0; it does not reach T - 1 unless the stride divides it.

    Returns
    -------
    tuple of int
        Strictly ascending indices in [0, T).

    Raises
    ------
    ValueError
        If the text cannot be read, a count is below 0, nothing is kept, a section is shorter than its count, or no
        integer stride gives the asked number of timesteps.

    References
    ----------
    Nichol and Dhariwal 2021 (arXiv 2102.09672), section 4 (respacing); Song et al. 2021 (arXiv 2010.02502), appendix
    D.2 (linear stride). Rounding follows the published sampler: positions are accumulated in floating point and rounded
    half to even, so that the kept timesteps are the published ones.
    """
    if num_timesteps < 1:
        raise ValueError(f"num_timesteps is {num_timesteps}; it must be at least 1")
    if spacing is None or spacing == "":
        return tuple(range(num_timesteps))
    if not isinstance(spacing, str):
        spacing = ",".join(map(str, spacing))
    is_strided, counts = parse_spacing(spacing)
    if is_strided:
        return _strided(num_timesteps, counts[0], spacing)
    return _sectioned(num_timesteps, counts, spacing)


def parse_spacing(spacing: str) -> tuple[bool, list[int]]:
    """Read a spacing without yet asking whether it fits a process: (is an integer stride, counts).

    Raises
    ------
    ValueError
        If the text cannot be read, a count is below 0 or all are 0.
    """
    is_strided = spacing.startswith(DDIM_PREFIX)
    parts = [spacing.removeprefix(DDIM_PREFIX)] if is_strided else spacing.split(",")
    counts = [_count(part, spacing) for part in parts]
    if sum(counts) < 1:
        raise ValueError(f"spacing {spacing!r} keeps no timestep; give '250', '10,15,20' or 'ddim25'")
    return is_strided, counts


def _count(text: str, spacing: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = -1
    if count < 0:
        raise ValueError(
            f"spacing {spacing!r}: {text!r} is not a number of timesteps; "
            "give '250', '10,15,20' or 'ddim25' with counts of 0 or more"
        )
    return count


def _strided(num_timesteps: int, count: int, spacing: str) -> tuple[int, ...]:
    for stride in range(1, num_timesteps + 1):
        kept = range(0, num_timesteps, stride)
        if len(kept) == count:
            return tuple(kept)
    raise ValueError(
        f"spacing {spacing!r}: no integer stride gives exactly {count} of {num_timesteps} timesteps; "
        f"a count that divides {num_timesteps} always works"
    )


def _sectioned(num_timesteps: int, counts: list[int], spacing: str) -> tuple[int, ...]:
    length, longer_sections = divmod(num_timesteps, len(counts))
    kept: list[int] = []
    start = 0
    for section, count in enumerate(counts):
        size = length + (1 if section < longer_sections else 0)
        if size < count:
            raise ValueError(
                f"spacing {spacing!r}: section {section + 1} has {size} timesteps, fewer than the {count} asked"
            )
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        position = 0.0
        for _ in range(count):
            # Summed up and rounded (half to even) as published; multiplying instead can round to other timesteps.
            kept.append(start + round(position))
            position += stride
        start += size
    return tuple(kept)
