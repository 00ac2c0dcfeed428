"""What is weak about a draft, said before it is frozen. Problems that prevent freezing are in services/version.py."""

from __future__ import annotations

import math
import re

from django.db.models import Count

from survey.models import ImagePair, PairImage, Study
from survey.selectors.version import comparisons_of
from survey.services.study.criteria import blocks_of, criteria_problems
from survey.services.study.defaults import CONSENT
from survey.services.study.display import display_mode
from survey.services.study.plan import power_of
from survey.services.study.translations import translation_problems
from survey.services.study.windows import loss_weaknesses, window_weaknesses
from survey.services.study.words import questions_read, words_weaknesses

__all__ = ["version_weaknesses"]

# A rule of thumb of crowd-sourcing: reviewers ask about attention in longer sessions.
LONG_SESSION_MINUTES = 15
# Two images, a look at each and back, an answer.
_SECONDS_A_TRIAL = 6.0
# A question that follows a choice needs no further look at the images.
_SECONDS_A_STEP = 2.0
# Another look and another answer, the pair being known.
_SECONDS_A_CRITERION = 3.0
# Two lines on a phone; the rows of the trial page count on no more.
_LONG_QUESTION = 80
_READ = ("title", "summary", "payment", "consent_text", "instructions", "question", "debrief")
# The smallest preference that most studies would call worth finding, and the usual power for it.
TARGET_RATE = 0.6
TARGET_POWER = 0.8


def version_weaknesses(study: Study) -> list[str]:
    """Return what a reviewer would ask about, each with a remedy; none of it keeps the study from being frozen."""
    return [
        *_texts(study),
        *_checks(study),
        *_plan(study),
        *_images(study),
        *words_weaknesses(study),
        *window_weaknesses(study),
        *loss_weaknesses(study),
    ]


def _texts(study: Study) -> list[str]:
    shown = {
        "slug": study.slug,
        "title": study.title,
        "summary": study.summary,
        "instructions": study.instructions,
        "consent text": study.consent_text,
    }
    shown |= {name.removeprefix("the "): questions[study.language] for name, questions in questions_read(study).items()}
    if not criteria_problems(study.criteria):
        shown |= {f"definition of criterion {one['key']}": one.get("definition", "") for one in study.criteria}
    translations = {} if translation_problems(study.translations) else study.translations
    for language, texts in translations.items():
        shown |= {f"{name.replace('_', ' ')} in {language}": texts[name] for name in _READ if name in texts}
    found = []
    for name in dict.fromkeys(name for arm in study.arms.all() for name in (arm.name, arm.title) if name):
        word = re.compile(rf"(?<![a-z0-9]){re.escape(name.lower())}(?![a-z0-9])")
        found += [
            f"the {where} names the arm {name!r}; raters read it"
            for where, text in shown.items()
            if word.search(text.lower())
        ]
    found += _class_in_languages(study)
    if study.consent_text == CONSENT:
        found.append(
            "the consent text is the one that comes with the program; fit it to your study and your ethics board"
        )
    if not study.contact:
        found.append("no contact is given; raters cannot ask questions or withdraw by mail")
    if not study.instructions.strip():
        found.append("the instructions are empty; say what to look at and what to ignore")
    return found


def _class_in_languages(study: Study) -> list[str]:
    found = []
    for name, questions in questions_read(study).items():
        asks = {language: "{class_name}" in question for language, question in questions.items()}
        if len(asks) < 2 or not any(asks.values()):
            continue
        if not all(asks.values()):
            without = ", ".join(language for language in asks if not asks[language])
            found.append(f"{name} names the class, but not in {without}: raters there are asked something else")
        else:
            found.append(
                f"{name} names the class in several languages, but class names are in one; ask without them, or check"
            )
    return found


def _checks(study: Study) -> list[str]:
    found = []
    if not study.degraded_trials and not study.identical_trials:
        found.append("no attention checks: add degraded or identical trials, or inattentive raters cannot be spotted")
    if not study.repeat_trials:
        found.append("no repeated trials: the raters' self-consistency cannot be reported")
    if not study.exclusion_rules:
        found.append("no exclusion rule is preregistered; later exclusions will be called exploratory")
    if not study.practice_trials:
        found.append("no practice trials: the first votes include learning the task")
    return found


