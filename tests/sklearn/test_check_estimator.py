"""scikit-learn's own checks of estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from evengrad.sklearn import DenseClassifier, DenseRegressor

# Other rows in a batch are other dropout masks, batch statistics and validation rows.
UNEQUAL = {
    f"check_sample_weight_equivalence_on_{kind}_data": "weights are not repetitions here"
    for kind in ("dense", "sparse")
}
VARIANTS = [
    {"dropout": 0.2},
    {"norm": "batch"},
    {"norm": "layer"},
    {"early_stopping": True, "validation_fraction": 0.3},
]


def is_equal_by_design(estimator):
    return not (estimator.dropout or estimator.norm == "batch" or estimator.early_stopping)


def estimators():
    for kind in (DenseClassifier, DenseRegressor):
        yield kind()
        for variant in VARIANTS:
            yield kind(max_iter=20, **variant)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    list(estimators()),
    expected_failed_checks=lambda one: {} if is_equal_by_design(one) else UNEQUAL,
)
def test_checks(estimator, check):
    check(estimator)
