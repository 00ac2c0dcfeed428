"""Recipes are a table that names no folder of the server."""

from __future__ import annotations

import pytest
from django.test import Client

from survey.admin.recipes import recipe_table
from survey.models import Arm, Study
from survey.services.study.study import arm_add
from tests.factories import make_study, make_user

DENOISER = {"path": "/srv/secret/training/digits/last.safetensors", "sha256": "ab" * 32}


def test_what_differs_comes_first_and_files_are_named_by_run_and_digest() -> None:
    rows = recipe_table([{"denoiser": DENOISER, "scale": 25.0}, {"denoiser": DENOISER, "scale": 2.5}])
    assert [(row.name, row.differs, row.cells) for row in rows] == [
        ("scale", True, ["25", "2.5"]),
        ("denoiser", False, ["digits/last.safetensors, SHA-256 abababababab"] * 2),
    ]


def test_nested_settings_are_read_and_missing_ones_shown_as_such() -> None:
    rows = recipe_table([{"guidance_interval": [0.1, 0.9], "more": {"x_y": 1}}, {}])
    assert [row.cells for row in rows] == [["0.1, 0.9", "–"], ["x y 1", "–"]]
    assert recipe_table([{}, {}]) == []


@pytest.mark.django_db
def test_the_page_of_a_study_shows_no_folder_of_the_server() -> None:
    owner = make_user()
    study = make_study(owner=owner, pairs=0)
    arm_add(study=study, name="vanilla", actor=owner, recipe={"denoiser": DENOISER})
    client = Client()
    client.force_login(owner)
    # Its own page, and its design once nobody edits the text of a recipe any more.
    Study.objects.filter(pk=study.pk).update(state="frozen")
    for address in ("", "change/"):
        page = client.get(f"/admin/survey/study/{study.pk}/{address}").content.decode()
        assert "digits/last.safetensors" in page, address
        assert "/srv/secret" not in page, address


@pytest.mark.django_db
def test_recipes_stand_under_the_arms_titles() -> None:
    owner = make_user()
    study = make_study(owner=owner, pairs=0)
    made = arm_add(study=study, name="ours_v2-1", actor=owner, recipe={"classifier_scale": 1.0})
    Arm.objects.filter(pk=made.pk).update(title="ours_v2.1 (größer)")
    client = Client()
    client.force_login(owner)
    page = client.get(f"/admin/survey/study/{study.pk}/").content.decode()
    assert '<th scope="col">ours_v2.1 (größer)</th>' in page
    assert '<th scope="col">ours_v2-1</th>' not in page
