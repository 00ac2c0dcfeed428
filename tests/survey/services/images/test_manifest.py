"""What people write beside their folders comes with the pairs, and what does not fit is named with its line."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from jobs.models import Job
from jobs.runner import job_run
from survey.exceptions import BadArchive, ImportRefused
from survey.models import ImagePair, ReferenceImage
from survey.services import background
from survey.services.background import import_begin
from survey.services.images.import_sources import folder_sources, zip_sources
from survey.services.images.importing import images_import, import_check
from survey.services.images.manifest import UploadedTable, manifest_read
from survey.services.images.pairs import pairs_remove
from survey.services.study.study import study_transition
from survey.services.study.version import version_freeze
from tests.analysis.sheets.test_workbook import book
from tests.factories import make_png, make_user
from tests.survey.api.test_researcher_api import Caller
from tests.survey.services.images.test_importing import empty_draft, matched, png, zipped

pytestmark = pytest.mark.django_db

PROMPTS = {"cat/0": "Eine Katze; schläft", "cat/1": 'قطة تنام على "الكرسي"', "cat/2": "椅子で眠る猫,\nzwei Zeilen"}


def table(**changes: str) -> bytes:
    """Return a table of the three pairs; ``changes`` replace cells of its second row."""
    rows = ["path,prompt,class,tags,reference,seed"]
    for number, (key, prompt) in enumerate(PROMPTS.items()):
        cells = {
            "path": f"{key}.png",
            "prompt": prompt,
            "class": "tabby",
            "tags": "animal | indoor",
            "reference": f"originals/{number}.png",
            "seed": str(7 + number),
        }
        cells |= changes if number == 1 else {}
        rows.append(",".join('"' + cell.replace('"', '""') + '"' for cell in cells.values()))
    return "\n".join(rows).encode() + b"\n"


def tree(manifest: bytes | None = None, name: str = "pairs.csv", **arms: dict[str, bytes]) -> dict[str, bytes]:
    files = {f"{arm}/{path}": content for arm, found in (arms or matched()).items() for path, content in found.items()}
    files |= {f"originals/{number}.png": make_png(500 + number) for number in range(3)}
    return files | {name: table() if manifest is None else manifest}


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def assert_described(study) -> None:
    pairs = {pair.key: pair for pair in ImagePair.objects.filter(study=study).select_related("reference")}
    assert {key: pair.prompt for key, pair in pairs.items()} == PROMPTS
    assert {pair.class_label for pair in pairs.values()} == {"tabby"}
    assert [pair.seed for _, pair in sorted(pairs.items())] == [7, 8, 9]
    assert pairs["cat/0"].tags == ["animal", "indoor"]
    reference = pairs["cat/2"].reference
    with default_storage.open(reference.file) as file:
        assert file.read() == make_png(502)
    assert (reference.width, reference.height) == (16, 16)
    assert set(study.arms.values_list("name", flat=True)) == {"a", "b"}


def test_a_table_in_a_zip_describes_its_pairs_and_references_are_no_arm() -> None:
    study = empty_draft()
    with zip_sources(zipped(tree())) as sources:
        report = images_import(study=study, sources=sources)
    assert_described(study)
    assert (report.prompts, report.references) == (3, 3)
    assert "the zip: originals holds references and is no arm" in report.notes
    assert not [note for note in report.notes if "pairs.csv" in note]


def test_a_zip_with_a_folder_around_everything_is_understood_by_its_table() -> None:
    study = empty_draft()
    wrapped = {f"my study/{name}": content for name, content in tree().items()}
    with zip_sources(zipped(wrapped)) as sources:
        images_import(study=study, sources=sources)
    assert_described(study)


def test_the_command_finds_the_table_beside_the_folders_and_takes_one_from_elsewhere(tmp_path: Path, capsys) -> None:
    home = written(tmp_path / "here", tree())
    arms = [option for arm in "ab" for option in ("--arm", f"{arm}={home / arm}")]
    study = empty_draft()
    call_command("import_pairs", "--study", study.slug, *arms)
    assert_described(study)
    (home / "pairs.csv").rename(home / "mine.csv")
    study = empty_draft()
    call_command("import_pairs", "--study", study.slug, *arms)
    assert not ImagePair.objects.filter(study=study).exclude(prompt="").exists()
    call_command("import_pairs", "--study", study.slug, *arms, "--pairs", str(home / "mine.csv"))
    assert_described(study)
    assert "0 of them new, 3 changed" in capsys.readouterr().out


def test_the_admin_takes_a_table_beside_the_zip(client: Client) -> None:
    user = make_user(is_superuser=True)
    client.force_login(user)
    study = empty_draft(owner=user)
    files = tree()
    upload = {"zip": zipped({name: content for name, content in files.items() if name != "pairs.csv"})}
    upload["zip"].name = "images.zip"
    upload["pairs"] = io.BytesIO(files["pairs.csv"])
    upload["pairs"].name = "pairs.csv"
    page = client.post(reverse("admin:survey_study_import", kwargs={"pk": study.pk}), upload)
    assert "3 prompts" in page.content.decode()
    assert_described(study)


def test_the_api_takes_a_table_and_lists_what_it_says() -> None:
    owner = make_user()
    study, call = empty_draft(owner=owner), Caller(owner)
    files = tree()
    given = {
        "pairs": SimpleUploadedFile("pairs.csv", files.pop("pairs.csv")),
        "zip": SimpleUploadedFile("images.zip", zipped(files).read()),
    }
    answer = call("post", f"studies/{study.slug}/import/", data=given)
    assert answer.status_code == 200, answer.content
    assert (answer.json()["prompts"], answer.json()["references"]) == (3, 3)
    assert_described(study)
    row = call("get", f"studies/{study.slug}/pairs/").json()["results"][1]
    assert (row["prompt"], row["tags"], row["seed"]) == (PROMPTS["cat/1"], ["animal", "indoor"], 8)
    assert row["reference"]["sha256"] == hashlib.sha256(make_png(501)).hexdigest()


def test_a_worker_imports_the_table_that_came_beside_the_zip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "INLINE_FILES", 1)
    study, user = empty_draft(), make_user()
    files = tree()
    given = UploadedTable.of(io.BytesIO(files.pop("pairs.csv")), name="pairs.csv")
    _, job = import_begin(study=study, file=zipped(files), manifest=given, actor=user)
    assert job is not None
    job_run(job.pk)
    assert Job.objects.get(pk=job.pk).state == Job.State.SUCCEEDED
    assert_described(study)
    assert not default_storage.listdir("imports")[1]


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    lines = [
        {
            "path": key,
            "prompt": prompt,
            "class": "tabby",
            "tags": ["animal", "indoor"],
            "reference": f"originals/{number}.png",
            "seed": 7 + number,
        }
        for number, (key, prompt) in enumerate(PROMPTS.items())
    ]
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    home = written(tmp_path, tree(content, "pairs.jsonl"))
    study = empty_draft()
    images_import(study=study, sources=folder_sources({arm: home / arm for arm in "ab"}))
    assert_described(study)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_table_that_a_spreadsheet_has_touched_is_read(encoding: str, delimiter: str) -> None:
    text = f'path{delimiter}prompt\r\ncat/0.png{delimiter}"eine {delimiter} Katze"\r\n'
    (row,) = manifest_read(text.encode(encoding), name="pairs.csv").rows
    assert (row.path, row.prompt) == ("cat/0.png", f"eine {delimiter} Katze")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"path,promt\ncat/0,x\n", "pairs.csv: unknown column promt; the columns are path, prompt"),
        (b"prompt\nx\n", "pairs.csv: the header has no column path"),
        (b"path,prompt\ncat/0,x\ncat/0.png,y\n", "line 3: the pair cat/0.png has a row already, line 2"),
        (b"path,prompt\n,x\n", "line 2: has no path"),
        (b"path,prompt\ncat/0," + b"x" * 4001 + b"\n", r"line 2: the prompt has 4,001 characters; allowed are 4,000"),
        (b"path,reference\ncat/0,../secret.png\n", "line 2: reference is '../secret.png'"),
        (b"path,seed\ncat/0,1.5\n", "line 2: seed is '1.5'; it must be a whole number"),
        (b"path,class\ncat/0," + b"x" * 201 + b"\n", "line 2: the class has 201 characters; allowed are 200"),
        (b"path,tags\ncat/0," + b"x" * 101 + b"\n", "line 2: the tag x"),
        (b"\x1f\x8b", "pairs.csv: the file is compressed by gzip"),
    ],
)
def test_a_table_that_does_not_fit_is_named_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        manifest_read(content, name="pairs.csv")
    assert any(said in problem for problem in refused.value.problems), refused.value.problems


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: is not JSON"),
        ("[]", "line 1: is not a JSON object"),
        ('{"path": "cat/0", "caption": "x"}', "line 1: unknown column caption"),
        ('{"path": "cat/0", "prompt": "\\ud800"}', "line 1: the prompt holds characters that are no text"),
        ('{"path": "cat/0", "tags": "a", "seed": true}', "line 1: seed is True"),
        ('{"path": "cat/0", "tags": [1]}', "line 1: tags is [1]"),
    ],
)
def test_json_lines_that_do_not_fit_are_named(line: str, said: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        manifest_read(line.encode(), name="pairs.jsonl")
    assert said in refused.value.problems[0]


def test_rows_without_images_and_images_without_rows_are_named(tmp_path: Path) -> None:
    home = written(tmp_path, tree(b"path,prompt\ncat/0,one\ncat/9,nine\n"))
    sources = folder_sources({arm: home / arm for arm in "ab"})
    with pytest.raises(ImportRefused) as refused:
        import_check(study=empty_draft(), sources=sources)
    assert refused.value.problems == ["pairs.csv: 1 row(s) without an image in any arm: cat/9 (line 3)"]
    report = import_check(study=empty_draft(), sources=sources, leave_out_unmatched=True)
    assert "pairs.csv: 1 row(s) without an image in any arm: cat/9 (line 3)" in report.notes
    assert "pairs.csv: 2 pair(s) have no row: cat/1, cat/2" in report.notes


def test_a_reference_that_is_missing_or_no_image_is_refused_with_its_line(tmp_path: Path) -> None:
    files = tree(table(reference="originals/lost.png")) | {"originals/2.png": b"no image"}
    home = written(tmp_path, files)
    with pytest.raises(ImportRefused) as refused:
        import_check(study=empty_draft(), sources=folder_sources({arm: home / arm for arm in "ab"}))
    missing, broken = refused.value.problems
    # The first row's prompt is one line, so that the rows begin in lines 2, 3 and 4.
    assert missing.startswith("pairs.csv, line 3: the reference originals/lost.png is missing in")
    assert broken.startswith("pairs.csv, line 4: the reference originals/2.png")


def test_no_reference_leads_out_of_the_folder(tmp_path: Path) -> None:
    home = written(tmp_path / "home", tree())
    (tmp_path / "secret.png").write_bytes(make_png(9))
    (home / "originals" / "1.png").unlink()
    (home / "originals" / "1.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ImportRefused, match="is a link that leads out"):
        import_check(study=empty_draft(), sources=folder_sources({arm: home / arm for arm in "ab"}))


def test_a_reference_of_another_shape_or_size_is_taken_and_noted() -> None:
    files = tree() | {"originals/0.png": png((20, 10)), "originals/1.png": png((32, 32))}
    with zip_sources(zipped(files)) as sources:
        notes = images_import(study=empty_draft(), sources=sources).notes
    assert any(
        "1 reference(s) have another shape" in note and "cat/0 (20x10, its images 16x16)" in note for note in notes
    )
    assert any("1 reference(s) have another size" in note and "cat/1 (32x32" in note for note in notes)


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_workbook_beside_the_images_is_read_as_any_table(tmp_path: Path, *, is_zip: bool) -> None:
    rows = list(csv.reader(io.StringIO(table().decode())))
    files = tree(book(Pairs=rows), "pairs.xlsx")
    study = empty_draft()
    if is_zip:
        with zip_sources(zipped(files)) as sources:
            images_import(study=study, sources=sources)
    else:
        home = written(tmp_path, files)
        images_import(study=study, sources=folder_sources({arm: home / arm for arm in "ab"}))
    assert_described(study)


def test_bad_rows_are_listed_up_to_twenty_of_a_kind_and_all_counted() -> None:
    content = b"path,seed\n" + b"".join(b"cat/%d.png,none\n" % number for number in range(57)) + b",1\n"
    with pytest.raises(ImportRefused) as caught:
        manifest_read(content, name="pairs.csv")
    assert len(caught.value.problems) == 22
    assert caught.value.problems[-2:] == [
        "pairs.csv, line 59: has no path; give the image's path below its arm's folder",
        "pairs.csv: 37 more rows like line 21",
    ]


def test_lines_that_are_no_json_are_listed_together() -> None:
    content = b"\n".join([b"{"] * 22 + [b'{"path": "cat/0", "seed": "x"}', b'{"path": "cat/1", "seed": "y"}'])
    with pytest.raises(ImportRefused) as caught:
        manifest_read(content, name="pairs.jsonl")
    assert len(caught.value.problems) == 20 + 2 + 1
    assert caught.value.problems[-2].startswith("pairs.jsonl, line 24: seed is 'y'")
    assert caught.value.problems[-1] == "pairs.jsonl: 2 more rows like line 20"


def test_two_tables_are_one_too_many(tmp_path: Path) -> None:
    files = tree() | {"pairs.jsonl": b"{}"}
    with pytest.raises(BadArchive, match="keep one"), zip_sources(zipped(files)):
        pass
    home = written(tmp_path, files)
    with pytest.raises(BadArchive, match="keep one"):
        folder_sources({arm: home / arm for arm in "ab"})


@pytest.mark.parametrize("is_zip", [False, True])
def test_texts_beside_the_images_are_prompts_when_asked_for(tmp_path: Path, *, is_zip: bool) -> None:
    files = {f"{arm}/{path}": content for arm, found in matched().items() for path, content in found.items()}
    files |= {"a/cat/0.txt": b"\xef\xbb\xbfa cat\n", "b/cat/0.txt": b"a cat", "a/cat/1.txt": b"another"}
    for are_texts_read, prompts in ((False, ["", "", ""]), (True, ["a cat", "another", ""])):
        study = empty_draft()
        home = written(tmp_path, files)
        rules = {"study": study, "are_texts_read": are_texts_read}
        if is_zip:
            with zip_sources(zipped(files)) as sources:
                report = images_import(sources=sources, **rules)
        else:
            report = images_import(sources=folder_sources({arm: home / arm for arm in "ab"}), **rules)
        assert list(study.pairs.order_by("key").values_list("prompt", flat=True)) == prompts
        assert any("text file" in note for note in report.notes) is not are_texts_read


def test_texts_beside_one_pair_that_differ_between_arms_are_refused() -> None:
    files = {f"{arm}/{path}": content for arm, found in matched().items() for path, content in found.items()}
    files |= {"a/cat/0.txt": b"a cat", "b/cat/0.txt": b"a dog"}
    with zip_sources(zipped(files)) as sources, pytest.raises(ImportRefused, match="pair cat/0: the texts beside"):
        images_import(study=empty_draft(), sources=sources, are_texts_read=True)


def test_words_change_in_a_draft_and_never_once_raters_could_read_them() -> None:
    study = empty_draft(minimum_exposure_ms=0, practice_trials=0)

    def bring(**cells: str) -> int:
        with zip_sources(zipped(tree(table(**cells)))) as sources:
            return images_import(study=study, sources=sources).changed_pairs

    assert [bring(), bring(), bring(prompt="new", reference="originals/2.png"), bring(prompt="")] == [0, 0, 1, 1]
    pair = ImagePair.objects.get(study=study, key="cat/1")
    # An empty cell says nothing, and takes nothing back.
    assert pair.prompt == "new"
    assert ReferenceImage.objects.get(pair=pair).sha256 == ReferenceImage.objects.get(pair__key="cat/1").sha256
    version_freeze(study=study)
    study_transition(study=study, name="revise", actor=None)
    assert bring(prompt="new") == 0
    with pytest.raises(ImportRefused, match="pair 'cat/1' is part of a frozen version with another prompt"):
        bring(prompt="newer")


def test_the_files_of_references_go_with_their_pairs(django_capture_on_commit_callbacks) -> None:
    study = empty_draft()
    with zip_sources(zipped(tree())) as sources:
        images_import(study=study, sources=sources)
    files = list(ReferenceImage.objects.filter(pair__study=study).values_list("file", flat=True))
    assert len(files) == 3
    with django_capture_on_commit_callbacks(execute=True):
        pairs_remove(study=study, keys=["cat/0", "cat/1", "cat/2"], actor=None)
    assert not [name for name in files if default_storage.exists(name)]


def test_how_prompts_and_references_are_shown_is_set_through_the_api() -> None:
    owner = make_user()
    study, call = empty_draft(owner=owner), Caller(owner)
    wanted = {"are_prompts_shown": False, "reference_place": "above", "is_wording_kept": True}
    answer = call("patch", f"studies/{study.slug}/", wanted)
    assert answer.status_code == 200, answer.content
    study.refresh_from_db()
    assert {name: getattr(study, name) for name in wanted} == wanted
    assert call("patch", f"studies/{study.slug}/", {"reference_place": "below"}).status_code == 400


@pytest.mark.parametrize("name", ["Pairs.csv", "PAIRS.CSV", "pairs.tsv"])
@pytest.mark.parametrize("is_zip", [False, True])
def test_a_table_is_found_in_any_case_and_with_tabs(tmp_path: Path, name: str, *, is_zip: bool) -> None:
    content = b"path,prompt\ncat/0,A cat\n".replace(b",", b"\t" if name.endswith("tsv") else b",")
    files = {f"{arm}/{path}": image for arm, found in matched().items() for path, image in found.items()}
    study, files = empty_draft(), files | {name: content}
    if is_zip:
        with zip_sources(zipped(files)) as sources:
            report = images_import(study=study, sources=sources)
    else:
        written(tmp_path, files)
        report = images_import(study=study, sources=folder_sources({"a": tmp_path / "a", "b": tmp_path / "b"}))
    assert report.prompts == 1


@pytest.mark.parametrize("name", ["pairs.json", "pairs.xls", "Pairs.ods", "pairs.txt"])
@pytest.mark.parametrize("is_zip", [False, True])
def test_a_table_in_a_form_that_is_not_read_is_refused_and_not_left_out(
    tmp_path: Path, name: str, *, is_zip: bool
) -> None:
    files = tree(b"", name)
    written(tmp_path, files)
    refused = pytest.raises(ImportRefused, match=f"{name} is not read; save the table as one of pairs.csv")
    folders = {arm: tmp_path / arm for arm in "ab"}
    with refused, zip_sources(zipped(files)) if is_zip else nullcontext(folder_sources(folders)):
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class": "nan"}, "class is nan, nothing; leave the cell empty"),
        ({"prompt": "#NAME?"}, "prompt is #NAME?, the error of a formula"),
        ({"class": "2026-02-01T00:00:00"}, "class is a date that a spreadsheet made of something else"),
        ({"seed": "1_000"}, "seed is '1_000'; it must be a whole number"),
        ({"seed": "١٢"}, "it must be a whole number"),
    ],
)
def test_what_a_program_wrote_into_a_cell_is_no_class_prompt_or_seed(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ImportRefused, match="line 3") as refused:
        manifest_read(table(**changes), name="pairs.csv")
    assert said in str(refused.value)


def test_a_path_that_names_the_arm_too_is_told_from_where_it_begins() -> None:
    with (
        zip_sources(zipped(tree(b"path,prompt\na/cat/0.png,A cat\n"))) as sources,
        pytest.raises(ImportRefused, match="a path begins below the arm's folder"),
    ):
        import_check(study=empty_draft(), sources=sources)


def test_prompts_that_were_asked_for_and_lie_nowhere_are_missed_by_name() -> None:
    files = {f"{arm}/{path}": image for arm, found in matched().items() for path, image in found.items()}
    missed = pytest.raises(ImportRefused, match=r"no image has its prompt in a \.txt of its name")
    with zip_sources(zipped(files | {"a/cat/0.png.txt": b"A cat"})) as sources, missed:
        import_check(study=empty_draft(), sources=sources, are_texts_read=True)
    with zip_sources(zipped(files | {"a/cat/0.txt": b"A cat"})) as sources:
        report = import_check(study=empty_draft(), sources=sources, are_texts_read=True)
    assert "2 pair(s) have no prompt: cat/1, cat/2" in report.notes
