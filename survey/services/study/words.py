"""What raters read and see beside a pair's images: placeholders of the question, prompts, references."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from unicodedata import east_asian_width

from django.db.models import Count, F, FloatField, Max, Q, QuerySet
from django.db.models.functions import Abs, Cast, Length

from survey.models import ImagePair, ReferenceImage, Study
from survey.services.study.criteria import criteria_problems
from survey.services.study.display import references_of
from survey.services.study.translations import questions_asked

__all__ = ["PLACEHOLDERS", "placeholder_problems", "questions_read", "words_weaknesses"]

# By the placeholder: what a message calls it. Both are fields of a pair.
PLACEHOLDERS = {"class_name": "class name", "prompt": "prompt"}
_REMEDIES = {
    "class_name": "import class names, put the images into a folder a class",
    "prompt": "import prompts",
}
_PLACEHOLDER = re.compile(r"\{\w+\}")
# More of a prompt within a question would push the answers down.
LONGEST_IN_QUESTION = 120
# So many letters fill the two lines that the trials page has for a question in a laptop's window.
_TWO_LINES = 130
_SHAPE_SLACK = 0.02


def _main(study: Study) -> QuerySet[ImagePair]:
    return study.pairs.filter(is_selected=True, kind=ImagePair.Kind.MAIN)


def questions_read(study: Study) -> dict[str, dict[str, str]]:
    """Return what raters are asked; nothing where the criteria are wrong in themselves, which is a problem already."""
    return {} if criteria_problems(study.criteria) else questions_asked(study)


def _placeholders(question: str) -> set[str] | None:
    """Return the placeholders of a question; None where one is unknown, or reaches for more than its text."""
    try:
        parts = list(Formatter().parse(question))
    except ValueError:
        return None
    named = [(name, spec, sign) for _, name, spec, sign in parts if name is not None]
    if any(name not in PLACEHOLDERS or spec or sign for name, spec, sign in named):
        return None
    return {name for name, _, _ in named}


def _named(study: Study) -> dict[str, str]:
    """Return {placeholder: what names it} of all questions of a draft."""
    found: dict[str, str] = {}
    for called, questions in questions_read(study).items():
        for question in questions.values():
            for name in _placeholders(question) or ():
                found.setdefault(name, called)
    return found


def placeholder_problems(study: Study) -> list[str]:
    """Return which questions have a placeholder that is unknown, or that some pair leaves empty or fills too long."""
    known = " and ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    problems = [
        f"{called} has a placeholder other than {known}"
        for called, questions in questions_read(study).items()
        if any(_placeholders(question) is None for question in questions.values())
    ]
    return problems + _hole_problems(study)


def _hole_problems(study: Study) -> list[str]:
    """Return which questions would be read with a hole, or with more than they have room for."""
    pairs, named, problems = _main(study), _named(study), []
    for name, called in named.items():
        text, remedy = PLACEHOLDERS[name], _REMEDIES[name]
        bare = pairs.filter(**{name: ""}).order_by("key")
        if first := bare.first():
            problems.append(
                f"{called} names the {text.split()[0]}, but {bare.count()} pair(s) have no {text}, first {first.key}; "
                f"{remedy}, or leave {{{name}}} out of the question"
            )
    long = pairs.annotate(n=Length("prompt")).filter(n__gt=LONGEST_IN_QUESTION).count() if "prompt" in named else 0
    if long:
        problems.append(
            f"{named['prompt']} names the prompt, and {long} prompt(s) have more than {LONGEST_IN_QUESTION} "
            "characters, which would push the answers down; leave {prompt} out: it can stand above the pair"
        )
    return problems


def words_weaknesses(study: Study) -> list[str]:
    """Return where pairs lack words or references that others have, and names that raters cannot tell apart."""
    return [*_gaps(study), *_shared_names(study), *_long_questions(study), *_other_shapes(study), *_enlarged(study)]


def _gaps(study: Study) -> list[str]:
    pairs, found = _main(study), []
    total = pairs.count()
    bare = pairs.filter(prompt="").count()
    if study.are_prompts_shown and "prompt" not in _named(study) and 0 < bare < total:
        found.append(f"{bare} of {total} pairs have no prompt; the box above them stays empty")
    bare = pairs.filter(reference__isnull=True).count()
    if 0 < bare < total:
        found.append(f"{bare} of {total} pairs have no reference; its place stays empty")
    return found


def _shared_names(study: Study) -> list[str]:
    rows = _main(study).exclude(class_name="").values("class_name").annotate(n=Count("class_label", distinct=True))
    names = sorted(rows.filter(n__gt=1).values_list("class_name", flat=True))
    return [f"{len(names)} class name(s) stand for several classes, the first is {names[0]!r}"] if names else []


def _long_questions(study: Study) -> list[str]:
    """Name questions that take more than their two lines: raters read them in small letters, and scroll."""
    longest = _main(study).aggregate(class_name=Max(Length("class_name")), prompt=Max(Length("prompt")))
    return [
        f"{called} takes up to {letters} letters and has room for about {_TWO_LINES}, on a phone for fewer: "
        "raters read it in small print and scroll it; say less in it, and the rest in the instructions"
        for called, questions in questions_read(study).items()
        if (letters := max(_letters(question, longest) for question in questions.values())) > _TWO_LINES
    ]


def _letters(question: str, longest: Mapping[str, int | None]) -> int:
    """Return how many letters a question has at most, filled in; Chinese, Japanese and Korean ones are two wide."""
    filled = sum(longest[name] or 0 for name in _placeholders(question) or ())
    bare = _PLACEHOLDER.sub("", question)
    return filled + len(bare) + sum(east_asian_width(letter) in "WF" for letter in bare)


def _other_shapes(study: Study) -> list[str]:
    """Name references of another aspect ratio than their pair's images: allowed, and worth knowing."""
    images = {"image_width": F("pair__images__width"), "image_height": F("pair__images__height")}
    ratio = Cast(F("width") * F("image_height"), FloatField()) / Cast(F("height") * F("image_width"), FloatField())
    other = references_of(study).annotate(**images).annotate(off=Abs(ratio - 1.0)).filter(Q(off__gt=_SHAPE_SLACK))
    count = other.values("pk").distinct().count()
    if not count:
        return []
    first = _first(other)
    return [
        f"{count} reference(s) have another shape than their pair's images, first in pair {first}; they are "
        "fitted into the same frame"
    ]


def _enlarged(study: Study) -> list[str]:
    """Name references that have fewer pixels than their pair's images: shown as large as these, they are soft."""
    small = references_of(study).filter(width__lt=F("pair__images__width"), height__lt=F("pair__images__height"))
    count = small.values("pk").distinct().count()
    if not count:
        return []
    return [
        f"{count} reference(s) have fewer pixels than their pair's images, first in pair {_first(small)}; they are "
        "enlarged smoothly to the size of the images, and look soft beside them"
    ]


def _first(references: QuerySet[ReferenceImage]) -> str:
    return str(references.select_related("pair").order_by("pair__key").first().pair.key)
