"""Figures made elsewhere in the report, and image metrics by class."""

import base64
import json
import re
from html import unescape

import pikepdf
import pytest

from analysis.__main__ import main
from analysis.report import build_report, write_report
from analysis.report.content.external_figures import ExternalFigure, read_figures
from analysis.report.figures import figure_specs
from analysis.report.tables import all_tables
from analysis.votes.reading import votes_from_rows
from analysis.votes.selection import select_votes
from tests.analysis.vote_rows import study_rows
from tests.factories import make_png

PNG = make_png(1)


def _pictures(path) -> int:
    """Return how many pixel images the pages of a PDF hold; the report's own figures are vectors."""
    with pikepdf.open(path) as pdf:
        return sum(entry.get("/Subtype") == "/Image" for entry in pdf.objects if isinstance(entry, pikepdf.Stream))


def _figure(name: str = "matched_pairs", **changes) -> ExternalFigure:
    texts = {"title": "Pairs <same> noise (n = 8 classes)", "description": 'Rows: vanilla, "robust".'}
    return ExternalFigure(**{"name": name, **texts, "files": {"png": PNG, "svg": b"<svg/>"}, **changes})


@pytest.fixture(scope="module")
def table():
    return votes_from_rows(study_rows()).table


def test_a_given_figure_stands_in_page_and_files_with_caption_alt_text_and_digest(table, tmp_path):
    figures = [_figure(), _figure("class_gradients")]
    report = build_report(table, figures=figures)
    write_report(report, table, tmp_path / "out", figures=figures)
    page = (tmp_path / "out" / "report.html").read_text()
    alt, data = re.search(r'<img [^>]*alt="([^"]+)" src="data:image/png;base64,([^"]+)"', page).groups()
    assert (unescape(alt), base64.b64decode(data)) == ('Rows: vanilla, "robust".', PNG)
    assert "Pairs &lt;same&gt; noise (n = 8 classes).</figcaption>" in page
    assert page.index('id="figure-matched_pairs"') < page.index('id="figure-class_gradients"')
    assert 'href="#images-and-gradients"' in page
    assert "img-src data:" in page
    assert read_figures(tmp_path / "out" / "figures") == figures
    assert json.loads((tmp_path / "out" / "report.json").read_text())["figures"] == report["figures"]


def test_same_votes_and_figures_give_the_same_bytes_and_the_pdf_holds_the_picture(table, tmp_path):
    for name, figures in (("one", [_figure()]), ("two", [_figure()]), ("none", [])):
        write_report(build_report(table, figures=figures), table, tmp_path / name, ("html", "pdf"), figures=figures)
    for file in ("report.html", "report.pdf"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert [_pictures(tmp_path / name / "report.pdf") for name in ("one", "none")] == [1, 0]
    assert "images-and-gradients" not in (tmp_path / "none" / "report.html").read_text()


def test_figures_that_are_not_the_reports_are_refused(table, tmp_path):
    report = build_report(table, figures=[_figure()])
    with pytest.raises(ValueError, match="not those of the report"):
        write_report(report, table, tmp_path / "out")
    votes = [_figure("votes")]
    with pytest.raises(ValueError, match="draws votes itself"):
        write_report(build_report(table, figures=votes), table, tmp_path / "out", figures=votes)
    with pytest.raises(ValueError, match="one name"):
        build_report(table, figures=[_figure(), _figure()])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../up"}, "small letters"),
        ({"title": " "}, "title and a description"),
        ({"files": {"svg": b"<svg/>"}}, "no PNG"),
        ({"files": {"png": b"GIF89a"}}, "no PNG"),
        ({"files": {"png": PNG, "exe": b""}}, "format exe"),
    ],
)
def test_what_is_no_figure_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _figure(**changes)


