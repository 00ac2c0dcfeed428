"""The yardstick of ``benchmarks/serving.py``: the same Django, database and server, one view with one INSERT."""

from config.settings.dev import *  # noqa: F403

ROOT_URLCONF = "benchmarks.serving_bare_urls"
MIDDLEWARE = []
