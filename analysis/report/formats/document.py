"""The report as a sequence of blocks, which HTML and PDF render alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from analysis.report.content.external_figures import INTERFACE, SAMPLE_PAIRS
from analysis.report.parts import wording
from analysis.report.parts.table import MOST_SHOWN, Table, shows_all

__all__ = ["FigureBlock", "Heading", "Paragraph", "TableBlock", "document"]


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 (the title) to 3; ``anchor`` is unique in the document."""

    text: str
    level: int = 2
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph: ``plain``, ``lead`` (the finding), ``warning`` (banner), ``note`` or ``quote`` (to copy)."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True)
class TableBlock:
    """A table in place."""

    table: Table


@dataclass(frozen=True)
class FigureBlock:
    """A figure in place, by its name."""

    name: str


Block = Heading | Paragraph | TableBlock | FigureBlock

_MADE_ELSEWHERE = (
    "What the arms' networks do, drawn from the networks and not from the votes; raters saw none of these figures. "
    "report.json holds the digest of each file."
)
_PROVENANCE = {
    "version": "Version of Blindpair",
    "commit": "Commit",
    "seed": "Seed of what is drawn",
    "plan_sha256": "SHA-256 of the plan of analysis",
}
_METRICS = "What the images are like, measured without raters: no measure of what people prefer."
_GIVEN: tuple[str, ...] = ("given figures",)  # Stands for the names of the figures made elsewhere, in their order.

# Section: title, what to read it for, names of its tables, names of its figures. A trailing * takes the numbered ones.
# The answer: the texts for the paper follow it.
_PREFERENCE = ("Preference", "", ("verdicts", "headline*", "counts"), ("votes*", "forest*"))
_RANKING = (
    "Ranking",
    "Ranks hold for all arms together; arms whose ranks overlap are not told apart.",
    ("strengths_bradley_terry",),
    ("strengths*", "win_matrix"),
)
_SECTIONS = (
    _RANKING,
    _PREFERENCE,
    (
        "Criteria",
        "The rest of the report is about the headline criterion.",
        ("criteria", "criteria_together", "criteria_checks"),
        (),
    ),
    (
        "Beyond the choice",
        "What raters said beside which image they prefer. The verdict rests on the direction of the choice alone.",
        ("acceptable", "grades*", "strength*", "reasons"),
        (),
    ),
    ("Design", "", ("design", "kept_out"), (INTERFACE, SAMPLE_PAIRS)),
    ("Flow of raters", "", ("planned", "flow"), ("flow",)),
    ("Who judged", "", ("composition",), ()),
    (
        "Display",
        "As the raters' browsers reported it. Below 1 device pixel to an image pixel, raters saw the image smaller.",
        ("display",),
        (),
    ),
    (
        "Position bias",
        "Raters who lean to one side add noise; where sides are not balanced they also add bias, which the adjusted "
        "rate removes.",
        ("position", "sides*"),
        ("sides",),
    ),
    (
        "Looking early",
        "The confidence sequence holds at every look at once, however the number of looks was chosen. It speaks for "
        "these pairs.",
        (),
        ("running",),
    ),
    (
        "Raters and pairs",
        "How far raters differ from each other, and pairs from each other.",
        (),
        ("raters", "pairs", "preference_by_difference"),
    ),
    ("Mixed models", "", ("model*", "ordinal*", "ties"), ()),
    ("Arms", "", ("arms",), ()),
    (
        "Image metrics",
        _METRICS,
        ("image_metric_differences", "image_metrics"),
        ("image_metric_differences", "image_metrics"),
    ),
    ("Images and gradients", _MADE_ELSEWHERE, (), _GIVEN),
    (
        "Several arms",
        "",
        ("tournament", "strengths_davidson", "strengths_thurstone_case_v", "contrasts", "win_matrix"),
        (),
    ),
    (
        "Classes",
        "",
        (
            "classes*",
            "tags*",
            "prompts*",
            "image_metric_differences_by_class",
            "image_metrics_by_class",
            "metric_correlations",
        ),
        ("classes", "image_metric_differences_by_class", "metric_against_preference"),
    ),
    ("Automatic judges", "", ("judges", "powered"), ("judge_scores*",)),
    ("Agreement and consistency", "", ("agreement", "consistency"), ()),
    ("Sensitivity", "", ("sensitivity",), ()),
    ("Careless answers", "", ("screening", "screened_raters"), ("response_times",)),
    (
        "Appendix: influence",
        "How much the conclusion rests on few votes, raters or pairs.",
        ("influence", "left_out"),
        (),
    ),
    ("Appendix: every estimator", "", ("methods*",), ()),
    ("Appendix: reporting checklist", "", ("checklist",), ()),
)


