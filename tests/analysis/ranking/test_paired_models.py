import numpy as np
import pytest

from analysis.ranking.paired_models import BradleyTerry, Davidson, Thurstone, fit_counts, fit_many

# Three arms, each ordered pair of them, and the advantage of the left.
ROWS = np.array([[1, 0, 1], [-1, 0, 1], [1, -1, 1], [-1, 1, 1], [0, 1, 1], [0, -1, 1]], dtype=np.float64)


def _tables(model, many):
    counts = np.random.default_rng(5).poisson(9.0, size=(many, len(ROWS), 3)).astype(float)
    if not model.extra:
        counts[:, :, 2] = 0.0
    return counts


@pytest.mark.parametrize("model", [BradleyTerry(), Thurstone(), Davidson()], ids=lambda model: type(model).__name__)
def test_many_fits_at_once_are_the_fits_one_by_one(model):
    tables = _tables(model, 40)
    # One that separates, and one without a single vote.
    tables[7, :, 0] = tables[7].sum(axis=1) * (ROWS[:, 0] > 0)
    tables[7, :, 1] = 20.0 * (ROWS[:, 0] <= 0)
    tables[9] = 0.0
    start = fit_counts(model, ROWS, tables[0]).parameters
    parameters, failures = fit_many(model, ROWS, tables, start)
    assert {place for place, failure in enumerate(failures) if failure} >= {9}
    for place, (table, found, failure) in enumerate(zip(tables, parameters, failures, strict=True)):
        if failure:
            with pytest.raises(ArithmeticError):
                fit_counts(model, ROWS, table, start)
        else:
            alone = fit_counts(model, ROWS, table, start)
            assert found == pytest.approx(alone.parameters, rel=1e-9, abs=1e-10), place
