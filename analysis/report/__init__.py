"""The report of a study: :func:`build_report` computes it, :func:`write_report` puts it into files."""

from __future__ import annotations

from analysis.report.content.assemble import build_report
from analysis.report.formats.output import IncompleteReportError, write_report

__all__ = ["IncompleteReportError", "build_report", "write_report"]