@pytest.mark.parametrize("text", ["{}", "[1]", "{", '{"figures": [{"name": "a"}]}', '{"figures": [{"name": "../a"}]}'])
def test_a_folder_without_a_list_of_figures_is_refused(tmp_path, text):
    (tmp_path / "figures.json").write_text(text)
    with pytest.raises(ValueError, match=r"figures\.json"):
        read_figures(tmp_path)


def test_the_command_line_takes_figures_metrics_and_distances_from_files(tmp_path, capsys):
    votes = tmp_path / "votes.csv"
    rows = list(study_rows())
    votes.write_text(
        "\n".join(
            ",".join(str(row.get(key, "")) for key in rows[0])
            for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]
        )
    )
    (tmp_path / "matched_pairs.png").write_bytes(PNG)
    listed = [{"name": "matched_pairs", "title": "Pairs", "description": "Rows"}]
    (tmp_path / "figures.json").write_text(json.dumps({"figures": listed}))
    labels = sorted({row["class_label"] for row in rows})
    (tmp_path / "metrics.json").write_text(json.dumps({"arms": {}, "per_class": _by_class(labels)}))
    out = tmp_path / "out"
    options = ["--figures", str(tmp_path), "--image-metrics", str(tmp_path / "metrics.json")]
    assert main([str(votes), "--out", str(out), *options]) == 0
    assert {"matched_pairs.png", "metric_against_preference.svg"} <= {path.name for path in (out / "figures").iterdir()}
    assert (out / "tables" / "image_metrics_by_class.csv").is_file()
    distances = {pair: 0.01 * place for place, pair in enumerate(sorted({row["pair"] for row in rows}))}
    (tmp_path / "distances.json").write_text(json.dumps(distances))
    assert main([str(votes), "--out", str(out), "--pair-distances", str(tmp_path / "distances.json")]) == 0
    groups = json.loads((out / "report.json").read_text())["preference_by_difference"]
    assert [group["n_pairs"] for group in groups] == [10, 10, 10]
    assert [group["distance"] for group in groups] == sorted(group["distance"] for group in groups)
    assert "preference_by_difference.svg" in {path.name for path in (out / "figures").iterdir()}
    assert 'id="figure-preference_by_difference"' in (out / "report.html").read_text()
    (tmp_path / "matched_pairs.png").unlink()
    assert main([str(votes), "--out", str(out), *options]) == 2
    assert "no PNG" in capsys.readouterr().err


def _metric(value, reason=None):
    features = {"name": "classifier:judge", "sha256": "ab" * 32}
    return {"value": value, "ci95": None, "n": 60, "n_reference": 170, "features": features, "reason": reason}


def _by_class(labels) -> dict:
    few = _metric(None, "60 images are too few")
    return {
        arm: {label: {"kid": _metric(scale * (i + 1)), "frechet_distance": few} for i, label in enumerate(labels)}
        for arm, scale in (("robust", 0.1), ("vanilla", 0.3))
    }


def test_metrics_by_class_get_a_table_and_a_figure_against_preference(table):
    labels = sorted({row["class_label"] for row in study_rows()})
    report = build_report(table, image_metrics_by_class=_by_class(labels), arm="robust", baseline="vanilla")
    found = {entry.name: entry for entry in all_tables(report)}["image_metrics_by_class"]
    assert [row["class_label"] for row in found.rows] == sorted(labels, key=lambda label: (len(label), label))
    assert (found.rows[0]["value_0"], found.rows[0]["value_1"]) == (0.1, 0.3)
    assert "60 images are too few" in found.note
    specs = {spec.name: spec for spec in figure_specs(report, select_votes(table))}
    spec = specs["metric_against_preference"]
    assert f"n = {len(labels)} classes" in spec.title
    assert f"{labels[0]}: " in spec.description
    assert "-0.2" in spec.description


def test_one_class_alone_makes_no_figure_against_preference(table):
    label = next(iter(study_rows()))["class_label"]
    report = build_report(table, image_metrics_by_class=_by_class([label]))
    assert "metric_against_preference" not in {spec.name for spec in figure_specs(report, select_votes(table))}