def _plan(study: Study) -> list[str]:
    found = []
    if study.votes_per_pair % 2:
        found.append(
            f"{study.votes_per_pair} votes per pair is odd: sides cannot be even within a pair; "
            f"take {study.votes_per_pair + 1}"
        )
    pairs = study.pairs.filter(is_selected=True, kind=ImagePair.Kind.MAIN).count()
    slots = pairs * len(comparisons_of(study)) * study.votes_per_pair * blocks_of(study)
    if pairs:
        found += _raters_and_slots(study, slots)
    if study.baseline is None and (first := study.arms.order_by("name").first()):
        found.append(f"no baseline arm is chosen: the report takes the first name, {first.name!r}")
    if pairs and study.votes_per_pair > study.target_raters:
        found.append(
            f"{study.votes_per_pair} votes per pair need as many raters, but {study.target_raters} are planned: "
            "nobody sees a pair twice"
        )
    if 0 < pairs < 30:
        found.append(f"only {pairs} pairs: the interval over pairs stays wide however many people vote")
    trials = (
        study.trials_per_session
        + study.practice_trials
        + study.repeat_trials
        + study.identical_trials
        + study.degraded_trials
    )
    steps = sum(map(bool, (study.is_acceptable_asked, study.strength_grades, study.reasons)))
    found += _criteria(study)
    again = max(0, len(study.criteria) // blocks_of(study) - 1)
    seconds = _SECONDS_A_TRIAL + again * _SECONDS_A_CRITERION + steps * (1 + again) * _SECONDS_A_STEP
    minutes = trials * (seconds + study.minimum_exposure_ms / 1000) / 60
    if minutes > LONG_SESSION_MINUTES:
        found.append(f"{trials} trials take about {minutes:.0f} minutes; above {LONG_SESSION_MINUTES} attention fades")
    if study.pixel_multiple == 1 and display_mode(study) == Study.Display.PIXELS:
        largest = PairImage.objects.filter(pair__study=study).order_by("-width").values_list("width", flat=True).first()
        if largest and largest < 96:
            found.append(f"images of {largest} pixels are tiny at 1 screen pixel each; raise the pixel multiple")
    if pairs >= 2 and study.target_raters >= 2:
        found += _power(study, pairs)
    return found


def _criteria(study: Study) -> list[str]:
    """Return what several criteria ask of the rest of the plan."""
    blocks, found = blocks_of(study), []
    if rest := study.trials_per_session % blocks:
        found.append(
            f"{study.trials_per_session} trials a session do not divide by {blocks} criteria: a visit has "
            f"{study.trials_per_session - rest}"
        )
    for kind in ("identical", "degraded", "repeat"):
        count = getattr(study, f"{kind}_trials")
        if 0 < count < blocks:
            found.append(
                f"{count} {kind} trials are dealt out to {blocks} blocks: by some criteria a rater has none; "
                f"take {blocks}"
            )
    if study.criteria_design == Study.CriteriaDesign.TOGETHER and not criteria_problems(study.criteria):
        found += [
            f"the question of criterion {one['key']} has {len(one['question'])} characters; beside its answers there "
            f"is room for about {_LONG_QUESTION}, longer ones make the page scroll"
            for one in study.criteria
            if len(study.criteria) > 1 and len(one["question"]) > _LONG_QUESTION
        ]
    return found


def _raters_and_slots(study: Study, slots: int) -> list[str]:
    """Compare the votes that the planned raters would give with those that the plan has places for."""
    trials, raters = study.trials_per_session, study.target_raters
    given, needed = raters * trials, math.ceil(slots / trials)
    if given < slots:
        return [
            f"{raters} raters give {given} votes, the plan wants {slots}; recruit {needed} raters or lower the votes "
            "per pair"
        ]
    if raters > needed:
        votes = given * study.votes_per_pair // slots
        return [
            f"more raters than places: {raters} raters could give {given} votes, but the study is full after {slots}, "
            f"which {needed} raters give; plan {needed} raters or raise the votes per pair to {votes}"
        ]
    return []


def _power(study: Study, pairs: int) -> list[str]:
    """Compare the power of one comparison with the usual target, at a preference rate worth finding."""
    comparisons = max(1, len(comparisons_of(study)))
    load = max(1, min(pairs, study.trials_per_session // (comparisons * blocks_of(study))))
    plan = power_of(
        raters=study.target_raters,
        pairs=pairs,
        votes_per_rater=load,
        votes_per_pair=study.votes_per_pair,
        preference=TARGET_RATE,
    )
    if plan["power"] >= TARGET_POWER:
        return []
    remedy = f"{plan['pairs_needed']} pairs" if plan["pairs_needed"] else "more pairs and more raters"
    if plan["ceiling_power"] >= TARGET_POWER and plan["raters_needed"]:
        wanted, votes = plan["raters_needed"], plan["votes_per_pair_needed"]
        remedy = f"{wanted} raters" + (f" and {votes} votes per pair" if votes > study.votes_per_pair else "")
    raters = plan["raters_with_places"]
    among = "" if raters == study.target_raters else f" with the {raters} raters who find a place"
    return [
        f"power is {100 * plan['power']:.0f} % for a typical preference of {TARGET_RATE:g}{among}, below "
        f"{100 * TARGET_POWER:.0f} %; {remedy} would reach it (see Planning)"
    ]


def _images(study: Study) -> list[str]:
    found = []
    selected = study.pairs.filter(is_selected=True)
    same = (
        PairImage.objects.filter(pair__in=selected)
        .values("pair_id")
        .annotate(files=Count("pk"), digests=Count("sha256", distinct=True))
        .filter(files__gt=1, digests=1)
        .count()
    )
    if same:
        found.append(f"in {same} pair(s) all arms have the same bytes; they can only dilute a difference")
    main = selected.filter(kind=ImagePair.Kind.MAIN)
    classes = list(main.values("class_label").annotate(n=Count("pk")).order_by("n").values_list("class_label", "n"))
    if len(classes) > 1 and classes[-1][1] > 2 * classes[0][1]:
        found.append(
            f"classes are uneven: {classes[0][1]} pairs of {classes[0][0] or 'no class'!r}, {classes[-1][1]} of "
            f"{classes[-1][0] or 'no class'!r}"
        )
    return found
