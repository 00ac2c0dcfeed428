from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from jobs.models import Job
from jobs.runner import job_run
from survey.exceptions import BadArchive, ImportRefused, StudyNotEditable
from survey.models import AuditEntry, ImagePair, PairImage
from survey.selectors.jobs import study_subject
from survey.services.images.import_sources import FolderSource, Limits, folder_sources, zip_sources
from survey.services.images.importing import images_check, images_import, import_check
from survey.services.study.arm_names import short_name
from survey.services.study.version import version_freeze
from tests.e2e.test_colour import chunk
from tests.factories import make_png, make_study, make_user

pytestmark = pytest.mark.django_db


def png(size: tuple[int, int] = (16, 16), mode: str = "RGB", fill=None, **save) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, fill if fill is not None else 0).save(buffer, save.pop("format", "PNG"), **save)
    return buffer.getvalue()


def folders(tmp_path: Path, **arms: dict[str, bytes]) -> dict[str, FolderSource]:
    for arm, files in arms.items():
        for name, content in files.items():
            path = tmp_path / arm / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return {arm: FolderSource(tmp_path / arm) for arm in arms}


def zipped(files: dict[str, bytes], **options) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    buffer.seek(0)
    return buffer


def empty_draft(**fields):
    return make_study(arms=(), pairs=0, **fields)


def matched(arms: tuple[str, ...] = ("a", "b"), pairs: int = 3) -> dict[str, dict[str, bytes]]:
    return {arm: {f"cat/{n}.png": make_png(10 * place + n) for n in range(pairs)} for place, arm in enumerate(arms)}


def test_import_of_three_arms_matches_by_path_and_keeps_where_they_came_from(tmp_path: Path) -> None:
    study = empty_draft()
    report = images_import(
        study=study, sources=folders(tmp_path, **matched(("a", "b", "c"))), class_names={"cat": "a cat"}
    )
    assert (report.pairs, report.new_pairs) == (3, 3)
    pair = ImagePair.objects.get(study=study, key="cat/1")
    assert (pair.class_label, pair.class_name) == ("cat", "a cat")
    images = {image.arm.name: image for image in pair.images.select_related("arm")}
    assert sorted(images) == ["a", "b", "c"]
    assert images["b"].recipe["path"] == "cat/1.png"
    assert images["b"].recipe["source"] == "import"
    assert AuditEntry.objects.get(study=study, action="import images").detail["sha256"] == report.sha256
    study.minimum_exposure_ms = 0
    assert version_freeze(study=study).number == 1


def test_import_twice_adds_nothing_and_a_third_arm_joins_later(tmp_path: Path) -> None:
    study = empty_draft()
    sources = folders(tmp_path, **matched())
    images_import(study=study, sources=sources)
    assert images_import(study=study, sources=sources).new_pairs == 0
    more = sources | folders(tmp_path, c={f"cat/{n}.png": make_png(70 + n) for n in range(3)})
    images_import(study=study, sources=more)
    assert PairImage.objects.filter(pair__study=study).count() == 9


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no image", "cannot be read"),
        (make_png(1)[:-40], "cannot be read"),
        (png((8, 16)), "differ in size"),
        (png(mode="I;16"), "8 bits per channel"),
        (png(mode="RGBA", fill=(1, 2, 3, 0)), "see-through"),
        (png((9000, 1)), "pixels a side"),
    ],
)
def test_one_bad_image_refuses_the_whole_import(tmp_path: Path, content: bytes, reason: str) -> None:
    study = empty_draft()
    arms = matched()
    arms["b"]["cat/1.png"] = content
    with pytest.raises(ImportRefused, match=reason):
        images_import(study=study, sources=folders(tmp_path, **arms))
    assert not ImagePair.objects.filter(study=study).exists()
    assert not study.arms.exists()
    assert not AuditEntry.objects.filter(study=study, action__startswith="import").exists()


def test_a_turned_photo_is_set_upright_and_an_animation_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = io.BytesIO()
    first = Image.new("RGB", (16, 16))
    first.save(frames, "WEBP", save_all=True, append_images=[Image.new("RGB", (16, 16), (9, 9, 9))])
    turned = png(format="JPEG", exif=exif)
    arms = {"a": {"1.jpg": turned, "2.webp": frames.getvalue()}, "b": {"1.jpg": png(), "2.webp": png()}}
    report, _ = images_check(folders(tmp_path, **arms))
    assert [problem for problem in report.problems if "animation of 2 frames" in problem] == report.problems
    assert "arm a: 1 image(s): is stored turned and is set upright as its mark says" in report.notes


