"""Mechanical Turk: the page stands in a frame, shows itself as a preview first, and ends by posting back."""

from __future__ import annotations

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

    def defaults(self) -> Mapping[str, Any]:
        return {"provider": self.name, "frame_ancestors": list(_FRAMES), "form_action": list(HOSTS)}

    @staticmethod
    def is_preview(request: HttpRequest) -> bool:
        """Return whether a worker only looks at the task before taking it."""
        return request.GET.get("assignmentId", PREVIEW) == PREVIEW

    def identify(self, request: HttpRequest) -> Entry:
        if self.is_preview(request):
            raise EntryRefused("This is a preview. Accept the task first, then start.")
        worker, assignment = request.GET.get("workerId", ""), request.GET.get("assignmentId", "")
        back = urlsplit(request.GET.get("turkSubmitTo", ""))
        host = f"{back.scheme}://{back.netloc}"
        if not worker or host not in HOSTS:
            raise EntryRefused("The link misses who you are. Open the task from Mechanical Turk again.")
        return Entry(
            provider=self.name,
            person=worker[:200],
            submission=assignment[:200],
            return_url=f"{host}/mturk/externalSubmit",
            return_fields={"assignmentId": assignment[:200]},
        )

    def finish(self, session: RaterSession) -> Completion:
        """Post the assignment back with the code; a refused or withdrawn visit returns the task by hand."""
        identity = RaterIdentity.objects.filter(rater_id=session.rater_id).first()
        if session.outcome != "complete" or identity is None or not identity.return_url:
            return Completion(code=session.completion_code)
        fields = {**identity.return_fields, "code": session.completion_code}
        return Completion(code=session.completion_code, url=identity.return_url, fields=fields)
