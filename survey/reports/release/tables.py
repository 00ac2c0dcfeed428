"""The tables of a release: columns and rows of votes and of preference pairs for training."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Count, QuerySet

from analysis.votes.columns import Field
from survey.criteria import headline_of
from survey.models import PairImage, RaterSession, Study, Trial
from survey.selectors.version import version_current
from survey.selectors.vote import answered_before, current_votes, exclusion_reasons, vote_rows

__all__ = ["PREFERENCE_COLUMNS", "preference_rows", "published_votes"]

PREFERENCE_COLUMNS = (
    Field(name="pair", kind="string", description="Opaque id of the image pair."),
    Field(name="chosen", kind="string", description="image_id of the image that more raters chose."),
    Field(name="rejected", kind="string", description="image_id of the other image."),
    Field(name="chosen_arm", kind="string", description="Arm of the chosen image."),
    Field(name="rejected_arm", kind="string", description="Arm of the other image."),
    Field(name="margin", kind="number", description="Votes for the chosen image less votes for the other, by votes."),
    Field(name="votes", kind="integer", description="Votes that count, ties included."),
    Field(name="ties", kind="integer", description="Of them without a preference."),
)


def published_votes(
    study: Study, sessions: QuerySet[RaterSession], arm_names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the votes table that may be published, with the arms' published names."""
    for row in vote_rows(study, sessions=sessions):
        yield row | {name: arm_names.get(row[name], row[name]) for name in ("arm_left", "arm_right", "choice_arm")}


def preference_rows(
    study: Study, sessions: QuerySet[RaterSession], arm_names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield one mapping a compared pair on which raters preferred an image; pairs without a majority are left out."""
    votes = current_votes(study).filter(
        ~answered_before(),
        trial__session__in=sessions.exclude(pk__in=list(exclusion_reasons(study))),
        trial__check_kind=Trial.CheckKind.NONE,
        criterion=_headline(study),
    )
    names = ("trial__pair_id", "trial__arm_left__name", "trial__arm_right__name", "choice")
    counted = votes.order_by(*names).values_list(*names).annotate(n=Count("pk")).iterator(chunk_size=2000)
    for pair, rows in itertools.groupby(counted, key=lambda row: row[0]):
        for arms, counts in sorted(_by_arms(rows).items()):
            if row := _preference(arms, counts):
                images = dict(PairImage.objects.filter(pair_id=pair).values_list("arm__name", "pk"))
                yield row | {
                    "pair": str(pair),
                    "chosen": str(images[row["chosen_arm"]]),
                    "rejected": str(images[row["rejected_arm"]]),
                    "chosen_arm": arm_names[row["chosen_arm"]],
                    "rejected_arm": arm_names[row["rejected_arm"]],
                }


def _headline(study: Study) -> str:
    """Return the criterion whose votes say which image was preferred; empty where one question was asked."""
    version = version_current(study)
    return headline_of(version.config) if version else ""


def _by_arms(rows: Iterator[tuple]) -> dict[tuple[str, str], Counter[str]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for _, left, right, choice, count in rows:
        chosen = {"left": left, "right": right}.get(choice, "")
        found.setdefault(tuple(sorted((left, right))), Counter())[chosen] += count
    return found


def _preference(arms: tuple[str, str], counts: Counter[str]) -> dict[str, Any] | None:
    chosen, rejected = sorted(arms, key=lambda arm: -counts[arm])
    if counts[chosen] == counts[rejected]:
        return None
    total = counts.total()
    return {
        "chosen_arm": chosen,
        "rejected_arm": rejected,
        "margin": (counts[chosen] - counts[rejected]) / total,
        "votes": total,
        "ties": counts[""],
    }
