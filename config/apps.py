from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """The project itself: its commands (demo, backup, restore) and checks."""

    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401  registers them
