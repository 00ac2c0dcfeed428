"""What stops a job, and whether trying again can help."""

__all__ = ["JobCancelled", "JobError", "LeaseLost", "PermanentJobError", "WorkerLeaving", "error_text"]


class JobError(Exception):
    """Base of the errors that jobs raise on purpose. ``wait_seconds`` is how long the next attempt is put off."""

    permanent = False

    def __init__(self, *args: object, wait_seconds: float = 0.0) -> None:
        super().__init__(*args)
        self.wait_seconds = wait_seconds


class PermanentJobError(JobError):
    """The same parameters will fail again: no further attempt is made."""

    permanent = True


class LeaseLost(JobError):
    """Another worker holds this job now: stop at once and write nothing."""


class WorkerLeaving(JobError):
    """The worker was told to go: save what there is and stop; the job goes back to the queue at no cost."""


class JobCancelled(JobError):
    """Somebody asked for the job to stop."""

    permanent = True


def error_text(error: Exception) -> str:
    """Return an error in words for a row: what is refused on purpose says so itself, of a fault the type is half."""
    return str(error) if isinstance(error, JobError | ValueError) else f"{type(error).__name__}: {error}"