_MANY_COMPARISONS = (
    "The verdicts count all comparisons as one family; other p-values of a single comparison do not. Pages show the "
    "details of {arm} over {baseline}; the files and report.json hold those of the others."
)


def document(report: Mapping, tables: Sequence[Table], figure_names: Sequence[str]) -> list[Block]:
    """Return the blocks of the report.

    Parameters
    ----------
    report : mapping
        What ``build_report`` returned.
    tables : sequence of Table
        The tables of :func:`~analysis.report.tables.all_tables`.
    figure_names : sequence of str
        The figures that were drawn; only these appear, and those of ``report["figures"]``.
    """
    given = [figure["name"] for figure in report["figures"]]
    seen = [name for name in given if name in (INTERFACE, SAMPLE_PAIRS)]
    given, figure_names = [name for name in given if name not in seen], [*figure_names, *seen]
    by_name = {table.name: table for table in tables if table.longest}
    blocks: list[Block] = [Heading(title(report), level=1, anchor="top")]
    warnings = (wording.simulated_warning(report["data"]), wording.pooling_warning(report["data"]))
    blocks += [Paragraph(warning, "warning") for warning in warnings if warning]
    blocks.append(Paragraph(report["text"]["lead"], "lead"))
    blocks += [Paragraph(text, "note") for text in [report["text"]["influence"]] if text]
    if shows_all(report):
        blocks += [Paragraph(text) for text in report["text"]["findings"][1:]]
    for section in _SECTIONS:
        heading, opening, table_names, drawn = section
        content: list[Block] = [TableBlock(by_name[name]) for name in _matching(table_names, by_name)]
        content += [FigureBlock(name) for name in (given if drawn is _GIVEN else _matching(drawn, figure_names))]
        if content:
            blocks.append(Heading(heading, anchor=_anchor(heading)))
            blocks += [Paragraph(opening)] if opening else []
            blocks += [Paragraph(text) for text in report["text"]["image_metrics"][:MOST_SHOWN] if opening is _METRICS]
            blocks += content
        if section is _PREFERENCE:
            if not shows_all(report):
                blocks.append(Paragraph(_MANY_COMPARISONS.format_map(report["comparisons"][0]), "note"))
            blocks += _for_the_paper(report)
    return blocks + _provenance(report)


def title(report: Mapping) -> str:
    """Return the report's title."""
    study = report["study"].get("title") or ", ".join(report["data"]["studies"])
    return f"Blind preference report: {study}" if study else "Blind preference report"


def _matching(wanted: Sequence[str], names: Collection[str]) -> list[str]:
    found = []
    for pattern in wanted:
        stem = pattern.rstrip("*")
        numbered = [name for name in names if pattern.endswith("*") and name.removeprefix(stem + "_").isdigit()]
        found += [stem] * (stem in names) + sorted(numbered, key=lambda name: int(name.rpartition("_")[2]))
    return found


def _anchor(heading: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in heading.lower())


def _for_the_paper(report: Mapping) -> list[Block]:
    blocks: list[Block] = [Heading("For the paper", level=2, anchor="for-the-paper")]
    shown = report["text"]["sentences"] if shows_all(report) else report["text"]["sentences"][:1]
    blocks += [Paragraph(text, "quote") for text in shown]
    return [
        *blocks,
        Heading("Methods paragraph", level=3, anchor="methods"),
        Paragraph(report["text"]["methods"], "quote"),
    ]


def _provenance(report: Mapping) -> list[Block]:
    data = report["data"]
    blocks: list[Block] = [Heading("Provenance", anchor="provenance")]
    known = report["provenance"]
    facts = {_PROVENANCE.get(key, wording.key_in_words(key)): value for key, value in known.items()}
    facts[f"SHA-256 of the votes ({data['sha256_of']})"] = data["sha256"]
    if data["source"]:
        facts["File of votes"] = data["source"]
    shown = {name: wording.fact(value) or wording.NOT_STATED for name, value in facts.items()}
    blocks += [Paragraph(f"{name}: {value}", "note") for name, value in shown.items()]
    return blocks
