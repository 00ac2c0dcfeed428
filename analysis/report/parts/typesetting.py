"""Documents and pictures set by typst, which is imported inside the function alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

__all__ = ["typeset"]


def typeset(files: Mapping[str, bytes], *, kind: Literal["pdf", "png"], **options: Any) -> bytes:
    """Return what ``main.typ`` makes of itself and the other files; same files, same bytes.

    Parameters
    ----------
    files : mapping of str to bytes
        Contents by name; ``main.typ`` must be among them.
    kind : str
        ``pdf``, or ``png`` for a document of one page.
    **options
        Of ``typst.compile``.
    """
    import matplotlib
    import typst

    # Through a folder: handed over in memory, a file must be text (typst 0.15), and a picture is none.
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return typst.compile(
            folder / "main.typ",
            root=folder,
            format=kind,
            # DejaVu Sans, which comes with matplotlib: the fonts of a machine would make other bytes.
            font_paths=[Path(matplotlib.get_data_path()) / "fonts" / "ttf"],
            ignore_system_fonts=True,
            **options,
        )
