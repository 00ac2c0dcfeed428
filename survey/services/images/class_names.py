"""Read which name raters see for a class: one table for the admin, the API and the command."""

from __future__ import annotations

from analysis.pictures.listing import nfc
from analysis.sheets.faults import BadTableError, Faults, label_fault
from analysis.sheets.sheet import sheet_rows
from survey.exceptions import ImportRefused

__all__ = ["MOST_CLASS_BYTES", "class_names_read"]

_COLUMNS = ("class_label", "class_name")
# Of an upload: ten thousand classes fit many times.
MOST_CLASS_BYTES = 4 * 1024**2


def class_names_read(content: bytes) -> dict[str, str]:
    """Return {class label: name} of a table with these two columns; a header is optional, and may turn them round.

    Parameters
    ----------
    content : bytes
        The file, of which a caller need read no more than one byte beyond ``MOST_CLASS_BYTES``.

    Raises
    ------
    ImportRefused
        Naming the lines, or that the file is too large.
    """
    if len(content) > MOST_CLASS_BYTES:
        raise ImportRefused([f"class names: the file is larger than {MOST_CLASS_BYTES // 1024**2} MB"])
    try:
        return _class_names(content, Faults("class names"))
    except BadTableError as error:
        raise ImportRefused(error.problems) from None


def _class_names(content: bytes, faults: Faults) -> dict[str, str]:
    names: dict[str, str] = {}
    is_turned = False
    for place, (line, cells) in enumerate(sheet_rows(content, file=faults.file, wanted=_COLUMNS)):
        row = [nfc(cell.strip()) for cell in cells]
        if place == 0 and row[0].lower() in _COLUMNS:
            is_turned = row[0].lower() == "class_name"
            continue
        if len(row) != 2 or not all(row):
            faults.add(line, "", "expected class_label,class_name", kind="width")
            continue
        if fault := next(filter(None, map(label_fault, row)), ""):
            faults.add(line, "", f"a cell {fault}", kind="fault")
            continue
        label, name = reversed(row) if is_turned else row
        if names.setdefault(label, name) != name:
            faults.add(line, "", f"{label} has the name {names[label]} already", kind="twice")
    faults.refuse()
    return names
