"""The numbered faults of the issue on conclusions, each as votes and what the report must say of them."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.planning.simulation import Scenario, simulate_votes
from analysis.report import build_report
from analysis.report.formats.text_files import render_json
from analysis.report.parts.prose import ties_offered
from analysis.votes.reading import votes_from_rows
from analysis.votes.writing import write_votes
from tests.analysis.vote_rows import study_rows, vote_row
from tests.analysis.votes_factory import make_table


def votes(choose, *, raters=24, pairs=20, arms=("robust", "vanilla"), **extra):
    """A table of raters x pairs; ``choose`` takes rater, pair and whether the first arm stands left."""
    rows, columns = [], {name: [] for name in extra}
    for rater in range(raters):
        for pair in range(pairs):
            is_left = (rater + pair) % 2 == 0
            names = arms if is_left else arms[::-1]
            rows.append((f"r{rater:02d}", f"p{pair:02d}", *names, choose(rater, pair, is_left)))
            for name, value in extra.items():
                columns[name].append(value(rater, pair))
    return make_table(rows, **{name: np.array(column, dtype=object) for name, column in columns.items()})


def preferring(rng, chance):
    """Choose the first arm with a chance that may depend on rater and pair."""

    def choose(rater, pair, is_left):
        return "left" if (rng.random() < chance(rater, pair)) == is_left else "right"

    return choose


def test_raters_who_always_press_left_conclude_nothing():
    """Line 1.3: they gave "the arms are equivalent within 5 points, p = 0.018" without a warning."""
    rng = np.random.default_rng(1)
    hurried = votes(lambda rater, pair, is_left: "right" if rng.random() < 0.02 else "left")
    report = build_report(hurried, plan={"margin": 0.05})
    assert (report["verdict"]["kind"], report["verdict"]["case"]) == ("not_interpretable", "screening")
    for text in (report["text"]["lead"], report["text"]["sentences"][0]):
        assert "24 of 24 raters are flagged for careless answers" in text
        assert "equivalent" not in text


def test_equal_arms_within_the_margin_are_called_equivalent():
    """Line 1.3: the lead never looked at the margin of the plan."""
    table = simulate_votes(Scenario(raters=120, pairs=150, preference=0.5, sd_rater=0.1, sd_pair=0.1, seed=2))
    report = build_report(table, plan={"margin": 0.05})
    assert report["verdict"]["kind"] == "equivalent"
    assert "are equivalent within the planned margin of ±5 points" in report["text"]["lead"]
    assert "do not settle" not in report["text"]["lead"]
    assert build_report(table)["verdict"]["kind"] == "undecided"


def test_the_lead_of_many_arms_is_the_winner_and_counts_the_family():
    """Line 1.4: the lead was the alphabetically first pair of arms, each comparison by itself."""
    strengths = {"a": 0.0, "b": 0.1, "z": 1.6}
    table = simulate_votes(Scenario(raters=40, pairs=60, strengths=strengths, sd_rater=0.2, sd_pair=0.2, seed=3))
    report = build_report(table)
    assert report["comparisons"][0]["arm"] == "z"
    assert report["verdict"]["family"] == {"scope": "all", "size": 3}
    assert report["text"]["lead"].startswith(
        "Of 3 arms z ranks first, by a model of all votes together. Single comparisons"
    )
    assert "adjusted for 3 comparisons" in report["text"]["lead"]
    for comparison in report["comparisons"]:
        verdict, headline = comparison["verdict"], comparison["headline"]
        assert verdict["p_adjusted"] == pytest.approx(min(1.0, 3 * headline["p_value"]))
        assert verdict["ci_simultaneous"][0] < headline["ci95"][0]


def test_the_primary_comparison_of_the_plan_is_tested_alone():
    table = simulate_votes(Scenario(raters=30, pairs=40, strengths={"a": 0.0, "b": 0.1, "c": 0.9}, seed=4))
    report = build_report(table, plan={"arm": "b", "baseline": "a"})
    first, second = report["comparisons"][:2]
    assert (first["arm"], first["baseline"]) == ("b", "a")
    assert first["verdict"]["family"] == {"scope": "primary", "size": 1}
    assert second["verdict"]["family"] == {"scope": "all", "size": 3}
    # Who asks for a direction on the command line has planned nothing.
    asked = build_report(table, arm="b", baseline="a")
    assert asked["comparisons"][0]["verdict"]["family"]["scope"] == "all"


def test_a_plan_of_any_number_of_looks_is_decided_by_the_confidence_sequence():
    """Line 1.5: confidence sequence [35, 78], headline p = .030, and the lead said "Raters preferred"."""
    table = simulate_votes(Scenario(raters=20, pairs=60, preference=0.64, sd_rater=0.3, sd_pair=0.3, seed=1))
    one, any_number = build_report(table), build_report(table, plan={"looks": "anytime"})
    sequence = any_number["comparisons"][0]["methods"]["confidence_sequence"]
    assert one["comparisons"][0]["headline"]["p_value"] < 0.05 < sequence["p_value"]
    assert (one["verdict"]["kind"], any_number["verdict"]["kind"]) == ("preferred", "undecided")
    assert any_number["verdict"]["ci_simultaneous"] == sequence["ci95"]
    assert "confidence sequence" in any_number["text"]["lead"]
    assert "Raters preferred" not in json.dumps(any_number["text"])


def test_a_planned_number_of_looks_binds_lead_and_sentence():
    """Line 1.5: ``looks: 5`` changed nothing."""
    table = simulate_votes(Scenario(raters=20, pairs=60, preference=0.56, sd_rater=0.3, sd_pair=0.3, seed=6))
    p_value = build_report(table)["comparisons"][0]["headline"]["p_value"]
    assert 0.0001 < p_value < 0.05
    early = build_report(table, plan={"looks": 5}, looks_taken=1)
    assert early["verdict"]["looks"] == {"basis": "group sequential", "look": 1, "planned": 5}
    assert early["verdict"]["kind"] == "undecided"
    assert early["verdict"]["p_adjusted"] > p_value
    for text in (early["text"]["lead"], early["text"]["sentences"][0]):
        assert "counting look 1 of 5" in text
    assert "alpha spending" in early["text"]["methods"]


@pytest.mark.parametrize(
    ("offered", "said"),
    [(True, "or a tie"), (False, "ties were not offered"), (None, "chose the left one or the right one.")],
)
def test_a_tie_is_named_only_where_it_could_be_chosen(offered, said):
    """Line 1.6: "or a tie" stood in the methods of studies that offered none."""
    rows = [row for row in study_rows() if row["choice"] != "tie"]
    plan = {} if offered is None else {"ties_offered": offered}
    report = build_report(votes_from_rows(rows).table, plan=plan)
    assert said in report["text"]["methods"]
    assert ("tie" in report["text"]["methods"]) == (offered is not None)
    assert ties_offered({**report, "plan": {}, "study": {"ties_offered": "no, forced choice"}}) is False


def test_opposite_classes_are_never_an_undecided_whole():
    """Line 1.6: five classes near 78 %, five near 24 %, and the lead said "do not settle"."""
    rng = np.random.default_rng(7)
    table = votes(
        preferring(rng, lambda rater, pair: 0.78 if pair % 10 < 5 else 0.24),
        pairs=60,
        class_label=lambda rater, pair: f"class {pair % 10}",
    )
    report = build_report(table)
    assert report["verdict"]["kind"] == "depends_on_group"
    assert "depends on the class: robust in 5 of 10 classes, vanilla in 5" in report["text"]["lead"]
    assert report["comparisons"][0]["headline"]["p_value"] > 0.05


def test_opposite_sites_are_told_too():
    rng = np.random.default_rng(8)
    table = votes(
        preferring(rng, lambda rater, pair: 0.8 if rater % 2 else 0.2),
        pairs=40,
        site=lambda rater, pair: f"site {rater % 2}",
    )
    assert "depends on the site" in build_report(table)["text"]["lead"]


def test_a_sure_but_tiny_preference_is_called_small():
    """Line 1.6: 10^6 votes at 50.3 % read "Raters preferred", with nothing on relevance."""
    rater, pair = np.divmod(np.arange(1_000_000), 1000)
    rng = np.random.default_rng(9)
    is_left = (rater + pair) % 2 == 0
    first = rng.random(len(rater)) < 0.503
    table = replace(
        make_table([("r", "p", "robust", "vanilla", "left")]),
        raters=tuple(f"r{n:04d}" for n in range(1000)),
        pairs=tuple(f"p{n:04d}" for n in range(1000)),
        rater=rater,
        pair=pair,
        arm_left=np.where(is_left, 0, 1),
        arm_right=np.where(is_left, 1, 0),
        choice=np.where(first == is_left, 0, 1).astype(np.int8),
    )
    from analysis.preference.rate import headline
    from analysis.verdict.decision import decide
    from analysis.verdict.evidence import Evidence
    from analysis.verdict.family import Family
    from analysis.verdict.looks import Looks

    evidence = Evidence(
        arm="robust", baseline="vanilla", headline=headline(table.comparison("robust", "vanilla")), raters=1000
    )
    options = {"family": Family(), "looks": Looks()}
    assert decide(evidence, margin=None, **options).case == "preferred, small"
    assert decide(evidence, margin=0.05, **options).kind == "preferred_within_margin"


def test_no_sentence_explains_a_lack_by_itself():
    """Line 1.6: "no interval is reported because no interval"."""
    report = build_report(votes_from_rows(study_rows(raters=1)).table)
    for text in (report["text"]["lead"], report["text"]["sentences"][0]):
        assert "only 1 rater" in text
        assert "no interval: " not in text
        assert "because no interval" not in text


@pytest.mark.parametrize("seed", range(3))
def test_no_note_denies_the_interval_that_it_stands_beside(seed):
    """Line 1.6: a table note "no interval" beside an interval."""
    table = simulate_votes(Scenario(raters=12, pairs=24, classes=4, sd_rater=0.2, sd_pair=0.1, seed=seed))
    found = [result for result in _results(build_report(table)) if result["ci95"] is not None]
    assert len(found) > 20
    assert [result for result in found if "no interval" in (result["reason"] or "")] == []


def _results(value):
    if isinstance(value, dict):
        if {"estimate", "ci95", "reason", "method"} <= value.keys():
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _results(inner)


def test_the_command_takes_the_plan_beside_the_votes(tmp_path, capsys):
    """Line 1.7: 28.0 % of the baseline stood where the platform had reported 72.0 % of the arm."""
    write_votes(study_rows(), tmp_path, formats=["csv"])
    (tmp_path / "plan.json").write_text(json.dumps({"arm": "vanilla", "baseline": "robust", "margin": 0.05}))
    assert main([str(tmp_path / "votes.csv"), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["verdict"]["arm"] == "vanilla"
    assert json.loads(captured.out)["verdict"]["margin"] == 0.05
    assert "plan.json" in captured.err
    assert main([str(tmp_path / "votes.csv"), "--json", "--alone"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["arm"] == "robust"


def test_command_line_and_python_give_the_same_report(tmp_path, capsys):
    write_votes(study_rows(), tmp_path, formats=["csv"])
    plan = {"looks": {"number": 3, "spending": "pocock"}, "margin": 0.1, "ties_offered": True}
    (tmp_path / "p.json").write_text(json.dumps(plan))
    assert main([str(tmp_path / "votes.csv"), "--json", "--plan", str(tmp_path / "p.json"), "--look", "2"]) == 0
    from_command = json.loads(capsys.readouterr().out)
    from_python = json.loads(render_json(build_report(votes_from_rows(study_rows()).table, plan=plan, looks_taken=2)))
    assert from_command["verdict"] == from_python["verdict"]
    assert from_command["comparisons"] == from_python["comparisons"]


def test_votes_that_exclusions_decide_say_so_in_the_lead():
    rng = np.random.default_rng(11)
    table = votes(preferring(rng, lambda rater, pair: 0.9 if rater < 8 else 0.5), pairs=30)
    excluded = np.array([int(table.raters[code][1:]) < 8 for code in table.rater])
    table = replace(table, extra={"excluded": excluded, "exclusion_reason": np.where(excluded, "by hand", "")})
    report = build_report(table)
    assert report["verdict"]["kind"] == "undecided"
    assert "With the excluded votes counted the verdict would be another: preferred: robust." in report["text"]["lead"]


def test_a_report_of_version_one_is_read_where_its_keys_were():
    report = build_report(votes_from_rows([vote_row(n, choice="left") for n in range(6)]).table)
    for key in ("comparisons", "position_bias", "agreement", "ranking", "screening", "sensitivity", "text"):
        assert key in report
    assert report["schema"] == "blindpair.report/2"
    assert {"findings", "sentences", "methods", "checklist"} <= report["text"].keys()


def by_rounds(chance, *, raters=24, pairs=20, arms=("a", "b", "c"), left_out=(), **extra):
    """Votes on every two of three arms, each with pairs of its own; ``chance`` is the first one's."""
    rng = np.random.default_rng(12)
    rows, columns = [], {name: [] for name in extra}
    for place, names in enumerate(names for names in itertools.combinations(arms, 2) if names not in left_out):
        for rater in range(raters):
            for pair in range(pairs):
                is_left = (rater + pair) % 2 == 0
                choice = "left" if (rng.random() < chance) == is_left else "right"
                shown = names if is_left else names[::-1]
                rows.append((f"r{rater:02d}", f"{place}{pair:02d}", *shown, choice))
                for name, value in extra.items():
                    columns[name].append(value)
    return make_table(rows, **{name: np.array(column) for name, column in columns.items()})


