"""Files of generated pairs that are missing or damaged are made again to the recorded bytes."""

from __future__ import annotations

import hashlib

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError

from survey.models import PairImage
from tests.generation.orders import generate, images, stored

pytestmark = pytest.mark.django_db


def test_missing_and_damaged_files_are_mended_to_the_recorded_bytes(draft):
    study = draft()
    generate(study)
    assert "all files of the pairs that are there have their recorded digests" in generate(study, check_files=True)
    lost, damaged = PairImage.objects.order_by("pair__key", "arm__name")[1:3]
    default_storage.delete(lost.file)
    with default_storage.open(damaged.file, "wb") as file:
        file.write(b"not what it was")
    before = images(study)
    assert "2 files were missing or damaged; 2 made again" in generate(study, check_files=True)
    for image in (lost, damaged):
        assert hashlib.sha256(stored(image.file)).hexdigest() == image.sha256
    assert images(study) == before


def test_file_that_does_not_come_out_the_same_is_not_replaced(draft):
    study = draft()
    generate(study)
    image = PairImage.objects.first()
    default_storage.delete(image.file)
    PairImage.objects.filter(pk=image.pk).update(sha256="0" * 64)
    with pytest.raises(CommandError, match="1 files came out with other bytes, the first is images/"):
        generate(study, check_files=True)
    assert not default_storage.exists(image.file)
