from django.urls import path

from survey.api import rater as api
from survey.views import image, rater

app_name = "survey"

urlpatterns = [
    path("s/<slug:slug>/", rater.landing, name="landing"),
    path("s/<slug:slug>/start", rater.start, name="start"),
    path("r/<str:token>/", rater.visit, name="visit"),
    path("r/<str:token>/consent", rater.consent, name="consent"),
    path("r/<str:token>/device", rater.device, name="device"),
    path("r/<str:token>/begin", rater.begin, name="begin"),
    path("r/<str:token>/finish", rater.finish, name="finish"),
    path("r/<str:token>/questions", rater.questions, name="questions"),
    path("r/<str:token>/withdraw", rater.withdraw, name="withdraw"),
    path("r/<str:token>/api/window", api.window, name="api-window"),
    path("r/<str:token>/api/votes", api.vote, name="api-vote"),
    path("r/<str:token>/api/undo", api.undo, name="api-undo"),
    path("r/<str:token>/api/faults", api.fault, name="api-fault"),
    path("r/<str:token>/api/events", api.events, name="api-events"),
    path("i/<str:token>.png", image.image, name="image"),
]
