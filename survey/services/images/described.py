"""What a table and texts beside the images say of each pair, checked against the images that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.pictures.errors import PictureError
from analysis.pictures.formats import stem
from survey.exceptions import BadArchive
from survey.services.images.checking import ImageFacts, ImportReport, inspect
from survey.services.images.import_sources import ArmFolders, Limits
from survey.services.images.manifest import PairRow, text_problem

__all__ = ["PairDescription", "pairs_described"]

NAMED = 20
# Shapes that differ by less than a pixel's rounding are one.
_SHAPE_SLACK = 0.02
Pairs = Mapping[str, Mapping[str, ImageFacts]]


@dataclass(frozen=True, kw_only=True)
class PairDescription:
    """What is said of a pair; empty where nothing is."""

    prompt: str = ""
    class_label: str = ""
    tags: tuple[str, ...] = ()
    seed: int | None = None
    reference: ImageFacts | None = None


@dataclass
class _References:
    """The references that rows name, each read once."""

    sources: ArmFolders
    limits: Limits
    read: dict[str, ImageFacts | None] = field(default_factory=dict)

    def of(self, row: PairRow, where: str, report: ImportReport) -> ImageFacts | None:
        if row.reference and row.reference not in self.read:
            self.read[row.reference] = None
            try:
                content = self.sources.reference(row.reference)
                self.read[row.reference] = inspect(row.reference, content, self.limits)
            except BadArchive as error:
                report.refuse(f"{where}: {error}", kind="references that cannot be read")
            except PictureError as error:
                report.refuse(f"{where}: the reference {row.reference} {error}", kind=f"a reference {error}")
        return self.read.get(row.reference)


def pairs_described(
    sources: ArmFolders,
    pairs: Pairs,
    report: ImportReport,
    *,
    are_texts_read: bool = False,
    leave_out_unmatched: bool = False,
    limits: Limits | None = None,
) -> dict[str, PairDescription]:
    """Return what is said of each of the pairs; add to the report what does not fit, each with its line."""
    rows = _rows(sources, pairs, report, leave_out_unmatched=leave_out_unmatched)
    references = _References(sources, limits or Limits())
    found = {}
    for key in pairs:
        row = rows.get(key)
        prompt = row.prompt if row else ""
        if are_texts_read and not prompt:
            prompt = _text_prompt(sources, key, pairs[key], report)
        where = f"{sources.manifest.name}, line {row.line}" if row and sources.manifest else ""
        found[key] = PairDescription(
            prompt=prompt,
            class_label=row.class_label if row else "",
            tags=row.tags if row else (),
            seed=row.seed if row else None,
            reference=references.of(row, where, report) if row else None,
        )
    if are_texts_read:
        _note_without_prompt(found, report)
    _count(found, pairs, report)
    return found


def _note_without_prompt(found: Mapping[str, PairDescription], report: ImportReport) -> None:
    """Say which pairs have no prompt, where texts beside images were asked for; refuse the import if none has one."""
    bare = [key for key, said in found.items() if not said.prompt]
    if bare and len(bare) == len(found) and not report.problems:
        report.problems.append("no image has its prompt in a .txt of its name beside it, as c/1.txt of c/1.png")
    elif bare and len(bare) < len(found):
        report.notes.append(f"{len(bare)} pair(s) have no prompt: {_some(bare)}")


def _rows(sources: ArmFolders, pairs: Pairs, report: ImportReport, *, leave_out_unmatched: bool) -> dict[str, PairRow]:
    """Return the rows by key; name rows without images and images without rows."""
    table = sources.manifest
    if table is None:
        return {}
    # What is in some arm alone, or cannot be read, is named already.
    there = {stem(name) for source in sources.values() for name in source.names()}
    found, lost = {}, []
    for row in table.rows:
        key = next((key for key in row.keys if key in there), None)
        if key is None:
            lost.append(f"{row.path} (line {row.line})")
        else:
            found[key] = row
    if lost:
        text = f"{table.name}: {len(lost)} row(s) without an image in any arm: {_some(lost)}"
        if any(row.path.partition("/")[0] in sources for row in table.rows):
            text += "; a path begins below the arm's folder, as c/1.png of vanilla/c/1.png"
        (report.notes if leave_out_unmatched else report.problems).append(text)
    if bare := [key for key in pairs if key not in found]:
        report.notes.append(f"{table.name}: {len(bare)} pair(s) have no row: {_some(bare)}")
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _text_prompt(sources: ArmFolders, key: str, row: Mapping[str, ImageFacts], report: ImportReport) -> str:
    """Return the prompt in the texts beside a pair's images, which must agree."""
    prompts: dict[str, str] = {}
    for arm, image in row.items():
        try:
            content = sources[arm].text_beside(image.path)
            if content is not None and (text := content.decode("utf-8-sig").strip()):
                prompts.setdefault(text, arm)
        except BadArchive as error:
            report.refuse(f"arm {arm}: {error}", kind=f"arm {arm}: texts that cannot be read")
        except UnicodeDecodeError:
            said = "is not UTF-8; save it as UTF-8"
            report.refuse(f"arm {arm}: the text beside {image.path} {said}", kind=f"arm {arm}: a text {said}")
    if len(prompts) > 1:
        arms = ", ".join(prompts.values())
        said = f"the texts beside its images differ between {arms}; a pair has one prompt"
        report.refuse(f"pair {key}: {said}", kind="pairs whose images have different texts")
    prompt = next(iter(prompts), "")
    if problem := text_problem(prompt):
        report.refuse(f"pair {key}: {problem}", kind="prompts that cannot be shown")
    return prompt


def _count(found: Mapping[str, PairDescription], pairs: Pairs, report: ImportReport) -> None:
    """Say how much was found, and which references have another shape or size than their pair."""
    report.prompts = sum(bool(one.prompt) for one in found.values())
    report.references = sum(one.reference is not None for one in found.values())
    shapes, sizes = [], []
    for key, one in found.items():
        if one.reference is None:
            continue
        image, reference = next(iter(pairs[key].values())), one.reference
        said = f"{key} ({reference.width}x{reference.height}, its images {image.width}x{image.height})"
        if abs(reference.width * image.height / (reference.height * image.width) - 1) > _SHAPE_SLACK:
            shapes.append(said)
        elif (reference.width, reference.height) != (image.width, image.height):
            sizes.append(said)
    if shapes:
        report.notes.append(
            f"{len(shapes)} reference(s) have another shape than their pair's images and are fitted into the same "
            f"frame: {_some(shapes)}"
        )
    if sizes:
        report.notes.append(
            f"{len(sizes)} reference(s) have another size than their pair's images and are scaled to it: {_some(sizes)}"
        )
