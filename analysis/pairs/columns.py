"""The columns of the pairs' table: one row an image pair, joined to the votes by ``pair``."""

from __future__ import annotations

from analysis.votes.columns import Field

__all__ = ["PAIR_COLUMNS", "TAG_SEPARATOR"]

TAG_SEPARATOR = "|"

PAIR_COLUMNS = (
    Field(name="pair", kind="string", required=True, description="Opaque id of the image pair, as in the votes table."),
    Field(name="key", kind="string", description="Name of the pair inside the study."),
    Field(name="class_label", kind="string", description="Class of the images, as in the votes table."),
    Field(name="class_name", kind="string", description="What raters read for the class."),
    Field(name="prompt", kind="string", description="What the images were made from, as raters read it where shown."),
    Field(
        name="tags",
        kind="string",
        description="Groups of the pair for the analysis, vertical bars between them; raters never saw them.",
    ),
    Field(
        name="reference_sha256",
        kind="string",
        description="SHA-256 of the reference's file: the source of an edit, the original of a restoration.",
    ),
    Field(name="seed", kind="integer", description="Seed that the images of the pair share."),
    Field(
        name="distance", kind="number", description="Structural dissimilarity of the arms' images, 0 for equal ones."
    ),
)
