"""Call every operation of the OpenAPI document with made-up input: no server error, no undocumented answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from survey.services.access.api_token import token_create
from tests.factories import make_running, make_study, make_user

EXAMPLES = 4

DOCUMENT = SchemaGenerator(api_version="v1").get_schema(public=True)
schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.app = get_wsgi_application()
OPERATIONS = [result.ok() for result in schema.get_all_operations()]


def test_the_document_has_the_operations_of_the_admin() -> None:
    assert len(OPERATIONS) >= 32


def test_every_json_body_of_a_study_has_an_example() -> None:
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]["application/json"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert len(bodies) > 15
    assert {name for name, body in bodies.items() if not body.get("examples")} == set()


@pytest.fixture
def token(db) -> Iterator[str]:
    """Return a token with every scope; the calls share the test's transaction, so nothing may close its connection."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    owner = make_user("owner")
    make_study(owner=owner, slug="draft")
    make_running(owner=owner, slug="running")
    yield token_create(user=owner, name="fuzz", scopes=["read", "write", "run"])[0]
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_every_operation_answers_as_documented(operation, token: str) -> None:
    answers = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case) -> None:
        if "slug" in (case.path_parameters or {}):
            case.path_parameters["slug"] = ("draft", "running")[len(answers) % 2]
        response = case.call_and_validate(
            headers={"Authorization": f"Bearer {token}"},
            checks=[not_a_server_error, status_code_conformance, content_type_conformance],
        )
        answers.append(response.status_code)

    call()
    assert answers
