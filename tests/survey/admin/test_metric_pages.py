"""Image metrics in the admin: members read them, strangers find nothing, nobody edits them there."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from survey.models import ImageMetric
from survey.services.results.image_metrics import image_metrics_store
from tests.factories import make_study, make_user
from tests.survey.admin.test_study_pages import client_of

pytestmark = pytest.mark.django_db

_FEATURES = {"name": "classifier:judge", "sha256": "ab" * 32}
_KID = {"value": 0.0125, "ci95": [0.01, 0.015], "n": 800, "n_reference": 1797, "features": _FEATURES, "reason": None}
_FID = {"value": None, "ci95": None, "n": 800, "n_reference": None, "features": None, "reason": "no weights here"}


@pytest.fixture
def owner():
    return make_user("owner")


def test_members_read_values_intervals_and_reasons(owner) -> None:
    study = make_study(owner=owner, pairs=0)
    image_metrics_store(study=study, results={"robust": {"kid": _KID, "fid": _FID}}, reference="digits")
    page = client_of(owner).get(reverse("admin:survey_imagemetric_changelist")).content.decode()
    for text in ("0.0125", "0.01 to 0.015", "800 / 1797", "classifier:judge", "not computed", "no weights here"):
        assert text in page
    # Metrics are called as in the report, in the table, in its filter and on their own page.
    shown = re.findall(r'class="field-metric[^"]*">(?:<a[^>]*>)?([^<]*)<', page)
    assert sorted(shown) == ["FID", "KID"]
    assert not re.search(r">\s*kid\s*<", page)
    chosen = client_of(owner).get(reverse("admin:survey_imagemetric_changelist"), {"name": "kid"}).content.decode()
    assert re.findall(r'class="field-metric[^"]*">(?:<a[^>]*>)?([^<]*)<', chosen) == ["KID"]
    for name, called in (("kid", "KID of"), ("fid", "FID of")):
        row = ImageMetric.objects.get(name=name)
        one = client_of(owner).get(reverse("admin:survey_imagemetric_change", args=[row.pk])).content.decode()
        assert called in one
        # What is not there has a word of its own.
        assert ">None<" not in one


def test_strangers_see_nothing_and_nobody_edits(owner) -> None:
    study = make_study(owner=owner, pairs=0)
    image_metrics_store(study=study, results={"robust": {"kid": _KID}}, reference="digits")
    metric = ImageMetric.objects.get()
    stranger = client_of(make_user("stranger"))
    assert "0.0125" not in stranger.get(reverse("admin:survey_imagemetric_changelist")).content.decode()
    change = reverse("admin:survey_imagemetric_change", args=[metric.pk])
    assert stranger.get(change).status_code in (302, 403, 404)
    assert client_of(owner).post(change, {"name": "fid"}).status_code == 403


def test_classes_are_named(owner) -> None:
    study = make_study(owner=owner, pairs=2)
    pair = study.pairs.order_by("key").first()
    study.pairs.filter(pk=pair.pk).update(class_label="9", class_name="Ankle boot")
    by_class = {"robust": {"9": {"kid": _KID}, "7": {"kid": _KID}}}
    image_metrics_store(study=study, results={"robust": {"kid": _KID}}, by_class=by_class, reference="digits")
    page = client_of(owner).get(reverse("admin:survey_imagemetric_changelist")).content.decode()
    cells = re.findall(r'class="field-of_class">([^<]*)<', page)
    assert sorted(cells) == ["7", "Ankle boot", "all"]
