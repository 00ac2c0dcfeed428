"""From the schema of each release, with rows in it, to the present one; and no released migration is ever edited."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from django.conf import settings

ROOT = Path(__file__).parents[2]
# Rows of each table as a release's own back-up wrote them, and the newest migrations that it knew.
RELEASES = {"first": ROOT / "tests/data/first_release.json", "0.1.0": ROOT / "tests/data/release_0_1_0.json"}
# SHA-256 of each migration of a published version.
RELEASED = json.loads((ROOT / "tests/data/released_migrations.json").read_text())
DRIVER = """
import json, sys, django
django.setup()
from pathlib import Path
from django.apps import apps
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from config.backup import _created, _rows, _value
first = json.loads(Path(sys.argv[1]).read_text())

executor = MigrationExecutor(connection)
targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] not in first["migrations"]]
targets += list(first["migrations"].items())
then = executor.migrate(targets).apps
newest = dict(sorted(MigrationRecorder(connection).applied_migrations()))
assert {app: newest[app] for app in first["migrations"]} == first["migrations"]
with transaction.atomic():
    for label, rows in first["tables"].items():
        model = then.get_model(label)
        fields = {field.attname: field for field in model._meta.concrete_fields}
        assert set(rows[0]) == set(fields), label
        _created(model, [
            model(**{name: None if text is None else _value(fields[name], text) for name, text in row.items()})
            for row in rows])
with connection.cursor() as cursor:
    for statement in connection.ops.sequence_reset_sql(no_style(), list(map(then.get_model, first["tables"]))):
        cursor.execute(statement)

call_command("migrate", verbosity=0)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
found = {label: [json.loads(line) for line in _rows(apps.get_model(label))] for label in first["tables"]}

from survey.models import StudyVersion
from survey.services.records.audit import audit_first_break
from survey.services.study.study import study_transition
from tests.factories import make_visit
version = StudyVersion.objects.get()
visit = make_visit(version)
study_transition(study=version.study, name="close", actor=None, reason="enough")
call_command("export_votes", study=version.study.slug, format="csv", out=Path(sys.argv[2]), verbosity=0)
print(json.dumps({"tables": found, "visit": visit.state, "audit": audit_first_break(version.study)}))
"""


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """A new, empty database on the engine of this run."""
    given = settings.DATABASES["default"]
    if given["ENGINE"].endswith("sqlite3"):
        yield f"sqlite:///{tmp_path / 'old.sqlite3'}"
        return
    name = f"old_{uuid.uuid4().hex}"
    server = {
        "host": given["HOST"],
        "port": given["PORT"] or None,
        "user": given["USER"],
        "password": given["PASSWORD"],
    }
    connection = psycopg2.connect(dbname="postgres", **server)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            yield f"postgresql://{given['USER']}:{given['PASSWORD']}@/{name}?host={given['HOST']}&port={given['PORT']}"
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        connection.close()


@pytest.mark.parametrize("release", RELEASES)
def test_a_study_of_a_release_comes_through_every_migration(release: str, database_url: str, tmp_path: Path) -> None:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "BLINDPAIR_DATABASE_URL": database_url,
        "BLINDPAIR_DATA_DIR": str(tmp_path / "data"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", DRIVER, str(RELEASES[release]), str(tmp_path / "votes")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    first = json.loads(RELEASES[release].read_text())["tables"]
    assert len(first["survey.vote"]) >= 9
    assert (seen["visit"], seen["audit"]) == ("completed", None)
    for label, rows in first.items():
        assert len(seen["tables"][label]) == len(rows), label
        for now, then in zip(seen["tables"][label], rows, strict=True):
            # What is new has its default; what was there is there still.
            assert {name: now[name] for name in then if name in now} == then, label
    exported = next((tmp_path / "votes").rglob("*.csv")).read_text()
    answered = {row["trial_id"] for row in first["survey.vote"]}
    assert all(trial in exported for trial in answered)
    assert len(exported.strip().splitlines()) - 1 == len(answered) + 4


def test_no_released_migration_is_edited() -> None:
    assert len(RELEASED) >= 5
    for name, sha256 in RELEASED.items():
        found = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
        assert found == sha256, f"{name} was released; leave it as it is and write a new migration"


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_release_knew_is_among_the_released_migrations(release: str) -> None:
    newest = json.loads(RELEASES[release].read_text())["migrations"]
    assert {f"{app}/migrations/{name}.py" for app, name in newest.items()} <= set(RELEASED)
