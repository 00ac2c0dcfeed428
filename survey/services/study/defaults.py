"""What a new study says where its researcher has said nothing yet."""

from __future__ import annotations

from django.utils.text import slugify

from survey.models import Study

__all__ = ["CONSENT", "INSTRUCTIONS", "free_slug"]

CONSENT = (
    "You take part of your own free will, and you may stop at any time without giving a reason.\n\n"
    "You will see pairs of images and say which one you prefer. We store your answers, the time that they took and the "
    "size of your window, under a random number and without your name, and use them for research only.\n\n"
    "By continuing you say that you are 18 or older, have read this and agree to take part."
)
INSTRUCTIONS = "Look at both images, then choose the one that answers the question better. Go by your first impression."
_LONGEST_SLUG = 60


def free_slug(title: str) -> str:
    """Return an address made from a title that no study has yet."""
    base = slugify(title)[: _LONGEST_SLUG - 6].strip("-_") or "study"
    taken = set(Study.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    numbered = (f"{base}-{number}" for number in range(2, len(taken) + 3))
    return next(slug for slug in (base, *numbered) if slug not in taken)
