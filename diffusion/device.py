"""The device that networks run on, from the name that a person gave."""

from __future__ import annotations

import re

import torch

__all__ = ["chosen_device"]


def chosen_device(name: str, *, named_by: str = "BLINDPAIR_DEVICE") -> torch.device:
    """Return the device of that name; ``auto`` is CUDA where there is one, else the CPU.

    Parameters
    ----------
    name : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    named_by : str
        What the name was given as: the setting or option that an error tells to change.

    Raises
    ------
    ValueError
        If the name is none of these, or there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # torch knows more kinds ("meta", "mps", ...), on which nothing here is tested: they would fail in mid-work.
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name, flags=re.ASCII):
        raise ValueError(f"{named_by} is {name!r}; give auto, cpu, cuda, or cuda:N for one of several GPUs")
    device, present = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= present:
        raise ValueError(
            f"{named_by} is {name!r}, but torch {torch.__version__} sees {present} CUDA devices here; "
            "install a CUDA build and driver, or give auto or cpu"
        )
    return device
