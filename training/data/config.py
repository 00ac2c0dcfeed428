"""Where a run's images are: plain values with their rules, read without torch."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from training.data.crops import Crop
from training.data.sources import kinds

LabelFrom = Literal["folder", "file_prefix"]
OnCorrupt = Literal["refuse", "skip"]
# Threads of one process: many times the cores of any machine.
MOST_WORKERS = 1024


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images are and how they are cropped.

    Parameters
    ----------
    kind : str
        "folder", "npz", "idx", "cifar10", "huggingface" (a set on disk), "digits", or a source of another package.
    path : str
        Folder or file; empty for "digits".
    validation_path : str
        Images to measure on; without it `validation_share` of the images is held out (the same ones for every seed).
        CIFAR-10, idx files and Hugging Face sets with a test split always use theirs.
    validation_share : float
        Share of every class that is held out to measure on, in [0, 1).
    classes : table of str
        Names of classes by their names in the images (numbers, where those have none): `{0 = "T-shirt", 1 = "boot"}`.
        Two that get one name become one class. Images to measure on are matched by name.
    label_from : {"folder", "file_prefix"}
        For "folder": the folder's name, or the file's name up to its first underscore.
    crop : {"random", "center", "none"}
        Training crop; see `training.data.crops.place`. Images to measure on are centred.
    flip : bool
        Mirror half of the training images.
    upscale : bool
        Allow images smaller than the network's input.
    corrupt : {"refuse", "skip"}
        Stop at an image that cannot be decoded, or take the next one and report its path.
    workers : int
        Threads that prepare batches ahead of time; 0 prepares each when it is needed.
    """

    kind: str
    path: str = ""
    validation_path: str = ""
    validation_share: float = 0.0
    classes: dict[str, str] = field(default_factory=dict)
    label_from: LabelFrom = "folder"
    crop: Crop = "random"
    flip: bool = True
    upscale: bool = False
    corrupt: OnCorrupt = "refuse"
    workers: int = 4

    def __post_init__(self) -> None:
        known = kinds()
        self._require(self.kind in known, "kind", f"one of {', '.join(known)}")
        choices = {"label_from": LabelFrom, "crop": Crop, "corrupt": OnCorrupt}
        for name, kind in choices.items():
            self._require(getattr(self, name) in get_args(kind), name, f"one of {', '.join(get_args(kind))}")
        self._require(0 <= self.validation_share < 1, "validation_share", "in [0, 1)")
        self._require(0 <= self.workers <= MOST_WORKERS, "workers", f"0 or more, and at most {MOST_WORKERS}")

    def _require(self, holds: bool, name: str, allowed: str) -> None:
        if not holds:
            raise ValueError(f"data.{name} is {getattr(self, name)!r}; it must be {allowed}")
