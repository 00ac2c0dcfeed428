"""Parquet of votes, read by pyarrow a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from analysis.votes.checks import READ_COLUMNS, VARIED_COLUMNS
from analysis.votes.coded import Coded
from analysis.votes.errors import unreadable
from analysis.votes.files.progress import BLOCK_ROWS, Progress, started
from analysis.votes.parsing import Gatherer

if TYPE_CHECKING:
    from pyarrow import RecordBatch

__all__ = ["read_parquet"]

Item = TypeVar("Item")


def read_parquet(path: Path, gatherer: Gatherer) -> Progress:
    """Gather a Parquet file; the line of a row is its place.

    Raises
    ------
    BadVotesError
        If pyarrow is missing or the file is no table of votes.
    """
    try:
        import pyarrow.parquet as pq
        from pyarrow import ArrowException, ArrowInvalid

        from analysis.votes.files.arrow_texts import arrow_column
    except ImportError:
        raise unreadable(path.name, 1, "Parquet needs pyarrow: pip install 'blindpair[report]'") from None
    try:
        schema = pq.read_schema(path)
        is_coded = [name for name in schema.names if name in READ_COLUMNS and name not in VARIED_COLUMNS]
        file = pq.ParquetFile(path, read_dictionary=is_coded, pre_buffer=False)
    except ArrowInvalid as error:
        raise unreadable(path.name, 1, f"is not Parquet: {error}") from None
    with file:
        names = schema.names
        progress = started(gatherer, 1, names)
        wanted = [name for name in READ_COLUMNS if name in names]
        try:
            batches = file.iter_batches(batch_size=BLOCK_ROWS, columns=wanted)
            for count, columns in _ahead(_columns(batch, arrow_column) for batch in batches):
                first = progress.rows + 1
                progress.rows += count
                progress.gatherer.add(columns, range(first, progress.rows + 1))
        except ArrowException as error:
            raise unreadable(path.name, progress.rows + 1, f"cannot be read from this row on: {error}") from None
    return progress


def _columns(batch: RecordBatch, arrow_column: Callable[[str, object], Coded]) -> tuple[int, dict[str, Coded]]:
    return batch.num_rows, {name: arrow_column(name, batch.column(name)) for name in batch.schema.names}


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items; while one is used, the next one is made on another core."""
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming = maker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = maker.submit(next, items, None)
            yield item
