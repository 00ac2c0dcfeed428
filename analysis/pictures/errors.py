"""The one error of this folder."""

from __future__ import annotations

__all__ = ["PictureError"]


class PictureError(ValueError):
    """A file, folder or zip cannot be read as pictures; the message names what is wrong and the remedy."""
