"""How a study is going, for pages that are asked for again and again: each vote is counted once, not each time.

Counts of old votes are kept in a row of their own, and only what came since is counted for a page. The row can be
deleted at any time: it is made again from the votes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.core.cache import cache
from django.utils import timezone

from survey.models import Study, StudyVersion, Vote, VoteTally
from survey.selectors.progress import StudyProgress, Tally, study_progress
from survey.selectors.study import StudyCounts, study_counts
from survey.selectors.tally import Counts, votes_counted
from survey.services.visit.session import sessions_expire

__all__ = ["progress_of", "studies_counted", "version_tally"]

Result = TypeVar("Result")

# Votes that one page counts at most: less than a second of work. The next page goes on from there.
LEAP = 50_000
# Visits that one page marks as abandoned at most.
ABANDONED_AT_ONCE = 100
# So many new votes are worth a write.
WORTH_KEEPING = 5_000
# A key is drawn when its row is written, in the last statement of a short transaction: after this long, no row with a
# lower key is still to come.
SETTLED = timedelta(minutes=2)
# How far apart the clocks of web servers may be.
_CLOCKS = timedelta(hours=1)
SLOW_SECONDS = 0.1


def _cached_while_slow(key: str, compute: Callable[[], Result]) -> Result:
    """Return what ``compute`` gives; what took long is good for twenty times as long.

    However many people watch, the counts take a twentieth of one processor at most, and small studies are live.
    """
    kept = cache.get(key)
    if kept is not None:
        return kept
    started = time.monotonic()
    result = compute()
    if (took := time.monotonic() - started) > SLOW_SECONDS:
        cache.set(key, result, 20 * took)
    return result


def studies_counted(ids: list[int]) -> dict[int, StudyCounts]:
    """Return what a row of the list of studies shows, for each of them."""
    return _cached_while_slow(f"survey.counts.{'.'.join(map(str, ids))}", lambda: study_counts(ids))


def progress_of(study: Study) -> StudyProgress:
    """Return the progress of the study's newest version."""

    def compute() -> StudyProgress:
        version = study.versions.order_by("-number").first()
        if version is not None:
            # Where nothing looks after the jobs, nobody else does it.
            sessions_expire(version=version, most=ABANDONED_AT_ONCE)
        return study_progress(study, version, version_tally(version) if version else Tally())

    return _cached_while_slow(f"survey.progress.{study.pk}.{study.state}", compute)


def version_tally(version: StudyVersion) -> Tally:
    """Return the counts of a version's votes: those kept, and what came since, up to ``LEAP`` votes of it."""
    newest = Vote.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    kept = VoteTally.objects.filter(version=version).first()
    if kept is None and newest > WORTH_KEEPING:
        kept = VoteTally(version=version, last_vote=_first_key(version, newest), counts=[])
        VoteTally.objects.bulk_create([kept], ignore_conflicts=True)
    last, counts = (kept.last_vote, _read(kept)) if kept else (0, Counter())
    until = min(newest, last + LEAP)
    new = Vote.objects.filter(pk__gt=last, pk__lte=until, submitted_at__lt=timezone.now() - SETTLED)
    settled = new.order_by("-pk").values_list("pk", flat=True).first()
    if kept is not None and settled is not None and settled - last >= WORTH_KEEPING:
        counts.update(votes_counted(version, after=last, until=settled))
        _keep(kept, settled, counts)
        last = settled
    counts.update(votes_counted(version, after=last, until=until))
    return Tally(counts=counts, is_whole=until == newest)


def _first_key(version: StudyVersion, newest: int) -> int:
    """Return a key that all votes of a version are above. Keys grow with time: a few looks find the time it was frozen.

    Without it the first count would begin with the votes of all studies before this one.
    """
    low, high = 0, newest
    while high - low > WORTH_KEEPING:
        middle = (low + high) // 2
        rows = Vote.objects.filter(pk__gte=middle).order_by("pk").values_list("submitted_at", flat=True)
        low, high = (middle, high) if rows[0] < version.frozen_at - _CLOCKS else (low, middle)
    return low


def _read(kept: VoteTally) -> Counts:
    return Counter({(phase, what, value): n for phase, what, value, n in kept.counts})


def _keep(kept: VoteTally, last: int, counts: Counts) -> None:
    """Store the counts unless another process was faster: each row is whole in itself."""
    rows = [[*key, n] for key, n in sorted(counts.items())]
    VoteTally.objects.filter(version_id=kept.version_id, last_vote=kept.last_vote).update(last_vote=last, counts=rows)
