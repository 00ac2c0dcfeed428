"""The images of a release: Parquet files with their bytes, in constant memory whatever the number of images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage

from survey.exceptions import ReleaseRefused
from survey.models import PairImage, ReferenceImage, Study
from survey.selectors.pair_rows import pairs_in_table

__all__ = ["images_write"]

# A file of images should be read and moved whole: about as many bytes as data hubs advise.
_SHARD_BYTES = 256 * 2**20
_ROW_GROUP = 64


def images_write(
    study: Study, folder: Path, *, arm_names: Mapping[str, str], on_progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write the images of the pairs in the table and their references, each as it was stored; return the files.

    Raises
    ------
    ReleaseRefused
        If a stored image is gone or is no longer the one that was frozen.
    """
    images = PairImage.objects.filter(pair__in=pairs_in_table(study))
    references = ReferenceImage.objects.filter(pair__in=pairs_in_table(study))
    total = images.count() + references.count()
    rows = _rows(
        chain(
            images.select_related("pair", "arm").order_by("pair__key", "arm__name").iterator(500),
            references.select_related("pair").order_by("pair__key").iterator(500),
        ),
        arm_names,
    )
    paths: list[Path] = []
    done = 0
    while batch := list(islice(rows, _ROW_GROUP)):
        paths.append(folder / f"images-{len(paths):05d}.parquet")
        with _Shard(paths[-1]) as shard:
            while batch:
                shard.write(batch)
                done += len(batch)
                if on_progress is not None:
                    on_progress(done, total)
                batch = list(islice(rows, _ROW_GROUP)) if shard.bytes < _SHARD_BYTES else []
    return paths


def _rows(images: Iterator[PairImage | ReferenceImage], arm_names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for image in images:
        try:
            with default_storage.open(image.file) as file:
                content = file.read()
        except OSError as error:
            raise ReleaseRefused([f"image {image.called} cannot be read: {error}"]) from None
        # What is published is what was voted on, or nothing.
        if hashlib.sha256(content).hexdigest() != image.sha256:
            raise ReleaseRefused([f"image {image.called} is no longer the one that was frozen"])
        # A reference is of no arm.
        arm = arm_names[image.arm.name] if isinstance(image, PairImage) else ""
        yield {
            "image_id": str(image.pk),
            "pair": str(image.pair_id),
            "arm": arm,
            "image": {"bytes": content, "path": f"{image.pk}{Path(image.file).suffix}"},
            "width": image.width,
            "height": image.height,
            "sha256": image.sha256,
        }


class _Shard:
    """One Parquet file. Its metadata tell Hugging Face's ``datasets`` that the column holds images."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        text, whole = pa.string(), pa.int64()
        picture = pa.struct([("bytes", pa.binary()), ("path", text)])
        fields = {"image_id": text, "pair": text, "arm": text, "image": picture, "width": whole, "height": whole}
        self._schema = pa.schema([*fields.items(), ("sha256", text)], metadata={"huggingface": _FEATURES})
        self._table = pa.Table
        # Images are compressed already. The smallest and largest bytes of a column of images tell nothing, and a footer
        # with them, kept until the file is whole, would grow with the images.
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="none", use_dictionary=["arm"], write_statistics=["image_id", "pair", "arm"]
        )
        self.bytes = 0

    def __enter__(self) -> _Shard:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        self._writer.write_table(self._table.from_pylist(rows, schema=self._schema))
        self.bytes += sum(len(row["image"]["bytes"]) for row in rows)


_FEATURES = (
    '{"info": {"features": {"image_id": {"dtype": "string", "_type": "Value"}, '
    '"pair": {"dtype": "string", "_type": "Value"}, "arm": {"dtype": "string", "_type": "Value"}, '
    '"image": {"_type": "Image"}, "width": {"dtype": "int64", "_type": "Value"}, '
    '"height": {"dtype": "int64", "_type": "Value"}, "sha256": {"dtype": "string", "_type": "Value"}}}}'
)
