from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from training.data.array_files import cifar10_images, npz_images
from training.data.batches import Batches, DataConfig, ahead, check_data, evaluation_images, open_data
from training.data.crops import ImageSizeError, Placement, place
from training.data.image_sets import DataError, digits_images, folder_images

MIDDLE = Placement(0.0, 0.5, 0.5, 0.9)


@pytest.fixture
def folder(tmp_path):
    """Make two classes of four images of 12x10 pixels, each of one grey level."""
    for label, name in enumerate(["cat", "dog"]):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(4):
            image = Image.new("RGB", (12, 10), (40 * label + 10 * number,) * 3)
            image.save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


def batches(folder, *, side=8, batch_size=4, **rest):
    config = DataConfig(kind="folder", path=str(folder), workers=0, **rest)
    return Batches(open_data(config, split="train"), config, batch_size=batch_size, side=side, channels=3, seed=1)


def test_folder_names_are_classes_in_order(folder):
    source = folder_images(folder)
    assert source.class_names == ("cat", "dog")
    assert source.labels.tolist() == [0] * 4 + [1] * 4


def test_label_can_be_the_start_of_the_file_name(tmp_path):
    for name in ("b_1.png", "a_1.png", "a_2.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    source = folder_images(tmp_path, label_from="file_prefix")
    assert (source.class_names, source.labels.tolist()) == (("a", "b"), [0, 0, 1])


def test_listing_is_kept_until_a_folder_changes(folder, tmp_path):
    index = tmp_path / "index.json"
    folder_images(folder, index=index)
    before = index.stat().st_mtime_ns
    assert len(folder_images(folder, index=index)) == 8
    assert index.stat().st_mtime_ns == before

    Image.new("RGB", (12, 10)).save(folder / "cat" / "new.png")
    assert len(folder_images(folder, index=index)) == 9


def test_every_image_comes_once_per_epoch_and_batches_belong_to_their_number(folder):
    source = batches(folder)
    epoch = [source.batch(i) for i in range(2)]
    levels = sorted(float(x[0].max()) for batch in epoch for x in batch.x)

    assert levels == pytest.approx(sorted((40 * c + 10 * n) / 127.5 - 1 for c in range(2) for n in range(4)), abs=1e-6)
    again = batches(folder).batch(1)
    assert torch.equal(again.x, epoch[1].x)
    assert torch.equal(again.noise, epoch[1].noise)
    assert not torch.equal(epoch[0].noise, epoch[1].noise)


def test_processes_share_a_batch_without_overlap(folder):
    config = DataConfig(kind="folder", path=str(folder), workers=0)
    data = open_data(config, split="train")
    options = {"batch_size": 4, "side": 8, "channels": 3, "seed": 1}
    whole = Batches(data, config, **options).batch(3)
    parts = [Batches(data, config, process=rank, processes=2, **options).batch(3) for rank in range(2)]

    for name in ("x", "y", "noise"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_corrupt_image_is_refused_or_skipped_by_path(folder, caplog):
    (folder / "cat" / "1.png").write_bytes(b"not an image")

    with pytest.raises(DataError, match=r"1\.png cannot be read as an image"):
        [batches(folder).batch(i) for i in range(2)]
    skipping = batches(folder, corrupt="skip")
    assert sum(len(skipping.batch(i).y) for i in range(2)) == 8
    assert "1.png" in caplog.text
    config = DataConfig(kind="folder", path=str(folder), workers=0)
    report = check_data(open_data(config, split="train"), config, side=8, channels=3)
    assert report.class_counts == {"cat": 4, "dog": 4}
    assert len(report.problems) == 1


def test_corrupt_image_to_measure_on_is_refused_or_left_out_by_path(folder, caplog):
    (folder / "cat" / "1.png").write_bytes(b"not an image")

    def measured(**options):
        config = DataConfig(kind="folder", path=str(folder), **options)
        return evaluation_images(open_data(config, split="train"), config, side=8, channels=3)

    with pytest.raises(DataError, match=r"1\.png cannot be read as an image"):
        measured()
    images, labels = measured(corrupt="skip")
    assert (len(images), labels.tolist()) == (7, [0] * 3 + [1] * 4)
    assert "1.png" in caplog.text


def test_bad_folders_are_refused(folder, tmp_path):
    with pytest.raises(DataError, match="no image folder at"):
        folder_images(tmp_path / "none")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"class folder .*empty holds no images"):
        folder_images(folder)
    config = DataConfig(kind="folder", path=str(folder / "cat"), workers=0)
    with pytest.raises(DataError, match="no class folders"):
        open_data(config, split="train")
    with pytest.raises(DataError, match=r"data\.path is empty"):
        open_data(DataConfig(kind="folder"), split="train")


def test_images_that_are_too_small_are_refused_by_path(folder):
    with pytest.raises(DataError, match=r"\.png has a shorter side of 10 pixels, under 16"):
        batches(folder, side=16).batch(0)
    assert batches(folder, side=16, upscale=True).batch(0).x.shape == (4, 3, 16, 16)
    with pytest.raises(DataError, match="is 12x10 pixels, wanted 8x8"):
        batches(folder, crop="none").batch(0)


def test_random_crop_covers_at_least_four_fifths_of_the_shorter_side():
    gradient = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8), (40, 1)))
    for size, shorter in ((0.0, 20), (0.999, 25)):
        at = Placement(size, 0.0, 0.0, 0.9)
        pixels = place(gradient, side=20, crop="random", flip=False, at=at)[..., 0]
        assert pixels.shape == (20, 20)
        assert pixels[0, -1] == pytest.approx(40 * 20 / shorter, abs=2)