def test_a_few_votes_on_the_other_side_are_no_second_side():
    """One vote, and certain: the adjusted rate weighed it like all the others, 74 % where the votes gave 49 %."""
    rng = np.random.default_rng(13)
    rows = [
        (f"r{rater:02d}", f"p{pair:02d}", "robust", "vanilla", "left" if rng.random() < 0.5 else "right")
        for rater in range(12)
        for pair in range(12)
    ]
    for more in (1, 2, 3):
        added = [(f"r{rater:02d}", f"q{rater}", "vanilla", "robust", "right") for rater in range(more)]
        report = build_report(make_table([*rows, *added]))
        assert report["verdict"]["case"] == "unbalanced sides"
        assert "robust nearly always stood on the same side" in report["text"]["lead"]
        assert report["verdict"]["rate"] < 0.6
    mixed = [(f"r{rater:02d}", f"q{rater}", "vanilla", "robust", ("left", "right")[rater % 2]) for rater in range(6)]
    few = build_report(make_table([*rows, *mixed]))
    assert few["verdict"]["kind"] == "undecided"
    assert "Caution: only 6 raters and 6 pairs with the arm on the right: fewer than 10" in few["text"]["lead"]


def test_sides_that_nobody_recorded_are_not_one_side():
    """Sets of chosen and rejected read "robust always stood on the same side", whatever the votes."""
    rng = np.random.default_rng(14)
    table = votes(preferring(rng, lambda rater, pair: 0.7))
    unknown = replace(table, extra={"sides_unknown": np.ones(len(table), dtype=bool)})
    report = build_report(unknown)
    assert report["verdict"]["kind"] == "preferred"
    assert report["verdict"]["reasons"] == ["sides_unknown"]
    assert "Caution: nobody recorded which arm stood on which side" in report["text"]["lead"]
    assert "same side" not in json.dumps(report["text"])
    assert build_report(table)["verdict"]["reasons"] == []


