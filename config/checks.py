"""What `manage.py check --deploy` asks beyond Django's own list."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection

__all__: list[str] = []


@register(Tags.security, deploy=True)
def production_engines(app_configs, **kwargs) -> list:
    """Warn where a server runs on the engines of one laptop."""
    problems = []
    if connection.vendor == "sqlite":
        problems.append(
            Warning(
                "the database is SQLite, which lets one process write at a time",
                hint="set BLINDPAIR_DATABASE_URL to postgresql://...",
                id="blindpair.W001",
            )
        )
    if not settings.CELERY_BROKER_URL:
        problems.append(
            Warning(
                "no broker is set: jobs wait for `manage.py run_jobs`",
                hint="set BLINDPAIR_BROKER_URL, or run `manage.py run_jobs` as a service",
                id="blindpair.W002",
            )
        )
    if not settings.PUBLIC_URL.startswith("https://"):
        problems.append(
            Error(
                f"BLINDPAIR_PUBLIC_URL is {settings.PUBLIC_URL}: raters would be sent over an open line",
                hint="set it to https://your.host",
                id="blindpair.E001",
            )
        )
    if settings.RATER_IMAGE_ACCEL and not isinstance(default_storage, FileSystemStorage):
        problems.append(
            Error(
                "BLINDPAIR_IMAGE_ACCEL sends the proxy to a folder, but the images lie in a bucket",
                hint="unset BLINDPAIR_IMAGE_ACCEL, or BLINDPAIR_S3_BUCKET",
                id="blindpair.E002",
            )
        )
    return problems
