import json
import math
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import analysis.report
from analysis.report import build_report
from analysis.report.content.data import table_sha256
from analysis.report.formats.latex import render_latex
from analysis.report.formats.text_files import render_csv, render_json
from analysis.report.parts.wording import pooling_warning
from analysis.report.tables import all_tables
from analysis.votes.reading import votes_from_rows
from tests.analysis.vote_rows import study_rows, vote_row

SCHEMA = json.loads((Path(analysis.report.__file__).parent / "schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def table_of(rows):
    return votes_from_rows(rows).table


def renumbered(rows):
    """The same votes under trials of their own."""
    return [{**row, "trial": f"x{row['trial']}"} for row in rows]


def one_sided(count):
    return [vote_row(number, arm_left="robust", arm_right="vanilla") for number in range(count)]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(list(study_rows()), id="study"),
        pytest.param(list(study_rows(arms=("a", "b", "c"))), id="three arms"),
        pytest.param([], id="no votes"),
        pytest.param([vote_row(1)], id="one vote"),
        pytest.param(one_sided(20), id="one side, one way"),
        pytest.param([vote_row(n, choice="tie", choice_arm="") for n in range(12)], id="all ties"),
        pytest.param(list(study_rows(raters=1)), id="one rater"),
        pytest.param(list(study_rows(pairs=1)), id="one pair"),
        pytest.param([vote_row(n, excluded=True, exclusion_reason="too fast") for n in range(9)], id="all excluded"),
        pytest.param([vote_row(1, arm_right="robust", check_kind="identical")], id="one arm"),
        pytest.param([*study_rows(arms=("a", "b")), *renumbered(study_rows(arms=("c", "d")))], id="disconnected"),
        pytest.param([vote_row(n, rater="r", pair="p") for n in range(9)], id="one rater, one pair"),
    ],
)
def test_the_report_follows_its_schema(rows):
    report = json.loads(render_json(build_report(table_of(rows))))
    VALIDATOR.validate(report)
    assert breaches(report) == []


def breaches(value, path="report"):
    """Every place of a report with a number that must not be printed, or a null without its reason."""
    found = []
    if isinstance(value, float) and not math.isfinite(value):
        found.append(f"{path}: {value}")
    if isinstance(value, list):
        found += [breach for place, entry in enumerate(value) for breach in breaches(entry, f"{path}[{place}]")]
    if isinstance(value, dict):
        for name, entry in value.items():
            if name.endswith(("p_value", "p_adjusted")) and entry is not None and not 0 < entry <= 1:
                found.append(f"{path}.{name}: {entry}")
            if name.endswith(("ci95", "interval90")) and entry is not None and not entry[0] < entry[1]:
                found.append(f"{path}.{name}: {entry}")
            if name.startswith(("se", "quasi_se")) and isinstance(entry, float) and not entry > 0:
                found.append(f"{path}.{name}: {entry}")
            found += breaches(entry, f"{path}.{name}")
        wanted = {"estimate", "strength", "value", "ci95"} & value.keys()
        if "reason" in value and not value["reason"] and None in [value[name] for name in wanted]:
            found.append(f"{path}: a null without its reason")
    return found


def test_the_walk_finds_what_must_not_be_printed():
    report = {"a": [{"p_value": 0.0}, {"ci95": [0.5, 0.5]}], "b": {"estimate": None, "reason": ""}, "c": math.nan}
    assert [breach.partition(":")[0] for breach in breaches(report)] == [
        "report.a[0].p_value",
        "report.a[1].ci95",
        "report.b",
        "report.c",
    ]


@st.composite
def odd_rows(draw):
    """Any votes of a few raters on a few pairs between up to four arms, optional columns full of holes."""

    def one_of(*values):
        return draw(st.sampled_from(values))

    raters, pairs, arms, choices = (
        one_of(1, 2, 4),
        one_of(1, 3),
        one_of(2, 3, 4),
        one_of("lr", "lrt", "l", "tt", "lllt"),
    )
    rows = []
    for number in range(draw(st.integers(0, 20))):
        left = draw(st.integers(0, arms - 1))
        # Far arms are met more rarely, so that some tables fall apart into groups of arms.
        right = (left + one_of(*range(1, arms), 1, 1)) % arms
        names = "abcd"[left], "abcd"[right]
        choice = {"l": "left", "r": "right", "t": "tie"}[one_of(*choices)]
        rows.append(
            vote_row(
                number,
                rater=f"r{draw(st.integers(1, raters))}",
                pair=f"p{draw(st.integers(1, pairs))}",
                class_label=one_of("", "cat", "dog"),
                arm_left=names[0],
                arm_right=names[1],
                choice=choice,
                choice_arm={"left": names[0], "right": names[1], "tie": ""}[choice],
                response_ms=one_of("", 0.0, 750.0),
                position=one_of("", number + 1),
                is_repeat=one_of(False, False, False, True),
                excluded=one_of(False, False, False, True),
                submitted_at=one_of("", "2026-11-10T10:00:00Z"),
            )
        )
    return rows