def test_a_primary_comparison_without_votes_gives_its_place_to_no_other():
    report = build_report(by_rounds(0.6, left_out=[("a", "b")]), plan={"arm": "a", "baseline": "b"})
    first, *others = [comparison["verdict"] for comparison in report["comparisons"]]
    assert first["case"] == "no votes"
    assert [verdict["family"] for verdict in others] == [{"scope": "all", "size": 2}] * 2
    assert "The 2 comparisons are one family" in report["text"]["methods"]


def test_arms_found_equivalent_are_settled():
    report = build_report(by_rounds(0.5, raters=80, pairs=40), plan={"margin": 0.08})
    assert [comparison["verdict"]["kind"] for comparison in report["comparisons"]] == ["equivalent"] * 3
    assert "3 of 3 comparisons are settled" in report["text"]["lead"]


def test_careless_votes_rank_no_arm():
    report = build_report(by_rounds(0.8, response_ms=120.0))
    assert report["verdict"]["case"] == "screening"
    assert report["text"]["lead"].startswith("The 3 arms are not ranked here")
    for word in ("ranks first", "highest strength"):
        assert word not in report["text"]["lead"]


@pytest.mark.parametrize("looks", ["anytime", 5])
def test_no_rank_is_concluded_at_one_of_several_looks(looks):
    table = by_rounds(0.85)
    assert "a ranks first" in build_report(table)["text"]["lead"]
    report = build_report(table, plan={"looks": looks}, looks_taken=None if looks == "anytime" else 2)
    assert "ranks first" not in report["text"]["lead"]
    assert "ranks count one look alone" in report["text"]["lead"]


