"""The ADM evaluator's algorithm restated from its formulas, against ours on the same features."""

import numpy as np
import pytest
from scipy import linalg

from analysis.images import (
    ArmFeatures,
    EvaluationRules,
    FeatureIdentity,
    ReferenceFeatures,
    evaluate_arm,
    fit_gaussian,
    inception_score,
)

_INCEPTION = FeatureIdentity(name="inception-2015-12-05", sha256="6726825d" + "0" * 56)


def _adm_fid(mu: np.ndarray, sigma: np.ndarray, mu_ref: np.ndarray, sigma_ref: np.ndarray) -> float:
    root = linalg.sqrtm(sigma @ sigma_ref)
    return float(np.square(mu - mu_ref).sum() + np.trace(sigma) + np.trace(sigma_ref) - 2 * np.trace(root).real)


def _adm_inception_score(logits: np.ndarray, split_size: int) -> float:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    scores = []
    for start in range(0, len(p), split_size):
        part = p[start : start + split_size]
        kl = part * (np.log(part) - np.log(part.mean(axis=0, keepdims=True)))
        scores.append(np.exp(kl.sum(axis=1).mean()))
    return float(np.mean(scores))


def _adm_precision_recall(reference: np.ndarray, generated: np.ndarray) -> tuple[float, float]:
    """Radius: 3rd smallest distance without self. Precision: generated rows inside any ball of the reference."""

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.square(a).sum(1)[:, None] - 2 * a @ b.T + np.square(b).sum(1)[None, :]

    radius = [np.partition(distances(x, x), 3, axis=1)[:, 3] for x in (reference, generated)]
    across = distances(generated, reference)
    return (across <= radius[0][None, :]).any(axis=1).mean(), (across <= radius[1][:, None]).any(axis=0).mean()


def test_all_adm_metrics_agree_with_the_restated_evaluator():
    rng = np.random.default_rng(11)
    mixing = rng.normal(size=(24, 24)) / 5
    reference, generated = rng.gamma(2.0, size=(900, 24)) @ mixing, rng.gamma(1.8, size=(700, 24)) @ mixing
    spatial_ref, spatial = rng.normal(size=(900, 17)), rng.normal(size=(700, 17)) * 1.1
    logits = rng.normal(size=(700, 30)) * 2
    arm = ArmFeatures(pool=generated, spatial=spatial, logits=logits)
    known = ReferenceFeatures(pool_fit=fit_gaussian(reference), spatial_fit=fit_gaussian(spatial_ref), pool=reference)
    rules = EvaluationRules(minimum_frechet=500, split_size=100, kid_subsets=2, bootstrap_replicates=2)
    found = evaluate_arm(arm, known, _INCEPTION, rules)

    def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x.mean(axis=0), np.cov(x, rowvar=False)

    assert found["fid"].value == pytest.approx(_adm_fid(*moments(generated), *moments(reference)), rel=1e-9)
    assert found["sfid"].value == pytest.approx(_adm_fid(*moments(spatial), *moments(spatial_ref)), rel=1e-9)
    assert inception_score(logits, split_size=100)[0] == pytest.approx(_adm_inception_score(logits, 100), rel=1e-12)
    precision, recall = _adm_precision_recall(reference, generated)
    assert (found["precision"].value, found["recall"].value) == pytest.approx((precision, recall), abs=1e-12)
    assert 0.05 < recall < 0.95
