"""The one Celery task: wake up, claim, run."""

from celery import shared_task

from jobs.runner import job_run


@shared_task
def run_job(job_id: str) -> None:
    job_run(job_id)
