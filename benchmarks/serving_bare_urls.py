"""The one address of the yardstick."""

import json

from django.http import HttpRequest, JsonResponse
from django.urls import path

from survey.models import SessionEvent


def insert(request: HttpRequest, session: str) -> JsonResponse:
    event = SessionEvent.objects.create(session_id=session, kind="bare", detail=json.loads(request.body))
    return JsonResponse({"id": event.pk})


urlpatterns = [path("insert/<uuid:session>", insert)]
