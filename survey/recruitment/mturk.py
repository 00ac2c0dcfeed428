"""Mechanical Turk: the page stands in a frame, shows itself as a preview first, and ends by posting back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest

from survey.exceptions import EntryRefused
from survey.models import RaterIdentity, RaterSession
from survey.recruitment.base import Completion, Entry, Provider

__all__ = ["MTurk"]

PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"
# The only places that a finished assignment may be posted to: the address comes with the link and can be forged.
HOSTS = ("https://www.mturk.com", "https://workersandbox.mturk.com")
_FRAMES = ("https://worker.mturk.com", *HOSTS)


class MTurk(Provider):
    name = "mturk"
    ids = {"workerId": re.compile("A[0-9A-Z]{9,20}"), "assignmentId": re.compile("[0-9A-Z]{20,40}")}
    ids_remedy = (
        "Publish the task as an ExternalQuestion: Mechanical Turk then adds workerId and assignmentId to the address "
        "itself. Do not write them into it."
    )

    def defaults(self) -> Mapping[str, Any]:
        return {"provider": self.name, "frame_ancestors": list(_FRAMES), "form_action": list(HOSTS)}

    @staticmethod
    def is_preview(request: HttpRequest) -> bool:
        """Return whether a worker only looks at the task before taking it."""
        return request.GET.get("assignmentId", PREVIEW) == PREVIEW

    def identify(self, request: HttpRequest) -> Entry:
        if self.is_preview(request):
            raise EntryRefused("This is a preview. Accept the task first, then start.")
        given = {name: request.GET.get(name, "") for name in self.ids}
        self.require_shape(given)
        back = urlsplit(request.GET.get("turkSubmitTo", ""))
        host = f"{back.scheme}://{back.netloc}"
        if host not in HOSTS:
            raise EntryRefused("The link misses who you are. Open the task from Mechanical Turk again.")
        return Entry(
            provider=self.name,
            person=given["workerId"],
            submission=given["assignmentId"],
            # Put together here: of the address in the link only the host is taken, and that from a list.
            return_url=f"{host}/mturk/externalSubmit",
            return_fields={"assignmentId": given["assignmentId"]},
        )

    def finish(self, session: RaterSession) -> Completion:
        """Post the assignment back with the code; a refused or withdrawn visit returns the task by hand."""
        identity = RaterIdentity.objects.filter(rater_id=session.rater_id).first()
        if session.outcome != "complete" or identity is None or not identity.return_url:
            return Completion(code=session.completion_code)
        fields = {**identity.return_fields, "code": session.completion_code}
        return Completion(code=session.completion_code, url=identity.return_url, fields=fields)
