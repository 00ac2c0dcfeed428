"""`manage.py evaluate_images`: from the images in the storage to the report's metrics, inline and as a job."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from PIL import Image

from diffusion.checkpoints import load_network, save_network
from diffusion.classifier import ClassifierConfig
from generation.worker.sources import arm_sources, named_reference
from jobs.models import Job
from jobs.runner import job_run
from survey.models import PairImage
from survey.reports.facts import image_metric_differences, image_metrics, image_metrics_by_class
from tests.factories import make_png, make_study
from tests.generation.tiny import without_card
from tests.training.data.test_array_files import write_idx

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_cache(settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"
    settings.INCEPTION_WEIGHTS = ""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = ClassifierConfig(
        image_size=16,
        model_channels=32,
        channel_mult=(1,),
        num_res_blocks=1,
        attention_resolutions=(),
        num_classes=3,
        pool="adaptive",
        num_head_channels=32,
    )
    path = tmp_path_factory.mktemp("weights") / "judge.safetensors"
    save_network(path, config.build())
    return path


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    for i in range(12):
        (folder / str(i % 3)).mkdir(exist_ok=True)
        (folder / str(i % 3) / f"{i}.png").write_bytes(make_png(i))
    return folder


def _run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("evaluate_images", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_classifier_features_give_labelled_distances_and_no_fid(judge: Path, truth: Path, tmp_path: Path):
    study = make_study(pairs=9)
    out = tmp_path / "metrics.json"
    shown = _run(
        "--study",
        study.slug,
        "--reference",
        str(truth),
        "--features",
        "classifier",
        "--weights",
        str(judge),
        "--minimum",
        "6",
        "--out",
        str(out),
    )
    metrics = image_metrics(study)
    assert set(metrics) == {"vanilla", "robust"}
    assert metrics["robust"]["frechet_distance"]["value"] > 0.0
    assert metrics["robust"]["frechet_distance"]["features"]["name"] == "classifier:judge"
    assert metrics["robust"]["fid"]["value"] is None
    assert "weights-inception-2015-12-05-6726825d.pth" in metrics["robust"]["fid"]["reason"]
    assert metrics["vanilla"]["kid"]["n"] == 9
    assert 0.0 <= metrics["vanilla"]["class_accuracy"]["value"] <= 1.0
    assert metrics["vanilla"]["class_accuracy"]["n"] == 9
    assert "Fréchet distance " in shown
    written = json.loads(out.read_text())
    assert written["arms"] == metrics
    assert set(written["per_class"]["robust"]) == {"0", "1", "2"}
    assert image_metrics_by_class(study) == written["per_class"]


def _with_judge(study, judge: Path, truth: Path, *more: str) -> str:
    arguments = ("--reference", str(truth), "--features", "classifier", "--weights", str(judge), *more)
    return _run("--study", study.slug, *arguments)


def test_arms_are_compared_over_their_pairs_in_total_and_by_class(judge: Path, truth: Path, tmp_path: Path):
    study = make_study(pairs=30)
    out = tmp_path / "metrics.json"
    shown = _with_judge(study, judge, truth, "--minimum", "6", "--out", str(out))
    assert "  KID " in shown
    assert "kid" not in shown.replace(str(out), "")
    stored = image_metric_differences(study)
    assert stored == json.loads(out.read_text())["differences"]
    whole = {entry["metric"]: entry for entry in stored if not entry["class_label"]}
    assert {"kid", "frechet_distance", "precision", "recall", "class_accuracy"} <= set(whole)
    assert (whole["kid"]["arm"], whole["kid"]["baseline"], whole["kid"]["n"]) == ("robust", "vanilla", 30)
    metrics = image_metrics(study)
    for name in ("kid", "frechet_distance", "precision", "recall", "class_accuracy"):
        apart = metrics["robust"][name]["value"] - metrics["vanilla"][name]["value"]
        assert whole[name]["value"] == pytest.approx(apart, abs=1e-9), name
        assert whole[name]["ci95"][0] < whole[name]["ci95"][1], name
    assert {entry["class_label"] for entry in stored} == {"", "0", "1", "2"}
    assert "robust less vanilla over the same 30 pairs:" in shown
    assert shown.count("not computed:") == 1


def test_pairs_that_raters_see_are_measured_beside_all(judge: Path, truth: Path):
    study = make_study(pairs=12)
    _with_judge(study, judge, truth)
    assert image_metrics(study, of_pairs_seen=True) == {}, "all pairs are seen"
    left_out = list(study.pairs.values_list("pk", flat=True)[:3])
    study.pairs.filter(pk__in=left_out).update(is_selected=False)
    shown = _with_judge(study, judge, truth)
    seen = image_metrics(study, of_pairs_seen=True)
    assert {arm: metrics["kid"]["n"] for arm, metrics in seen.items()} == {"robust": 9, "vanilla": 9}
    assert {metrics["kid"]["n"] for metrics in image_metrics(study).values()} == {12}
    assert next(entry["n"] for entry in image_metric_differences(study) if entry["pairs"] == "seen") == 9
    assert "robust, pairs that raters saw:" in shown


def test_several_sets_of_both_arms_are_crossed_with_their_pairs(judge: Path, truth: Path, tmp_path: Path):
    study = make_study(pairs=3)
    samples = []
    for place, arm in enumerate(("robust", "robust", "vanilla", "vanilla")):
        pixels = np.random.default_rng(place).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{place}.npz", pixels)
        samples += ["--samples", f"{arm}={tmp_path / f'{place}.npz'}"]
    _with_judge(study, judge, truth, *samples)
    kid = next(e for e in image_metric_differences(study) if e["metric"] == "kid" and e["pairs"] == "all")
    assert (kid["n_seeds"], kid["n"]) == (2, 20)
    assert "mean of 2 seeds" in kid["reason"]
    shown = _with_judge(study, judge, truth, *samples[2:])
    assert "robust and vanilla have no paired difference: 1 and 2 sets of images" in shown


def test_the_size_of_kid_subsets_can_be_chosen(judge: Path, truth: Path):
    study = make_study(pairs=12)
    values = []
    for size in ("4", "6"):
        _with_judge(study, judge, truth, "--kid-subset-size", size, "--kid-subsets", "10")
        values.append(image_metrics(study)["robust"]["kid"]["value"])
    assert values[0] != values[1]
    with pytest.raises(CommandError, match="--kid-subset-size 1: expected at least 2"):
        _with_judge(study, judge, truth, "--kid-subset-size", "1")


def test_missing_inception_weights_are_an_error_that_says_what_to_do(truth: Path):
    study = make_study(pairs=3)
    with pytest.raises(CommandError, match=r"6726825d.*BLINDPAIR_INCEPTION_WEIGHTS.*--features classifier"):
        _run("--study", study.slug, "--reference", str(truth))
    assert image_metrics(study) == {}


def test_weights_from_the_environment_are_used_and_checked(settings, truth: Path, tmp_path: Path):
    study = make_study(pairs=3)
    settings.INCEPTION_WEIGHTS = str(tmp_path / "weights.pth")
    (tmp_path / "weights.pth").write_bytes(b"something else")
    with pytest.raises(CommandError, match=r"weights\.pth has SHA-256"):
        _run("--study", study.slug, "--reference", str(truth))


def test_larger_sample_sets_take_the_place_of_the_studys_images(judge: Path, truth: Path, tmp_path: Path):
    study = make_study(pairs=3)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "robust.npz", pixels)
    _run(
        "--study",
        study.slug,
        "--reference",
        str(truth),
        "--features",
        "classifier",
        "--weights",
        str(judge),
        "--samples",
        f"robust={tmp_path / 'robust.npz'}",
    )
    metrics = image_metrics(study)
    assert (metrics["robust"]["kid"]["n"], metrics["vanilla"]["kid"]["n"]) == (20, 3)


def test_several_sets_of_an_arm_give_the_mean_over_seeds(judge: Path, truth: Path, tmp_path: Path):
    study = make_study(pairs=3)
    arguments = ["--study", study.slug, "--reference", str(truth), "--features", "classifier", "--weights", str(judge)]
    values = []
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
        np.savez(tmp_path / f"seed{seed}.npz", pixels)
        _run(*arguments, "--samples", f"robust={tmp_path / f'seed{seed}.npz'}")
        values.append(image_metrics(study)["robust"]["kid"]["value"])
    _run(*arguments, *[part for seed in range(2) for part in ("--samples", f"robust={tmp_path / f'seed{seed}.npz'}")])
    kid = image_metrics(study)["robust"]["kid"]
    assert kid["value"] == pytest.approx(np.mean(values))
    assert "2 seeds" in kid["reason"]
    assert set(image_metrics(study)) == {"robust", "vanilla"}


def test_a_queued_evaluation_is_done_by_a_worker(judge: Path, truth: Path):
    study = make_study(pairs=6)
    arguments = ("--study", study.slug, "--reference", str(truth), "--features", "classifier", "--weights", str(judge))
    _run(*arguments, "--queue")
    assert image_metrics(study) == {}
    job = Job.objects.get(kind="generation.evaluate_images")
    assert job.queue == "gpu"
    done = job_run(job.pk)
    assert done.state == Job.State.SUCCEEDED, done.error
    metrics = image_metrics(study)
    assert metrics["robust"]["kid"]["n"] == 6
    assert done.result["arms"] == metrics


def test_a_queued_evaluation_without_weights_fails_for_good_and_says_why(truth: Path):
    study = make_study(pairs=3)
    _run("--study", study.slug, "--reference", str(truth), "--queue")
    done = job_run(Job.objects.get(kind="generation.evaluate_images").pk)
    assert "BLINDPAIR_INCEPTION_WEIGHTS" in done.error
    assert image_metrics(study) == {}


def test_images_that_changed_in_the_storage_are_refused(judge: Path, truth: Path):
    study = make_study(pairs=3)
    image = PairImage.objects.filter(pair__study=study).first()
    Image.new("RGB", (16, 16)).save(default_storage.path(image.file))
    with pytest.raises(CommandError, match="has changed since it was registered"):
        _run("--study", study.slug, "--reference", str(truth), "--features", "classifier", "--weights", str(judge))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--study", "nowhere"], "no study 'nowhere'"),
        (["--samples", "robust"], "expected ARM=PATH"),
        (["--samples", "other=/nowhere"], "no arm other"),
        (["--reference", "/nowhere"], "no reference"),
        (["--features", "vgg"], "unknown feature network"),
        (["--batch-size", "0"], "at least 1"),
        (["--minimum", "0"], "at least 2"),
    ],
)
def test_bad_arguments_are_refused(judge: Path, truth: Path, arguments: list[str], message: str):
    study = make_study(pairs=3)
    values = {"--study": study.slug, "--reference": str(truth), "--features": "classifier", "--weights": str(judge)}
    values |= {arguments[0]: arguments[1]}
    with pytest.raises(CommandError, match=message):
        _run(*[part for pair in values.items() for part in pair])


def test_cifar10_in_its_own_files_is_a_reference_with_its_classes(tmp_path: Path):
    rng = np.random.default_rng(0)
    for batch in range(1, 6):
        rows = np.concatenate([np.arange(10)[:, None], rng.integers(0, 256, (10, 3072))], axis=1)
        rows.astype(np.uint8).tofile(tmp_path / f"data_batch_{batch}.bin")
    (found,) = named_reference(str(tmp_path)).source.batches(50)
    assert found.images.shape == (50, 32, 32, 3)
    assert found.images[-1, 0, 0].tolist() == rows[-1, 1:].reshape(3, 32, 32)[:, 0, 0].tolist()
    assert found.labels.tolist() == 5 * list(range(10))


def test_a_study_without_images_is_refused(judge: Path, truth: Path):
    study = make_study(pairs=0)
    with pytest.raises(CommandError, match="no images yet"):
        _run("--study", study.slug, "--reference", str(truth), "--features", "classifier", "--weights", str(judge))


def test_arm_sources_hold_every_main_image_with_its_class(django_assert_num_queries):
    study = make_study(pairs=7)
    with django_assert_num_queries(2):
        sources = arm_sources(study)
    batches = list(sources["vanilla"].batches(4))
    assert [len(batch.images) for batch in batches] == [4, 3]
    labels = np.concatenate([batch.labels for batch in batches])
    assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 2, 2]
    assert sources["vanilla"].digest() != sources["robust"].digest()


def test_a_foreign_classifier_is_named_on_the_command_line(judge: Path, truth: Path, tmp_path: Path):
    weights, config = without_card(judge, tmp_path)
    study = make_study(pairs=9)
    given = ("--study", study.slug, "--reference", str(truth), "--features", "classifier", "--minimum", "6")
    with pytest.raises(CommandError, match="give its config"):
        _run(*given, "--weights", str(weights))
    named = _run(*given, "--weights", str(weights), "--config", config)
    assert "Fréchet distance" in named
    assert named == _run(*given, "--weights", str(judge))


NAMES = {"0": "zebra", "1": "apple", "2": "mango"}


@pytest.fixture
def named(truth: Path, tmp_path: Path) -> Path:
    """Put the reference's images under the classes' names, whose order is not that of the numbers."""
    for path in sorted(truth.rglob("*.png")):
        target = tmp_path / "named" / NAMES[path.parent.name] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path / "named"


def _by_class(study, judge: Path, reference: Path, *more: str) -> dict:
    options = ("--features", "classifier", "--weights", str(judge), "--minimum", "2", *more)
    _run("--study", study.slug, "--reference", str(reference), *options)
    found = image_metrics_by_class(study)["vanilla"]
    return {label: metrics["frechet_distance"]["value"] for label, metrics in found.items()}


def test_a_reference_by_name_meets_numbered_arms_by_name_by_a_map_or_not_at_all(
    judge: Path, truth: Path, named: Path, tmp_path: Path
):
    study = make_study(pairs=9)
    for label, name in NAMES.items():
        study.pairs.filter(class_label=label).update(class_name=name)
    by_number = _by_class(study, judge, truth)
    assert len(set(by_number.values())) == 3
    assert _by_class(study, judge, named) == by_number

    # Arms that were trained from numbers: nothing says which name is which.
    study.pairs.update(class_name="")
    with pytest.raises(CommandError, match=r"has no class names and named has 'apple', 'mango', 'zebra'"):
        _by_class(study, judge, named)
    (tmp_path / "map.csv").write_text("zebra,0\napple,1\nmango,2\n")
    assert _by_class(study, judge, named, "--classes", str(tmp_path / "map.csv")) == by_number
    with pytest.raises(KeyError):
        _by_class(study, judge, named, "--classes", "none")
    assert image_metrics(study)["vanilla"]["frechet_distance"]["value"] is not None


def test_a_reference_may_have_more_classes_than_the_study_but_not_other_ones(judge: Path, named: Path):
    study = make_study(pairs=9)
    for label, name in NAMES.items():
        study.pairs.filter(class_label=label).update(class_name=name)
    (named / "pear").mkdir()
    (named / "pear" / "1.png").write_bytes(make_png(77))
    assert set(_by_class(study, judge, named)) == {"0", "1", "2"}
    (named / "apple").rename(named / "Apple")
    with pytest.raises(CommandError, match=r"'Apple' of named and 'apple' of study-.* are two spellings of one class"):
        _by_class(study, judge, named)


def test_imported_classes_have_metrics_by_name(judge: Path, named: Path):
    study = make_study(pairs=9)
    for label, name in NAMES.items():
        study.pairs.filter(class_label=label).update(class_label=name, class_name=name)
    assert set(_by_class(study, judge, named)) == set(NAMES.values())


def test_a_judge_sees_classes_by_name(judge: Path, truth: Path, tmp_path: Path):
    study = make_study(pairs=9)
    network, _ = load_network(judge)
    for label, name in NAMES.items():
        study.pairs.filter(class_label=label).update(class_name=name)

    def accuracy(class_names: tuple[str, ...]) -> dict:
        save_network(tmp_path / "named.safetensors", network, class_names=class_names)
        _by_class(study, tmp_path / "named.safetensors", truth)
        return image_metrics(study)["vanilla"]["class_accuracy"]

    in_order = accuracy(("zebra", "apple", "mango"))
    counts = [accuracy(names)["value"] for names in (("apple", "mango", "zebra"), ("mango", "zebra", "apple"))]
    # Every image is seen as one class, which has one of the three names in each of the three cases.
    assert in_order["value"] + sum(counts) == pytest.approx(1.0)
    assert "'horse'" in accuracy(("horse", "mango", "zebra"))["reason"]


def test_ranks_are_those_of_all_classes_of_which_a_study_shows_some(judge: Path, named: Path, truth: Path):
    study = make_study(pairs=9)
    study.pairs.filter(class_label="0").delete()
    study.pairs.update(class_name="")
    # In character order apple is 0, mango 1, zebra 2; the study's networks number them so, and it shows 1 and 2.
    (truth.parent / "ranked").mkdir()
    for rank, name in enumerate(sorted(NAMES.values())):
        shutil.copytree(named / name, truth.parent / "ranked" / str(rank))
    by_rank = _by_class(study, judge, named, "--classes", "ranks")
    assert set(by_rank) == {"1", "2"}
    assert by_rank == _by_class(study, judge, truth.parent / "ranked")


def test_references_in_files_of_their_own_bring_their_classes(tmp_path: Path):
    source = named_reference(str(write_idx(tmp_path / "idx"))).source
    assert (len(source), source.class_names) == (12, ("0", "1", "2"))

    datasets = pytest.importorskip("datasets")
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["boot", "bag"]))
    pictures = [Image.new("L", (8, 8), level) for level in (10, 20)]
    rows = datasets.Dataset.from_dict({"image": pictures, "label": [1, 0]}, features=features)
    rows.save_to_disk(str(tmp_path / "hub"))
    source = named_reference(str(tmp_path / "hub")).source
    (batch,) = source.batches(4)
    assert (source.class_names, batch.labels.tolist()) == (("boot", "bag"), [1, 0])
    assert batch.images[:, 0, 0].tolist() == [[10, 10, 10], [20, 20, 20]]
    assert source.digest() == named_reference(str(tmp_path / "hub")).source.digest()


def test_a_sweep_records_a_curve_for_each_guided_arm(draft, judge: Path, truth: Path, tmp_path: Path):
    study = draft("vanilla", "robust")
    out, shown = tmp_path / "sweep", io.StringIO()
    arguments = ["--study", study.slug, "--reference", str(truth), "--weights", str(judge), "--out", str(out)]
    arguments += ["--scales", "0.5,2", "--per-class", "2", "--batch", "4"]
    call_command("sweep_scales", *arguments, stdout=shown, stderr=io.StringIO())
    written = json.loads((out / "curve.json").read_text())
    assert [(point["arm"], point["scale"]) for point in written["points"]] == [
        ("robust", 0.5),
        ("robust", 2.0),
        ("vanilla", 0.5),
        ("vanilla", 2.0),
    ]
    assert set(written["best"]) == {"robust", "vanilla"}
    assert {"curve.csv", "scale_curve.svg"} <= {path.name for path in out.iterdir()}
    assert "lowest KID at scale" in shown.getvalue()
    with pytest.raises(CommandError, match="expected numbers"):
        call_command("sweep_scales", *arguments[:-6], "--scales", "one", stderr=io.StringIO())
