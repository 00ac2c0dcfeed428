"""Tables as LaTeX: each file goes into a paper by \\input and also compiles alone."""

from __future__ import annotations

import unicodedata

from analysis.report.tables.spec import Table

__all__ = ["escape_latex", "render_latex"]

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
    "\u2026": r"\ldots{}",
    "\u2013": "--",
    "\u2014": "---",
    "-": "{-}",
}
_LONG_ROWS = 30

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


def escape_latex(text: str) -> str:
    """Return a text that typesets as itself, whatever a user wrote.

    Latin letters stay; what pdfLaTeX has no glyph for becomes ``[U+4E2D]`` there and the character under LuaLaTeX and
    XeLaTeX.
    """
    return "".join(_character(c) for c in unicodedata.normalize("NFC", " ".join(text.split(" "))))


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
    header = " & ".join(escape_latex(text) for text, _ in view.headers) + r" \\"
    rows = "".join(" & ".join(_cell(text) for text in cells) + " \\\\\n" for cells in view.rows)
    layout = _layout([is_text for _, is_text in view.headers])
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
    return _PREAMBLE + body + "\\if1\\blindpairalone\\end{document}\\fi\n"


def _layout(prose: list[bool]) -> str:
    width = {1: 0.42, 2: 0.3, 3: 0.26}.get(sum(prose), 0.18)
    return "".join(f">{{\\raggedright\\arraybackslash}}p{{{width}\\linewidth}}" if text else "r" for text in prose)


def _cell(text: str) -> str:
    text = escape_latex(text)
    # A cell that begins with [ would be read as the optional argument of the row break before it.
    return "{}" + text if text.startswith(("[", "*")) else text
