"""Verdicts on the paper's claims: from differences over seeds, in either direction, honest about too few of them."""

import re

import pytest

from generation.reproduction.claims import findings
from generation.reproduction.experiment import Experiment
from generation.reproduction.page import reproduction_page


def _metrics(frechet: float | None, precision: float) -> dict:
    features = {"name": "classifier:last", "sha256": "ab" * 32}
    common = {"ci95": None, "n": 800, "n_reference": 1797, "features": features, "reason": None}
    values = {
        "frechet_distance": frechet,
        "kid": 0.1,
        "precision": precision,
        "recall": 0.5,
        "density": 1.0,
        "coverage": 0.5,
        "frechet_distance_extrapolated": frechet,
    }
    return {name: common | {"value": value} for name, value in values.items()} | {"judge_accuracy": 0.9}


def _seed(number: int, *, frechet_gain: float, precision_gain: float = 0.0, cosine_gain: float = 0.0) -> dict:
    vanilla, robust = _metrics(10.0, 0.5), _metrics(10.0 - frechet_gain, 0.5 + precision_gain)
    accuracy = {"accuracy": 0.9, "robust_accuracy_by_band": [0.5, None, 0.4, 0.3]}
    return {
        "seed": number,
        "classifiers": {
            "vanilla": accuracy | {"robust_accuracy": 0.1},
            "robust": accuracy | {"robust_accuracy": 0.6 + 0.01 * number},
        },
        "arms": {"vanilla-0.5": vanilla, "vanilla-1": vanilla, "robust-0.5": robust, "robust-1": robust},
        "alignment": {"vanilla": [{"cosine": 0.2}] * 2, "robust": [{"cosine": 0.2 + cosine_gain}] * 2},
    }


def _verdicts(seeds: list[dict]) -> dict[tuple[str, str], str]:
    experiment = Experiment(seeds=tuple(range(len(seeds))))
    return {(finding.claim, finding.comparison): finding.verdict for finding in findings(experiment, seeds)}


_FRECHET = ("Robust guidance lowers the Fréchet distance", "robust-1 - vanilla-0.5")
_PRECISION = ("Robust guidance raises precision", "robust-1 - vanilla-0.5")


def test_consistent_differences_agree_or_disagree_by_their_sign():
    gains = (2.0, 2.5, 1.8)
    found = _verdicts([_seed(i, frechet_gain=gain, precision_gain=-gain / 10) for i, gain in enumerate(gains)])
    assert found[_FRECHET] == "agrees"
    assert found[_PRECISION] == "disagrees"
    assert found["The robust classifier withstands the attack better", "robust - vanilla"] == "agrees"


def test_differences_that_scatter_about_zero_are_undecided():
    gains = (2.0, -2.5, 1.8)
    found = _verdicts([_seed(i, frechet_gain=gain) for i, gain in enumerate(gains)])
    assert found[_FRECHET] == "undecided"
    assert (
        found[
            "Gradients of the robust classifier agree better with the denoisers' class score",
            "robust - vanilla, mean over bands",
        ]
        == "undecided"
    )


def test_equal_scales_are_compared_as_well():
    comparisons = {comparison for _, comparison in _verdicts([_seed(i, frechet_gain=1.0) for i in range(3)])}
    assert {"robust-0.5 - vanilla-0.5", "robust-1 - vanilla-1", "robust-1 - vanilla-0.5"} <= comparisons


def test_one_seed_decides_nothing_and_raters_are_not_computed():
    experiment = Experiment(seeds=(0,))
    found = findings(experiment, [_seed(0, frechet_gain=5.0)])
    assert {finding.verdict for finding in found} == {"undecided", "not tested"}
    raters = next(finding for finding in found if "raters" in finding.claim)
    assert (raters.mean, raters.verdict) == (None, "not tested")


def test_refused_measures_are_left_out_and_said():
    seeds = [_seed(i, frechet_gain=1.0) for i in range(3)]
    for seed in seeds:
        seed["arms"]["robust-1"]["frechet_distance"]["value"] = None
    finding = next(f for f in findings(Experiment(), seeds) if (f.claim, f.comparison) == _FRECHET)
    assert (finding.mean, finding.verdict) == (None, "undecided")
    assert "refused in every seed" in finding.reason


def test_page_shows_every_finding_evenly_and_loads_nothing():
    seeds = [_seed(i, frechet_gain=1.0 + 0.1 * i) for i in range(3)]
    experiment = Experiment()
    results = {
        "experiment": vars(experiment),
        "seeds": seeds,
        "findings": [finding.as_json() for finding in findings(experiment, seeds)],
        "missing": {"gradient_alignment": "no <denoiser>"},
        "provenance": {"torch": "x & y"},
    }
    page = reproduction_page(results, [])
    for finding in results["findings"]:
        assert finding["claim"].replace("'", "&#x27;") in page
    assert "x &amp; y" in page
    assert "no &lt;denoiser&gt;" in page
    assert "<td>agrees</td>" in page
    assert '<td class="n">1.000, 1.100, 1.200</td>'.replace("1.", "\u22121.") in page
    assert "Of the 6 on images at equal guidance scales, 2 agree and 0 disagree." in page
    assert '<th scope="row">Fréchet distance</th>' in page
    assert '<td class="n">8.900\u00a0±\u00a00.100</td>' in page
    assert " src=" not in page
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', page))


def test_page_says_which_measures_were_refused():
    seeds = [_seed(0, frechet_gain=1.0)]
    seeds[0]["arms"]["robust-1"]["frechet_distance"]["value"] = None
    experiment = Experiment(seeds=(0,))
    found = [finding.as_json() for finding in findings(experiment, seeds)]
    results = {"experiment": vars(experiment), "seeds": seeds, "findings": found, "missing": {}, "provenance": {}}
    page = reproduction_page(results, [])
    assert '<td class="n">refused</td>' in page
    assert "one seed: no spread, so nothing is decided" in page
    assert "the measure was refused in every seed" in page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "each once"),
        ({"published_scales": (0.5, 3.0)}, "not among"),
        ({"images_per_class": 0}, "at least 1"),
    ],
)
def test_impossible_experiments_are_refused(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Experiment(**settings)
