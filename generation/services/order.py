"""Order pairs, cancel and retry an order, select pairs for a study. No torch: the web process calls these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.db import transaction
from django.utils import timezone

from diffusion.card_header import class_names_in
from generation.models import GenerationRun, GenerationShard
from generation.recipes.class_labels import CLASS_LIMIT, are_classes_numbered, classes_called, classes_written
from generation.recipes.noise import SEED_LIMIT
from generation.recipes.recipe import FILE_FIELDS, GUIDANCE_FACTORS, ArmRecipe, check_matched
from generation.selectors import shards_missing, study_generated_seed
from jobs.exceptions import JobCancelled, LeaseLost, WorkerLeaving, error_text
from jobs.models import Job
from jobs.services import job_cancel, job_enqueue, job_retry
from survey.models import Study
from survey.selectors.jobs import study_subject
from survey.services.records.audit import audit_record
from survey.services.study.study import study_locked_draft

__all__ = [
    "DEFAULT_MICRO_BATCH",
    "MAXIMUM_PAIRS",
    "classes_asked",
    "run_cancel",
    "run_create",
    "run_enqueue_plan",
    "run_enqueue_shards",
    "run_errors_recorded",
    "run_finish",
    "run_require_draft",
    "run_retry",
    "run_start",
    "study_class_names",
    "study_recipes",
]

DEFAULT_MICRO_BATCH = 16
# A killed worker loses a shard at most: minutes, not hours.
BATCHES_PER_SHARD = 4
# Twenty times what a published FID takes; a larger order is a slip of the keyboard.
MAXIMUM_PAIRS = 1_000_000
State = GenerationRun.State
Fence = Callable[[], AbstractContextManager]


def study_recipes(study: Study, factors: Sequence[str] = ()) -> dict[str, ArmRecipe]:
    """Return the checked recipe of every arm.

    Raises
    ------
    ValueError
        If the study has no arms, a recipe is bad, or the arms differ in more than guidance and the named factors.
    """
    arms = list(study.arms.order_by("name"))
    if not arms:
        raise ValueError(f"{study.slug} has no arms; add arms with recipes first")
    recipes = {arm.name: ArmRecipe.from_json(arm.name, arm.recipe) for arm in arms}
    check_matched(list(recipes.values()), [*GUIDANCE_FACTORS, *factors])
    return recipes


def study_class_names(study: Study, factors: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what the arms' checkpoints call their classes, in label order; none where no file says.

    Raises
    ------
    ValueError
        If a recipe is bad, or no checkpoint can be read here.
    """
    recipes = study_recipes(study, factors).values()
    # A file of a published configuration has no card.
    files = [file for recipe in recipes for file in (recipe.denoiser, recipe.classifier) if file and not file.config]
    unread = None
    for path in dict.fromkeys(file.path for file in files):
        try:
            if names := class_names_in(path):
                return names
        except OSError as error:
            unread = error
    if unread is not None:
        raise ValueError(
            f"the names of the classes are in {unread.filename}, which cannot be read here ({unread.strerror}); "
            "give class numbers"
        )
    return ()


def classes_asked(study: Study, asked: str | Sequence[str | int], factors: Sequence[str] = ()) -> list[int]:
    """Return the labels of classes that people named or numbered, in a line or a list.

    Raises
    ------
    ValueError
        If one is no class of the arms' networks; it says the nearest name.
    """
    if isinstance(asked, str):
        is_numbered = are_classes_numbered(asked)
        return classes_written(asked) if is_numbered else classes_called(asked, study_class_names(study, factors))
    if all(isinstance(one, int) for one in asked):
        return list(asked)
    names = study_class_names(study, factors)
    found = []
    for one in asked:
        found += [one] if isinstance(one, int) else classes_called(one, names)
    return found


def _checked_classes(classes: Sequence[int] | None) -> list[int] | None:
    if classes is None:
        return None
    classes = list(classes)
    if not classes:
        raise ValueError("classes is empty; name at least one class label, or leave it out for all")
    for label in classes:
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < CLASS_LIMIT:
            raise ValueError(f"class {label!r} is no class label; give whole numbers from 0")
    if len(set(classes)) < len(classes):
        repeated = next(label for label in classes if classes.count(label) > 1)
        raise ValueError(f"class {repeated} is named twice; name every class once")
    return classes