def test_unmatched_images_are_named_and_can_be_left_out(tmp_path: Path) -> None:
    study = empty_draft()
    arms = matched()
    arms["a"]["cat/extra.png"] = make_png(99)
    sources = folders(tmp_path, **arms)
    with pytest.raises(ImportRefused, match=r"cat/extra\.png"):
        images_import(study=study, sources=sources)
    report = images_import(study=study, sources=sources, leave_out_unmatched=True)
    assert report.unmatched == {"a": ["cat/extra.png"]}
    assert report.pairs == 3


def test_bad_images_are_listed_up_to_twenty_of_a_kind_and_all_counted(tmp_path: Path) -> None:
    bad = {f"cat/{number}.png": b"<!doctype html>" for number in range(23)}
    deep = {f"cat/deep{number}.png": png(mode="I;16") for number in range(2)}
    other = {name: png() for name in (*bad, *deep)}
    report, _ = images_check(folders(tmp_path, a=bad | deep, b=other))
    assert len(report.problems) == 23
    assert sum("(HTML page)" in problem for problem in report.problems) == 21
    assert sum("16 bits" in problem for problem in report.problems) == 2
    (more,) = (problem for problem in report.problems if "more" in problem)
    assert more.startswith("3 more: arm a: an image cannot be read as an image")
    assert "_kinds" not in report.as_dict()


