"""What is there and what is missing of an order, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from diffusion.card_header import class_names_in
from generation.models import GenerationRun
from generation.recipes.class_labels import class_text, class_texts
from generation.recipes.noise import PairSpec
from jobs.models import Job, time_in_words
from survey.models import ImagePair, PairImage, Study

__all__ = [
    "RunProgress",
    "arms_present",
    "run_classes",
    "run_complete_pairs",
    "run_progress",
    "shards_missing",
    "study_generated_seed",
]

# Rows of pairs held at a time.
_BATCH = 2000


@dataclass(frozen=True)
class RunProgress:
    """How far an order is; ``failed`` and ``active`` count shards, ``under_way`` the pairs that are not stored yet."""

    done: int
    total: int
    active: int
    failed: int
    error: str
    state: str
    under_way: int = 0
    time_left: str = ""

    @property
    def percent(self) -> float:
        return 100.0 * self.done / self.total if self.total else 0.0


def run_complete_pairs(run: GenerationRun) -> QuerySet[ImagePair]:
    """Return the pairs of the order that have an image of every arm of the order."""
    rows = ImagePair.objects.filter(run.wanted, study=run.study)
    arms = list(run.recipes)
    # Counted per pair in the database: an order may hold a million.
    images = PairImage.objects.filter(pair__study=run.study, arm__name__in=arms).values("pair")
    whole = images.annotate(arms=Count("arm")).filter(arms=len(arms)).values("pair")
    return rows.filter(pk__in=whole)


def arms_present(study: Study, specs: Sequence[PairSpec]) -> dict[PairSpec, set[str]]:
    """Return, for every pair asked for, the arms that have made its image."""
    by_key = {spec.key: spec for spec in specs}
    present: dict[PairSpec, set[str]] = {spec: set() for spec in specs}
    rows = PairImage.objects.filter(pair__study=study, pair__key__in=by_key)
    for key, arm in rows.values_list("pair__key", "arm__name"):
        present[by_key[key]].add(arm)
    return present


def shards_missing(run: GenerationRun) -> list[int]:
    """Return the numbers of the shards in which some pair misses an image, in order."""
    done: dict[int, int] = {}
    place = {label: number for number, label in enumerate(class_texts(run.classes))}
    rows = run_complete_pairs(run).values_list("class_label", "index")
    for label, index in rows.iterator(chunk_size=_BATCH):
        shard = (index * len(run.classes) + place[label]) // run.shard_pairs
        done[shard] = done.get(shard, 0) + 1
    # Rounded up: the last shard may be a short one.
    shards = -(-run.pairs // run.shard_pairs)
    return [n for n in range(shards) if done.get(n, 0) < min(run.shard_pairs, run.pairs - n * run.shard_pairs)]


def run_classes(run: GenerationRun) -> list[tuple[int, str]]:
    """Return an order's classes and what its pairs, or else its checkpoints, call them; none before it is planned."""
    labels = run.classes or []
    rows = run.study.pairs.filter(class_label__in=class_texts(labels)).values_list("class_label", "class_name")
    called = dict(rows.order_by().distinct())
    if labels and not any(called.values()):
        called = dict(zip(class_texts(range(max(labels) + 1)), _names_in_files(run), strict=False))
    return [(label, called.get(class_text(label), "")) for label in labels]


def _names_in_files(run: GenerationRun) -> tuple[str, ...]:
    for recipe in run.recipes.values():
        # A file that cannot be read here is the worker's to find.
        with suppress(OSError):
            if names := class_names_in(recipe["denoiser"]["path"]):
                return names
    return ()


def study_generated_seed(study: Study) -> int | None:
    """Return the seed of the study's generated pairs, None while there are none."""
    return study.pairs.filter(seed__isnull=False).values_list("seed", flat=True).first()


def run_progress(run: GenerationRun) -> RunProgress:
    """Return how far an order is, from the pairs that are there and the jobs that work on it."""
    # Nothing more will change: the counting, which lists make for every row, can be left out.
    if run.state == run.State.COMPLETE:
        return RunProgress(run.pairs, run.pairs, 0, 0, "", run.state)
    counts = _job_states(run.shards.filter(job__isnull=False).values_list("job__state", flat=True))
    active = counts.get(Job.State.QUEUED, 0) + counts.get(Job.State.RUNNING, 0)
    failed = counts.get(Job.State.FAILED, 0)
    state, error = run.state, run.error
    if run.plan_job is not None and run.plan_job.state == Job.State.FAILED:
        state, error = run.State.FAILED, run.plan_job.error
    # While others are at work a failed shard may yet be retried; the order is lost when nothing moves.
    elif state == run.State.GENERATING and failed and not active:
        state = run.State.FAILED
    if failed:
        error = run.shards.filter(job__state=Job.State.FAILED).values_list("job__error", flat=True)[0]
    done = run_complete_pairs(run).count() if run.classes else 0
    at_work = list(Job.objects.filter(pk__in=run.shards.filter(job__state=Job.State.RUNNING).values("job")))
    under_way = sum(job.progress_done for job in at_work)
    waiting = counts.get(Job.State.QUEUED, 0) * run.shard_pairs
    return RunProgress(done, run.pairs, active, failed, error, state, under_way, _time_left(at_work, waiting))


def _time_left(at_work: Sequence[Job], waiting: int) -> str:
    """Return how long the shards at work and those that wait will take, by the pace of all workers together."""
    pace = sum(job.pace or 0.0 for job in at_work)
    left = waiting + sum(job.progress_total - job.progress_done for job in at_work)
    return time_in_words(left / pace) if pace else ""


def _job_states(states: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for state in states:
        counts[state] = counts.get(state, 0) + 1
    return counts
