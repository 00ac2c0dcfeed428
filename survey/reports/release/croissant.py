"""The release as a Croissant file, with the Responsible-AI fields that the study can answer.

References
----------
Croissant format specification 1.1 and RAI vocabulary 1.0, MLCommons, https://docs.mlcommons.org/croissant/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.votes.columns import Field

__all__ = ["croissant"]

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {
    "string": "sc:Text",
    "integer": "sc:Integer",
    "number": "sc:Float",
    "boolean": "sc:Boolean",
    "datetime": "sc:DateTime",
}
_PARQUET = "application/x-parquet"


def croissant(
    *,
    about: Mapping[str, Any],
    rai: Mapping[str, Any],
    tables: Mapping[str, Sequence[Field]],
    images: Sequence[Path],
    digests: Mapping[str, str],
) -> dict[str, Any]:
    """Return the JSON-LD of a release.

    Parameters
    ----------
    about : mapping
        schema.org properties of the data set: name, description, license, creator, version, dates.
    rai : mapping
        Properties of the RAI vocabulary, without their prefix.
    tables : mapping of str to sequence of Field
        The Parquet tables, ``NAME.parquet``, with their columns.
    images : sequence of Path
        The Parquet files of images, relative to the release.
    digests : mapping of str to str
        SHA-256 by relative path.
    """
    files = [_file(f"{name}.parquet", digests) for name in tables]
    shards = [_file(path.as_posix(), digests) for path in images]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        **about,
        **{f"rai:{name}": value for name, value in rai.items()},
        "distribution": [*files, *shards],
        "recordSet": [
            *(_records(name, f"{name}.parquet", columns) for name, columns in tables.items()),
            *(_image_records(path.as_posix()) for path in images),
        ],
    }


def _file(path: str, digests: Mapping[str, str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "encodingFormat": _PARQUET,
        "sha256": digests[path],
    }


def _records(name: str, path: str, columns: Sequence[Field]) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column.name}",
            "name": column.name,
            "description": column.description,
            "dataType": _TYPES[column.kind],
            "source": {"fileObject": {"@id": path}, "extract": {"column": column.name}},
        }
        for column in columns
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _image_records(path: str) -> dict[str, Any]:
    name = Path(path).stem
    texts = {
        "image_id": "Id of the image.",
        "pair": "Pair of the image, as in the table of pairs.",
        "arm": "Arm that made the image; empty for a reference.",
        "sha256": "SHA-256 of the image's file.",
    }
    fields = [Field(name=text, kind="string", description=said) for text, said in texts.items()]
    records = _records(name, path, fields)
    source = {
        "fileObject": {"@id": path},
        "extract": {"column": "image"},
        "transform": {"jsonPath": "bytes"},
    }
    field = {"@type": "cr:Field", "@id": f"{name}/image", "name": "image", "description": "The image itself."}
    records["field"].append(field | {"dataType": "sc:ImageObject", "source": source})
    return records
