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
    {"dropout": 0.2, "norm": "batch"},
    {"early_stopping": True, "validation_fraction": 0.3},
]


def estimators():
    for kind in (DenseClassifier, DenseRegressor):
        yield kind()
        for variant in VARIANTS:
            yield kind(learning_rate_init=0.02, max_iter=30, **variant)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    list(estimators()),
    expected_failed_checks=lambda one: UNEQUAL if one.dropout or one.early_stopping else {},
)
def test_checks(estimator, check):
    check(estimator)
