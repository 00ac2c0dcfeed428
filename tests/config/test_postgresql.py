"""Connections that keep plans, and ask the database how it is only when they have been idle."""

from __future__ import annotations

import time

import pytest
from django.db import IntegrityError, connection, connections
from django.test.utils import CaptureQueriesContext

from config.postgresql.base import DatabaseWrapper

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="of PostgreSQL alone"),
]
SUM = "SELECT %s::integer + %s::integer"


def texts(*sums: tuple[int, int]) -> list[str]:
    """Return what is sent for these sums, each of which must come out right."""
    with CaptureQueriesContext(connection) as queries:
        for one, other in sums:
            assert connection.rows_by_plan(SUM, [one, other]) == [(one + other,)]
    return [query["sql"].split(" ")[0] for query in queries]


@pytest.fixture(autouse=True)
def fresh() -> None:
    connection.close()


def test_a_statement_is_planned_once_a_connection() -> None:
    assert texts((1, 2), (3, 4), (-1, 0)) == ["PREPARE", "EXECUTE", "EXECUTE", "EXECUTE"]
    connection.close()
    assert texts((1, 2)) == ["PREPARE", "EXECUTE"]


def test_a_pooler_that_exchanges_connections_gets_whole_statements(monkeypatch) -> None:
    monkeypatch.setattr(connection, "_has_plans", True)
    texts((1, 2))
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert texts((3, 4), (5, 6)) == ["EXECUTE", "SELECT", "SELECT"]


def test_a_plan_that_is_there_already_does_no_harm(monkeypatch) -> None:
    monkeypatch.setattr(connection, "_has_plans", True)
    texts((1, 2))
    connection._prepared.clear()
    assert texts((3, 4)) == ["PREPARE", "SELECT"]


def test_other_errors_are_raised() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE numbers (number integer UNIQUE)")
    insert = "INSERT INTO numbers VALUES (%s) RETURNING number"
    assert connection.rows_by_plan(insert, [1]) == [(1,)]
    with pytest.raises(IntegrityError):
        connection.rows_by_plan(insert, [1])
    assert connection._has_plans


def checked() -> DatabaseWrapper:
    """Return the connection, opened, as production has it: kept for long, with health checks."""
    wrapper = connections["default"]
    wrapper.ensure_connection()
    wrapper.health_check_enabled, wrapper.close_at = True, None
    return wrapper


def request() -> None:
    connection.close_if_unusable_or_obsolete()
    texts((1, 2))
    connection.close_if_unusable_or_obsolete()


@pytest.mark.parametrize(("idle", "asked"), [(0.0, 0), (1.1, 1)])
def test_a_connection_is_asked_how_it_is_only_after_a_pause(idle, asked, monkeypatch) -> None:
    wrapper, calls = checked(), []
    is_usable = wrapper.is_usable
    monkeypatch.setattr(wrapper, "is_usable", lambda: calls.append(1) or is_usable())
    request()
    calls.clear()
    time.sleep(idle)
    request()
    assert len(calls) == asked


def test_a_connection_that_the_server_ended_is_exchanged() -> None:
    wrapper = checked()
    request()
    other = wrapper.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [wrapper.connection.info.backend_pid])
    other.close()
    time.sleep(1.1)
    request()
