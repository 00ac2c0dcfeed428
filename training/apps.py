from django.apps import AppConfig


class TrainingApp(AppConfig):
    name = "training"
