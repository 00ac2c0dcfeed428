"""Whatever a program writes into a draft, it is told what is wrong; the server never breaks over it, now or later."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client

from survey.api.serializers.study import StudyPatchSerializer
from survey.services.study.version import version_problems
from tests.factories import make_study, make_user
from tests.survey.api.test_researcher_api import Caller

pytestmark = pytest.mark.django_db
ODD = [
    None,
    True,
    -1,
    1e308,
    10**400,
    "",
    "x" * 100_000,
    "\u2028\u202e",
    [],
    ["x"],
    [["x"]],
    {},
    {"a": 1},
    {"provider": ["x"]},
    {"provider": {"a": 1}},
    {"provider": "prolific", "codes": [1], "study_id": {}, "is_signed": []},
    {"provider": "open", "codes": {"complete": 1}, "completion_url": 7, "frame_ancestors": 3, "form_action": {"a": []}},
    [{"rule": ["x"]}],
    [{"rule": "too_fast", "parameters": ["x"]}],
    [{"rule": "too_fast", "parameters": {"median_ms": "x"}}],
    [{"name": ["x"], "caption": {}, "options": 3}],
    [{"name": "a", "caption": "b", "options": [[1], {}]}],
]
FIELDS = sorted(StudyPatchSerializer().fields)


@pytest.mark.parametrize("field", FIELDS)
def test_odd_values_of_a_draft_are_refused_or_named_before_freezing(field: str) -> None:
    cache.clear()  # where the calls of the other fields are counted
    owner = make_user()
    study = make_study(owner=owner, slug="odd", pairs=1)
    call = Caller(owner)
    call.client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {call.token}"})
    for value in ODD:
        changed = call("patch", f"studies/{study.slug}/", {field: value})
        assert changed.status_code in {200, 400, 409, 422}, (field, value, changed.content[:300])
        if changed.status_code == 200:
            study.refresh_from_db()
            version_problems(study)
            assert call("get", f"studies/{study.slug}/dry-run/").status_code == 200, (field, value)
