"""Images know which weights and settings made them, and images of two recipes never mix in one arm."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from diffusion.checkpoints import read_card, save_network
from generation.models import GenerationRun
from generation.selectors import run_progress
from survey.exceptions import StudyNotReady
from survey.models import PairImage
from survey.services.study.version import version_freeze
from tests.generation.conftest import CLASS_NAMES, SCHEDULE
from tests.generation.orders import generate
from tests.generation.toys import tiny_classifier, tiny_denoiser

pytestmark = pytest.mark.django_db


def test_weights_that_cannot_be_read_or_do_not_fit_are_refused(draft, tmp_path):
    study = draft(denoiser=str(tmp_path / "gone.safetensors"))
    with pytest.raises(CommandError, match=r"arm 'robust': no checkpoint at .*gone\.safetensors"):
        generate(study)
    (tmp_path / "gone.safetensors").write_bytes(b"no weights")
    with pytest.raises(CommandError, match=r"gone\.safetensors is a text, not weights"):
        generate(study)
    save_network(tmp_path / "gone.safetensors", tiny_denoiser(in_channels=3), schedule=SCHEDULE)
    with pytest.raises(CommandError, match="denoiser and classifier differ in in_channels"):
        generate(study)
    assert run_progress(GenerationRun.objects.get()).state == "failed"
    save_network(tmp_path / "gone.safetensors", tiny_denoiser(), schedule=SCHEDULE)
    assert "made 2 pairs" in generate(study, 2)


def test_retrained_weights_do_not_mix_with_older_images(draft, checkpoints, tmp_path):
    path = tmp_path / "classifier.safetensors"
    first = save_network(path, tiny_classifier(1), schedule=SCHEDULE, class_names=CLASS_NAMES)
    study = draft(classifier=str(path))
    generate(study, 2)
    second = save_network(path, tiny_classifier(5), schedule=SCHEDULE, class_names=CLASS_NAMES)
    told = rf"weights of digest {second.sha256[:12]}.* instead of {first.sha256[:12]}"
    with pytest.raises(CommandError, match=rf"arm 'robust' has images made by other weights or settings: .*{told}"):
        generate(study, 4)
    study.pairs.first().delete()
    with pytest.raises(CommandError, match=rf"{told}.*the file was replaced: restore it, or make a new arm"):
        generate(study, 2)
    assert study.pairs.count() == 1


def test_frozen_version_holds_the_digests_of_what_made_its_images(draft, checkpoints):
    """The arms name their checkpoints by path alone; the images know which weights and settings these were."""
    study = draft()
    generate(study, 4, minimum_distance=0.0)
    arms = {arm["name"]: arm["recipe"] for arm in version_freeze(study=study).config["arms"]}
    for name, recipe in arms.items():
        for kind, path in (("denoiser", checkpoints.denoiser), ("classifier", getattr(checkpoints, name))):
            card = read_card(path)
            assert recipe[kind] == {"path": path, "sha256": card.sha256, "config_sha256": card.config_sha256}
    steps = study.versions.get().config["pairs"]["steps"]
    assert [(step["action"], step["detail"]["minimum_distance"]) for step in steps] == [("order pairs", 0.0)]


def test_images_of_an_earlier_release_take_more_beside_them(draft):
    """Its recipes pinned the weights and not the settings; that is no other recipe."""
    study = draft()
    generate(study, 2)
    for image in PairImage.objects.filter(pair__study=study):
        for kind in ("denoiser", "classifier"):
            del image.recipe["recipe"][kind]["config_sha256"]
        image.save()
    generate(study, 4)
    arms = version_freeze(study=study).config["arms"]
    assert all(len(arm["recipe"]["denoiser"]["config_sha256"]) == 64 for arm in arms)


def test_images_of_two_recipes_cannot_be_frozen_as_one_arm(draft):
    study = draft()
    generate(study, 3)
    image = PairImage.objects.filter(pair__study=study, arm__name="robust").first()
    image.recipe["recipe"]["classifier"]["sha256"] = "0" * 64
    image.save()
    with pytest.raises(StudyNotReady, match="arm robust has images of 2 recipes"):
        version_freeze(study=study)
