"""Images that whole sets keep in a few files: `.npz`, MNIST's idx files, CIFAR-10's own, Hugging Face sets on disk."""

import gzip
import importlib.util
import io
import math
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from analysis.pictures.archives import DAMAGED
from analysis.pictures.arrays import NPZ_NAMES, check_npz, class_texts_of, names_in, whole_labels
from analysis.pictures.colour import read_in_srgb
from analysis.pictures.errors import PictureError
from training.data.image_sets import ArrayImages, CorruptImage, DataError, checked_array

__all__ = ["HubImages", "Split", "cifar10_images", "has_splits", "hub_images", "idx_images", "npz_images"]

Split = Literal["train", "validation"]
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Of the files as published.
CIFAR10_SIDE = 32
# Under which one file has the images and labels of either split.
KERAS_NAMES = {"train": ("x_train", "y_train"), "validation": ("x_test", "y_test")}
IDX_STEMS = {"train": ("train",), "validation": ("t10k", "test", "val")}
# The numbers of dimensions that images and labels may have.
IDX_PARTS = {"images": (3, 4), "labels": (1,)}
IDX_BYTES = 0x08
GZIP = b"\x1f\x8b"
HUB_SPLITS = {"train": ("train",), "validation": ("validation", "test", "valid", "val")}


def npz_images(path: Path | str, *, split: Split = "train") -> ArrayImages:
    """Read images from `.npz`: `images` and `labels`, `arr_0` and `arr_1`, or Keras's `x_train` and `y_train`.

    Images are uint8, channels last or first; `class_names` is optional.

    Raises
    ------
    DataError
        No such file, a missing array, wrong type, shape or label.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no file at {path}; check data.path")
    try:
        check_npz(path)
        # Opened here: NumPy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            known = (*NPZ_NAMES, KERAS_NAMES[split])
            names = names_in(arrays.files, where=str(path), known=known, need_labels=True)
            pixels, labels = (arrays[name] for name in names)
            class_names = class_texts_of(arrays["class_names"] if "class_names" in arrays.files else ())
        labels = whole_labels(labels, len(pixels), where=str(path))
    except PictureError as error:
        raise DataError(str(error)) from error
    except DAMAGED as error:
        raise DataError(f"{path} is not a readable .npz of plain arrays ({error})") from error
    return checked_array(channels_last(pixels), labels, class_names, str(path))


def channels_last(pixels: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, C) of images (N, C, H, W); others as they are."""
    is_first = pixels.ndim == 4 and pixels.shape[1] in (1, 3) and pixels.shape[3] not in (1, 3)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if is_first else pixels


def idx_images(folder: Path | str, *, split: Split) -> ArrayImages:
    """Read MNIST's idx files, plain or gzip: `train-images-idx3-ubyte` with its labels, or `t10k-...`.

    The format has no class names: classes are numbers.

    Parameters
    ----------
    folder : path
        With the four files, as MNIST and Fashion-MNIST are published.
    split : {"train", "validation"}

    Raises
    ------
    DataError
        A file is missing, is no idx file of bytes, is cut short, or images and labels do not belong together.
    """
    folder = Path(folder)
    pixels, labels = (_idx_array(_idx_file(folder, split, part), dimensions) for part, dimensions in IDX_PARTS.items())
    return checked_array(pixels, labels.astype(np.int64), (), f"{folder.name}/{split}")


def _idx_file(folder: Path, split: Split, part: str) -> Path:
    for stem in IDX_STEMS[split]:
        for path in sorted(folder.glob(f"{stem}-{part}*idx*")):
            return path
    raise DataError(
        f"{folder} has no {IDX_STEMS[split][0]}-{part}-idx{IDX_PARTS[part][0]}-ubyte (or .gz); give the folder of the "
        "idx files as published"
    )


def _idx_array(path: Path, dimensions: tuple[int, ...]) -> np.ndarray:
    """Read one idx file: two zero bytes, the type, the number of dimensions, their sizes, then the values."""
    content = path.read_bytes()
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is damaged ({error}); download it again") from error
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(f"{path} is no idx file: it begins with {content[:4].hex() or 'nothing'}, not with 0000")
    kind, rank = content[2], content[3]
    if kind != IDX_BYTES or rank not in dimensions:
        raise DataError(
            f"{path} is an idx file of type 0x{kind:02x} with {rank} dimensions; "
            f"wanted bytes (0x08) with {dimensions[0]}"
        )
    shape = tuple(int(size) for size in np.frombuffer(content[4 : 4 + 4 * rank], dtype=">u4"))
    values = content[4 + 4 * rank :]
    if len(shape) != rank or len(values) != math.prod(shape):
        raise DataError(f"{path} holds {len(values)} values, its header says {shape}; download it again")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def cifar10_images(folder: Path | str, *, split: Split) -> ArrayImages:
    """Read CIFAR-10's own files (`cifar-10-batches-bin` or `cifar-10-batches-py`) of one split.

    Parameters
    ----------
    folder : path
        The folder with `data_batch_1` ... or `data_batch_1.bin` ....
    split : {"train", "validation"}
        The five training batches, or `test_batch`.

    Raises
    ------
    DataError
        A file is missing or has another format.
    """
    folder = Path(folder)
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    parts = [_cifar10_batch(folder, name) for name in names]
    pixels = np.concatenate([part[0] for part in parts])
    # Stored plane by plane: all reds, all greens, all blues.
    pixels = pixels.reshape(-1, 3, CIFAR10_SIDE, CIFAR10_SIDE).transpose(0, 2, 3, 1)
    labels = np.concatenate([part[1] for part in parts])
    return checked_array(np.ascontiguousarray(pixels), labels, CIFAR10_CLASSES, f"{folder.name}/{split}")