def test_arms_that_no_votes_join_are_said_to_fall_apart():
    both = [row for names in (("a", "b"), ("c", "d")) for row in _pair_of_arms(names)]
    lead = build_report(make_table(both))["text"]["lead"]
    assert "The 4 arms cannot be ranked together (no votes join the 2 groups into which they fall)" in lead


def _pair_of_arms(names):
    rng = np.random.default_rng(15)
    for rater in range(12):
        for pair in range(12):
            shown = names if (rater + pair) % 2 else names[::-1]
            yield f"r{rater:02d}", f"{names[0]}{pair:02d}", *shown, "left" if rng.random() < 0.5 else "right"


def test_a_sentence_for_a_paper_clusters_by_the_sites_that_the_interval_took():
    rng = np.random.default_rng(16)
    table = votes(preferring(rng, lambda rater, pair: 0.7), site=lambda rater, pair: f"site {rater % 12}")
    assert "two-way clustered over sites and pairs" in build_report(table)["text"]["sentences"][0]


def test_several_criteria_without_a_plan_are_told_once_and_counted_by_what_was_compared():
    rows = [
        (*row[:2], *row[2:], key)
        for key in ("overall", "detail", "fit")
        for names in itertools.combinations("abc", 2)
        for row in _pair_of_arms(names)
        if key != "fit" or row[0] < "r04"
    ]
    table = make_table([row[:5] for row in rows], criterion=np.array([row[5] for row in rows], dtype=object))
    report = build_report(table, criterion="overall")
    assert "0 of 3 comparisons are settled" in report["text"]["lead"]
    assert report["text"]["methods"].count("one family") == 1
    # What qualifies the verdict by another criterion stands beside it.
    by_fit = report["text"]["lead"].partition("By fit: ")[2]
    assert "Caution: only 4 raters" in by_fit


def test_of_arms_alike_none_is_said_to_have_the_highest_strength():
    rows = [
        (f"r{rater:02d}", f"{one}{pair:02d}", *((one, other) if (rater + pair) % 2 else (other, one)), choice)
        for one, other in itertools.combinations("abc", 2)
        for rater in range(12)
        for pair in range(12)
        for choice in [("left", "right")[(rater // 2 + pair // 2) % 2]]
    ]
    lead = build_report(make_table(rows))["text"]["lead"]
    assert lead.startswith("Of 3 arms 3 have the same, the highest strength (a, b, c); 0 of 3 comparisons")
