"""The two addresses of the yardstick: which images come next, by one SELECT, and a vote, by one INSERT."""

import json

from django.http import HttpRequest, JsonResponse
from django.urls import path

from survey.models import SessionEvent, Trial


def coming(request: HttpRequest, session: str, number: int) -> JsonResponse:
    trials = Trial.objects.filter(session_id=session, position=1 + number % 100)
    left, right = trials.values_list("image_left__file", "image_right__file")[0]
    return JsonResponse({"left": f"/media/{left}", "right": f"/media/{right}"})


def vote(request: HttpRequest, session: str) -> JsonResponse:
    event = SessionEvent.objects.create(session_id=session, kind="bare", detail=json.loads(request.body))
    return JsonResponse({"id": event.pk})


urlpatterns = [path("next/<uuid:session>/<int:number>", coming), path("vote/<uuid:session>", vote)]
