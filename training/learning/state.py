"""What a run leaves in its folder, and how it continues from there.

`config.json`        the settings
`state.pt`           everything that continues the run bit for bit (tensors only)
`last.safetensors`   the latest weights (averaged where there is an average), with their card
`best.safetensors`   the weights of the best measurement on held-out images
`log.jsonl`          one row per log interval
`log.csv`            the same as a table, a column a number
`curves.svg`         the same as charts
`examples.png`       training images by class, as the network gets them
`samples/N.png`      what a denoiser makes of one noise after N iterations
"""

import io
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from diffusion.files import write_atomically
from training.curves import curves_picture, curves_table, read_log
from training.learning.config import ConfigError, TrainingConfig, config_from_dict
from training.presets import INTAKE_SETTINGS, LENGTH_SETTINGS

# Counted up when a saved state could no longer be continued from.
STATE_FORMAT = 1


class StateError(ValueError):
    """A run cannot be continued from its folder; the message names the file and the remedy."""


class RunFolder:
    """The files of one run."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.config_path = self.folder / "config.json"
        self.state_path = self.folder / "state.pt"
        self.last_path = self.folder / "last.safetensors"
        self.best_path = self.folder / "best.safetensors"
        self.log_path = self.folder / "log.jsonl"
        self.samples_folder = self.folder / "samples"

    @property
    def has_state(self) -> bool:
        """Whether there is a run to continue."""
        return self.state_path.is_file()

    def start(self, config: TrainingConfig) -> None:
        """Write the settings of a fresh run and remove an older run's files."""
        for path in (self.state_path, self.log_path, self.best_path, self.last_path):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.samples_folder, ignore_errors=True)
        self.write_config(config)

    def write_examples(self, png: bytes) -> None:
        """Keep the grid of training images."""
        write_atomically(self.folder / "examples.png", [png])

    def write_samples(self, iteration: int, png: bytes) -> None:
        """Keep the grid of samples of an iteration."""
        write_atomically(self.samples_folder / f"{iteration:08d}.png", [png])

    def write_curves(self) -> None:
        """Write the log once more as a table and as charts."""
        rows = self.read_log()
        write_atomically(self.folder / "log.csv", [curves_table(rows).encode()])
        write_atomically(self.folder / "curves.svg", [curves_picture(rows).encode()])

    def write_config(self, config: TrainingConfig) -> None:
        """Write the settings."""
        text = json.dumps(config.to_dict(), indent=2, sort_keys=True)
        write_atomically(self.config_path, [text.encode()])

    def check_config(self, config: TrainingConfig) -> None:
        """Refuse to continue with other settings than the run was started with; how images are taken in may change.

        Raises
        ------
        StateError
            Naming the first setting that differs.
        """
        try:
            begun = config_from_dict(json.loads(self.config_path.read_text())).to_dict()
        except (OSError, ValueError, ConfigError) as error:
            raise StateError(f"{self.config_path} cannot be read ({error}); start afresh in another folder") from error
        # Through JSON, as the stored one went: tuples and lists must not count as a difference.
        wanted = json.loads(json.dumps(config.to_dict()))
        for name, old, new in _differences(begun, wanted):
            if name in INTAKE_SETTINGS | LENGTH_SETTINGS:
                continue
            raise StateError(
                f"{self.folder} holds a run with {name} = {old!r}, asked for {new!r}; "
                "use the same settings, another folder, or start afresh (resume=False, --no-resume)"
            )

    def check_images(self, begun: dict[str, Any] | None, now: dict[str, Any]) -> None:
        """Refuse to continue on other images, as `ImageSource.describe` tells them; their folder's name may change.

        Raises
        ------
        StateError
            The set of images has changed.
        """
        # What both tell: states of earlier releases say nothing of labels.
        shared = sorted((begun or {}).keys() & now.keys() - {"name"})
        if begun is not None and any(begun[name] != now[name] for name in shared):
            raise StateError(
                f"{self.folder} holds a run on other images: {begun.get('images')} then, {now.get('images')} now, or "
                "other names or classes; bring the set back as it was, or start afresh (resume=False, --no-resume)"
            )

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the saved state as a whole."""
        # Through memory into the atomic writer: torch would write straight under the final name.
        buffer = io.BytesIO()
        torch.save({"format": STATE_FORMAT, **state}, buffer)
        write_atomically(self.state_path, [buffer.getbuffer()])

    def read_state(self, device: torch.device) -> dict[str, Any]:
        """Read the saved state.

        Raises
        ------
        StateError
            The file is damaged or of another version.
        """
        try:
            state = torch.load(self.state_path, map_location=device, weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            remedy = f"start afresh (resume=False, --no-resume); {self.last_path.name} keeps the last weights"
            raise StateError(f"{self.state_path} is damaged ({error}); {remedy}") from error
        if state.get("format") != STATE_FORMAT:
            raise StateError(f"{self.state_path} was written by another version; start afresh (--no-resume)")
        return state

    def append_log(self, row: dict[str, Any]) -> None:
        """Add a row to the log."""
        with self.log_path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """Return the log's rows; a last line cut short by a crash is left out."""
        return read_log(self.log_path)

    def cut_log(self, iteration: int) -> None:
        """Drop rows after `iteration`, which a resumed run will write again."""
        rows = [row for row in self.read_log() if row["iteration"] <= iteration]
        write_atomically(self.log_path, [(json.dumps(row) + "\n").encode() for row in rows])


def _differences(old: Any, new: Any, name: str = ""):
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
    elif old != new:
        yield name, old, new
