"""Remedies: which rate, which layers, and what goes first."""

import dataclasses

import numpy as np
import pytest
from examinations import SAMPLES, examination, facts

from evengrad.health._causality import judge
from evengrad.health._examination import TrainingFacts


def first_treatment(examined):
    return judge(examined)[0].remedies[0].treatment


def test_the_first_update_tells_by_how_much_the_rate_is_too_high():
    # What comes after the first step is what it has made of the net.
    update = np.full((SAMPLES, 6), 1e6)
    update[0] = 0.3
    treatment = first_treatment(examination(update_ratio=update))
    assert (treatment.change, treatment.value) == ("learning_rate", pytest.approx(0.01))


@pytest.mark.parametrize(("momentum", "factor"), [(0.0, 1000.0), (0.9, 100.0)])
def test_momentum_makes_of_the_first_update_a_longer_one(momentum, factor):
    training = TrainingFacts("SGD", 1e-6, "sparse_categorical_crossentropy", 32, momentum)
    treatment = first_treatment(examination(update_ratio=3e-6, training=training))
    assert (treatment.change, treatment.value) == ("learning_rate", pytest.approx(factor))


def test_symmetric_units_of_a_logistic_stack_get_another_activation():
    shallow = examination(facts(2, activation="sigmoid", initializer="Constant"), unit_spread=0.0)
    deep = examination(facts(5, activation="sigmoid", initializer="Constant"), unit_spread=0.0)
    assert first_treatment(shallow).change == "initializer"
    assert first_treatment(deep).change == "activation"


def test_units_are_dropped_behind_each_hidden_layer():
    examined = examination(facts(3), loss=np.full(SAMPLES, 0.05))
    examined.epochs = np.linspace(0, 11, SAMPLES).astype(int)
    examined.curves = {
        "loss": [float(one) for one in np.geomspace(2.3, 0.05, 12)],
        "val_loss": [2.0, 1.0, *np.linspace(0.8, 1.4, 10).tolist()],
    }
    treatment = first_treatment(examined)
    assert (treatment.change, treatment.value) == ("dropout", 0.5)
    assert treatment.layers == ("dense_1", "dense_2", "dense_3")
    examined.layers = tuple(
        dataclasses.replace(one, activation="selu", initializer="LecunNormal")
        if not one.head
        else one
        for one in examined.layers
    )
    found = next(one for one in judge(examined) if one.kind == "overfitting")
    assert found.remedies[0].treatment.value == 0.1
