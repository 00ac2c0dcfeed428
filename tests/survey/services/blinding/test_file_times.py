from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from jobs.housekeeping import housekeeping
from survey import signals
from survey.models import PairImage
from survey.services.blinding.file_times import earlier_copies_date
from tests.copies import copy_name
from tests.factories import make_png, make_running

pytestmark = pytest.mark.django_db


def test_copies_of_an_earlier_release_get_the_time_of_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = PairImage.objects.filter(pair__study=make_running().study)[:2]
    names = ["served/900/aa/1.png", "served/900/bb/2.png", "served/900/bb/3.png"]
    for name in names:
        default_storage.save(name, ContentFile(make_png(1)))
    PairImage.objects.filter(pk=first.pk).update(served=names[0])
    # The last is gone from the disk: nothing to date, and no error.
    PairImage.objects.filter(pk=second.pk).update(served=names[1], degraded="served/900/cc/gone.png")
    assert earlier_copies_date() == 2
    times = {default_storage.get_modified_time(name) for name in [*names[:2], copy_name(first)]}
    assert len(times) == 1
    assert earlier_copies_date() == 0
    PairImage.objects.filter(pk=second.pk).update(degraded=names[2])
    monkeypatch.setattr(signals, "_has_dated", False)
    housekeeping.send(sender=None)
    assert default_storage.get_modified_time(names[2]) in times
