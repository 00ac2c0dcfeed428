"""Write release_0_1_0.json: rows of every table as version 0.1.0 (13bc07b) left them. Run in a checkout of it.

The first release's study comes through that version's own migrations; its own services then add what they did::

    git worktree add DIR 13bc07b && cd DIR
    PYTHONPATH=. python PATH/TO/tests/data/release_0_1_0.py PATH/TO/tests/data/release_0_1_0.json
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path


def load_first_release() -> None:
    """Fill the first schema with the first release's rows, and migrate to this version."""
    from django.core.management import call_command
    from django.db import connection, transaction
    from django.db.migrations.executor import MigrationExecutor

    from config.backup import _created, _value

    first = json.loads(Path("tests/data/first_release.json").read_text())
    executor = MigrationExecutor(connection)
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] not in first["migrations"]]
    then = executor.migrate(targets + list(first["migrations"].items())).apps
    with transaction.atomic():
        for label, rows in first["tables"].items():
            model = then.get_model(label)
            fields = {field.attname: field for field in model._meta.concrete_fields}
            made = [
                {name: None if text is None else _value(fields[name], text) for name, text in row.items()}
                for row in rows
            ]
            _created(model, [model(**values) for values in made])
    call_command("migrate", verbosity=0)


def work_on() -> None:
    """Do what this version could do, down to the tables that are new in it."""
    from survey.models import ImageMetric, StudyVersion, Vote
    from survey.services.exclusion import exclusion_by_hand
    from survey.services.figures import study_figures_store
    from survey.services.progress import version_tally
    from survey.services.study import study_delete
    from tests.factories import make_study, make_visit

    version = StudyVersion.objects.get()
    study = version.study
    owner = study.members.get(role="owner").user
    session = make_visit(version, lambda trial: "tie" if trial.position % 3 == 0 else "right")
    exclusion_by_hand(study=study, session_id=session.pk, reason="the screen was too bright", actor=owner)
    metric = ImageMetric.objects.first()
    ImageMetric.objects.create(arm=metric.arm, name=metric.name, class_label="1", result=metric.result)
    figure = {"name": "samples", "title": "Samples", "description": "A row an arm.", "files": {"svg": b"<svg/>"}}
    study_figures_store(study=study, figures=[figure], actor=owner)
    draft = make_study(owner=owner, slug="a-draft")
    study_delete(study=draft, actor=owner)
    version_tally(version)
    assert Vote.objects.filter(trial__session=session).count() >= 4


def rows_of_all_tables() -> dict:
    """Return the newest migration of each app, and every row as a back-up writes it."""
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    from config.backup import _models, _rows

    ours = {"config", "generation", "jobs", "survey", "training"}
    newest = {app: name for app, name in MigrationLoader(connection).graph.leaf_nodes() if app in ours}
    tables = {model._meta.label_lower: [json.loads(line) for line in _rows(model)] for model in _models()}
    return {"migrations": newest, "tables": {label: rows for label, rows in tables.items() if rows}}


def main() -> None:
    out = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BLINDPAIR_DATA_DIR"] = folder
        os.environ["BLINDPAIR_DATABASE_URL"] = f"sqlite:///{folder}/old.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
        import django

        django.setup()
        load_first_release()
        work_on()
        found = rows_of_all_tables()
    # A row a line.
    tables = [
        f'  "{label}": [\n' + ",\n".join(f"   {json.dumps(row, ensure_ascii=False)}" for row in rows) + "\n  ]"
        for label, rows in found["tables"].items()
    ]
    text = f'{{\n "migrations": {json.dumps(found["migrations"])},\n "tables": {{\n' + ",\n".join(tables) + "\n }\n}\n"
    assert json.loads(text) == found
    out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
