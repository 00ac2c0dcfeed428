"""Files of images that were removed: deleted unless something else points at them.

Files are kept under their digest, so two studies with the same picture share one file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import QuerySet

from jobs.services import job_enqueue
from survey.models import ImagePair, PairImage, ReferenceImage, ServedCopies
from survey.selectors.copies import copy_files, copy_owner

__all__ = ["FORGET", "files_forget", "files_forget_later", "pair_files", "reference_files"]

FORGET = "survey.forget_files"
# Up to this many files are deleted while the caller waits.
INLINE_FILES = 1_000
# Some minutes of work in an object store, so that a killed worker repeats little.
_A_JOB = 5_000
_A_QUERY = 500
_COLUMNS = ("file", "served", "degraded")


def pair_files(pairs: QuerySet[ImagePair]) -> list[str]:
    """Return the names of all files of these pairs, each once: of their images, references and copies."""
    images = PairImage.objects.filter(pair__in=pairs.order_by())
    own = filter(None, chain.from_iterable(images.order_by().values_list(*_COLUMNS)))
    return sorted({*own, *_copies(images), *reference_files(ReferenceImage.objects.filter(pair__in=pairs.order_by()))})


def reference_files(references: QuerySet[ReferenceImage]) -> list[str]:
    """Return the names of all files of these references."""
    return sorted({*references.order_by().values_list("file", flat=True), *_reference_copies(references)})


def _reference_copies(references: QuerySet[ReferenceImage]) -> Iterator[str]:
    for key, setups in references.order_by().values_list("pk", "setups").iterator(chunk_size=2000):
        for setup, lengths in setups.items():
            yield from copy_files(setup, key, sizes=len(lengths), has_spoilt=False)


def _copies(images: QuerySet[PairImage]) -> Iterator[str]:
    """Yield the files of these images' copies: nothing but their own rows points at them."""
    for copies in ServedCopies.objects.filter(image__in=images.order_by()).iterator(chunk_size=2000):
        yield from copy_files(copies.setup, copies.image_id, sizes=len(copies.lengths), has_spoilt=copies.has_spoilt)


def files_forget_later(names: Sequence[str]) -> None:
    """Once the transaction is committed, delete what nothing points at any more; many files by workers."""
    if len(names) <= INLINE_FILES:
        transaction.on_commit(lambda: files_forget(names))
        return
    for part in _parts(names, _A_JOB):
        job_enqueue(kind=FORGET, parameters={"names": part})


def files_forget(names: Sequence[str], *, on_progress: Callable[[int], None] = lambda done: None) -> int:
    """Delete the files that nothing points at; return how many went."""
    gone = done = 0
    for part in _parts(names, _A_QUERY):
        wanted = _pointed_at(part)
        for name in part:
            gone += name not in wanted and _delete(name)
            done += 1
        on_progress(done)
    return gone


def _parts(names: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(names), size):
        yield list(names[start : start + size])


def _pointed_at(names: Iterable[str]) -> set[str]:
    """Return those of the names that some image has."""
    names = set(names)
    rows = (PairImage.objects.filter(**{f"{name}__in": names}).values_list(name, flat=True) for name in _COLUMNS)
    owners = {owner for owner in map(copy_owner, names) if owner}
    references = ReferenceImage.objects.filter(file__in=names).values_list("file", flat=True)
    copies = _reference_copies(ReferenceImage.objects.filter(pk__in=owners))
    return names & {
        *chain.from_iterable(rows),
        *_copies(PairImage.objects.filter(pk__in=owners)),
        *references,
        *copies,
    }


def _delete(name: str) -> bool:
    """Delete one file, and put it back if an import began to point at it meanwhile.

    An import that commits later still looks for its files then: one of the two always sees the other.
    """
    try:
        with default_storage.open(name) as file:
            content = file.read()
        default_storage.delete(name)
    except FileNotFoundError:
        return False
    if _pointed_at([name]):
        default_storage.save(name, ContentFile(content))
        return False
    return True
