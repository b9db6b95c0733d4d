"""A model's state as text and arrays: files of skops, which knows neither pickles nor our files."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from training_checks import everything, three_classes

import evengrad as eg
from evengrad import layers
from evengrad.sklearn import FeatureExtractor

skops = pytest.importorskip("skops.io")


class Scale(layers.Layer):
    """A layer of a user's."""

    def build(self, input_shape):
        self.factor = self.add_weight("factor", (input_shape[-1],), "ones")

    def call(self, x):
        return x * self.factor


class Own(eg.Model):
    """A model of a user's, whose layers are made by its arguments."""

    def __init__(self, units, **shared):
        super().__init__(**shared)
        self.inner, self.scale, self.outer = layers.Dense(units), Scale(), layers.Dense(3)

    def call(self, x):
        return self.outer(self.scale(self.inner(x)))


def cubed(x):
    """Serve as an activation of a user's."""
    return x * x * x


class Classifier(ClassifierMixin, BaseEstimator):
    """An estimator of a user's, which holds a model."""

    def __init__(self, units=4):
        self.units = units

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.model_ = eg.Sequential(
            [layers.Dense(self.units, "relu"), layers.Dropout(0.2), layers.Dense(3)], seed=1
        )
        self.model_.compile(
            eg.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"]
        )
        self.model_.fit(X, y, epochs=2, verbose=0)
        return self

    def predict(self, X):
        return self.classes_[self.model_.predict(X).argmax(axis=1)]


def graph():
    x = eg.Input((12,))
    hidden = layers.Dense(4, cubed)(x)
    return eg.Model(x, layers.Dense(3)(hidden + layers.Dense(4)(hidden)), seed=2)


def chain():
    norm = layers.BatchNormalization()
    return eg.Sequential([layers.Dense(5, "elu", norm=norm), layers.Dropout(0.3), layers.Dense(3)])


def again(thing):
    written = skops.dumps(thing)
    return skops.loads(written, trusted=skops.get_untrusted_types(data=written))


@pytest.fixture
def data():
    return three_classes()


@pytest.mark.parametrize("make", [chain, graph, lambda: Own(4, seed=3)])
def test_a_model_goes_on_where_it_stood(make, data):
    model = make()
    model.compile(eg.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(*data, epochs=2, verbose=0)
    other = again(model)
    assert type(other) is type(model)
    for one in (model, other):
        one.fit(*data, epochs=2, verbose=0)
    assert list(map(repr, everything(model))) == list(map(repr, everything(other)))
    assert model.history.history == other.history.history
    # The optimizer is that of the model that came back, which may be compiled with it anew.
    other.compile(other.optimizer, "sparse_categorical_crossentropy")
    copies = copy.deepcopy(other), pickle.loads(pickle.dumps(other))  # noqa: S301 - made here
    for one in copies:
        assert np.array_equal(one.predict(data[0]), other.predict(data[0]))


def test_an_estimator_that_holds_a_model(data):
    for estimator in (
        Classifier(),
        make_pipeline(FeatureExtractor(fitted(data)), LogisticRegression()),
    ):
        estimator.fit(*data)
        other = again(estimator)
        assert np.array_equal(other.predict(data[0]), estimator.predict(data[0]))


def fitted(data):
    model = chain()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*data, verbose=0)
    return model


def test_only_what_is_no_part_of_the_package_needs_trust(data):
    model = chain()
    model.build((None, 12))
    assert skops.get_untrusted_types(data=skops.dumps(model)) == [
        "evengrad.models._sequential.Sequential"
    ]
    own = eg.Sequential([layers.Dense(4, cubed), Scale()])
    own.predict(data[0])
    names = skops.get_untrusted_types(data=skops.dumps(own))
    assert sorted(name.rpartition(".")[2] for name in names) == ["Scale", "Sequential", "cubed"]
    with pytest.raises(skops.exceptions.UntrustedTypesFoundException):
        skops.loads(skops.dumps(own), trusted=[])


def test_one_model_in_two_places_stays_one(data):
    model = fitted(data)
    first, second = again([FeatureExtractor(model), FeatureExtractor(model, layer=0)])
    assert first.model is second.model


def test_what_cannot_be_described_is_said_as_by_save(data):
    model = eg.Sequential([layers.Dense(3, lambda z: z)])
    with pytest.raises(ValueError, match="before the model is built"):
        skops.dumps(model)
    model.predict(data[0])
    with pytest.raises(ValueError, match="a lambda has no name"):
        skops.dumps(model)


def test_a_state_that_is_damaged(data):
    model = fitted(data)
    state = model.__getstate__()
    del state["tensors"]["dense/kernel"]
    with pytest.raises(eg.FileFormatError, match="the model's state: dense/kernel"):
        eg.Sequential.__new__(eg.Sequential).__setstate__(state)
