"""Whether a logistic likelihood has a finite maximum."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

__all__ = ["has_recession_direction"]


def has_recession_direction(predictors: np.ndarray, counts: np.ndarray) -> bool:
    """Return whether the log-likelihood of a multinomial logit type model keeps rising along some direction.

    Parameters
    ----------
    predictors : (M, O, k) float64
        Design rows of each outcome's linear predictor.
    counts : (M, O) float64
        An outcome that cannot occur has predictors equal to NaN.

    References
    ----------
    Albert and Anderson, Biometrika 71 (1984); the linear programme is Konis' (Oxford, 2007).
    """
    rows: list[np.ndarray] = []
    for cell, outcome in zip(*np.nonzero(counts), strict=True):
        others = [other for other in range(counts.shape[1]) if other != outcome]
        rows.extend(predictors[cell, outcome] - predictors[cell, other] for other in others)
    # NaN rows belong to outcomes that cannot occur, such as ties in a model without them.
    lead = np.array([row for row in rows if not np.isnan(row).any()])
    # Albert and Anderson (1984): separated if some direction favours every observed outcome, one of them strictly.
    answer = linprog(-lead.sum(axis=0), A_ub=-lead, b_ub=np.zeros(len(lead)), bounds=(-1.0, 1.0))
    if answer.fun is None or answer.status != 0:
        raise ArithmeticError(f"the separation test did not finish: {answer.message}")
    # Above the solver's own tolerance, below which zero cannot be told from rounding.
    return bool(-answer.fun > 1e-7)
