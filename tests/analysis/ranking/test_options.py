"""Options of the ranking against other packages: choix, evalica, arenakit, statsmodels, and a penalised likelihood."""

import arenakit
import choix
import evalica
import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize, special

from analysis.__main__ import main
from analysis.planning.simulation import Scenario, simulate_votes
from analysis.ranking.options import RankingOptions, ranking_options, read_covariates
from analysis.ranking.strengths import bradley_terry, davidson, thurstone_case_v
from analysis.ranking.win_matrix import images_may_be_shared
from analysis.votes.writing import write_votes
from tests.analysis.vote_rows import study_rows
from tests.analysis.votes_factory import make_table, stored_table

PLAIN = RankingOptions(left_effect=False)


def strengths(ranking):
    return np.array([arm.strength for arm in ranking.arms])


@pytest.fixture(scope="module")
def table():
    return stored_table("four_arms")


def winners(table):
    """Winner and loser of each decisive vote."""
    kept = table.rows(table.choice != 2)
    left = kept.choice == 0
    return np.where(left, kept.arm_left, kept.arm_right), np.where(left, kept.arm_right, kept.arm_left)


def test_without_the_left_effect_the_strengths_are_those_of_choix(table):
    """Line 1.8: a left effect could not be left out, so published fits could not be reproduced."""
    expected = choix.ilsr_pairwise(len(table.arms), list(zip(*winners(table), strict=True)), max_iter=500, tol=1e-12)
    found = strengths(bradley_terry(table, bootstrap=0, options=PLAIN))
    assert found == pytest.approx(expected - expected.mean(), abs=1e-6)
    assert abs(found - strengths(bradley_terry(table, bootstrap=0))).max() > 1e-4


def test_without_the_left_effect_the_strengths_are_those_of_evalica(table):
    won, lost = ([table.arms[code] for code in codes] for codes in winners(table))
    result = evalica.bradley_terry(won, lost, [evalica.Winner.X] * len(won), tolerance=1e-12, limit=10_000)
    expected = np.log([result.scores[arm] for arm in table.arms])
    found = strengths(bradley_terry(table, bootstrap=0, options=PLAIN))
    assert found == pytest.approx(expected - expected.mean(), abs=1e-5)


@pytest.mark.parametrize("left_effect", [False, True])
def test_strengths_and_left_effect_are_those_of_arenakit(table, left_effect):
    winner = {0: "a", 1: "b", 2: "tie"}
    battles = [
        arenakit.Battle(model_a=table.arms[left], model_b=table.arms[right], winner=winner[int(choice)])
        for left, right, choice in zip(table.arm_left, table.arm_right, table.choice, strict=True)
    ]
    counts = arenakit.Arena(battles, models=list(table.arms)).counts()
    fit = arenakit.fit_bt(counts, ties="drop", order=left_effect, prior=0.0)
    found = bradley_terry(table, bootstrap=0, options=RankingOptions(left_effect=left_effect))
    assert strengths(found) == pytest.approx(fit.scores - fit.scores.mean(), abs=1e-6)
    if left_effect:
        assert found.position.estimate == pytest.approx(fit.order_log, abs=1e-6)


def test_the_reference_arm_is_zero_and_the_others_are_differences_from_it(table):
    plain = bradley_terry(table, bootstrap=0)
    relative = bradley_terry(table, bootstrap=0, options=RankingOptions(reference=table.arms[1]))
    assert strengths(relative) == pytest.approx(strengths(plain) - strengths(plain)[1], abs=1e-9)
    assert relative.arms[1].strength == 0.0
    assert (relative.arms[1].ci95, relative.arms[1].se) == (None, None)
    contrast = next(c for c in plain.contrasts if {c.arm, c.other} == {table.arms[0], table.arms[1]})
    assert relative.arms[0].se_clustered == pytest.approx(contrast.difference.se)
    assert f"relative to {table.arms[1]}" in relative.method
    assert [c.difference.estimate for c in relative.contrasts] == pytest.approx(
        [c.difference.estimate for c in plain.contrasts]
    )


def test_a_reference_that_is_no_arm_is_refused(table):
    with pytest.raises(ValueError, match="the reference 'nobody' is not in the votes"):
        bradley_terry(table, options=RankingOptions(reference="nobody"))


def test_a_covariate_is_the_logistic_regression_of_statsmodels():
    table = simulate_votes(Scenario(raters=20, pairs=40, strengths={"a": 0.0, "b": 0.4, "c": 0.8}, seed=2))
    rng = np.random.default_rng(3)
    values = {(pair, arm): float(rng.normal()) for pair in table.pairs for arm in table.arms}
    found = bradley_terry(table, bootstrap=0, options=RankingOptions(covariates={"sharpness": values}))
    known = np.array([[values[pair, arm] for arm in table.arms] for pair in table.pairs])
    difference = known[table.pair, table.arm_left] - known[table.pair, table.arm_right]
    design = np.column_stack(
        [(table.arm_left == code).astype(float) - (table.arm_right == code) for code in (1, 2)]
        + [np.ones(len(table)), difference]
    )
    fit = sm.Logit((table.choice == 0).astype(float), design).fit(disp=0, tol=1e-12)
    expected = np.array([0.0, *fit.params[:2]])
    assert strengths(found) == pytest.approx(expected - expected.mean(), abs=1e-6)
    (name, effect), *_ = found.covariates
    assert (name, effect.estimate) == ("sharpness", pytest.approx(fit.params[3], abs=1e-6))
    assert found.position.estimate == pytest.approx(fit.params[2], abs=1e-6)
    assert effect.ci95 is not None
    assert "covariates" in found.as_json()
    for model in (davidson, thurstone_case_v):
        other = model(table, bootstrap=0, options=RankingOptions(covariates={"sharpness": values}))
        assert other.covariates[0][1].estimate is not None


