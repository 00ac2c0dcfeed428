"""The columns of the votes table, defined once: reading checks against them, writing follows them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ACCEPTABLE",
    "ANSWER_COLUMNS",
    "CHECK_KINDS",
    "CHOICES",
    "CRITERION",
    "INPUT_COLUMNS",
    "OPTIONAL_COLUMNS",
    "REASON_SEPARATOR",
    "REQUIRED",
    "VOTE_COLUMNS",
    "Field",
    "column",
]

CHOICES = ("left", "right", "tie")
CHECK_KINDS = ("", "identical", "degraded", "repeat", "practice")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of the schema of a table: of votes, of raters, or of what a release adds.

    Parameters
    ----------
    name : str
        The header in CSV, the key in JSONL, the field in Parquet.
    kind : str
        Frictionless field type: ``string``, ``integer``, ``number``, ``boolean`` or ``datetime``.
    description : str
        What a value says, with its unit.
    required : bool
        Whether the analysis refuses a table without it.
    unit : str or None
        Unit of a number.
    allowed : tuple of str
        The only values a text may take; empty when any text may.
    """

    name: str
    kind: str
    description: str
    required: bool = False
    unit: str | None = None
    allowed: tuple[str, ...] = ()


VOTE_COLUMNS = (
    Field(name="study", kind="string", description="Short name (slug) of the study."),
    Field(
        name="study_version", kind="integer", description="Frozen version of the study under which the vote was cast."
    ),
    Field(
        name="rater", kind="string", required=True, description="Pseudonym of the rater: opaque, stable within a study."
    ),
    Field(name="session", kind="string", description="Opaque id of the rater session."),
    Field(
        name="trial",
        kind="string",
        description="Opaque id of the trial: one showing of a pair. One current vote a trial (and criterion).",
    ),
    Field(
        name="pair", kind="string", required=True, description="Opaque id of the image pair: one class and one seed."
    ),
    Field(name="class_label", kind="string", description="Class of which both images were generated."),
    Field(name="class_name", kind="string", description="What the class is called, and raters read."),
    Field(name="seed", kind="integer", description="Seed that both images of the pair share."),
    Field(name="arm_left", kind="string", required=True, description="Arm that made the left image."),
    Field(name="arm_right", kind="string", required=True, description="Arm that made the right image."),
    Field(name="choice", kind="string", required=True, allowed=CHOICES, description="The answer: left, right or tie."),
    Field(
        name="choice_arm", kind="string", description="Arm that was chosen; empty for a tie. Must agree with choice."
    ),
    Field(
        name="response_ms",
        kind="number",
        unit="ms",
        description="From both images being visible to the answer, on the rater's clock.",
    ),
    Field(name="exposure_ms", kind="number", unit="ms", description="How long both images were visible."),
    Field(name="position", kind="integer", description="1-based position of the trial in the session."),
    Field(
        name="is_repeat", kind="boolean", description="The rater had answered this pair before; kept out of estimates."
    ),
    Field(
        name="check_kind",
        kind="string",
        allowed=CHECK_KINDS,
        description="Empty for an ordinary trial; otherwise the kind of check. Checks are kept out of estimates.",
    ),
    Field(name="excluded", kind="boolean", description="Excluded from estimates by a rule of the exclusion ledger."),
    Field(name="exclusion_reason", kind="string", description="The rule that excluded the vote."),
    Field(
        name="simulated",
        kind="boolean",
        description="Cast by the rehearsal, not by a person; never pooled with real votes.",
    ),
    Field(name="submitted_at", kind="datetime", description="When the server stored the answer, ISO 8601 in UTC."),
)

# In a table only where its study asks several criteria: a row for each criterion of a trial.
CRITERION = Field(
    name="criterion",
    kind="string",
    description="Key of the criterion by which the vote was given. Only where the study asks several; a trial that "
    "asks all at once has one row for each.",
)
# Between the reasons of one vote.
REASON_SEPARATOR = "|"
ACCEPTABLE = ("", "both", "left", "right", "neither")
# What a study may ask beyond the choice; in its table only where it asks.
ANSWER_COLUMNS = (
    Field(
        name="acceptable",
        kind="string",
        allowed=ACCEPTABLE,
        description="Which of the two images the rater found good enough. Only where the study asks.",
    ),
    Field(
        name="strength",
        kind="integer",
        description="How much better the chosen image is: 1 for the weakest grade; empty for a tie. Only where the "
        "study asks.",
    ),
    Field(
        name="reasons",
        kind="string",
        description="Keys of the reasons that the rater chose from a list, between vertical bars; may be empty. Only "
        "where the study asks.",
    ),
)

# What a table of votes may have beyond its columns, as its study asks.
OPTIONAL_COLUMNS = (CRITERION, *ANSWER_COLUMNS)
# Columns that the analysis reads where a file has them, beyond those that this product writes.
INPUT_COLUMNS = (
    Field(
        name="site",
        kind="string",
        description="Where the rater took part (laboratory, panel): raters of one site may answer alike.",
    ),
    Field(
        name="sides_unknown",
        kind="boolean",
        description="Nobody recorded which arm stood where: arms are in alphabetical order, and no side is estimated.",
    ),
)

REQUIRED = tuple(entry.name for entry in VOTE_COLUMNS if entry.required)
_BY_NAME = {entry.name: entry for entry in (*VOTE_COLUMNS, *OPTIONAL_COLUMNS, *INPUT_COLUMNS)}


def column(name: str) -> Field:
    """Return the definition of one column.

    Raises
    ------
    ValueError
        If the votes table has no such column.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise ValueError(f"{name!r} is not a column of the votes table; it has {', '.join(_BY_NAME)}") from None
