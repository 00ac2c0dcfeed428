"""Sets that come in files of their own: read as they are published, refused by name where they are not."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from generation.features.image_sets import NpzSource
from training.data.array_files import hub_images, idx_images, npz_images
from training.data.image_sets import DataError


def idx_bytes(array: np.ndarray, *, magic: bytes | None = None) -> bytes:
    head = magic or bytes([0, 0, 8, array.ndim])
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(folder, *, classes=3, per_class=4, side=8):
    """Write a training and a test set of grey images, a class a level of grey."""
    folder.mkdir(exist_ok=True)
    for stem in ("train", "t10k"):
        labels = np.repeat(np.arange(classes), per_class)
        pixels = np.broadcast_to((60 * labels)[:, None, None], (len(labels), side, side))
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(pixels)))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return folder


def test_idx_files_are_read_plain_or_packed_and_have_numbers_for_names(tmp_path):
    source = idx_images(write_idx(tmp_path), split="train")
    assert (len(source), source.class_names) == (12, ("0", "1", "2"))
    assert np.asarray(source.image(5, mode="L")).tolist() == np.full((8, 8), 60).tolist()
    assert idx_images(tmp_path, split="validation").labels.tolist() == source.labels.tolist()


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("labels-idx1-ubyte", b"PK\3\4", "is no idx file: it begins with 504b0304"),
        ("labels-idx1-ubyte", idx_bytes(np.zeros(12), magic=bytes([0, 0, 13, 1])), "type 0x0d"),
        ("labels-idx1-ubyte", idx_bytes(np.zeros((3, 4))), "with 2 dimensions; wanted bytes .* with 1"),
        ("labels-idx1-ubyte", idx_bytes(np.zeros(12))[:-3], "holds 9 values, its header says"),
        ("labels-idx1-ubyte", idx_bytes(np.zeros(11)), "wanted 12 whole numbers"),
        ("images-idx3-ubyte.gz", gzip.compress(bytes(500), mtime=0)[:-9], "is damaged"),
    ],
)
def test_a_bad_idx_file_is_refused_by_name(tmp_path, part, content, message):
    (write_idx(tmp_path) / f"train-{part}").write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        idx_images(tmp_path, split="train")
    assert "train" in str(refused.value)


def test_a_missing_idx_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no train-images-idx3-ubyte"):
        idx_images(tmp_path, split="train")


@pytest.mark.parametrize("names", [("images", "labels"), ("arr_0", "arr_1"), ("x_train", "y_train")])
@pytest.mark.parametrize("is_channels_first", [False, True])
def test_npz_is_read_in_either_layout(tmp_path, names, is_channels_first):
    pixels = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)
    stored = pixels.transpose(0, 3, 1, 2) if is_channels_first else pixels
    np.savez(tmp_path / "a.npz", **{names[0]: stored, names[1]: np.array([[2], [0], [1]])})
    source = npz_images(tmp_path / "a.npz")
    assert source.labels.tolist() == [2, 0, 1]
    assert np.array_equal(np.asarray(source.image(1, mode="RGB")), pixels[1])


def test_labels_beyond_the_names_are_refused(tmp_path):
    arrays = {"images": np.zeros((2, 4, 4), np.uint8), "labels": np.array([0, 2]), "class_names": ["boot", "bag"]}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match="has 2 class names, but labels from 0 to 2"):
        npz_images(tmp_path / "a.npz")


def test_a_hugging_face_set_on_disk_brings_its_splits_and_names(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["boot", "bag"]))

    def rows(levels):
        pictures = [Image.new("L", (8, 8), level) for level in levels]
        return datasets.Dataset.from_dict({"image": pictures, "label": [0, 1]}, features=features)

    datasets.DatasetDict(train=rows([10, 20]), test=rows([30, 40])).save_to_disk(str(tmp_path / "set"))
    source = hub_images(tmp_path / "set", split="validation")
    assert (source.class_names, source.labels.tolist(), source.where(1)) == (("boot", "bag"), [0, 1], "set[1]")
    assert np.asarray(source.image(0, mode="L")).max() == 30
    assert source.describe()["images"] == 2
    with pytest.raises(DataError, match=r"no set that datasets.save_to_disk wrote"):
        hub_images(tmp_path, split="train")


SET = np.zeros((4, 6, 6, 3), np.uint8)
LABELS = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": SET, "labels": np.eye(2, dtype=int)[LABELS]}, r"labels are int64 \(4, 2\)"),
        ({"images": SET, "labels": LABELS.astype(float)}, "wanted 4 whole numbers"),
        ({"images": SET, "labels": np.array(["cat", "dog"] * 2)}, "wanted 4 whole numbers"),
        ({"images": SET, "labels": LABELS[:3]}, "wanted 4 whole numbers"),
        ({"images": SET, "labels": LABELS - 1}, "labels from -1 to 0"),
        ({"images": SET, "labels": LABELS, "arr_0": SET, "arr_1": LABELS}, "holds both images and arr_0"),
        ({"images": SET[:0], "labels": LABELS[:0]}, "holds no images"),
    ],
)
def test_labels_that_training_refuses_are_refused_by_metrics_too(tmp_path, arrays, message):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    for read in (npz_images, NpzSource):
        with pytest.raises(ValueError, match=message) as refused:
            read(path)
        assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "pixels", [SET, SET.transpose(0, 3, 1, 2), SET[..., 0], SET[..., :1]], ids=["last", "first", "grey", "grey, last"]
)
def test_training_and_metrics_read_the_same_images_labels_and_names(tmp_path, pixels):
    path = tmp_path / "set.npz"
    np.savez(
        path,
        images=pixels + np.arange(4, dtype=np.uint8).reshape(-1, *[1] * (pixels.ndim - 1)),
        labels=LABELS[:, None],
        class_names=np.array([b"cat", b"dog"]),
    )
    ours, theirs = npz_images(path), NpzSource(path)
    (batch,) = theirs.batches(9)
    assert np.array_equal(batch.images.squeeze(), ours.pixels)
    assert batch.labels.tolist() == ours.labels.tolist() == LABELS.tolist()
    assert theirs.class_names == ours.class_names == ("cat", "dog")


@pytest.mark.parametrize(("content", "what"), [(b"<html>Sign in</html>", "HTML page"), (None, "NumPy array")])
def test_another_file_under_the_name_of_an_npz_is_named(tmp_path, content, what):
    path = tmp_path / "set.npz"
    if content is None:
        np.save(tmp_path / "set.npy", SET)
        content = (tmp_path / "set.npy").read_bytes()
    path.write_bytes(content)
    for read in (npz_images, NpzSource):
        with pytest.raises(ValueError, match=f"found: {what}"):
            read(path)


def test_what_adm_keeps_beside_images_is_left_out_with_a_word(tmp_path, caplog):
    np.savez(tmp_path / "batch.npz", arr_0=SET, arr_1=np.zeros((4, 10)))
    (batch,) = NpzSource(tmp_path / "batch.npz").batches(9)
    assert batch.labels.tolist() == [-1] * 4
    assert "arr_1 is float64 (4, 10), no labels" in caplog.text