@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=odd_rows(), plan=st.sampled_from([{}, {"margin": 0.05, "looks": "anytime", "least_votes": 2}]))
def test_any_votes_make_a_report_of_numbers_and_reasons(rows, plan):
    table = table_of(rows)
    report = json.loads(render_json(build_report(table, plan=plan)))
    VALIDATOR.validate(report)
    assert breaches(report) == []
    for entry in all_tables(report):
        render_csv(entry)
        render_latex(entry)


def test_the_schema_bites():
    report = json.loads(render_json(build_report(table_of(study_rows()))))
    for breach in ({"estimate": None, "reason": None}, {"p_value": 0}, {"se": 0}, {"ci95": [0.1]}, {"estimate": 1.2}):
        broken = json.loads(json.dumps(report))
        broken["comparisons"][0]["headline"].update(breach)
        assert not VALIDATOR.is_valid(broken), breach


def test_rows_that_do_not_count_are_kept_out_and_counted_by_rule():
    rows = [
        *(vote_row(n) for n in range(5)),
        vote_row(10, check_kind="practice"),
        vote_row(11, check_kind="degraded"),
        vote_row(12, arm_right="robust", choice="tie", choice_arm="", check_kind="identical"),
        vote_row(13, is_repeat=True),
        vote_row(14, check_kind="repeat", is_repeat=True),
        vote_row(15, excluded=True, exclusion_reason="too fast"),
        vote_row(16, excluded=True),
        vote_row(17, simulated=True),
    ]
    data = build_report(table_of(rows))["data"]
    assert data["votes"] == 5
    assert data["excluded"] == {
        "simulated vote": 1,
        "check trial (identical images)": 1,
        "check trial (degraded image)": 1,
        "repeated pair": 2,
        "practice trial": 1,
        "excluded: too fast": 1,
        "excluded without a stated rule": 1,
    }
    assert data["votes"] + sum(data["excluded"].values()) == len(rows)


def test_simulated_votes_never_pool_with_real_ones():
    real = list(study_rows(seed=1))
    simulated = [{**row, "rater": "sim" + row["rater"]} for row in study_rows(seed=2, simulated=True)]
    alone, mixed = build_report(table_of(real)), build_report(table_of(real + simulated))
    assert mixed["comparisons"] == alone["comparisons"]
    assert (mixed["data"]["simulated"], mixed["data"]["is_simulated"]) == (len(simulated), False)


def test_a_report_of_simulated_votes_says_so_in_every_text():
    text = build_report(table_of(study_rows(simulated=True)))["text"]
    assert text["findings"][0].startswith("Simulated votes, no evidence:")
    assert "NOT FOR PUBLICATION" in text["sentences"][0]
    assert text["methods"].startswith("All votes are simulated")


def test_direction_is_alphabetical_unless_asked_and_turns_the_rate():
    table = table_of(study_rows())
    default, turned = build_report(table), build_report(table, arm="vanilla", baseline="robust")
    ours, theirs = default["comparisons"][0], turned["comparisons"][0]
    assert (ours["arm"], ours["baseline"], theirs["arm"]) == ("robust", "vanilla", "vanilla")
    assert ours["headline"]["estimate"] + theirs["headline"]["estimate"] == pytest.approx(1)
    assert build_report(table, plan={"baseline": "robust"})["comparisons"][0]["arm"] == "vanilla"


def test_with_several_arms_the_comparison_asked_for_comes_first():
    table = table_of(study_rows(arms=("a", "b", "c")))
    named = [(c["arm"], c["baseline"]) for c in build_report(table, arm="c", baseline="b")["comparisons"]]
    assert named[0] == ("c", "b")
    assert {frozenset(names) for names in named} == {frozenset("ab"), frozenset("ac"), frozenset("bc")}
    against = [(c["arm"], c["baseline"]) for c in build_report(table, baseline="b")["comparisons"]]
    assert set(against[:2]) == {("a", "b"), ("c", "b")}


def test_an_unknown_arm_is_refused_unless_there_are_no_votes():
    with pytest.raises(ValueError, match="'robusst' is not in the votes"):
        build_report(table_of(study_rows()), arm="robusst")
    with pytest.raises(ValueError, match="name two arms"):
        build_report(table_of(study_rows()), arm="robust", baseline="robust")
    (comparison,) = build_report(table_of([]), arm="robust", baseline="vanilla")["comparisons"]
    assert comparison["headline"]["reason"] == "no votes"


def test_not_significant_is_never_called_no_difference():
    report = build_report(table_of(study_rows(raters=4, pairs=10, per_rater=10)))
    assert report["comparisons"][0]["headline"]["p_value"] > 0.05
    (finding,) = report["text"]["findings"]
    assert "do not settle" in finding
    assert "not evidence that the two are equal" in finding
    assert "no difference" not in render_json(report)


def test_a_refusal_carries_its_reason_into_the_text():
    text = build_report(table_of(study_rows(raters=1)))["text"]
    assert "only 1 rater" in text["findings"][0]
    assert "only 1 rater" in text["sentences"][0]


