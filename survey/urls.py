from django.urls import path

from survey.api import rater as api
from survey.views import forms, image, landing, preview, visit

app_name = "survey"

urlpatterns = [
    path("s/<slug:slug>/", landing.landing, name="landing"),
    path("s/<slug:slug>/start", landing.start, name="start"),
    path("s/<slug:slug>/preview/<slug:step>/", preview.preview_page, name="preview"),
    path("s/<slug:slug>/preview/i/<str:name>.<int:size>.webp", preview.preview_image, name="preview-image"),
    path("preview/<str:ticket>/<slug:name>", preview.preview_api, name="preview-api"),
    path("r/<str:token>/", visit.visit, name="visit"),
    path("r/<str:token>/consent", forms.consent, name="consent"),
    path("r/<str:token>/device", forms.device, name="device"),
    path("r/<str:token>/begin", forms.begin, name="begin"),
    path("r/<str:token>/finish", forms.finish, name="finish"),
    path("r/<str:token>/questions", forms.questions, name="questions"),
    path("r/<str:token>/withdraw", forms.withdraw, name="withdraw"),
    path("r/<str:token>/api/window", api.window, name="api-window"),
    path("r/<str:token>/api/votes", api.vote, name="api-vote"),
    path("r/<str:token>/api/undo", api.undo, name="api-undo"),
    path("r/<str:token>/api/faults", api.fault, name="api-fault"),
    path("r/<str:token>/api/events", api.events, name="api-events"),
    path("i/<str:token>.webp", image.image, name="image"),
    path("i/<str:token>.pair", image.image, name="image-pair"),
    path("i/<str:token>.png", image.image, name="image-png"),
]
