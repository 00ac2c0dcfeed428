"""Orders of pairs that workers make while they are killed, and what became of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmarks.lab import Lab

__all__ = ["GENERATION", "count_jobs", "images_of", "make_checkpoints", "make_draft", "order_pairs"]

GENERATION = ("generation.plan", "generation.make_shard")


def make_checkpoints(folder: Path) -> dict[str, str]:
    """Write three tiny networks with random weights; return their paths."""
    from diffusion.checkpoints import save_network
    from tests.generation.toys import NUM_CLASSES, tiny_classifier, tiny_denoiser

    schedule = {"name": "cosine", "timesteps": 1000, "rescale_timesteps": True}
    facts = {"schedule": schedule, "class_names": tuple(f"digit {number}" for number in range(NUM_CLASSES))}
    networks = {"denoiser": tiny_denoiser(), "vanilla": tiny_classifier(1), "robust": tiny_classifier(2)}
    paths = {}
    for name, network in networks.items():
        paths[name] = str(folder / f"{name}.safetensors")
        save_network(paths[name], network, **facts)
    return paths


def make_draft(owner, slug: str, checkpoints: dict[str, str], steps: int):
    """Return a draft whose two arms are guided by the two classifiers; every draft has the same seed."""
    from generation.recipes.recipe import ArmRecipe
    from survey.services.study.study import arm_add, study_create

    study = study_create(owner=owner, slug=slug, title=slug, seed=77, consent_text="I agree.", practice_trials=0)
    for name, scale in (("vanilla", 0.5), ("robust", 2.0)):
        recipe = {"denoiser": checkpoints["denoiser"], "spacing": str(steps)}
        recipe |= {"classifier": checkpoints[name], "classifier_scale": scale}
        arm_add(study=study, name=name, actor=owner, recipe=ArmRecipe.from_json(name, recipe).to_json())
    return study


def order_pairs(slug: str, pairs: int, *, queue: bool) -> None:
    from django.core.management import call_command

    call_command("generate_pairs", study=slug, pairs=pairs, batch=2, shard=4, verbosity=0, queue=queue)


def images_of(lab: Lab, study) -> dict[tuple[str, str], str]:
    """Return the digest of every image of a study's pairs, from the bytes that are on the disk."""
    from survey.models import PairImage

    rows = PairImage.objects.filter(pair__study=study).values_list("pair__key", "arm__name", "file")
    return {(key, arm): hashlib.sha256((lab.media / file).read_bytes()).hexdigest() for key, arm, file in rows}


def count_jobs(studies: list, reference: dict, lab: Lab, since) -> dict[str, int]:
    """Compare the images with the undisturbed run's, and the jobs with what they should have become."""
    from jobs.models import Job

    made = [images_of(lab, study) for study in studies]
    jobs = Job.objects.filter(kind__in=GENERATION, created_at__gte=since)
    return {
        "images": sum(len(images) for images in made),
        "images_wanted": len(reference) * len(studies),
        "images_different": sum(images.get(name) != digest for images in made for name, digest in reference.items()),
        "jobs": jobs.count(),
        "jobs_unfinished": jobs.exclude(state=Job.State.SUCCEEDED).count(),
        "attempts": sum(jobs.values_list("attempt", flat=True)),
    }
