"""Orders of pairs as a person gives them, and what they leave behind."""

from __future__ import annotations

from io import StringIO

from django.core.files.storage import default_storage
from django.core.management import call_command

from jobs.models import Job
from jobs.runner import job_next, job_run
from survey.models import PairImage, Study


def generate(study: Study | str = "digits", pairs: int = 6, **options) -> str:
    output = StringIO()
    slug = study if isinstance(study, str) else study.slug
    call_command("generate_pairs", study=slug, pairs=pairs, stdout=output, stderr=StringIO(), **{"batch": 2} | options)
    return output.getvalue()


def images(study: Study) -> dict[tuple[str, str], str]:
    rows = PairImage.objects.filter(pair__study=study).values_list("pair__key", "arm__name", "sha256")
    return {(key, arm): sha256 for key, arm, sha256 in rows}


def stored(name: str) -> bytes:
    with default_storage.open(name) as file:
        return file.read()


def run_queue(*, once: bool = False) -> list[Job]:
    """Do what a worker does, in this process."""
    done = []
    while (job := job_next(["gpu", "default"])) is not None:
        done.append(job_run(job.pk))
        if once:
            break
    return done
