"""Sources by name: those built in, those of other packages, and how classes of two sets meet in training."""

from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.training.data.test_array_files import write_idx
from training.data import sources
from training.data.batches import evaluation_images, open_data
from training.data.config import DataConfig
from training.data.image_sets import ArrayImages, DataError

CLASSES = {"boot": 10, "bag": 60, "shirt": 110}


def write_folder(root, classes=CLASSES):
    for name, level in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8), (level + number,) * 3).save(root / name / f"{number}.png")
    return root


def data(tmp_path, validation, **rest):
    train = write_folder(tmp_path / "train")
    config = DataConfig(kind="folder", path=str(train), validation_path=str(validation), workers=0, crop="none", **rest)
    return open_data(config, split="validation"), config


def test_a_validation_folder_that_lacks_a_class_keeps_the_classes_of_the_others(tmp_path, caplog):
    lacking = {name: level for name, level in CLASSES.items() if name != "bag"}
    found, config = data(tmp_path, write_folder(tmp_path / "validation", lacking))
    images, labels = evaluation_images(found, config, side=8, channels=1)

    names = np.array(found.source.class_names)[labels]
    assert found.source.class_names == ("bag", "boot", "shirt")
    assert dict(zip(names, ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist(), strict=True)) == {
        "boot": 12,
        "shirt": 112,
    }
    assert "has no image of class 'bag'" in caplog.text


def test_a_validation_folder_with_other_classes_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"classes that the training set does not know|'Boot'.*two spellings"):
        data(tmp_path, write_folder(tmp_path / "validation", {"Boot": 1, "bag": 2}))


def test_two_spellings_of_one_class_stop_training_until_a_map_makes_them_one(tmp_path):
    write_folder(tmp_path / "train", {"boot": 1, "Boot": 2, "bag": 3})
    settings = {"kind": "folder", "path": str(tmp_path / "train"), "workers": 0}
    with pytest.raises(DataError, match="'Boot' and 'boot', two spellings"):
        open_data(DataConfig(**settings), split="train")
    source = open_data(DataConfig(**settings, classes={"Boot": "boot", "boot": "boot"}), split="train").source
    assert (source.class_names, np.bincount(source.labels).tolist()) == (("boot", "bag"), [6, 3])


def test_an_empty_class_is_named(tmp_path):
    arrays = {"images": np.zeros((3, 8, 8), np.uint8), "labels": [0, 0, 2], "class_names": ["boot", "bag", "shirt"]}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match="no image of class 'bag'"):
        open_data(DataConfig(kind="npz", path=str(tmp_path / "a.npz")), split="train")


def test_classes_of_a_set_without_names_get_names_and_meet_a_folder_by_them(tmp_path):
    folder = write_idx(tmp_path / "idx")
    names = {"0": "boot", "1": "bag", "2": "shirt"}
    config = DataConfig(kind="idx", path=str(folder), classes=names)
    assert open_data(config, split="train").source.class_names == ("boot", "bag", "shirt")
    assert open_data(config, split="validation").source.class_names == ("boot", "bag", "shirt")

    photos = DataConfig(
        kind="folder", path=str(write_folder(tmp_path / "photos")), validation_path=str(tmp_path / "photos")
    )
    found = open_data(photos, split="validation", class_names=("boot", "bag", "shirt"), reader="the network")
    labels = dict(zip((str(found.source.where(i)).split("/")[-2] for i in range(9)), found.source.labels, strict=True))
    assert labels == {"bag": 1, "boot": 0, "shirt": 2}


def test_an_idx_set_is_measured_on_its_own_test_images(tmp_path):
    config = DataConfig(kind="idx", path=str(write_idx(tmp_path, per_class=2)), validation_share=0.5)
    assert [len(open_data(config, split=split).indices) for split in ("train", "validation")] == [6, 6]


@pytest.fixture
def plugged_in(monkeypatch):
    """Make a source of another package known, as its installation does."""

    def plug(name):
        point = EntryPoint(name, f"tests.training.data.test_sources:{name}", sources.ENTRY_POINTS)
        monkeypatch.setattr(sources, "entry_points", lambda *, group: [point] if group == point.group else [])

    return plug


def cells(path, *, split):
    """Stand for a source that somebody else wrote."""
    pixels = np.zeros((4, 8, 8), np.uint8) if split == "train" else np.ones((2, 8, 8), np.uint8)
    return ArrayImages(pixels, np.arange(len(pixels)) % 2, ("round", "flat"), path)


def half_a_source(path, *, split):
    return SimpleNamespace(labels=np.zeros(1), class_names=("a", "b"))


def test_a_source_of_another_package_is_a_kind(plugged_in):
    plugged_in("cells")
    source = open_data(DataConfig(kind="cells", path="slides"), split="train").source
    assert (len(source), source.class_names, source.where(0)) == (4, ("round", "flat"), "slides[0]")


def test_what_is_plugged_in_and_no_source_is_refused_by_its_address(plugged_in):
    plugged_in("half_a_source")
    with pytest.raises(DataError, match=r"'half_a_source' \(tests.*half_a_source\) has no image, where, describe"):
        open_data(DataConfig(kind="half_a_source", path="x"), split="train")
    plugged_in("nothing")
    with pytest.raises(DataError, match="cannot be loaded"):
        open_data(DataConfig(kind="nothing", path="x"), split="train")
    with pytest.raises(ValueError, match=r"data.kind is 'cellz'; it must be one of folder, .*digits, nothing"):
        DataConfig(kind="cellz")


def test_what_is_held_out_does_not_depend_on_the_readers_labels(tmp_path):
    config = DataConfig(kind="folder", path=str(write_folder(tmp_path)), validation_share=0.4, workers=0)
    own = open_data(config, split="validation")
    other = open_data(config, split="validation", class_names=("shirt", "boot", "bag"))
    assert own.indices.tolist() == other.indices.tolist()
    assert [("shirt", "boot", "bag")[label] for label in other.source.labels] == [
        own.source.class_names[label] for label in own.source.labels
    ]
