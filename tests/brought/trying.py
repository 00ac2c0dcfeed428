"""Try generated inputs on the readers and count what happens; whatever ought not to happen is an assertion."""

from __future__ import annotations

import io
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings

from analysis.pictures.colour import read_in_srgb
from analysis.pictures.errors import PictureError
from analysis.votes.errors import BadVotesError
from analysis.votes.foreign.reading import read_foreign_votes
from analysis.votes.table import VoteTable
from diffusion.checkpoints import CheckpointError, load_network
from generation.features.image_sets import folder_source
from survey.exceptions import BadArchive
from survey.services.images.import_sources import FolderSource, zip_sources
from survey.services.images.importing import images_check
from tests.brought.images import Brought, image_files
from tests.brought.sets import BroughtSet, BroughtZip, folders, zips
from tests.brought.tables import BroughtTable, table_files
from tests.brought.weights import CONFIG, BroughtWeights, weight_files
from training.data.image_sets import DataError, folder_images

__all__ = ["TRIALS", "tried"]


def try_image(brought: Brought) -> str:
    try:
        picture = read_in_srgb(brought.content)
    except PictureError as error:
        assert brought.is_damaged or brought.refusal is not None, (brought.what, error)
        assert (brought.refusal or "") in str(error), (brought.what, error)
        return "refused"
    assert brought.refusal is None, brought.what
    pixels = np.asarray(picture.image.convert("RGB"))
    if brought.pixels is not None:
        np.testing.assert_array_equal(pixels, brought.pixels, err_msg=brought.what)
    return "read damaged" if brought.is_damaged else "read"


def _by_import(root: Path) -> set[str]:
    report, pairs = images_check({"a": FolderSource(root), "b": FolderSource(root)})
    # Pairs are found by name without ending: what would be one pair is refused here alone.
    others = [problem for problem in report.problems if "would be the same pair" not in problem]
    if others:
        raise BadArchive(" ".join(others))
    return {row["a"].path for row in pairs.values()}


def _by_metrics(root: Path) -> set[str]:
    return set(folder_source(root).names)


def _by_training(root: Path) -> set[str]:
    return set(folder_images(root).names)


def try_folder(brought: BroughtSet) -> str:
    outcomes = set()
    for reader in (_by_training, _by_metrics, _by_import):
        with tempfile.TemporaryDirectory() as folder:
            root = brought.lay_out(Path(folder))
            try:
                names = reader(root)
            except (DataError, PictureError, ValueError, BadArchive) as error:
                assert brought.refusal is not None, (reader, error)
                assert brought.refusal in str(error), (reader, error)
                outcomes.add("refused")
            else:
                assert brought.refusal is None, reader
                is_one_a_pair = reader is _by_import
                assert names <= brought.images if is_one_a_pair else names == brought.images
                outcomes.add("read")
    (outcome,) = outcomes
    return outcome


def try_zip(brought: BroughtZip) -> str:
    try:
        with zip_sources(io.BytesIO(brought.content)) as sources:
            report, pairs = images_check(sources)
    except BadArchive as error:
        assert str(error)
        assert brought.is_damaged or brought.pairs is None, error
        return "refused"
    if report.problems:
        assert brought.is_damaged or brought.pairs is None, report.problems
        return "refused"
    assert brought.is_damaged or frozenset(pairs) == brought.pairs
    return "read damaged" if brought.is_damaged else "read"


def try_weights(brought: BroughtWeights) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / brought.name
        path.write_bytes(brought.content)
        try:
            loaded = load_network(path, CONFIG).network.state_dict()
        except CheckpointError as error:
            assert str(path) in str(error)
            assert "weights_only" not in str(error)
            assert brought.is_damaged or brought.refusal is not None, error
            assert (brought.refusal or "") in str(error), error
            return "refused"
    assert brought.refusal is None
    if brought.state is not None:
        assert loaded.keys() == brought.state.keys()
        assert all(torch.equal(tensor, loaded[name]) for name, tensor in brought.state.items())
    return "read damaged" if brought.is_damaged else "read"


def try_table(brought: BroughtTable) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, brought.name)
        path.write_bytes(brought.content)
        try:
            table = read_foreign_votes(path, "table").table
        except BadVotesError as error:
            assert brought.is_damaged or brought.refusal is not None, error
            assert brought.name in str(error), error
            assert (brought.refusal or "") in str(error), error
            return "refused"
    assert brought.refusal is None
    if brought.votes is not None:
        assert tuple(_rows(table)) == brought.votes
    return "read damaged" if brought.is_damaged else "read"


def _rows(table: VoteTable) -> Iterator[tuple[str, ...]]:
    for row in range(len(table)):
        labels = (table.raters[table.rater[row]], table.pairs[table.pair[row]])
        arms = (table.arms[table.arm_left[row]], table.arms[table.arm_right[row]])
        yield (*labels, *arms, ("left", "right", "tie")[table.choice[row]])


TRIALS: dict[str, tuple] = {
    "images": (image_files, try_image),
    "folders": (folders, try_folder),
    "zips": (zips, try_zip),
    "weights": (weight_files, try_weights),
    "tables": (table_files, try_table),
}


def tried(kind: str, examples: int) -> Counter[str]:
    """Try so many generated inputs of a kind; return how many came to which end."""
    strategy, attempt = TRIALS[kind]
    counts: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(strategy())
    def one(brought: object) -> None:
        counts[attempt(brought)] += 1

    logging.disable(logging.WARNING)
    try:
        _call(one)
    finally:
        logging.disable(logging.NOTSET)
    return counts


def _call(test: Callable[[], None]) -> None:
    test()