def test_a_covariate_of_the_arm_alone_is_not_identified(table):
    values = {(pair, arm): float(table.arms.index(arm)) for pair in table.pairs for arm in table.arms}
    found = bradley_terry(table, bootstrap=0, options=RankingOptions(covariates={"size": values}))
    assert "cannot be told from theirs" in found.reason


def test_an_image_without_its_covariate_is_named(table):
    with pytest.raises(ValueError, match="covariate 'size' has no value for pair"):
        bradley_terry(table, options=RankingOptions(covariates={"size": {}}))


def test_bias_reduction_is_the_maximum_of_firths_penalised_likelihood(table):
    won, lost = winners(table)
    design = np.zeros((len(won), 3))
    for place in range(3):
        design[:, place] = (won == place + 1).astype(float) - (lost == place + 1)

    def penalised(beta):
        eta = design @ beta
        weights = special.expit(eta) * special.expit(-eta)
        information = (design * weights[:, None]).T @ design
        return -(special.log_expit(eta).sum() + 0.5 * np.linalg.slogdet(information)[1])

    best = optimize.minimize(penalised, np.zeros(3), method="BFGS", options={"gtol": 1e-8})
    expected = np.array([0.0, *best.x])
    options = RankingOptions(left_effect=False, bias_reduction=True)
    found = bradley_terry(table, bootstrap=0, options=options)
    assert strengths(found) == pytest.approx(expected - expected.mean(), abs=1e-4)
    assert "Firth" in found.method


def test_bias_reduction_ranks_arms_that_separation_leaves_without_strengths():
    rows = [(f"r{n % 6}", f"p{n}", "best", ("good", "fair")[n % 2], "left") for n in range(30)]
    rows += [(f"r{n % 6}", f"p{n}", "fair", "good", ("left", "right")[n % 2]) for n in range(30)]
    table = make_table(rows)
    assert bradley_terry(table).arms[0].strength is None
    found = bradley_terry(table, options=RankingOptions(left_effect=False, bias_reduction=True))
    assert found.arms[0].arm == "best"
    assert found.arms[0].rank == 1
    assert 1.0 < found.arms[0].strength < 10.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"left": False}, "'left'"),
        ({"left_effect": "no"}, "left_effect 'no'"),
        ({"reference": 3}, "reference 3"),
        ("plain", "ranking is 'plain'"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        ranking_options({"ranking": given})


def test_the_command_takes_the_options(tmp_path, capsys):
    write_votes(study_rows(arms=("a", "b", "c")), tmp_path, formats=["csv"])
    rows = [f"p{pair:03d},{arm},{(pair * 7 + place * 3) % 11}" for pair in range(30) for place, arm in enumerate("abc")]
    covariates = tmp_path / "covariates.csv"
    covariates.write_text("\n".join(["pair,arm,size", *rows]) + "\n")
    asked = ["--no-left-effect", "--reference", "b", "--covariates", str(covariates)]
    assert main([str(tmp_path / "votes.csv"), "--json", *asked]) == 0
    import json

    ranking = json.loads(capsys.readouterr().out)["ranking"]["bradley_terry"]
    assert ranking["arms"][1]["strength"] == 0.0
    assert ranking["position"]["estimate"] is None
    assert set(ranking["covariates"]) == {"size"}
    covariates.write_text("pair,arm,size\np000,a,large\n")
    with pytest.raises(ValueError, match=r"covariates\.csv, line 2: size is 'large'"):
        read_covariates(covariates)


def shared_images(rng, *, named_by_comparison, seeds=True, items=30):
    """Three arms on the same items; an item's images keep their own quality in every comparison."""
    quality = rng.normal(0, 1.0, (items, 3))
    rows, item_of = [], []
    for rater in range(12):
        for item in range(items):
            for one, other in ((0, 1), (0, 2), (1, 2)):
                wins = rng.random() < 1 / (1 + np.exp(quality[item, other] - quality[item, one]))
                pair = f"{item}-{one}{other}" if named_by_comparison else f"{item}"
                rows.append((f"r{rater}", pair, "abc"[one], "abc"[other], "left" if wins else "right"))
                item_of.append(str(item))
    extra = {"seed": np.array(item_of, dtype=object)} if seeds else {}
    return make_table(rows, **extra)


def test_pairs_named_by_comparison_are_joined_by_their_seed():
    """Line 1.8: contrasts of such pairs covered 87 %, unchecked."""
    named = shared_images(np.random.default_rng(1), named_by_comparison=True)
    shared = shared_images(np.random.default_rng(1), named_by_comparison=False)
    ours, expected = (bradley_terry(table, bootstrap=0) for table in (named, shared))
    assert ours.n_pairs == expected.n_pairs == 30
    assert [arm.se_clustered for arm in ours.arms] == pytest.approx([arm.se_clustered for arm in expected.arms])
    assert not images_may_be_shared(named)


def test_pairs_named_by_comparison_without_a_seed_are_announced():
    table = shared_images(np.random.default_rng(1), named_by_comparison=True, seeds=False)
    assert images_may_be_shared(table)
    from analysis.report import build_report

    report = build_report(table)
    assert "no pair stands in two comparisons" in report["text"]["lead"]
    assert "images_may_be_shared" in report["verdict"]["reasons"]
