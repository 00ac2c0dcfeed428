"""The report as files, all of them or none."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from analysis.inference.threads import on_one_blas_thread
from analysis.report.content.external_figures import MANIFEST, ExternalFigure, given_facts
from analysis.report.figures import figure_specs
from analysis.report.formats.document import document
from analysis.report.formats.html import render_html
from analysis.report.formats.latex import render_latex, render_latex_text
from analysis.report.formats.pdf import render_pdf
from analysis.report.formats.text_files import render_csv, render_json
from analysis.report.parts.figure import rendered
from analysis.report.parts.table import Table
from analysis.report.tables import all_tables, estimate_table
from analysis.votes.selection import select_votes
from analysis.votes.table import VoteTable

__all__ = ["FORMATS", "write_report"]

FORMATS = ("json", "html", "pdf", "tables", "figures")
# Which files of each figure a format needs.
_DRAWN = {"html": ("svg",), "pdf": ("png",), "figures": ("svg", "pdf", "png")}


@on_one_blas_thread
def write_report(
    report: Mapping,
    table: VoteTable,
    out_dir: str | Path,
    formats: Iterable[str] = FORMATS,
    *,
    figures: Sequence[ExternalFigure] = (),
) -> list[Path]:
    """Write the files of a report into a folder.

    Everything is written beside the folder first and moved in once it is whole; a file that stood there under the same
    name is replaced, others stay. Same votes and seed, same bytes.

    Parameters
    ----------
    report : mapping
        What ``build_report`` returned for ``table``.
    table : VoteTable
        The votes; figures show them vote by vote.
    out_dir : str or Path
        The folder; made when missing.
    formats : iterable of str
        ``json`` (report.json), ``html`` (report.html), ``pdf`` (report.pdf), ``tables`` (tables/*.csv, *.tex and
        text.tex), ``figures`` (figures/*.svg, *.pdf, *.png).
    figures : sequence of ExternalFigure
        The figures that ``report`` was built with.

    Returns
    -------
    list of Path
        The files, sorted.

    Raises
    ------
    ValueError
        If a format is unknown, or the figures are not those of the report.
    """
    formats = frozenset(formats)
    unknown = sorted(formats - set(FORMATS))
    if unknown or not formats:
        raise ValueError(f"formats is {sorted(formats)!r}; name one or more of {', '.join(FORMATS)}")
    if given_facts(figures) != report["figures"]:
        raise ValueError("the figures are not those of the report; build it with those it is written with")
    files = _contents(report, table, formats, figures)
    out_dir = Path(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    scratch = out_dir.parent / f".{out_dir.name}-{uuid.uuid4().hex}"
    try:
        for name, content in files.items():
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _move(scratch, out_dir, files)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return sorted(out_dir / name for name in files)


def _move(scratch: Path, out_dir: Path, names: Iterable[str]) -> None:
    if not out_dir.exists():
        os.replace(scratch, out_dir)
        return
    for name in names:
        (out_dir / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(scratch / name, out_dir / name)


def _contents(
    report: Mapping, table: VoteTable, formats: frozenset[str], figures: Sequence[ExternalFigure]
) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if "json" in formats:
        files["report.json"] = render_json(report).encode()
    tables = all_tables(report)
    if "tables" in formats:
        for entry in [*tables, estimate_table(report)]:
            files[f"tables/{entry.name}.csv"] = render_csv(entry).encode()
        for entry in tables:
            if entry.is_listing and not entry.longest:
                continue
            files[f"tables/{entry.name}.tex"] = render_latex(entry).encode()
        files["text.tex"] = render_latex_text(report["text"]).encode()
    if formats & _DRAWN.keys():
        files |= _drawn(report, table, tables, formats, given={figure.name: figure for figure in figures})
    return files


def _drawn(
    report: Mapping,
    table: VoteTable,
    tables: Sequence[Table],
    formats: frozenset[str],
    *,
    given: Mapping[str, ExternalFigure],
) -> dict[str, bytes]:
    """Return the files that need figures; each figure is drawn once, in the formats that are asked for."""
    kinds = tuple(dict.fromkeys(kind for name in _DRAWN if name in formats for kind in _DRAWN[name]))
    specs = {spec.name: spec for spec in figure_specs(report, select_votes(table))}
    if taken := sorted(specs.keys() & given.keys()):
        raise ValueError(f"the report draws {', '.join(taken)} itself; leave it out of the given figures")
    drawn = {name: rendered(spec, kinds) for name, spec in specs.items()}
    shown = {name: (figure, figure.files["png"]) for name, figure in given.items()}
    blocks = document(report, tables, list(specs))
    files: dict[str, bytes] = {}
    if "figures" in formats:
        files |= {f"figures/{name}.{kind}": drawn[name][kind] for name in specs for kind in _DRAWN["figures"]}
        files |= _given_files(report, given)
    if "html" in formats:
        inline = {name: (spec, drawn[name]["svg"]) for name, spec in specs.items()}
        files["report.html"] = render_html(blocks, inline | shown).encode()
    if "pdf" in formats:
        pixels = {name: (spec, drawn[name]["png"]) for name, spec in specs.items()}
        files["report.pdf"] = render_pdf(report, blocks, pixels | shown)
    return files


def _given_files(report: Mapping, given: Mapping[str, ExternalFigure]) -> dict[str, bytes]:
    """Return the files of given figures and the list that lets ``python -m analysis --figures`` read them again."""
    if not given:
        return {}
    files = {f"figures/{name}.{kind}": given[name].files[kind] for name in given for kind in sorted(given[name].files)}
    return files | {f"figures/{MANIFEST}": render_json({"figures": report["figures"]}).encode()}
