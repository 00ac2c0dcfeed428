"""The report as files: each format by itself, so that one that fails costs none of the others."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from analysis.inference.blas_threads import on_one_blas_thread
from analysis.report.content.external_figures import MANIFEST, ExternalFigure, ReadyFigures, given_facts
from analysis.report.figures import figure_specs
from analysis.report.formats.document import document
from analysis.report.formats.html import render_html
from analysis.report.formats.latex import render_latex, render_latex_text
from analysis.report.formats.pdf import render_pdf
from analysis.report.formats.text_files import render_csv, render_json
from analysis.report.parts.figure import FigureSpec, rendered
from analysis.report.parts.table import Table
from analysis.report.parts.titles import titled, titled_votes
from analysis.report.tables import all_tables, estimate_table
from analysis.votes.criteria import by_criterion
from analysis.votes.selection import select_votes
from analysis.votes.table import VoteTable

__all__ = ["FORMATS", "IncompleteReportError", "write_report"]

FORMATS = ("json", "html", "pdf", "tables", "figures")
# Which files of each figure a format needs.
_DRAWN = {"html": ("svg",), "pdf": ("svg",), "figures": ("svg", "pdf", "png")}


class IncompleteReportError(RuntimeError):
    """Some of a report's formats or figures could not be made; the others are written. Remove the cause and run again.

    Parameters
    ----------
    written : list of Path
    failures : dict of str to Exception
        By format (``pdf``) or figure (``figure votes``).
    """

    def __init__(self, written: list[Path], failures: dict[str, Exception]) -> None:
        self.written, self.failures = written, failures
        told = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in failures.items())
        super().__init__(f"{len(written)} files are written, but not all could be made ({told})")


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
    IncompleteReportError
        If a format or a figure cannot be made; all the others are written by then.
    """
    formats = frozenset(formats)
    unknown = sorted(formats - set(FORMATS))
    if unknown or not formats:
        raise ValueError(f"formats is {sorted(formats)!r}; name one or more of {', '.join(FORMATS)}")
    if given_facts(figures) != report["figures"]:
        raise ValueError("the figures are not those of the report; build it with those it is written with")
    files, failures = _contents(report, table, formats, figures)
    out_dir = Path(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    scratch = out_dir.parent / f".{out_dir.name}-{uuid.uuid4().hex}"
    try:
        for name, content in files.items():
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if files:
            _move(scratch, out_dir, files)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    written = sorted(out_dir / name for name in files)
    if failures:
        raise IncompleteReportError(written, failures)
    return written


def _move(scratch: Path, out_dir: Path, names: Iterable[str]) -> None:
    if not out_dir.exists():
        os.replace(scratch, out_dir)
        return
    for name in names:
        (out_dir / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(scratch / name, out_dir / name)


def _contents(
    report: Mapping, table: VoteTable, formats: frozenset[str], figures: Sequence[ExternalFigure]
) -> tuple[dict[str, bytes], dict[str, Exception]]:
    """Return the files, and what failed by its name; each format is made apart, so that none costs the others."""
    shown = titled(report)
    if (criteria := report.get("criteria")) is not None:
        table = by_criterion(table, criteria["headline"])
    drawing = _Drawing(shown, titled_votes(table, report), formats, {figure.name: figure for figure in figures})
    drawing.check_names()
    makers: dict[str, Callable[[], dict[str, bytes]]] = {
        "json": lambda: {"report.json": render_json(report).encode()},
        "tables": lambda: _table_files(report, shown, drawing.tables),
        "figures": drawing.figure_files,
        "html": lambda: {"report.html": render_html(drawing.blocks, drawing.pictures("svg")).encode()},
        "pdf": lambda: {"report.pdf": render_pdf(shown, drawing.blocks, drawing.pictures("svg"))},
    }
    files: dict[str, bytes] = {}
    failures: dict[str, Exception] = {}
    for name in (name for name in makers if name in formats):
        try:
            files |= makers[name]()
        except Exception as error:  # whatever it is, the other formats are written before it is raised
            failures[name] = error
    return files, failures | drawing.failures


def _table_files(report: Mapping, shown: Mapping, tables: Sequence[Table]) -> dict[str, bytes]:
    named = tables if shown is report else all_tables(report)
    files = {f"tables/{entry.name}.csv": render_csv(entry).encode() for entry in [*named, estimate_table(report)]}
    for entry in tables:
        if entry.is_listing and not entry.longest:
            continue
        files[f"tables/{entry.name}.tex"] = render_latex(entry).encode()
    return files | {"text.tex": render_latex_text(shown["text"]).encode()}


class _Drawing:
    """What several formats share: tables, blocks and figures, each figure drawn once in the formats asked for."""

    def __init__(
        self, report: Mapping, table: VoteTable, formats: frozenset[str], given: Mapping[str, ExternalFigure]
    ) -> None:
        self.report, self.votes, self.given = report, table, given
        self.kinds = tuple(dict.fromkeys(kind for name in _DRAWN if name in formats for kind in _DRAWN[name]))
        self.failures: dict[str, Exception] = {}

    @cached_property
    def tables(self) -> list[Table]:
        return all_tables(self.report)

    @cached_property
    def specs(self) -> dict[str, FigureSpec]:
        return {spec.name: spec for spec in figure_specs(self.report, select_votes(self.votes))} if self.kinds else {}

    @cached_property
    def drawn(self) -> dict[str, dict[str, bytes]]:
        """The figures that could be drawn; the others are among the failures."""
        found = {}
        for name, spec in self.specs.items():
            try:
                found[name] = rendered(spec, self.kinds)
            except Exception as error:  # a report without one figure is better than none
                self.failures[f"figure {name}"] = error
        return found

    @cached_property
    def blocks(self) -> list:
        return document(self.report, self.tables, list(self.drawn))

    def check_names(self) -> None:
        """Refuse given figures under the names of those that the report draws."""
        if self.given and (taken := sorted(self.specs.keys() & self.given.keys())):
            raise ValueError(f"the report draws {', '.join(taken)} itself; leave it out of the given figures")

    def pictures(self, kind: str) -> ReadyFigures:
        given: ReadyFigures = {name: (figure, figure.files["png"]) for name, figure in self.given.items()}
        return {**{name: (self.specs[name], files[kind]) for name, files in self.drawn.items()}, **given}

    def figure_files(self) -> dict[str, bytes]:
        files = {f"figures/{name}.{kind}": self.drawn[name][kind] for name in self.drawn for kind in _DRAWN["figures"]}
        return files | _given_files(self.report, self.given)


def _given_files(report: Mapping, given: Mapping[str, ExternalFigure]) -> dict[str, bytes]:
    """Return the files of given figures and the list that lets ``python -m analysis --figures`` read them again."""
    if not given:
        return {}
    files = {f"figures/{name}.{kind}": given[name].files[kind] for name in given for kind in sorted(given[name].files)}
    return files | {f"figures/{MANIFEST}": render_json({"figures": report["figures"]}).encode()}
