"""Read which name raters see for a class: one CSV for the admin, the API and the command."""

from __future__ import annotations

from analysis.pictures.listing import nfc
from analysis.votes.sheet import SheetError, sheet_rows
from survey.exceptions import ImportRefused

__all__ = ["MOST_CLASS_BYTES", "class_names_read"]

# Of an upload: ten thousand classes fit many times.
MOST_CLASS_BYTES = 4 * 1024**2


def class_names_read(content: bytes) -> dict[str, str]:
    """Return {class label: name} of a CSV with these two columns; a header is optional.

    Raises
    ------
    ImportRefused
        Naming the line.
    """
    try:
        rows = sheet_rows(content, wanted=("class_label", "class_name"))
    except SheetError as error:
        raise ImportRefused([f"class names, {error}"]) from None
    names = {}
    for number, cells in rows:
        row = [cell.strip() for cell in cells]
        if row[0] != "class_label":
            if len(row) != 2:
                raise ImportRefused([f"class names, line {number}: expected class_label,class_name"])
            names[nfc(row[0])] = nfc(row[1])
    return names
