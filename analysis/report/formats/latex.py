"""Tables and texts as LaTeX: each file goes into a paper by \\input and also compiles alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from analysis.report.parts.table import Table, View

__all__ = ["escape_latex", "render_latex", "render_latex_text"]

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "\u2212": r"\ensuremath{-}",
    "\u00a0": "~",
    "\u00b1": r"\ensuremath{\pm}",
    "\u2026": r"\ldots{}",
    "\u2013": "--",
    "\u2014": "---",
    "-": "{-}",
    # Marks around a name from right to left: TeX sets it by itself.
    "\u2068": "",
    "\u2069": "",
}
# Rows that fit on a page; a longer table is set to break across pages.
_LONG_ROWS = 30
# Characters: of a column's name on one line, of a word in one piece.
_LONG_HEADER = 12
_SHORT_TEXT = 24
_LONG_WORD = 32

# Inside a document \@nodocument is \relax; at the top of a file of its own it is not.
_PREAMBLE = r"""% Needs booktabs, longtable, array, textcomp and T1 fonts when it is \input into a document.
\makeatletter
\ifx\@nodocument\relax\def\blindpairalone{0}\else\def\blindpairalone{1}\fi
\makeatother
\if1\blindpairalone
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[margin=1.5cm,landscape]{geometry}
\usepackage{textcomp,booktabs,longtable,array}
\begin{document}
\fi
\ifdefined\Umathcode\def\blindpairchar#1{\char"#1\relax}\else\def\blindpairchar#1{[U+#1]}\fi
"""
_END = "\\if1\\blindpairalone\\end{document}\\fi\n"


def escape_latex(text: str) -> str:
    """Return a text that typesets as itself, whatever a user wrote.

    Latin letters stay; what pdfLaTeX has no glyph for becomes ``[U+4E2D]`` there and the character under LuaLaTeX and
    XeLaTeX.
    """
    escaped = "".join(_character(c) for c in unicodedata.normalize("NFC", text))
    return escaped.replace("~\\%", "\\,\\%")


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if " " <= character <= "~" or "\u00c0" <= character <= "\u017e":
        return character
    if character.isspace():
        return " "
    if unicodedata.category(character).startswith("C"):
        return f"[U+{ord(character):04X}]"
    return f"\\blindpairchar{{{ord(character):04X}}}"


def render_latex(table: Table) -> str:
    """Return the file of one table: booktabs, caption and label, a longtable when it would not fit a page."""
    view = table.view(longest=table.longest if table.is_listing else None)
    header = " & ".join(_header(text, is_text) for text, is_text in view.headers) + r" \\"
    rows = "".join(" & ".join(_cell(text) for text in cells) + " \\\\\n" for cells in view.rows)
    layout = _layout(view)
    caption = escape_latex(". ".join([table.title, *(note.rstrip(".") for note in view.notes)]))
    label = f"\\label{{tab:blindpair-{table.name.replace('_', '-')}}}"
    if len(view.rows) > _LONG_ROWS:
        body = (
            f"\\begin{{longtable}}{{{layout}}}\n\\caption{{{caption}}}{label}\\\\\n\\toprule\n{header}\n\\midrule\n"
            f"\\endfirsthead\n\\toprule\n{header}\n\\midrule\n\\endhead\n{rows}\\bottomrule\n\\end{{longtable}}\n"
        )
    else:
        body = (
            f"\\begin{{table}}[ht]\n\\centering\\small\n\\caption{{{caption}}}{label}\n"
            f"\\begin{{tabular}}{{{layout}}}\n\\toprule\n{header}\n\\midrule\n{rows}\\bottomrule\n"
            "\\end{tabular}\n\\end{table}\n"
        )
    return _PREAMBLE + body + _END


def render_latex_text(text: Mapping) -> str:
    """Return the file of the sentences for the results section and the methods paragraph; ``text`` is the report's."""
    parts = [*(("results section", sentence) for sentence in text["sentences"]), ("methods section", text["methods"])]
    return _PREAMBLE + "".join(f"% For the {where}.\n{_prose(words)}\n\n" for where, words in parts) + _END


def _layout(view: View) -> str:
    """Return the columns: numbers to the right, short texts on one line, long ones as paragraphs."""
    longest = [max(map(len, column)) for column in zip(*view.rows, strict=True)] or [0] * len(view.headers)
    kinds = [
        "r" if not is_text else "l" if size <= _SHORT_TEXT else "p"
        for (_, is_text), size in zip(view.headers, longest, strict=True)
    ]
    width = {1: 0.42, 2: 0.3, 3: 0.26}.get(kinds.count("p"), 0.18)
    paragraph = f">{{\\raggedright\\arraybackslash}}p{{{width}\\linewidth}}"
    return "".join(paragraph if kind == "p" else kind for kind in kinds)


def _header(text: str, is_prose: bool) -> str:
    """Return a column's name; over numbers a long one is set on two lines, because such a column does not wrap."""
    breaks = [place for place, character in enumerate(text) if character == " "]
    if is_prose or len(text) <= _LONG_HEADER or not breaks:
        return escape_latex(text)
    middle = min(breaks, key=lambda place: abs(2 * place - len(text)))
    return f"\\shortstack[r]{{{escape_latex(text[:middle])}\\\\{escape_latex(text[middle + 1 :])}}}"


def _word(word: str) -> str:
    """TeX breaks no line within a hash: say where it may."""
    if len(word) <= _LONG_WORD or not word.isascii():
        return escape_latex(word)
    parts = (word[place : place + _LONG_WORD] for place in range(0, len(word), _LONG_WORD))
    return "\\allowbreak{}".join(map(escape_latex, parts))


def _prose(text: str) -> str:
    return " ".join(_word(word) for word in text.split(" "))


def _cell(text: str) -> str:
    text = _prose(text)
    # A cell that begins with [ would be read as the optional argument of the row break before it.
    return "{}" + text if text.startswith(("[", "*")) else text
