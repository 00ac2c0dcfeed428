"""A release loads with the packages that people use, holds what the consent covers, and nothing else."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import subprocess
import sys
import uuid
from pathlib import Path

import mlcroissant
import pandas as pd
import pyarrow.parquet as pq
import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from PIL import Image

from survey.exceptions import ReleaseRefused
from survey.models import ImagePair, PairImage, Rater, RaterSession, Study, StudyVersion, Trial, Vote
from survey.reports.release.release import ReleaseOptions, release_write
from survey.services.study.study import study_transition
from survey.services.visit.session import session_resume, session_withdraw
from survey.services.visit.submission import Answer
from tests.beyond import ASKED, LEFT
from tests.factories import make_described, make_running, make_study, make_visit
from tests.survey.reports.test_report import prefer
from tests.visits import active, next_trial, vote

pytestmark = pytest.mark.django_db
NAMED = ("chosen", "rejected")
OPTIONS = ReleaseOptions(license="CC-BY-4.0", least_cell=2)
QUESTIONS = [
    {"name": "age", "caption": "How old are you?", "options": ["under 30", "30 or more"]},
    {"name": "remark", "caption": "Anything else?", "options": []},
]


@pytest.fixture
def version() -> StudyVersion:
    """A running study with three visits, whose consent covers publication."""
    made = make_running(
        practice_trials=1, votes_per_pair=6, is_publication_consented=True, exit_questions=QUESTIONS, pairs=6
    )
    for number in range(3):
        visit = make_visit(made, prefer("robust"))
        answers = {"age": "under 30" if number else "30 or more", "remark": f"It was fine, said Alice {number}."}
        RaterSession.objects.filter(pk=visit.pk).update(answers=answers, language="en" if number else "de")
    return made


def release(version: StudyVersion, folder: Path, options: ReleaseOptions = OPTIONS) -> Path:
    release_write(version.study, folder / "release", options)
    return folder / "release"


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# The validator itself calls what pandas and rdflib have deprecated.
@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid_and_its_records_are_the_votes(version, tmp_path):
    folder = release(version, tmp_path)
    dataset = mlcroissant.Dataset(folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    records = list(dataset.records("votes"))
    votes = pd.read_parquet(folder / "votes.parquet")
    assert {record["votes/trial"].decode() for record in records} == set(votes["trial"])
    images = list(dataset.records("images-00000"))
    assert len(images) == 12
    assert images[0]["images-00000/image"].size == (16, 16)


def test_croissant_answers_the_responsible_ai_fields(version, tmp_path):
    described = json.loads((release(version, tmp_path) / "croissant.json").read_text())
    wanted = ("dataCollection", "dataAnnotationProtocol", "annotatorDemographics", "personalSensitiveInformation")
    assert all(described[f"rai:{name}"] for name in (*wanted, "dataBiases", "dataLimitations", "dataUseCases"))
    question = version.config["texts"]["question"].replace("{class_name}", "[class of the pair]")
    assert question in described["rai:dataAnnotationProtocol"]
    assert described["license"] == "https://creativecommons.org/licenses/by/4.0/"


def test_hugging_face_datasets_loads_every_table_and_decodes_the_images(version, tmp_path):
    folder = release(version, tmp_path)
    program = (
        "import sys, datasets\n"
        "for name in ('votes', 'raters', 'pairs', 'preferences', 'images'):\n"
        "    print(name, len(datasets.load_dataset(sys.argv[1], name, split='train')))\n"
        "print(datasets.load_dataset(sys.argv[1], 'images', split='train')[0]['image'].size)\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", program, str(folder)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    counts = dict(line.split() for line in told.stdout.splitlines()[:-1])
    assert counts["images"] == "12"
    assert counts["pairs"] == "6"
    assert counts["votes"] == str(pq.read_table(folder / "votes.parquet").num_rows)
    assert told.stdout.splitlines()[-1] == "(16, 16)"


def test_the_images_are_those_of_the_frozen_manifest(version, tmp_path):
    folder = release(version, tmp_path)
    rows = pq.read_table(folder / "images" / "images-00000.parquet").to_pylist()
    frozen = {digest for line in manifest(folder) for digest in line["images"].values()}
    assert {hashlib.sha256(row["image"]["bytes"]).hexdigest() for row in rows} == frozen
    assert Image.open(io.BytesIO(rows[0]["image"]["bytes"])).size == (rows[0]["width"], rows[0]["height"])
    digest = hashlib.sha256((folder / "manifest.jsonl").read_bytes()).hexdigest()
    assert digest == version.manifest_sha256


def manifest(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_every_file_stands_in_the_sums_with_its_digest(version, tmp_path):
    folder = release(version, tmp_path)
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(sums) == files - {"SHA256SUMS"}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())


def test_preferences_name_the_image_that_more_raters_chose(version, tmp_path):
    folder = release(version, tmp_path)
    arm_of = {str(pk): arm for pk, arm in PairImage.objects.values_list("pk", "arm__name")}
    rows = pq.read_table(folder / "preferences.parquet").to_pylist()
    assert rows
    for row in rows:
        assert (arm_of[row["chosen"]], arm_of[row["rejected"]]) == ("robust", "vanilla")
        assert (row["margin"], row["ties"]) == (1.0, 0)
    ordinary = Vote.objects.filter(is_current=True, trial__check_kind="")
    assert sum(row["votes"] for row in rows) == ordinary.count()


def test_nothing_of_rehearsals_pilots_withdrawn_or_erased_visits_leaves(version, tmp_path):
    kept = {str(pk) for pk in RaterSession.objects.values_list("pk", flat=True)}
    others = [make_visit(version, is_simulated=True), make_visit(version), make_visit(version), make_visit(version)]
    session_withdraw(session_id=others[1].pk)
    RaterSession.objects.filter(pk=others[2].pk).update(is_pilot=True)
    Rater.objects.filter(pk=others[3].rater_id).update(provider="prolific", provider_key=None)
    folder = release(version, tmp_path)
    table = pq.read_table(folder / "votes.parquet")
    assert set(table["session"].to_pylist()) == kept
    assert set(pq.read_table(folder / "raters.parquet")["session"].to_pylist()) == kept
    told = everything(folder)
    for session in others:
        assert str(session.pk).encode() not in told
        assert str(session.rater_id).encode() not in told


def test_cells_that_few_raters_share_and_words_of_their_own_stay_at_home(version, tmp_path):
    folder = release(version, tmp_path)
    with (folder / "raters.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["answer_age"] for row in rows) == ["", "under 30", "under 30"]
    assert sorted(row["language"] for row in rows) == ["", "en", "en"]
    assert "answer_remark" not in rows[0]
    assert b"Alice" not in everything(folder)


def test_a_rater_who_came_often_is_one_rater_of_a_cell(version, tmp_path):
    often = RaterSession.objects.order_by("started_at").first()
    RaterSession.objects.filter(pk=often.pk).update(language="fr")
    later = StudyVersion.objects.get(pk=version.pk)
    later.pk, later.number = uuid.uuid4(), 2
    later.save(force_insert=True)
    RaterSession.objects.create(
        version=later, rater=often.rater, language="fr", consented_at=often.consented_at, state="completed", seed=1
    )
    with (release(version, tmp_path) / "raters.csv").open() as file:
        assert "fr" not in {row["language"] for row in csv.DictReader(file)}


def test_answers_that_came_after_a_place_was_answered_are_no_preference(version, tmp_path):
    late, early = Vote.objects.filter(is_current=True, trial__check_kind="").order_by("-pk")[:2]
    Trial.objects.filter(pk=late.trial_id).update(slot=early.trial.slot)
    folder = release(version, tmp_path)
    rows = pq.read_table(folder / "preferences.parquet").to_pylist()
    votes = pd.read_csv(folder / "votes.csv", keep_default_na=False)
    assert votes["exclusion_reason"].str.startswith("over_quota").sum() == 1
    ordinary = Vote.objects.filter(is_current=True, trial__check_kind="")
    assert sum(row["votes"] for row in rows) == ordinary.count() - 1


def test_pairs_that_were_voted_on_and_then_left_out_keep_their_images(version, tmp_path):
    left = version.study.pairs.filter(trials__isnull=False).first()
    ImagePair.objects.filter(pk=left.pk).update(is_selected=False)
    folder = release(version, tmp_path)
    images = {row["image_id"] for row in pq.read_table(folder / "images" / "images-00000.parquet").to_pylist()}
    chosen = {row[name] for row in pq.read_table(folder / "preferences.parquet").to_pylist() for name in NAMED}
    assert {str(image.pk) for image in left.images.all()} <= chosen <= images


def test_arms_are_published_under_the_names_that_the_owner_chose(version, tmp_path):
    options = ReleaseOptions(license="CC0-1.0", arm_names={"robust": "A", "vanilla": "B"})
    folder = release(version, tmp_path, options)
    assert set(pq.read_table(folder / "votes.parquet")["choice_arm"].to_pylist()) <= {"A", "B", "degraded", ""}
    assert b"robust" not in everything(folder)


def test_a_study_without_consent_to_publication_is_refused_and_leaves_nothing(tmp_path):
    version = make_running(practice_trials=0)
    make_visit(version)
    with pytest.raises(ReleaseRefused, match="the consent of version 1 does not say"):
        release(version, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"license": "mine"}, "none of CC-BY-4.0"),
        ({"license": "CC0-1.0", "arm_names": {"other": "A"}}, "there is no arm other; the arms are robust, vanilla"),
        ({"license": "CC0-1.0", "arm_names": {"robust": "vanilla"}}, "the same published name"),
        ({"license": "CC0-1.0", "least_cell": 0}, "give 1 or more"),
    ],
)
def test_bad_options_are_refused_by_name(version, tmp_path, options, reason):
    with pytest.raises(ReleaseRefused, match=reason):
        release(version, tmp_path, ReleaseOptions(**options))


def test_an_image_that_has_changed_since_it_was_frozen_is_named_and_nothing_is_left(version, tmp_path):
    image = PairImage.objects.select_related("pair").first()
    with default_storage.open(image.file, "wb") as file:
        file.write(b"another image")
    with pytest.raises(ReleaseRefused, match=f"{image.pair.key} of .* is no longer the one that was frozen"):
        release(version, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(version, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    study_transition(study=version.study, name="close", actor=None, reason="enough")
    # The last of all steps: everything else is written by then.
    monkeypatch.setattr("survey.reports.release.release.card_text", lambda *_, **__: full())
    with pytest.raises(CommandError, match="No space left on device"):
        call_command("export_release", study=version.study.slug, out=tmp_path / "release", license="CC-BY-4.0")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(version, tmp_path):
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "mine.txt").write_text("mine")
    with pytest.raises(ReleaseRefused, match="holds something already"):
        release(version, tmp_path)
    assert (tmp_path / "release" / "mine.txt").read_text() == "mine"


def test_the_command_waits_for_the_end_of_the_study(version, tmp_path, capsys):
    asked = {"study": version.study.slug, "out": tmp_path / "release", "license": "CC-BY-4.0"}
    with pytest.raises(CommandError, match="Results stay hidden"):
        call_command("export_release", **asked)
    study_transition(study=version.study, name="close", actor=None)
    call_command("export_release", **asked)
    assert "12 images" in capsys.readouterr().out


def test_prompts_tags_and_references_are_published(tmp_path):
    version = make_running(make_described(is_publication_consented=True))
    make_visit(version, prefer("robust"))
    folder = release(version, tmp_path)
    row = pq.read_table(folder / "pairs.parquet").to_pylist()[0]
    assert (row["prompt"], row["tags"]) == ("prompt 0", "animal|group 0")
    images = pq.read_table(folder / "images" / "images-00000.parquet").to_pylist()
    (reference,) = [image for image in images if image["sha256"] == row["reference_sha256"]]
    assert (reference["arm"], reference["pair"]) == ("", row["pair"])
    assert hashlib.sha256(reference["image"]["bytes"]).hexdigest() == row["reference_sha256"]
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["prompt"] == "prompt 0"


@pytest.mark.filterwarnings("ignore")
def test_what_raters_said_beyond_the_choice_is_released_with_the_votes(tmp_path):
    made = make_running(practice_trials=0, is_publication_consented=True, pairs=6, votes_per_pair=6, **ASKED)
    for _ in range(2):
        session = active(made)
        while next_trial(session) is not None:
            vote(session, answers=[Answer(**LEFT)])
        session_resume(session_id=session.pk)
    folder = release(made, tmp_path)
    assert not mlcroissant.Dataset(folder / "croissant.json").metadata.ctx.issues.errors
    votes = pd.read_parquet(folder / "votes.parquet")
    assert list(votes.columns[-3:]) == ["acceptable", "strength", "reasons"]
    assert set(votes["reasons"]) == {"anatomy|colour"}


def test_the_card_shows_what_people_wrote_and_does_none_of_it(tmp_path):
    version = make_running(
        make_study(
            slug="marked",
            instructions="# Look\n\n<img src=x onerror=alert(1)> at *both*\n---\n[here](https://example.org)",
            is_publication_consented=True,
        )
    )
    Study.objects.filter(pk=version.study.pk).update(title="A | B `C`")
    version.study.refresh_from_db()
    make_visit(version)
    card = (release(version, tmp_path / "out") / "README.md").read_text()
    (line,) = (line for line in card.splitlines() if line.startswith("**Data annotation protocol.**"))
    assert r"Instructions: # Look \<img src=x onerror=alert(1)\> at \*both\* --- \[here\](https://example.org)" in line
    assert [line for line in card.splitlines() if line.startswith("#")] == ["# marked"]
    assert card.splitlines().count("---") == 2
    assert r"A | B \`C\`" in card
