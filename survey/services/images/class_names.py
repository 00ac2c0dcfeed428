"""Read which name raters see for a class: one table for the admin, the API and the command."""

from __future__ import annotations

from analysis.pictures.listing import nfc
from analysis.votes.sheet import SheetError, sheet_rows
from survey.exceptions import ImportRefused

__all__ = ["MOST_CLASS_BYTES", "class_names_read"]

# Of an upload: ten thousand classes fit many times.
MOST_CLASS_BYTES = 4 * 1024**2


def class_names_read(content: bytes) -> dict[str, str]:
    """Return {class label: name} of a table with these two columns; a header is optional.

    Parameters
    ----------
    content : bytes
        The file, of which a caller need read no more than one byte beyond ``MOST_CLASS_BYTES``.

    Raises
    ------
    ImportRefused
        Naming the line, or that the file is too large.
    """
    if len(content) > MOST_CLASS_BYTES:
        raise ImportRefused([f"class names: the file is larger than {MOST_CLASS_BYTES // 1024**2} MB"])
    try:
        rows = sheet_rows(content, wanted=("class_label", "class_name"))
    except SheetError as error:
        raise ImportRefused([f"class names, {error}"]) from None
    names: dict[str, str] = {}
    for number, cells in rows:
        row = [nfc(cell.strip()) for cell in cells]
        if row[0] == "class_label":
            continue
        if len(row) != 2:
            raise ImportRefused([f"class names, line {number}: expected class_label,class_name"])
        if names.setdefault(*row) != row[1]:
            raise ImportRefused([f"class names, line {number}: {row[0]} has the name {names[row[0]]} already"])
    return names
