from django.apps import AppConfig


class SurveyConfig(AppConfig):
    name = "survey"

    def ready(self) -> None:
        from survey import signals  # noqa: F401  connects them