def _checked_count(name: str, value: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{name} is {value!r}; it must be a whole number from 1 to {most}")
    return value


def _checked_seed(study: Study, seed: int | None) -> int:
    """One seed for all pairs of a study: a pair's key does not hold it."""
    # Of two seeds in one study the same key would name two different pairs.
    present = study_generated_seed(study)
    seed = seed if seed is not None else present if present is not None else study.noise_seed
    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"seed is {seed}; it must be a whole number from 0 to {SEED_LIMIT - 1}")
    if present is not None and present != seed:
        raise ValueError(
            f"{study.slug} has pairs of seed {present}; all pairs of a study have one seed: "
            f"leave --seed out, or start a new study for seed {seed}"
        )
    return seed


@transaction.atomic
def run_create(
    *,
    study: Study,
    pairs: int,
    classes: Sequence[int] | None = None,
    seed: int | None = None,
    micro_batch: int | None = None,
    shard_pairs: int | None = None,
    factors: Sequence[str] = (),
    minimum_distance: float | None = None,
    actor: Any = None,
) -> GenerationRun:
    """Order pairs of a study; the same order again returns the same run, to be continued.

    Without ``classes`` an order takes those of the study's last planned order, or all that the networks know.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed; or the recipe that is wrong.
    """
    _checked_count("pairs", pairs, MAXIMUM_PAIRS)
    classes = _checked_classes(classes)
    if minimum_distance is not None and not 0 <= minimum_distance <= 1:
        raise ValueError(f"minimum_distance is {minimum_distance}; it must lie in [0, 1]")
    seed = _checked_seed(study, seed)
    recipes = {name: recipe.to_json() for name, recipe in study_recipes(study, factors).items()}
    before = study.generation_runs.filter(started_at__isnull=False).first()
    if classes is None and before is not None:
        classes = before.classes
    micro_batch = micro_batch if micro_batch is not None else before.micro_batch if before else DEFAULT_MICRO_BATCH
    _checked_count("micro_batch", micro_batch, 4096)
    order = {
        "pairs": pairs,
        "seed": seed,
        "micro_batch": micro_batch,
        "shard_pairs": _checked_count("shard_pairs", shard_pairs or BATCHES_PER_SHARD * micro_batch, 20_000),
        "factors": sorted(set(factors)),
        "minimum_distance": minimum_distance,
    }
    # The same command again must continue and not double an order.
    for run in study.generation_runs.filter(**order):
        if run.classes == classes and _same_arms(run, recipes):
            return _unpinned_if_unused(run, recipes)
    # Locked until the order stands: a study must not be frozen between the check and the row.
    study_locked_draft(study)
    run = GenerationRun.objects.create(
        study=study, classes=classes, recipes=recipes, created_by=actor if getattr(actor, "pk", None) else None, **order
    )
    audit_record(
        study=study, actor=actor, action="order pairs", detail=order | {"classes": classes, "run": str(run.pk)}
    )
    return run


def _unpinned_if_unused(run: GenerationRun, recipes: dict[str, dict]) -> GenerationRun:
    """While no image is made, an order follows its files: a checkpoint trained again is no conflict yet."""
    if run.state != State.COMPLETE and study_generated_seed(run.study) is None:
        run.recipes = recipes
        # That field alone: a worker may write the state at the same time.
        run.save(update_fields=["recipes"])
    return run


def _same_arms(run: GenerationRun, recipes: dict[str, dict]) -> bool:
    """Whether the arms' recipes are still those of the run, apart from the digests that planning filled in."""

    def essence(name: str, recipe: dict) -> dict:
        values = ArmRecipe.from_json(name, recipe).to_json()
        for key in FILE_FIELDS:
            if values.get(key):
                values[key] = values[key]["path"]
        return values | {"schedule": None}

    return {n: essence(n, r) for n, r in run.recipes.items()} == {n: essence(n, r) for n, r in recipes.items()}


def run_enqueue_plan(run: GenerationRun, *, actor: Any = None) -> Job:
    """Leave the planning to a worker: it loads the networks, checks them, and queues the shards."""
    with transaction.atomic():
        job = job_enqueue(
            kind="generation.plan",
            parameters={"run": str(run.pk), "study": run.study.slug},
            subject=study_subject(run.study),
            queue="gpu",
            dedupe_key=f"generation:{run.pk}:plan",
            created_by=actor if getattr(actor, "pk", None) else None,
        )
        GenerationRun.objects.filter(pk=run.pk).update(plan_job=job)
        run.plan_job = job
    return job_retry(job) if job.is_over else job