def test_identical_bytes_and_colour_profiles_are_noted(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    arms = matched()
    arms["b"]["cat/1.png"] = arms["a"]["cat/1.png"]
    arms["b"]["cat/2.png"] = png(icc_profile=profile)
    report, _ = images_check(folders(tmp_path, **arms))
    assert report.problems == []
    assert "1 pair(s) with identical bytes in all arms: cat/1" in report.notes
    assert "arm b: 1 image(s) are taken as sRGB (its profile is one of Lab; browsers ignore it too)" in report.notes


def test_the_report_says_from_which_colours_images_are_converted(tmp_path: Path) -> None:
    arms = matched()
    wide = chunk(b"cICP", bytes([12, 13, 0, 1]))
    arms["a"]["cat/1.png"] = arms["a"]["cat/1.png"][:33] + wide + arms["a"]["cat/1.png"][33:]
    report, _ = images_check(folders(tmp_path, **arms))
    assert "arm a: 1 image(s) are converted from Display P3 by code points (12, 13) to sRGB" in report.notes
    bright = chunk(b"cICP", bytes([9, 16, 0, 1]))
    arms["a"]["cat/1.png"] = arms["b"]["cat/1.png"][:33] + bright + arms["b"]["cat/1.png"][33:]
    report, _ = images_check(folders(tmp_path / "hdr", **arms))
    assert any("cat/1.png is a picture of high dynamic range (PQ)" in problem for problem in report.problems)


def test_a_frozen_study_takes_no_images(tmp_path: Path) -> None:
    study = make_study()
    version_freeze(study=study)
    with pytest.raises(StudyNotEditable):
        images_import(study=study, sources=folders(tmp_path, **matched()))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(make_png(1))
    sources = folders(tmp_path, **matched())
    (tmp_path / "a" / "cat" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(BadArchive, match="leads out"):
        images_check(sources)


@pytest.mark.parametrize("name", ["../a/1.png", "/a/1.png", "a/../../1.png", "a\\1.png", "C:/a/1.png"])
def test_unsafe_names_in_a_zip_are_refused(name: str) -> None:
    buffer = zipped({"a/x.png": make_png(1)})
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("placeholder.png")
        info.filename = name
        archive.writestr(info, make_png(2))
    buffer.seek(0)
    with pytest.raises(BadArchive, match="unsafe name"), zip_sources(buffer):
        pass


def test_links_bombs_and_rubbish_are_refused() -> None:
    link = zipfile.ZipInfo("a/1.png")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    buffer.seek(0)
    with pytest.raises(BadArchive, match="is a link"), zip_sources(buffer):
        pass
    with pytest.raises(BadArchive, match="a factor of"), zip_sources(zipped({"a/1.png": b"\0" * 10**7})):
        pass
    with pytest.raises(BadArchive, match="no zip"), zip_sources(io.BytesIO(b"rubbish")):
        pass
    few = Limits(files=1)
    with pytest.raises(BadArchive, match="allowed are 1"), zip_sources(zipped({"a/1.png": b"x", "b/1.png": b"x"}), few):
        pass
    with pytest.raises(BadArchive, match="lie in no folder"), zip_sources(zipped({"1.png": make_png(1)})):
        pass


def test_a_zip_that_lies_about_its_size_is_cut_off() -> None:
    buffer = zipped({"a/1.png": make_png(1, 64)})
    raw = bytearray(buffer.getvalue())
    directory = raw.rindex(b"PK\x01\x02")
    raw[directory + 24 : directory + 28] = (100).to_bytes(4, "little")
    with zip_sources(io.BytesIO(bytes(raw)), Limits(file_bytes=1000)) as sources, pytest.raises(BadArchive):
        sources["a"].read("1.png")


def test_import_command_reports_problems_and_imports_nothing(tmp_path: Path, capsys) -> None:
    study = empty_draft(slug="cats")
    arms = matched()
    arms["b"]["cat/1.png"] = b"no image"
    folders(tmp_path, **arms)
    options = ["--study", "cats", "--arm", f"a={tmp_path / 'a'}", "--arm", f"b={tmp_path / 'b'}"]
    with pytest.raises(CommandError, match="1 problem"):
        call_command("import_pairs", *options)
    assert not study.pairs.exists()
    (tmp_path / "b" / "cat" / "1.png").write_bytes(make_png(5))
    call_command("import_pairs", *options, "--check")
    assert not study.pairs.exists()
    call_command("import_pairs", *options)
    assert study.pairs.count() == 3
    assert "3 pairs of a, b imported" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--arm", "a"], ["--arm", "a=/nowhere"], ["--zip", "/nowhere.zip"]])
def test_import_command_names_what_is_wrong(options: list[str]) -> None:
    empty_draft(slug="cats")
    with pytest.raises(CommandError):
        call_command("import_pairs", "--study", "cats", *options)
    with pytest.raises(CommandError, match="no study"):
        call_command("import_pairs", "--study", "dogs", *options)


def test_an_arm_given_twice_is_refused_with_both_folders(tmp_path: Path) -> None:
    study = empty_draft(slug="cats")
    folders(tmp_path, one={"cat/1.png": make_png(1)}, two={"cat/1.png": make_png(2)})
    given = [part for name in ("one", "two") for part in ("--arm", f"a={tmp_path / name}")]
    with pytest.raises(CommandError, match=r"--arm a is given twice, as .*one and .*two; give each arm its own name"):
        call_command("import_pairs", "--study", "cats", *given)
    assert not study.pairs.exists()


def upload(client, study, content: io.BytesIO, **fields):
    content.name = "images.zip"
    return client.post(f"/admin/survey/study/{study.pk}/import/", {"zip": content, **fields})


def test_upload_of_a_zip_imports_or_says_why_not(client) -> None:
    owner = make_user("owner")
    study = empty_draft(owner=owner)
    client.force_login(owner)
    files = {f"{arm}/{name}": body for arm, images in matched().items() for name, body in images.items()}
    assert "Checked" in upload(client, study, zipped(files), only_check="on").content.decode()
    assert not study.pairs.exists()
    bad = upload(client, study, zipped(files | {"a/cat/9.png": b"x"}))
    assert "cat/9.png" in bad.content.decode()
    assert not study.pairs.exists()
    assert "3 pairs of a, b" in upload(client, study, zipped(files)).content.decode()
    assert study.pairs.count() == 3


def test_a_large_upload_is_imported_by_a_worker(client, monkeypatch) -> None:
    monkeypatch.setattr("survey.services.background.INLINE_FILES", 2)
    owner = make_user("owner")
    study = empty_draft(owner=owner)
    client.force_login(owner)
    files = {f"{arm}/{name}": body for arm, images in matched().items() for name, body in images.items()}
    assert upload(client, study, zipped(files)).status_code == 302
    job = Job.objects.get(kind="survey.import_zip")
    assert b"waiting for a worker" in client.get(f"/admin/survey/study/{study.pk}/import/").content
    assert job_run(job.pk).state == "succeeded"
    assert study.pairs.count() == 3
    again = upload(client, study, zipped(files | {"a/cat/9.png": make_png(9), "b/cat/9.png": make_png(9)}))
    job_run(Job.objects.get(state="queued").pk)
    page = client.get(again.url).content.decode()
    assert "4 pairs of a, b, 1 of them new" in page
    assert "1 pair(s) with identical bytes in all arms: cat/9" in page


def test_what_keeps_a_large_upload_out_is_listed_without_the_place_in_the_code(client, monkeypatch) -> None:
    monkeypatch.setattr("survey.services.background.INLINE_FILES", 2)
    owner = make_user("owner")
    study = empty_draft(owner=owner)
    client.force_login(owner)
    files = {f"{arm}/{name}": body for arm, images in matched().items() for name, body in images.items()}
    upload(client, study, zipped(files | {"b/cat/1.png": b"no image", "a/cat/9.png": png()}))
    job = job_run(Job.objects.get().pk)
    assert job.state == "failed"
    told = job.reason.splitlines()
    assert len(told) == 2
    assert told[0].startswith("arm a: 1 image(s) without a partner")
    assert told[1].startswith("arm b: cat/1.png cannot be read")
    assert not study.pairs.exists()
    page = client.get(f"/admin/survey/study/{study.pk}/import/").content.decode()
    assert "Upload again" in page
    assert "Try again" not in page


def test_jobs_of_a_study_are_cancelled_and_retried_by_its_people_alone(client) -> None:
    owner = make_user("owner")
    study = empty_draft(owner=owner)
    job = Job.objects.create(kind="survey.freeze", subject=study_subject(study), max_attempts=1)
    address = f"/admin/survey/study/{study.pk}/job/{job.pk}"
    client.force_login(make_user("stranger"))
    assert client.post(f"{address}/cancel/").status_code == 404
    client.force_login(owner)
    client.post(f"{address}/cancel/")
    job.refresh_from_db()
    assert job.state == "cancelled"
    client.post(f"{address}/retry/")
    job.refresh_from_db()
    assert job.state == "queued"


def of_zip(*names: str, content: bytes | None = None):
    """Check a zip of these names."""
    with zip_sources(zipped({name: content or make_png(n) for n, name in enumerate(names)})) as sources:
        return images_check(sources)


@pytest.mark.parametrize("around", ["study/", "out/study/"])
def test_a_folder_around_the_arms_is_understood_and_said(around: str) -> None:
    report, pairs = of_zip(*(f"{around}{arm}/{path}" for arm in ("a", "b") for path in ("cat/1.png", "dog/1.png")))
    assert (report.problems, report.arms, sorted(pairs)) == ([], ["a", "b"], ["cat/1", "dog/1"])
    assert f"everything lies in the folder {around!r}" in report.notes[0]


@pytest.mark.parametrize(
    "names",
    [
        ("vanilla/cat/1.png", "vanilla/dog/1.png"),
        ("vanilla/1.png", "vanilla/2.png"),
        ("vanilla/cat/1.png", "vanilla/cat/2.png"),
        ("vanilla/a/1.png", "vanilla/b/c/1.png"),
    ],
)
def test_one_arm_is_no_wrapper_and_the_wanted_tree_is_shown(names: tuple[str, ...]) -> None:
    report, pairs = of_zip(*names)
    assert not pairs
    assert "found: vanilla (2 image(s)" in report.problems[0]
    assert f"; the first is {min(names).removeprefix('vanilla/')})" in report.problems[0]
    has_folders = any(name.count("/") > 1 for name in names)
    assert ("if the folders in vanilla are the arms, give them without it" in report.problems[0]) == has_folders
    assert "robust/dog/0001.png" in report.problems[0]


def test_an_arm_too_many_and_a_zip_of_videos_are_named() -> None:
    files = {"a/cat/1.png": make_png(1), "b/clip.mp4": b"\0\0\0\x18ftypisom\0\0\0\0isomavc1"}
    with zip_sources(zipped(files)) as sources:
        report, _ = images_check(sources)
    assert "(the zip: left out: 1 video (b/clip.mp4))" in report.problems[0]
    report, _ = of_zip("a/cat/1.png", "b/cat/1.png", "originals/x.png")
    # The others are not blamed for what the folder too many lacks; the tree that is wanted ends the list.
    stray, tree = report.problems
    assert "arm originals (1 image(s); the first is x.png) shares no path" in stray
    assert "robust/dog/0001.png" in tree
    assert not report.unmatched
    with pytest.raises(BadArchive, match=r"no images; found: 2 videos \(a/1\.mp4, b/1\.mp4\)[^$]*robust"):
        of_zip("a/1.mp4", "b/1.mp4", content=b"\0\0\0\x18ftypisom\0\0\0\0isomavc1")


def test_images_beside_the_folders_or_in_none_are_counted_and_named() -> None:
    with pytest.raises(BadArchive, match=r"4 image\(s\) of the zip lie in no folder: 1\.png, 2\.png, 3\.png, \.\.\."):
        of_zip(*(f"{number}.png" for number in range(1, 5)))
    with pytest.raises(BadArchive, match=r"1 image\(s\) of the zip lie beside the folders a, b: grid\.png; wanted"):
        of_zip("a/1.png", "b/1.png", "grid.png")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Rar!\x1a\x07\x01\x00" + bytes(50), r"no zip archive \(found: RAR archive\)"),
        (b"", r"no zip archive \(found: empty file\)"),
        (b"PK\x03\x04" + bytes(50), "a zip archive cut short or damaged"),
    ],
)
def test_what_is_no_zip_is_called_by_what_it_is(content: bytes, said: str) -> None:
    with pytest.raises(BadArchive, match=said), zip_sources(io.BytesIO(content)):
        pass


