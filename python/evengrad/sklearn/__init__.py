"""Estimators and transformers for scikit-learn. Importing this module imports scikit-learn."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

from evengrad._common.module_answers import answer as _answer
from evengrad.sklearn._classifier import DenseClassifier as DenseClassifier
from evengrad.sklearn._feature_extractor import FeatureExtractor as FeatureExtractor
from evengrad.sklearn._load import load as load
from evengrad.sklearn._meta import ModelMeta as ModelMeta
from evengrad.sklearn._regressor import DenseRegressor as DenseRegressor

# What is imported when it is asked for: the import of this module takes little time.
LATER = {
    "AutoencoderTransformer": "_autoencoder",
    "Column": "_categories",
    "DenseTransformer": "_transformer",
    "TableEncoder": "_encoding",
    "side_by_side": "_side_by_side",
}

if TYPE_CHECKING:
    # TC004: they are in `__all__`, and come by `LATER`.
    from evengrad.sklearn._autoencoder import (
        AutoencoderTransformer as AutoencoderTransformer,  # noqa: TC004 - as above
    )
    from evengrad.sklearn._categories import Column as Column  # noqa: TC004 - as above
    from evengrad.sklearn._encoding import TableEncoder as TableEncoder  # noqa: TC004 - as above
    from evengrad.sklearn._side_by_side import (
        side_by_side as side_by_side,  # noqa: TC004 - as above
    )
    from evengrad.sklearn._transformer import (
        DenseTransformer as DenseTransformer,  # noqa: TC004 - as above
    )

__all__ = [
    "AutoencoderTransformer",
    "Column",
    "DenseClassifier",
    "DenseRegressor",
    "DenseTransformer",
    "FeatureExtractor",
    "ModelMeta",
    "TableEncoder",
    "load",
    "side_by_side",
]

# scikit-learn bounds threads by threadpoolctl; its versions before 3.2 know no other libraries.
with contextlib.suppress(ImportError):
    importlib.import_module("evengrad._common.threads")
_answer(__name__, later=LATER)