@transaction.atomic
def run_enqueue_shards(run: GenerationRun) -> int:
    """Queue a job for every shard that misses something; return how many are at work or waiting."""
    numbers = shards_missing(run)
    known = {shard.number: shard for shard in run.shards.select_related("job")}
    for number in numbers:
        shard = known.get(number) or GenerationShard.objects.create(run=run, number=number)
        if shard.job is not None:
            if shard.job.is_over:
                _job_again(shard.job)
            continue
        shard.job = job_enqueue(
            kind="generation.make_shard",
            parameters={"shard": shard.pk},
            subject=f"{study_subject(run.study)}order/{run.pk}/",
            queue="gpu",
            dedupe_key=f"generation:{run.pk}:{number}",
            created_by=run.created_by,
        )
        shard.save(update_fields=["job"])
    return len(numbers)


def _job_again(job: Job) -> None:
    """Queue a job once more: also one that succeeded, where files or rows were removed since."""
    # Retrying takes what failed or was cancelled alone; in one statement, so that a running job stays as it is.
    Job.objects.filter(pk=job.pk, state=Job.State.SUCCEEDED).update(state=Job.State.CANCELLED)
    job.refresh_from_db()
    job_retry(job)


def run_start(run: GenerationRun, **planned: Any) -> None:
    """Note that a run is planned and at work; ``planned`` holds classes and pinned recipes."""
    now = timezone.now()
    for name, value in planned.items():
        setattr(run, name, value)
    run.state, run.error, run.started_at, run.finished_at = State.GENERATING, "", run.started_at or now, None
    run.save(update_fields=["state", "error", "started_at", "finished_at", *planned])


def run_finish(run: GenerationRun, state: str, *, error: str = "") -> bool:
    """Give a run its end; False if somebody else has done so. A run at work is COMPLETE, FAILED or CANCELLED once."""
    # A condition of the update itself: of two workers that end a run at once only one does.
    open_states = [State.PLANNING, State.GENERATING]
    changed = GenerationRun.objects.filter(pk=run.pk, state__in=open_states).update(
        state=state, error=error, finished_at=timezone.now()
    )
    run.refresh_from_db()
    return bool(changed)


@contextmanager
def run_errors_recorded(run: GenerationRun, *, ends: bool, fence: Fence = transaction.atomic) -> Iterator[None]:
    """Record on the run whatever error ends the block. A cancel, a lost lease or a leaving worker is none.

    With ``ends`` the run is over with it; without, other shards go on, and the run stays at work.
    """
    try:
        yield
    except (JobCancelled, LeaseLost, WorkerLeaving):
        raise
    except Exception as error:
        with fence():
            if ends:
                run_finish(run, State.FAILED, error=error_text(error))
            else:
                GenerationRun.objects.filter(pk=run.pk, state=State.GENERATING).update(error=error_text(error))
        raise


def run_cancel(run: GenerationRun, *, actor: Any = None) -> GenerationRun:
    """Stop an order: waiting shards at once, running ones at their next step. What is made stays."""
    # Only who ends the run cancels its jobs: of a cancel and a completion at the same time, one acts.
    if run_finish(run, State.CANCELLED):
        for job in _jobs(run):
            job_cancel(job)
        audit_record(study=run.study, actor=actor, action="cancel generation", detail={"run": str(run.pk)})
    return run


def run_retry(run: GenerationRun, *, actor: Any = None) -> GenerationRun:
    """Queue the failed and cancelled parts of an order again."""
    with transaction.atomic():
        # What was never planned has no classes and no shards to go on with.
        target = State.PLANNING if run.started_at is None else State.GENERATING
        GenerationRun.objects.filter(pk=run.pk).exclude(state=State.COMPLETE).update(
            state=target, error="", finished_at=None
        )
        run.refresh_from_db()
    if run.state == State.COMPLETE:
        return run
    if not run.shards.exists():
        run_enqueue_plan(run, actor=actor)
    for job in _jobs(run):
        job_retry(job)
    audit_record(study=run.study, actor=actor, action="retry generation", detail={"run": str(run.pk)})
    return run


def _jobs(run: GenerationRun) -> list[Job]:
    planning = [run.plan_job] if run.plan_job is not None else []
    return planning + list(Job.objects.filter(generation_shard__run=run))


@transaction.atomic
def run_require_draft(run: GenerationRun) -> None:
    """Refuse to make pairs for a frozen study before any time is spent on them."""
    study_locked_draft(run.study)