def test_an_empty_arm_or_names_that_never_meet_are_one_problem_with_what_was_found(tmp_path: Path) -> None:
    for name in ("a/cat/0.png", "b/cat/0.png", "c/other.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_png(1))
    (tmp_path / "none").mkdir()

    def problems(*arms: str) -> list[str]:
        return images_check(folder_sources({arm: tmp_path / arm for arm in arms}))[0].problems

    empty, tree = problems("a", "b", "none")
    assert empty == f"arm none: no images in {tmp_path / 'none'}; found: nothing"
    assert "robust/dog/0001.png" in tree
    (apart,) = problems("a", "c")
    assert "a: 1 image(s) in 1 folder(s): cat; the first is cat/0.png; c: 1 image(s); the first is other.png" in apart
    assert "robust/dog/0001.png" in apart


def test_no_message_names_an_object_in_memory() -> None:
    report, _ = of_zip("a/1.gif", "b/1.gif", content=b"GIF89a" + bytes(20))
    assert "perhaps cut short or damaged" in report.problems[0]
    assert "object at 0x" not in " ".join(report.problems)


def test_one_damaged_entry_does_not_hide_the_next(tmp_path: Path) -> None:
    content = bytearray(zipped({f"{arm}/c/{n}.png": make_png(n) for arm in "ab" for n in range(2)}).getvalue())
    for name in (b"a/c/0.png", b"b/c/1.png"):
        content[content.index(name) + len(name) + 20] ^= 0xFF
    with zip_sources(io.BytesIO(bytes(content))) as sources:
        report, _ = images_check(sources)
    assert [problem.split()[2] for problem in report.problems] == ["a/c/0.png", "b/c/1.png"]


def test_folders_named_as_people_name_methods_become_arms_with_a_title(tmp_path: Path) -> None:
    study = empty_draft()
    long = "ours " + "with a very long name " * 4
    sources = folders(tmp_path, **matched(("SDXL 1.0", "méthode_v2.1", long)))
    checked = import_check(study=study, sources=sources)
    assert images_import(study=study, sources=sources).pairs == checked.pairs == 3
    arms = dict(study.arms.values_list("title", "name"))
    assert arms == {"SDXL 1.0": "SDXL-1-0", "méthode_v2.1": "methode_v2-1", long: short_name(long)}
    assert images_import(study=study, sources=sources).new_pairs == 0
    assert study.arms.count() == 3


def test_what_the_check_passes_the_import_takes(tmp_path: Path) -> None:
    study = empty_draft()
    sources = folders(tmp_path, **matched())
    images_import(study=study, sources=sources)
    changed = folders(tmp_path, a={"cat/1.png": make_png(77)})
    with pytest.raises(ImportRefused, match="pair 'cat/1' exists with other images of a"):
        import_check(study=study, sources=sources | changed)
    with pytest.raises(ImportRefused, match="the name of class cat"):
        import_check(study=empty_draft(slug="other"), sources=sources, class_names={"cat": "x" * 301})
    notes = import_check(study=empty_draft(slug="third"), sources=sources, class_names={"dgo": "a dog"}).notes
    assert "class names: no image is of class dgo" in notes


def test_a_class_folder_that_is_too_long_is_refused_and_not_cut(tmp_path: Path) -> None:
    stem = "a photo of an astronaut who rides a horse across the moon, in the style of " + "x" * 150
    files = {f"{stem}{one}/1.png": make_png(1) for one in ("oil", "pencil")}
    with pytest.raises(ImportRefused, match="longer than 200 characters"):
        images_import(study=empty_draft(), sources=folders(tmp_path, a=files, b=files))


@pytest.mark.parametrize("other", ["Cat", "cat ", "CAT", "ca\u200bt", "c\uff41t"])
def test_two_spellings_of_a_class_are_refused_unless_both_are_named(tmp_path: Path, other: str) -> None:
    files = {f"{arm}/{label}/1.png": make_png(n) for n, arm in enumerate("ab") for label in ("cat", other)}
    names = {"cat": "a cat", other: "another cat"}
    with zip_sources(zipped(files)) as sources:
        with pytest.raises(ImportRefused, match="are two spellings of one; rename one"):
            images_import(study=empty_draft(), sources=sources)
        assert images_import(study=empty_draft(), sources=sources, class_names=names).pairs == 2


def test_a_later_import_does_not_spell_a_class_or_an_arm_of_the_study_otherwise(tmp_path: Path) -> None:
    study = empty_draft()
    images_import(study=study, sources=folders(tmp_path / "1", **matched()))
    again = {arm: {f"Cat/9{path[-5:]}": image for path, image in found.items()} for arm, found in matched().items()}
    with pytest.raises(ImportRefused, match="'cat' and 'Cat' are two spellings"):
        images_import(study=study, sources=folders(tmp_path / "2", **again))
    renamed = {arm.upper(): found for arm, found in matched().items()}
    with pytest.raises(ImportRefused, match="the arms 'a' and 'A' are two spellings"):
        images_import(study=study, sources=folders(tmp_path / "3", **renamed))
    assert images_import(study=study, sources=folders(tmp_path / "4", **matched())).new_pairs == 0


def test_one_folder_is_not_two_arms(tmp_path: Path) -> None:
    folders(tmp_path, **matched())
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(BadArchive, match="arms a and b are one folder"):
        folder_sources({"a": tmp_path / "a", "b": tmp_path / "link"})


def test_the_icon_of_a_folder_on_a_mac_is_left_out_and_other_control_characters_are_refused(tmp_path: Path) -> None:
    files = {f"{arm}/{path}": image for arm, found in matched().items() for path, image in found.items()}
    with zip_sources(zipped(files | {"a/Icon\r": b"", "b/cat/Icon\r": b""})) as sources:
        report, _ = images_check(sources)
    assert (report.pairs, report.problems) == (3, [])
    with pytest.raises(BadArchive, match="unsafe name"), zip_sources(zipped(files | {"a/c\rd/1.png": make_png(1)})):
        pass
    sources = folders(tmp_path, **{arm: {"c\nd/1.png": image["cat/0.png"]} for arm, image in matched().items()})
    with pytest.raises(BadArchive, match="control character in its name"):
        images_check(sources)


def test_an_arm_of_parts_of_a_set_has_no_classes() -> None:
    files = {f"{arm}/{part}/cat/1.png": make_png(n) for n, arm in enumerate("ab") for part in ("train", "val")}
    with zip_sources(zipped(files)) as sources:
        report, _ = images_check(sources)
    assert "arm a: the folders train, val are parts of a set, not classes; give one of them alone" in report.problems
