"""Everything a reviewer needs of a study, as one zip."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.pairs.columns import PAIR_COLUMNS
from survey.canonical import canonical_json
from survey.models import Exclusion, PairImage, Study
from survey.reports.heds import heds_text
from survey.reports.preregistration import preregistration_text
from survey.reports.raters import rater_columns
from survey.reports.report import report_write, vote_columns
from survey.selectors.version import version_current
from survey.selectors.vote import vote_showings
from survey.services.records.audit import audit_lines
from survey.services.study.version import manifest_lines

__all__ = ["report_bundle"]

if TYPE_CHECKING:
    from analysis.votes.columns import Field


def report_bundle(study: Study, out: Path, *, is_pilot: bool = False, seed: int = 0) -> dict:
    """Write the report and everything it can be checked with; return the report.

    Beside the report: votes, raters and pairs with their data package and dictionary, how each trial was shown, the
    frozen versions, the manifest of pairs with digests and recipes, the ledger of exclusions, the log, and one zip of
    it all.
    """
    out.mkdir(parents=True, exist_ok=True)
    report = report_write(study, out, is_pilot=is_pilot, seed=seed)
    header = ["table", "name", "type", "unit", "allowed", "description"]
    tables = (("votes", vote_columns(study)), ("raters", rater_columns(study)), ("pairs", PAIR_COLUMNS))
    entries = [_entry(name, column) for name, columns in tables for column in columns]
    _write_csv(out / "data_dictionary.csv", header, entries)
    with (out / "showings.jsonl").open("wb") as file:
        file.writelines(canonical_json(line) + b"\n" for line in vote_showings(study, is_pilot=is_pilot))
    for version in study.versions.order_by("number"):
        (out / f"version-{version.number}.json").write_bytes(canonical_json(version.config))
        (out / f"preregistration-{version.number}.md").write_text(preregistration_text(version), encoding="utf-8")
        (out / f"heds-{version.number}.json").write_text(heds_text(version), encoding="utf-8")
    with (out / "manifest.jsonl").open("wb") as file:
        file.writelines(manifest_lines(study, version_current(study)))
    with (out / "recipes.jsonl").open("wb") as file:
        images = PairImage.objects.filter(pair__study=study).order_by("pair__key", "arm__name")
        for key, arm, sha256, recipe in images.values_list("pair__key", "arm__name", "sha256", "recipe").iterator():
            line = {"key": key, "arm": arm, "sha256": sha256, "recipe": recipe}
            file.write(canonical_json(line) + b"\n")
    names = [
        "session_id",
        "rule",
        "rule_version",
        "reason",
        "made_by",
        "made_at",
        "revoked_at",
        "revoked_by",
        "revoke_reason",
    ]
    ledger = Exclusion.objects.filter(session__version__study=study).order_by("pk")
    ledger = ledger.select_related("made_by", "revoked_by")
    _write_csv(out / "exclusions.csv", names, [[getattr(row, name) for name in names] for row in ledger])
    with (out / "log.jsonl").open("wb") as file:
        file.writelines(audit_lines(study))
    # Last: it packs all that lies in the folder.
    _zip(out, out / "bundle.zip")
    return report


def _entry(table: str, column: Field) -> list[str]:
    allowed = " | ".join(filter(None, column.allowed))
    return [table, column.name, column.kind, column.unit or "", allowed, column.description]


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([["" if cell is None else cell for cell in row] for row in rows])


def _zip(folder: Path, target: Path) -> None:
    """Pack a folder with fixed times, so that the same files give the same archive."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != target):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
