from django.apps import AppConfig
from django.conf import settings


class ConfigConfig(AppConfig):
    """The project itself: its commands (demo, backup, restore) and checks."""

    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401  registers them

        if settings.SENTRY_DSN:
            from config.sentry import sentry_start

            sentry_start(settings.SENTRY_DSN)
