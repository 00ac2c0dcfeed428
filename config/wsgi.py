import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
_django = get_wsgi_application()

from config.metrics import observe_request  # noqa: E402 - the settings have to be there first
from survey.views.image import ImageMiddleware  # noqa: E402

application = ImageMiddleware(_django, observe_request)
