"""Rows of ``benchmarks/analysis.py``: every module here offers ``rows(table) -> list[Row]``."""