def test_flip_mirrors_half_of_the_draws():
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    plain = place(image, side=4, crop="none", flip=True, at=MIDDLE)
    mirrored = place(image, side=4, crop="none", flip=True, at=Placement(0, 0, 0, 0.4))
    assert np.array_equal(mirrored, plain[:, ::-1])


def test_upscaling_must_be_asked_for():
    with pytest.raises(ImageSizeError, match="upscale"):
        place(Image.new("L", (4, 4)), side=8, crop="center", flip=False, at=None)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((4, 8, 8, 4), np.uint8), "labels": np.arange(4)}, r"uint8 \(N, H, W, 3\)"),
        ({"images": np.zeros((4, 8, 8, 3)), "labels": np.arange(4)}, "images are float64"),
        ({"images": np.zeros((4, 8, 8, 3), np.uint8), "labels": np.arange(3)}, "wanted 4 whole numbers"),
        ({"images": np.zeros((3, 8, 8, 3), np.uint8), "labels": np.array([0, 0, -1])}, "labels from -1 to 0"),
        ({"pictures": np.zeros(3)}, "wanted 'images' and 'labels'"),
        ({"images": np.array([object()]), "labels": np.zeros(1)}, "not a readable"),
    ],
)
def test_bad_npz_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        npz_images(tmp_path / "a.npz")


@pytest.mark.parametrize("form", ["bin", "py"])
def test_cifar10_is_read_from_its_own_files(tmp_path, form):
    rng = np.random.RandomState(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)]:
        pixels = rng.randint(0, 256, (10, 3072)).astype(np.uint8)
        labels = np.arange(10, dtype=np.uint8)
        if form == "bin":
            np.concatenate([labels[:, None], pixels], 1).tofile(tmp_path / f"{name}.bin")
        else:
            batch = {b"data": pixels, b"labels": labels.tolist()}
            (tmp_path / name).write_bytes(pickle.dumps(batch, protocol=2))
    source = cifar10_images(tmp_path, split="train")

    assert source.pixels.shape == (50, 32, 32, 3)
    assert source.class_names[3] == "cat"
    assert source.pixels[-1, 0, 0].tolist() == pixels[-1].reshape(3, 32, 32)[:, 0, 0].tolist()
    with pytest.raises(DataError, match=r"neither test_batch\.bin nor test_batch"):
        cifar10_images(tmp_path, split="validation")


class Harmful:
    def __reduce__(self):
        return print, ("harm",)


def test_cifar10_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    (tmp_path / "test_batch").write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(DataError, match=r"refused (__builtin__|builtins)\.print"):
        cifar10_images(tmp_path, split="validation")
    assert "harm" not in capsys.readouterr().out


def test_held_out_digits_are_the_same_share_of_every_class_for_every_run():
    config = DataConfig(kind="digits", validation_share=0.2, crop="none")
    train, held_out = (open_data(config, split=split) for split in ("train", "validation"))

    assert len(digits_images()) == len(train.indices) + len(held_out.indices) == 1797
    assert not set(train.indices) & set(held_out.indices)
    counts = np.bincount(held_out.source.labels[held_out.indices])
    assert counts.tolist() == [round(0.2 * n) for n in np.bincount(held_out.source.labels)]


def test_work_ahead_keeps_its_order_and_passes_errors_on():
    assert list(ahead(lambda n: n * n, range(20), workers=3)) == [n * n for n in range(20)]

    def fails(n):
        if n == 7:
            raise DataError("seven")
        return n

    with pytest.raises(DataError, match="seven"):
        list(ahead(fails, range(20), workers=3))