def _cifar10_batch(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    row = 1 + 3 * CIFAR10_SIDE**2
    plain, pickled = folder / f"{name}.bin", folder / name
    if plain.is_file():
        content = np.fromfile(plain, dtype=np.uint8)
        if content.size == 0 or content.size % row:
            raise DataError(f"{plain} has {content.size} bytes, not a multiple of {row}; download it again")
        content = content.reshape(-1, row)
        return content[:, 1:], content[:, 0].astype(np.int64)
    if pickled.is_file():
        try:
            batch = _ArrayUnpickler(io.BytesIO(pickled.read_bytes()), encoding="bytes").load()
            return np.asarray(batch[b"data"], dtype=np.uint8), np.asarray(batch[b"labels"], dtype=np.int64)
        # A damaged pickle calls the few functions that it may with anything.
        except Exception as error:
            raise DataError(f"{pickled} is not a CIFAR-10 batch ({error}); download it again") from error
    raise DataError(f"{folder} has neither {plain.name} nor {pickled.name}; give the folder of CIFAR-10's own files")


class _ArrayUnpickler(pickle.Unpickler):
    """Reads pickled arrays and nothing that could run."""

    def find_class(self, module: str, name: str) -> Callable:
        if name == "_reconstruct" and module.endswith("multiarray"):
            return _reconstruct()
        if module == "numpy" and name in {"ndarray", "dtype"}:
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode(encoding)
        raise pickle.UnpicklingError(f"refused {module}.{name}")


def _reconstruct() -> Callable:
    """Return numpy's own array rebuilder, wherever this version keeps it."""
    return np.empty(0).__reduce__()[0]


class HubImages:
    """A Hugging Face set on disk, as `datasets.Dataset.save_to_disk` writes it: one column of images, one of labels."""

    def __init__(self, rows: Any, *, image: str, label: str, name: str):
        self._rows, self._image, self.name = rows, image, name
        self.labels = np.asarray(rows.with_format("numpy")[label][:], dtype=np.int64)
        names = getattr(rows.features[label], "names", None)
        count = int(self.labels.max(initial=-1)) + 1
        self.class_names = tuple(names or (str(number) for number in range(count)))
        if self.labels.min(initial=0) < 0 or count > len(self.class_names):
            raise DataError(f"{name} has labels outside of its {len(self.class_names)} classes; save it without them")

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int, *, mode: str) -> Image.Image:
        stored = self._rows[index][self._image]
        try:
            content = stored["bytes"] if stored["bytes"] is not None else Path(stored["path"]).read_bytes()
            return read_in_srgb(content, name=self.where(index)).image.convert(mode)
        except (OSError, PictureError) as error:
            raise CorruptImage(f"{self.where(index)} {error}; replace it or set data.corrupt = 'skip'") from error

    def where(self, index: int) -> str:
        return f"{self.name}[{index}]"

    def describe(self) -> dict:
        # The library's own digest of the rows and of everything that was done to them.
        return {"name": self.name, "images": len(self), "fingerprint": self._rows._fingerprint}


def hub_images(folder: Path | str, *, split: Split) -> HubImages:
    """Read a set that `save_to_disk` wrote, or the folder of one split of it.

    Raises
    ------
    DataError
        `datasets` is not installed, the folder holds no such set, or not one column of images and one of labels.
    """
    if importlib.util.find_spec("datasets") is None:
        raise DataError("a Hugging Face set needs the library datasets: pip install datasets")
    import datasets

    try:
        found = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} is no set that datasets.save_to_disk wrote ({error})") from error
    if isinstance(found, datasets.DatasetDict):
        names = [name for name in HUB_SPLITS[split] if name in found]
        if not names:
            raise DataError(f"{folder} has the splits {', '.join(found)}, none of {', '.join(HUB_SPLITS[split])}")
        found = found[names[0]]
    images = [name for name, feature in found.features.items() if isinstance(feature, datasets.Image)]
    labels = [name for name, feature in found.features.items() if isinstance(feature, datasets.ClassLabel)]
    labels = labels or [name for name in ("label", "labels") if name in found.features]
    if len(images) != 1 or len(labels) != 1:
        raise DataError(
            f"{folder} has {len(images)} columns of images and {len(labels)} of labels "
            f"({', '.join(found.features)}); keep one of each with remove_columns"
        )
    # Undecoded: pictures are read by our own rules, which look at colour and orientation.
    rows = found.cast_column(images[0], datasets.Image(decode=False))
    return HubImages(rows, image=images[0], label=labels[0], name=Path(folder).name)


def has_splits(folder: Path | str) -> bool:
    """Return whether a Hugging Face set on disk comes with images to measure on."""
    path = Path(folder) / "dataset_dict.json"
    return path.is_file() and any(f'"{name}"' in path.read_text() for name in HUB_SPLITS["validation"])