def test_the_sentence_holds_the_headlines_numbers():
    report = build_report(table_of(study_rows(raters=20, pairs=60)))
    headline = report["comparisons"][0]["headline"]
    sentence = report["text"]["sentences"][0].replace("\u00a0", " ")
    low, high = headline["ci95"]
    assert f"{100 * headline['estimate']:.1f} %" in sentence
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in sentence
    assert "20 raters, 60 image pairs" in sentence


def test_study_facts_fill_the_checklist_and_open_items_stay_open():
    report = build_report(table_of(study_rows()), study={"payment": "£9 an hour", "ties_offered": True})
    items = {item["key"]: item for item in report["text"]["checklist"] if item["key"]}
    assert (items["payment"]["answer"], items["ties_offered"]["answer"]) == ("£9 an hour", "yes")
    assert (items["recruitment"]["answer"], items["recruitment"]["source"]) == (None, "open")
    assert (items["exclusion_rules"]["source"], items["stopping_rule"]["source"]) == ("open", "open")


def test_the_plan_fills_the_checklist_where_the_study_facts_are_silent():
    plan = {"looks": "one", "exclusion_rules": ["too_fast", {"rule": "many_fast"}]}
    facts = {"stopping_rule": "400 votes"}
    report = build_report(table_of(study_rows()), plan=plan, study=facts)
    items = {item["key"]: (item["answer"], item["source"]) for item in report["text"]["checklist"]}
    assert items["exclusion_rules"] == (
        "fixed in the plan (median response time under 500 ms; share of responses under 300 ms above 0.2)",
        "plan",
    )
    assert items["stopping_rule"] == ("400 votes", "study facts")
    report = build_report(table_of(study_rows()), plan=plan)
    items = {item["key"]: (item["answer"], item["source"]) for item in report["text"]["checklist"]}
    assert items["stopping_rule"] == ("the plan allowed one look at the results, after closing", "plan")


def test_table_hash_ignores_the_order_of_rows_but_not_a_vote():
    table = table_of(study_rows())
    shuffled = table.rows(np.random.default_rng(0).permutation(len(table)))
    assert table_sha256(shuffled) == table_sha256(table)
    assert table_sha256(table.rows(np.arange(1, len(table)))) != table_sha256(table)


def test_plan_and_its_hash_are_in_the_report():
    report = build_report(table_of(study_rows()), plan={"margin": 0.05})
    assert report["plan"] == {"margin": 0.05}
    same = build_report(table_of(study_rows()), plan=dict(reversed({"margin": 0.05, "looks": 1}.items())))
    other = build_report(table_of(study_rows()), plan={"margin": 0.05, "looks": 1})
    assert same["provenance"]["plan_sha256"] == other["provenance"]["plan_sha256"]
    assert report["provenance"]["plan_sha256"] != other["provenance"]["plan_sha256"]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"margin": "0.05"}, "margin is '0.05'"),
        ({"margin": 0}, "margin is 0"),
        ({"looks": "often"}, "looks is 'often'"),
        ({"looks": 0}, "looks is 0"),
        ({"arm": 1}, "arm is 1"),
        ({"adjust": "bonferroni"}, "adjust is 'bonferroni'"),
        ({"least_votes": 0}, "least_votes is 0"),
        ({"least_votes": True}, "least_votes is True"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(plan, said):
    with pytest.raises(ValueError, match=said):
        build_report(table_of([vote_row(1)]), plan=plan)


def test_the_plan_names_the_adjustment_over_classes_and_who_has_finished():
    table = table_of([*study_rows(), vote_row(901, rater="hasty")])
    plain, planned = build_report(table), build_report(table, plan={"adjust": "holm", "least_votes": 2})
    family = [report["comparisons"][0]["class_family"]["adjustment"] for report in (plain, planned)]
    assert family == ["bh", "holm"]
    before, after = (report["comparisons"][0]["methods"]["confidence_sequence"] for report in (plain, planned))
    assert after["n_raters"] == before["n_raters"] - 1
    assert "1 raters with fewer than 2 votes left out" in after["reason"]


def test_votes_of_two_studies_are_announced():
    report = build_report(table_of([vote_row(1), vote_row(2, study="other")]))
    assert report["data"]["studies"] == ["digits", "other"]
    assert "2 studies (digits, other)" in pooling_warning(report["data"])
    assert pooling_warning(build_report(table_of([vote_row(1)]))["data"]) is None


def test_a_spoilt_copy_in_a_check_is_no_arm_of_the_study():
    check = vote_row(900, arm_right="degraded", check_kind="degraded")
    report = build_report(table_of([*study_rows(), check]))
    assert report["data"]["arms"] == ["robust", "vanilla"]
    assert [(c["arm"], c["baseline"]) for c in report["comparisons"]] == [("robust", "vanilla")]
    assert [arm["arm"] for arm in report["ranking"]["bradley_terry"]["arms"]] == ["robust", "vanilla"]
    assert report["comparisons"] == build_report(table_of(study_rows()))["comparisons"]
    with pytest.raises(ValueError, match="'degraded' is not in the votes"):
        build_report(table_of([*study_rows(), check]), baseline="degraded")
