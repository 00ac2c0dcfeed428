"""Where the copies are that raters get: of versions since release 0.2 by rule, of earlier ones as their rows say."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet

from survey.models import PairImage, StudyVersion

__all__ = [
    "copies_folder",
    "copy_file",
    "copy_files",
    "copy_owner",
    "least_px_of",
    "served_name",
    "setup_of",
    "spoilt_images",
]


def setup_of(config: dict[str, Any]) -> str | None:
    """Return the setup of a frozen version's copies; None of a version whose copies were one PNG an image."""
    return config.get("copies", {}).get("setup")


def least_px_of(config: dict[str, Any]) -> int | None:
    """Return the least shorter side of a frozen version's ladder of sizes; None where there is one size alone."""
    return config["trial"]["least_box_px"] if config["trial"].get("display") == "fit" else None


def copies_folder(setup: str, image_id: uuid.UUID | str, *, is_spoilt: bool = False) -> str:
    """Return where the copies of an image lie. The name is made of digits alone and says nothing of the arm."""
    name = uuid.UUID(str(image_id)).hex
    return f"served/{setup}/{name[:2]}/{name}{'s' if is_spoilt else ''}"


def copy_file(folder: str, size: int) -> str:
    """Return the name of one size's copy, 0 being the original's."""
    return f"{folder}/{size}.webp"


def copy_files(setup: str, image_id: uuid.UUID, *, sizes: int, has_spoilt: bool) -> list[str]:
    """Return the names of all files of one set of copies."""
    folders = [
        copies_folder(setup, image_id, is_spoilt=spoilt) for spoilt in ([False, True] if has_spoilt else [False])
    ]
    return [copy_file(folder, size) for folder in folders for size in range(sizes)]


def copy_owner(name: str) -> uuid.UUID | None:
    """Return the image of which a file is a copy; None of any other file."""
    parts = name.split("/")
    if parts[0] != "served" or not name.endswith(".webp"):
        return None
    return uuid.UUID(parts[3].removesuffix("s"))


def served_name(config: dict[str, Any], image_id: uuid.UUID | str, *, stored: str, is_spoilt: bool = False) -> str:
    """Return what an address is sealed around: a folder of copies, or the one copy of an earlier version."""
    setup = setup_of(config)
    return stored if setup is None else copies_folder(setup, image_id, is_spoilt=is_spoilt)


def spoilt_images(version: StudyVersion, config: dict[str, Any]) -> QuerySet[PairImage]:
    """Return the images of a version that have spoilt copies, for checks, practice and examples."""
    images = PairImage.objects.filter(pair__study=version.study_id, pair__is_selected=True)
    setup = setup_of(config)
    if setup is None:
        return images.exclude(degraded="")
    return images.filter(copies__setup=setup, copies__has_spoilt=True)
