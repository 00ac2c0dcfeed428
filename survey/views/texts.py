"""The texts that the trial page's script shows, in the rater's language."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

__all__ = ["BROWSERS", "PAGE_ERRORS", "trial_texts"]

# The oldest browsers that the pages work in; package.json has the same for the check of the scripts.
BROWSERS = ("Chrome 94", "Edge 94", "Firefox 91", "Safari 15.4")

# Default messages of survey/exceptions.py that a rater may read on a page; named here for the catalogues.
PAGE_ERRORS = (
    gettext_noop("This address is not valid. Open the link of the study again."),
    gettext_noop("This address has expired. Reload the page to get a fresh one."),
    gettext_noop("This visit is not known here. Open the link of the study again."),
    gettext_noop("This visit takes no votes at its present step. Reload the page to see where you are."),
    gettext_noop("The consent text has changed since the page was opened. Reload the page and read it again."),
    gettext_noop("The answer was incomplete or had a wrong value. Reload the page and answer again."),
    gettext_noop("No study is open at this address. Check the link that you were given, or come back later."),
    gettext_noop("This link does not open the study. Open the study again from where you found it."),
    gettext_noop("You have already taken part in this study, and each person can take part once. Thank you."),
    gettext_noop(
        "The link does not say who you are. Nothing is wrong on your side: please show this page to the researchers."
    ),
)


def trial_texts() -> dict[str, str]:
    """Return them by name. ``{n}`` and ``{total}`` are filled in by the script."""
    return {
        "left": _("Left image"),
        "right": _("Right image"),
        "upper": _("Upper image"),
        "lower": _("Lower image"),
        "reference": _("Reference"),
        "chooseLeft": _("Left"),
        "chooseRight": _("Right"),
        "chooseTie": _("No preference"),
        "takeBack": _("Take back the last answer"),
        "chooseUpper": _("Upper"),
        "chooseLower": _("Lower"),
        "practice": _("Practice {n} of {total}"),
        "trial": _("{n} of {total}"),
        "part": _("Part {n} of {total}"),
        "minutes": _("about {n} min left"),
        "saved": _("Saved"),
        "saving": _("Saving …"),
        "offline": _("Offline: answers are kept"),
        "loading": _("Loading the images …"),
        "waiting": _("Waiting for the connection …"),
        "space": _("Space"),
        "windowSize": _(
            "Two whole images need a window of at least {wide} × {high} pixels. Yours has {width} × {height}."
        ),
        "correct": _("Yes: the other image is spoilt."),
        "wrong": _("Look again: the image that you chose is the spoilt one."),
        "wrongTie": _("Look again: one of the two images is spoilt."),
        "replaced": _("The images could not be shown. Here is another pair."),
        "undone": _("Your last answer was taken back. Choose again."),
        "nothingToUndo": _("Only the last answer can be taken back, and only once."),
        "choseLeft": _("Left chosen."),
        "choseRight": _("Right chosen."),
        "choseTie": _("No preference chosen."),
    }
