"""The class names in a checkpoint's header, read without torch: a web process asks for these alone."""

from __future__ import annotations

import json
import struct
from pathlib import Path

__all__ = ["CARD_KEY", "class_names_in"]

#: Under which a header of ours holds the card.
CARD_KEY = "blindpair_card"
# The format's own limit of a header.
_MOST_BYTES = 100_000_000


def class_names_in(path: Path | str) -> tuple[str, ...]:
    """Return the names of a checkpoint's classes in label order; none where the file has no card of ours.

    Nothing is checked but what is needed to find the names: whoever loads the weights reads the card itself.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with Path(path).open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        text = file.read(length) if 0 < length <= _MOST_BYTES else b""
    try:
        names = json.loads(json.loads(text)["__metadata__"][CARD_KEY])["class_names"]
    except (ValueError, KeyError, TypeError):
        # Weights of others: they are no safetensors, or have no card.
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
