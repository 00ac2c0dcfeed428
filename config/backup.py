"""Every table and every file, independent of the database engine: what `backup` writes and `restore` reads.

A back-up is a folder: ``tables/APP.MODEL.jsonl`` (one serialised row a line), ``files/NAME`` and, written last,
``manifest.json`` with the digest and size of each. A folder without a manifest is an interrupted back-up.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from django.apps import apps
from django.core.files import File
from django.core.files.storage import Storage, default_storage
from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.db.migrations.recorder import MigrationRecorder

from analysis.report.provenance import code_version

__all__ = ["BackupError", "backup_write", "restore_read"]

SCHEMA = "blindpair.backup/1"
Progress = Callable[[str], None]
# Rebuilt by `migrate`, or worthless on another server.
_LEFT_OUT = {"contenttypes.contenttype", "auth.permission", "sessions.session", "admin.logentry", "config.attempts"}


class BackupError(Exception):
    """The folder cannot be written, or does not hold a whole back-up of this version."""


def backup_write(folder: Path, *, on_progress: Progress = lambda line: None) -> dict:
    """Write a back-up of one moment: tables are read in one transaction, files (which never change) afterwards.

    Raises
    ------
    BackupError
        If the folder has anything in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty; name a new folder for each back-up")
    entries: dict[str, dict] = {}
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for model in _models():
            name = f"tables/{model._meta.label_lower}.jsonl"
            entries[name] = _written(folder / name, _rows(model))
            on_progress(f"{name}: {entries[name]['bytes']} bytes")
    for stored in _stored_names(default_storage):
        name = f"files/{stored}"
        with default_storage.open(stored) as file:
            entries[name] = _written(folder / name, file.chunks())
    on_progress(f"{sum(name.startswith('files/') for name in entries)} files")
    manifest = {
        "schema": SCHEMA,
        "version": code_version(),
        "migrations": _migrations(),
        "entries": dict(sorted(entries.items())),
    }
    _written(folder / "manifest.json", [json.dumps(manifest, indent=1).encode()])
    return manifest


def restore_read(folder: Path, *, on_progress: Progress = lambda line: None) -> dict:
    """Restore a back-up into a migrated, empty database and the storage; all tables or none.

    Raises
    ------
    BackupError
        If a digest differs, the schema differs, or the database has rows: nothing is changed then.
    """
    manifest = _checked_manifest(folder)
    for model in _models():
        if model.objects.exists():
            raise BackupError(f"{model._meta.label} has rows; restore into an empty, migrated database")
    on_progress("every digest agrees")
    # Files first: a killed restore leaves files that nothing names, never rows without their file.
    for name in manifest["entries"]:
        if name.startswith("files/") and not default_storage.exists(name.removeprefix("files/")):
            with (folder / name).open("rb") as file:
                default_storage.save(name.removeprefix("files/"), File(file))
    with transaction.atomic(), connection.constraint_checks_disabled():
        for model in _models():
            count = _load(folder / f"tables/{model._meta.label_lower}.jsonl", model)
            on_progress(f"{model._meta.label}: {count} rows")
        connection.check_constraints()
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), _models()):
                cursor.execute(statement)
    return manifest


def _models() -> list[type[models.Model]]:
    """Return every table, those that others refer to first."""
    chosen = [model for model in apps.get_models(include_auto_created=True) if _is_kept(model)]
    ordered: list[type[models.Model]] = []

    def visit(model: type[models.Model], trail: tuple = ()) -> None:
        if model in ordered or model in trail:
            return
        for field in model._meta.get_fields():
            target = getattr(field, "related_model", None)
            if getattr(field, "concrete", False) and not field.many_to_many and target in chosen and target != model:
                visit(target, (*trail, model))
        ordered.append(model)

    for model in sorted(chosen, key=lambda model: model._meta.label_lower):
        visit(model)
    return ordered


def _is_kept(model: type[models.Model]) -> bool:
    return model._meta.managed and not model._meta.proxy and model._meta.label_lower not in _LEFT_OUT


def _rows(model: type[models.Model]) -> Iterator[bytes]:
    rows = model._base_manager.order_by("pk").iterator(chunk_size=1000)
    for row in rows:
        fields = {field.attname: field.value_to_string(row) for field in model._meta.concrete_fields}
        values = {name: None if getattr(row, name) is None else text for name, text in fields.items()}
        yield json.dumps(values, ensure_ascii=False).encode() + b"\n"


def _load(path: Path, model: type[models.Model]) -> int:
    fields = {field.attname: field for field in model._meta.concrete_fields}
    batch: list[models.Model] = []
    count = 0
    with path.open("rb") as file:
        for line in file:
            values = json.loads(line)
            row = model()
            for name, text in values.items():
                setattr(row, name, None if text is None else _value(fields[name], text))
            batch.append(row)
            if len(batch) == 1000:
                count += len(_created(model, batch))
                batch = []
    return count + len(_created(model, batch))


def _value(field: models.Field, text: object) -> object:
    target = field.target_field if field.is_relation else field
    # A JSON field serialises to its value, every other one to text.
    return text if isinstance(target, models.JSONField) else target.to_python(text)


def _created(model: type[models.Model], rows: list[models.Model]) -> list[models.Model]:
    """Insert rows as they are: times that are set on saving keep their old value."""
    timed = [field for field in model._meta.concrete_fields if getattr(field, "auto_now_add", False)]
    timed += [field for field in model._meta.concrete_fields if getattr(field, "auto_now", False)]
    kept = [(field, field.auto_now_add, field.auto_now) for field in timed]
    try:
        for field in timed:
            field.auto_now_add = field.auto_now = False
        return model._base_manager.bulk_create(rows)
    finally:
        for field, auto_now_add, auto_now in kept:
            field.auto_now_add, field.auto_now = auto_now_add, auto_now


def _checked_manifest(folder: Path) -> dict:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except OSError:
        told = f"{folder} has no manifest.json: the back-up was interrupted, or the folder is no back-up"
        raise BackupError(told) from None
    if manifest.get("schema") != SCHEMA:
        raise BackupError(f"{folder} is of schema {manifest.get('schema')!r}; this version reads {SCHEMA!r}")
    if missing := sorted(set(map(tuple, manifest["migrations"])) ^ set(map(tuple, _migrations()))):
        raise BackupError(
            f"the back-up was made by version {manifest['version']} with another database schema (first difference: "
            f"{'.'.join(missing[0])}); restore it with that version, then migrate"
        )
    for name, entry in manifest["entries"].items():
        if ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise BackupError(f"{name!r} points outside the back-up")
        try:
            with (folder / name).open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BackupError(f"{name} cannot be read: {error.strerror}") from None
        if sha256 != entry["sha256"]:
            raise BackupError(f"{name} was changed or damaged since the back-up: its SHA-256 differs")
    return manifest


def _migrations() -> list[list[str]]:
    return sorted(map(list, MigrationRecorder(connection).applied_migrations()))


def _stored_names(storage: Storage, folder: str = "") -> Iterator[str]:
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in sorted(files):
        if not name.startswith("."):
            yield f"{folder}{name}"
    for name in sorted(folders):
        yield from _stored_names(storage, f"{folder}{name}/")


def _written(path: Path, chunks) -> dict:
    path.parent.mkdir(parents=True, exist_ok=True)
    sha256, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        for chunk in chunks:
            sha256.update(chunk)
            size += len(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return {"sha256": sha256.hexdigest(), "bytes": size}
