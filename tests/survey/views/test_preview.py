"""Researchers see the raters' pages of a draft, with its own images; nobody else does, and nothing is stored."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from django.apps import apps
from django.test import Client

from survey.models import Study
from survey.services.blinding.scaling import scaled
from survey.services.blinding.served_copies import image_pixels
from survey.services.study.study import study_update
from survey.views.preview import STEPS
from tests.beyond import TWO_LANGUAGES
from tests.copies import pixels_of
from tests.factories import CRITERIA, make_user
from tests.photos import photo_draft

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft():
    return photo_draft((320, 256), (256, 300), (300, 300), narrow_screens="stack")


@pytest.fixture
def owner(draft) -> Client:
    client = Client()
    client.force_login(draft.members.get().user)
    return client


def rows() -> dict[str, int]:
    return {model._meta.label: model.objects.count() for model in apps.get_app_config("survey").get_models()}


@pytest.mark.parametrize("step", STEPS)
def test_every_page_of_a_visit_is_shown_marked_and_framed_by_this_site_alone(owner, draft, step: str) -> None:
    before = rows()
    response = owner.get(f"/s/{draft.slug}/preview/{step}/?lang=de")
    assert response.status_code == 200
    page = response.content.decode()
    assert "Preview of a draft: nothing is stored." in page
    assert 'lang="de"' in page
    assert "frame-ancestors 'self'" in response.headers["Content-Security-Policy"]
    assert rows() == before


def test_trials_come_one_after_the_other_and_votes_are_forgotten(owner, draft) -> None:
    page = owner.get(f"/s/{draft.slug}/preview/trials/").content.decode()
    setup = json.loads(re.search(r'<script id="setup" type="application/json">(.*?)</script>', page)[1])
    again = owner.get(f"/s/{draft.slug}/preview/trials/").content.decode()
    assert setup["urls"]["window"] not in again  # two frames side by side are no two tabs of one visit
    before, script = rows(), Client()  # the script's requests carry no cookie
    window = script.post(setup["urls"]["window"], {"tab": "one"}, content_type="application/json").json()
    assert (window["done"], window["total"], len(window["trials"])) == (0, 3, 3)
    seen = [window["trials"][0]["id"]]
    while window["trials"]:
        body = {"tab": "one", "trial": window["trials"][0]["id"], "choice": "left"}
        window = script.post(setup["urls"]["vote"], body, content_type="application/json").json()
        seen += [trial["id"] for trial in window["trials"][:1]]
    assert len(set(seen)) == 3
    assert rows() == before


def test_the_frame_of_a_phone_has_a_phones_fine_pixels(owner, draft) -> None:
    Study.objects.filter(pk=draft.pk).update(display="fit", least_box_px=240)

    def setup(query: str = "") -> dict:
        page = owner.get(f"/s/{draft.slug}/preview/trials/{query}").content.decode()
        return json.loads(re.search(r'<script id="setup" type="application/json">(.*?)</script>', page)[1])

    plain, phone = setup()["room"]["least"], setup("?as=phone")["room"]["least"]
    assert phone == [math.ceil(side / 3) for side in plain]
    page = owner.get(f"/admin/survey/study/{draft.pk}/preview/").content.decode()
    assert page.count("/preview/trials/?as=phone") == 2
    # A pair fits there: it has copies that are smaller than what other windows need.
    window = Client().post(setup()["urls"]["window"], {"tab": "one"}, content_type="application/json").json()
    assert min(max(size) for size in window["trials"][0]["sizes"]) < max(plain)


def test_images_are_made_as_raters_will_get_them(owner, draft) -> None:
    image = draft.pairs.first().images.select_related("pair", "arm").first()
    sizes = [(320, 256)]
    (wanted,) = scaled(image_pixels(image), sizes)
    response = owner.get(f"/s/{draft.slug}/preview/i/{image.pk.hex}.0.webp")
    assert np.array_equal(pixels_of(response.content), np.asarray(wanted))
    assert owner.get(f"/s/{draft.slug}/preview/i/{image.pk.hex}s.0.webp").content != response.content
    for wrong in (f"{image.pk.hex}.99", "nobody.0"):
        assert owner.get(f"/s/{draft.slug}/preview/i/{wrong}.webp").status_code == 404


def test_strangers_get_nothing(draft) -> None:
    image = draft.pairs.first().images.first()
    stranger = Client()
    stranger.force_login(make_user())
    for path in ("trials/", f"i/{image.pk.hex}.0.webp"):
        assert stranger.get(f"/s/{draft.slug}/preview/{path}").status_code == 404
        assert Client().get(f"/s/{draft.slug}/preview/{path}").status_code == 302
    assert Client().post("/preview/forged/window", {}, content_type="application/json").status_code == 404
    assert stranger.get(f"/admin/survey/study/{draft.pk}/preview/").status_code == 404


def test_the_researchers_page_frames_both_widths(owner, draft) -> None:
    response = owner.get(f"/admin/survey/study/{draft.pk}/preview/?step=instructions")
    page = response.content.decode()
    for query in ("", "?as=phone"):
        assert page.count(f'<iframe src="/s/{draft.slug}/preview/instructions/{query}"') == 1
    assert "frame-src 'self'" in response.headers["Content-Security-Policy"]


def test_what_is_asked_beyond_the_choice_is_in_the_preview_of_each_language(owner) -> None:
    study = photo_draft((320, 256), **TWO_LANGUAGES)
    owner.force_login(study.members.get().user)
    page = owner.get(f"/s/{study.slug}/preview/trials/?lang=de").content.decode()
    setup = json.loads(re.search(r'<script id="setup" type="application/json">(.*?)</script>', page)[1])
    assert [step["name"] for step in setup["beyond"]] == ["strength", "acceptable", "reasons"]
    assert "Anatomie" in page
    assert setup["texts"]["chooseLeft"] == "Bild A"
    window = owner.post(setup["urls"]["window"], {"tab": "one"}, content_type="application/json").json()
    assert {trial["question"] for trial in window["trials"]} == {"Welches Bild ist besser?"}
    assert "Wie viel besser ist es?" in owner.get(f"/s/{study.slug}/preview/instructions/?lang=de").content.decode()


def test_a_draft_that_asks_for_the_choice_alone_has_no_steps(owner, draft) -> None:
    page = owner.get(f"/s/{draft.slug}/preview/trials/").content.decode()
    assert "follow-" not in page
    assert "beyond" not in json.loads(re.search(r'<script id="setup" type="application/json">(.*?)</script>', page)[1])


@pytest.mark.parametrize(("design", "total"), [("blocks", 9), ("together", 3)])
def test_a_preview_asks_all_criteria_in_the_design_of_the_draft(owner, draft, design: str, total: int) -> None:
    study_update(study=draft, actor=None, criteria=CRITERIA, criteria_design=design)
    page = owner.get(f"/s/{draft.slug}/preview/trials/").content.decode()
    setup = json.loads(re.search(r'<script id="setup" type="application/json">(.*?)</script>', page)[1])
    assert [one["key"] for one in setup["criteria"]] == ["realism", "detail", "overall"]
    assert setup["blocks"] == (3 if design == "blocks" else 0)
    # Together each criterion has a row of its own; the last one has no tie.
    assert [f'id="choose-tie-{key}"' in page for key in ("realism", "detail", "overall")] == [
        design == "together",
        design == "together",
        False,
    ]
    window = Client().post(setup["urls"]["window"], {"tab": "one"}, content_type="application/json").json()
    assert window["total"] == total
    first = window["trials"][0]
    assert first["criteria"][0] == {"key": "realism", "question": "Which image looks more like a real hill?"}
    assert len(first["criteria"]) == (1 if design == "blocks" else 3)
    instructions = owner.get(f"/s/{draft.slug}/preview/instructions/").content.decode()
    assert "Which image looks more like a real …?" in instructions
    assert "Sharp where it should be." in instructions
