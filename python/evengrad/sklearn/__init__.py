"""Estimators and transformers for scikit-learn. Importing this module imports scikit-learn."""

from __future__ import annotations

import contextlib
import importlib

from evengrad._common.module_answers import answer as _answer
from evengrad.sklearn._classifier import DenseClassifier as DenseClassifier
from evengrad.sklearn._feature_extractor import FeatureExtractor as FeatureExtractor
from evengrad.sklearn._meta import ModelMeta as ModelMeta
from evengrad.sklearn._regressor import DenseRegressor as DenseRegressor

__all__ = ["DenseClassifier", "DenseRegressor", "FeatureExtractor", "ModelMeta"]

# scikit-learn bounds threads by threadpoolctl; its versions before 3.2 know no other libraries.
with contextlib.suppress(ImportError):
    importlib.import_module("evengrad._common.threads")
_answer(__name__)
