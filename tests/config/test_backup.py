from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from config.backup import _models
from survey.models import AuditEntry, PairImage, Slot, StudyVersion
from survey.services.records.audit import audit_first_break
from tests.copies import copy_bytes, pixels_of
from tests.factories import make_running

pytestmark = pytest.mark.django_db(transaction=True)


def wipe(settings, tmp_path: Path) -> None:
    call_command("flush", interactive=False, verbosity=0)
    settings.MEDIA_ROOT = tmp_path / "another-machine"


def test_restore_brings_back_every_row_and_file(settings, tmp_path: Path) -> None:
    version = make_running()
    rows = {model._meta.label: model.objects.count() for model in _models()}
    assert rows["survey.Slot"] > 0
    frozen_at = version.frozen_at
    call_command("backup", tmp_path / "backup", verbosity=0)
    wipe(settings, tmp_path)
    call_command("restore", tmp_path / "backup", verbosity=0)
    assert {model._meta.label: model.objects.count() for model in _models()} == rows
    restored = StudyVersion.objects.get()
    assert (restored.pk, restored.config, restored.frozen_at) == (version.pk, version.config, frozen_at)
    assert audit_first_break(restored.study) is None
    for image in PairImage.objects.all():
        assert len(copy_bytes(image)) == image.copies.get().lengths[0]
        assert pixels_of(copy_bytes(image)).shape == (image.height, image.width, 3)
    # The next automatic key does not collide with a restored one.
    slot = Slot.objects.first()
    slot.pk, slot.index = None, 999
    slot.save(force_insert=True)


def test_restore_refuses_a_damaged_file_and_changes_nothing(settings, tmp_path: Path) -> None:
    make_running()
    call_command("backup", tmp_path / "backup", verbosity=0)
    wipe(settings, tmp_path)
    table = tmp_path / "backup/tables/survey.study.jsonl"
    table.write_text(table.read_text().replace("Study", "Stady"))
    with pytest.raises(CommandError, match=r"survey\.study\.jsonl was changed or damaged"):
        call_command("restore", tmp_path / "backup", verbosity=0)
    assert not AuditEntry.objects.exists()


def test_restore_refuses_a_database_with_rows_and_an_interrupted_backup(settings, tmp_path: Path) -> None:
    make_running()
    call_command("backup", tmp_path / "backup", verbosity=0)
    with pytest.raises(CommandError, match="has rows"):
        call_command("restore", tmp_path / "backup", verbosity=0)
    (tmp_path / "backup/manifest.json").unlink()
    with pytest.raises(CommandError, match="interrupted"):
        call_command("restore", tmp_path / "backup", verbosity=0)
    with pytest.raises(CommandError, match="not empty"):
        call_command("backup", tmp_path / "backup", verbosity=0)
