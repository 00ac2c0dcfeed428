"""Strengths, errors and ties against R (glm, sandwich, qvcalc, BradleyTerry2, gnm) on the stored tables."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.ranking.strengths import bradley_terry, davidson, thurstone_case_v
from tests.analysis.reference import answered, answers
from tests.analysis.votes_factory import stored_table

JOD = 1.4826022185056018


def relative(ranking):
    """Differences to the first arm, as R reports them with the first arm as reference."""
    strengths = np.array([arm.strength for arm in ranking.arms])
    return strengths - strengths[0]


def first_contrasts(ranking):
    return [contrast for contrast in ranking.contrasts if contrast.arm == ranking.arms[0].arm]


@pytest.mark.parametrize(("model", "scale"), [(bradley_terry, 1.0), (thurstone_case_v, JOD)])
@pytest.mark.parametrize("name", answered("rankings", "bradley_terry"))
def test_strengths_and_two_way_errors_agree_with_glm_and_sandwich(name, model, scale):
    ranking, reference = model(stored_table(name), bootstrap=0), answers("rankings")[name][model.__name__]
    assert relative(ranking) == pytest.approx(scale * np.array(reference["relative"]), abs=1e-9)
    assert ranking.position.estimate == pytest.approx(reference["position"], abs=1e-9)
    assert ranking.log_likelihood == pytest.approx(reference["log_likelihood"], abs=1e-8)
    assert ranking.equality.likelihood_ratio == pytest.approx(reference["likelihood_ratio"], abs=1e-7)
    parts = ("variance_two_way", "variance_rater", "variance_pair")
    floored = np.sqrt(np.max([reference[part] for part in parts], axis=0))
    found = [contrast.difference.se for contrast in first_contrasts(ranking)]
    # The information that R reports is that of its last but one iteration.
    assert found == pytest.approx(scale * floored[:-1], rel=1e-5)
    assert ranking.position.se == pytest.approx(floored[-1], rel=1e-5)


def test_quasi_errors_agree_with_qvcalc():
    ranking, reference = bradley_terry(stored_table("four_arms"), bootstrap=0), answers("rankings")["four_arms"]
    assert [arm.quasi_se for arm in ranking.arms] == pytest.approx(reference["bradley_terry"]["quasi_se"], rel=1e-5)
    in_jod = thurstone_case_v(stored_table("four_arms"), bootstrap=0)
    wanted = JOD * np.array(reference["thurstone_case_v"]["quasi_se"])
    assert [arm.quasi_se for arm in in_jod.arms] == pytest.approx(wanted, rel=1e-5)


def test_bradley_terry_agrees_with_bradleyterry2():
    ranking = bradley_terry(stored_table("four_arms"), bootstrap=0)
    reference = answers("rankings")["four_arms"]["bradley_terry"]["bradley_terry2"]
    assert [*relative(ranking)[1:], ranking.position.estimate] == pytest.approx(reference, abs=1e-9)


@pytest.mark.parametrize("name", answered("rankings", "davidson"))
def test_davidson_agrees_with_a_loglinear_fit_and_gnm(name):
    ranking, reference = davidson(stored_table(name), bootstrap=0), answers("rankings")[name]["davidson"]
    assert relative(ranking) == pytest.approx(reference["relative"], abs=1e-9)
    assert ranking.position.estimate == pytest.approx(reference["position"], abs=1e-9)
    assert ranking.nu.estimate == pytest.approx(reference["nu"], rel=1e-9)
    assert relative(ranking) == pytest.approx(reference["gnm"]["relative"], abs=1e-6)
    assert ranking.nu.estimate == pytest.approx(reference["gnm"]["nu"], rel=1e-6)
    assert ranking.position.estimate == pytest.approx(reference["gnm"]["position"], abs=1e-6)
