"""Image files and batches: every usable kind read alike, every unusable one refused by name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generation.features.image_sets import ArraySource, FileSource, NpzSource, folder_source, npz_members, read_image
from training.data.array_files import npz_images


def _pixels(n: int = 5, side: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_rgb_grey_palette_and_opaque_alpha_read_as_the_same_pixels(tmp_path: Path):
    grey = np.repeat(_pixels()[0][..., :1], 3, axis=2)
    image = Image.fromarray(grey)
    image.save(tmp_path / "rgb.png")
    image.convert("L").save(tmp_path / "grey.png")
    image.convert("L").convert("P").save(tmp_path / "palette.png")
    image.convert("RGBA").save(tmp_path / "alpha.png")
    for name in ("rgb", "grey", "palette", "alpha"):
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png"), grey)


def test_see_through_deep_truncated_and_foreign_files_are_refused_by_name(tmp_path: Path):
    image = Image.fromarray(_pixels()[0]).convert("RGBA")
    image.putpixel((2, 2), (1, 2, 3, 128))
    image.save(tmp_path / "clear.png")
    Image.fromarray(np.full((6, 6), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(_pixels(1, 40)[0]).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:1500])
    (tmp_path / "text.png").write_text("no image")
    for name, message in (
        ("clear", "see-through"),
        ("deep", "8 bits"),
        ("cut", "cut short"),
        ("text", "text file"),
    ):
        with pytest.raises(ValueError, match=rf"{name}\.png.*{message}"):
            read_image(tmp_path / f"{name}.png")


def test_folder_is_read_in_path_order_with_classes_of_its_subfolders(tmp_path: Path):
    for i, pixels in enumerate(_pixels()):
        folder = tmp_path / ("cat", "ant", "bee")[i % 3]
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    source = folder_source(tmp_path)
    batches = list(source.batches(2))
    assert [len(batch.images) for batch in batches] == [2, 2, 1]
    assert np.concatenate([batch.labels for batch in batches]).tolist() == [0, 0, 1, 2, 2]
    np.testing.assert_array_equal(batches[0].images[0], _pixels()[1])


def test_images_of_several_sizes_come_in_batches_of_one_size(tmp_path: Path):
    for i, side in enumerate((4, 4, 8, 4)):
        Image.fromarray(_pixels(1, side)[0]).save(tmp_path / f"{i}.png")
    source = folder_source(tmp_path)
    assert [batch.images.shape[:2] for batch in source.batches(10)] == [(2, 4), (1, 8), (1, 4)]
    assert all((batch.labels == -1).all() for batch in source.batches(10))


def test_digest_sees_pixels_labels_and_order(tmp_path: Path):
    for i, pixels in enumerate(_pixels(2)):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    digests = {
        FileSource("a", files).digest(),
        FileSource("a", files[::-1]).digest(),
        FileSource("a", files, [0, 1]).digest(),
        ArraySource("a", _pixels(2)).digest(),
        ArraySource("a", _pixels(2), np.array([0, 1])).digest(),
    }
    assert len(digests) == 5
    assert FileSource("another name", files).digest() in digests


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_batch_is_streamed_with_its_labels(tmp_path: Path, save):
    save(tmp_path / "batch.npz", _pixels(7), np.arange(7))
    source = NpzSource(tmp_path / "batch.npz")
    batches = list(source.batches(3))
    assert len(source) == 7
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), _pixels(7))
    assert np.concatenate([batch.labels for batch in batches]).tolist() == list(range(7))


def test_npz_without_labels_has_unknown_classes(tmp_path: Path):
    np.savez(tmp_path / "batch.npz", _pixels(3))
    assert next(NpzSource(tmp_path / "batch.npz").batches(9)).labels.tolist() == [-1, -1, -1]


def test_broken_npz_files_are_refused(tmp_path: Path):
    np.savez(tmp_path / "float.npz", _pixels().astype(np.float32))
    with pytest.raises(ValueError, match="expected uint8"):
        NpzSource(tmp_path / "float.npz")
    np.savez(tmp_path / "moments.npz", mu=np.zeros(3))
    with pytest.raises(ValueError, match="arr_0"):
        NpzSource(tmp_path / "moments.npz")
    np.savez(tmp_path / "objects.npz", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="objects"):
        npz_members(tmp_path / "objects.npz")
    np.savez(tmp_path / "whole.npz", _pixels(50))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"cut\.npz cannot be used"):
        NpzSource(tmp_path / "cut.npz")


def test_empty_sources_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no images under"):
        folder_source(tmp_path)
    with pytest.raises(ValueError, match="no image folder"):
        folder_source(tmp_path / "none")
    with pytest.raises(ValueError, match="at least 1"):
        ArraySource("empty", _pixels(5)[:0])
    with pytest.raises(ValueError, match="labels"):
        FileSource("a", [tmp_path / "a.png"], [1, 2])


def test_damage_anywhere_in_a_batch_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "batch.npz"
    np.savez_compressed(path, arr_0=_pixels(8), arr_1=np.arange(8))
    whole = path.read_bytes()
    # A damaged name of an array only makes it another one.
    outcomes = set()
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        for read in (lambda: list(NpzSource(path).batches(3)), lambda: npz_images(path)):
            try:
                read()
            except ValueError as error:
                outcomes.add(str(path) in str(error))
    assert outcomes == {True}
