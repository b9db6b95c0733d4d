"""Rules on measures in closed form: each kind of finding, sick and healthy."""

import dataclasses

import numpy as np
import pytest
from examinations import SAMPLES, digits, examination, facts

import evengrad as eg
from evengrad.health._causality import judge
from evengrad.health._examination import TrainingFacts

HIDDEN = np.arange(5)


def kinds(examined, **thresholds):
    return [one.kind for one in judge(examined, eg.health.Thresholds(**thresholds))]


def only(examined, **thresholds):
    """Return the only root among the findings."""
    found = judge(examined, eg.health.Thresholds(**thresholds))
    roots = [one for one in found if one.because is None]
    assert len(roots) == 1, found
    assert found[0] is roots[0]
    return roots[0]


def chain(factor, depth=5):
    """Return speeds that change by a factor with each layer towards the input, and the head's."""
    return [*(0.1 * factor ** (depth - 1 - at) for at in range(depth)), 0.1]


def test_healthy_layers_have_no_findings():
    assert judge(examination()) == ()
    assert judge(examination(facts(50))) == ()


def test_chain_of_logistic_units_loses_a_factor_of_4_with_each_layer():
    # w = 1 and z = 0: sigma'(0) w = 1/4.
    layers = facts(5, activation="sigmoid", initializer="GlorotUniform")
    found = only(examination(layers, speed=chain(1 / 4), dead=np.nan))
    assert (found.kind, found.layer, found.cause) == ("vanishing_gradients", "dense", "activation")
    assert found.value == pytest.approx(4**4)
    assert found.threshold == 10
    assert found.step == 0
    assert found.severity == "error"
    assert found.remedies[0].treatment.change == "activation"


def test_chain_of_logistic_units_with_weights_of_100_gains_a_factor_of_25():
    # w = 100 and z = 0: sigma'(0) w = 25.
    layers = facts(5, activation="sigmoid", initializer="RandomNormal")
    found = only(examination(layers, speed=chain(25)))
    assert (found.kind, found.cause) == ("exploding_gradients", "initializer")
    assert found.value == pytest.approx(25**4)


def test_gradients_fall_by_depth_alone_where_layers_are_well_begun():
    layers = facts(40, activation="tanh", initializer="GlorotUniform")
    assert only(examination(layers, speed=chain(1 / 1.2, 40))).cause == "depth"
    # 3 % with each layer is no fault, were there a hundred.
    assert kinds(examination(facts(100), speed=chain(1 / 1.03, 100))) == []


def test_two_logistic_layers_are_healthy_and_three_are_not():
    two = facts(2, activation="sigmoid", initializer="GlorotUniform")
    three = facts(3, activation="sigmoid", initializer="GlorotUniform")
    assert kinds(examination(two, speed=chain(1 / 4.24, 2))) == []
    assert kinds(examination(three, speed=chain(1 / 4.24, 3))) == ["vanishing_gradients"]


def test_widths_that_differ_are_no_slope():
    # In a funnel delta keeps its norm, so that the speed of each unit rises.
    widths = [1024, 512, 256, 128, 64, 32, 16, 8]
    layers = tuple(
        dataclasses.replace(layer, units=units)
        for layer, units in zip(facts(8), [*widths, 10], strict=True)
    )
    speed = [*(1 / np.sqrt(units) for units in widths), 0.1]
    assert kinds(examination(layers, speed=speed)) == []


def test_parallel_branches_are_no_depth():
    layers = list(facts(2))
    branches = [dataclasses.replace(layers[0], path=f"branch_{at}") for at in range(6)]
    speed = [1e-3, 1e-2, 1e-1, 1e-3, 1e-2, 1e-1, 0.1, 0.1]
    assert kinds(examination((*branches, *layers[1:]), speed=speed)) == []


def test_the_mean_of_dz_below_batch_normalization_is_0_and_no_sickness():
    layers = facts(5, normalized=True)
    assert kinds(examination(layers, speed=[1e-9, 1e-9, 1e-9, 1e-9, 1e-2, 0.1])) == []
    gradients = [*(0.1 * 0.03 ** (4 - at) for at in HIDDEN), 0.1]
    assert kinds(examination(layers, kernel_gradient=gradients)) == ["vanishing_gradients"]


def test_frozen_layers_and_shortcuts_are_no_sickness():
    for more in ({"trainable": False}, {"shortcut": True}):
        assert kinds(examination(facts(5, **more), speed=chain(1 / 4))) == []


def test_gradients_that_dropout_raises_are_no_sickness():
    # A layer that keeps 1/10 of its units times 10 makes norms greater by the root of 10.
    layers = facts(4, dropout=0.9)
    assert kinds(examination(layers, speed=chain(10**0.5, 4))) == []
    assert kinds(examination(facts(4), speed=chain(10**0.5, 4))) == ["exploding_gradients"]


def test_a_head_that_begins_at_0_is_no_sickness():
    layers = list(facts(5))
    layers[-1] = dataclasses.replace(layers[-1], initializer="Zeros")
    speed = np.full((SAMPLES, 6), 0.1)
    speed[0, :-1] = 0
    update = np.full((SAMPLES, 6), 2e-3)
    update[0, -1] = np.inf
    examined = examination(tuple(layers), speed=speed, update_ratio=update)
    assert kinds(examined) == []
    examined.before = {"speed": speed[0], "kernel_gradient": speed[0]}
    assert kinds(examined) == []


def test_measures_over_all_rows_count_more_than_those_of_batches():
    layers = facts(5, activation="sigmoid", initializer="GlorotUniform")
    examined = examination(layers)
    speed = np.array(chain(1 / 4))
    examined.before = {"speed": speed, "kernel_gradient": speed}
    assert only(examined).value == pytest.approx(4**4)


def test_gradients_of_recurrent_kernels():
    layers = list(facts(1, activation="tanh"))
    layers[0] = dataclasses.replace(layers[0], kind="SimpleRNN", recurrent=True)
    full = {"activation_rms": 1.0}
    found = only(examination(tuple(layers), kernel_gradient=[100.0, 0.5], **full))
    assert (found.kind, found.layer) == ("exploding_gradients", "dense")
    assert (found.cause, found.value) == ("architecture", 200)
    assert found.remedies[0].treatment.change == "lstm"
    assert kinds(examination(tuple(layers), kernel_gradient=[2.0, 0.5], **full)) == []
    # The head's kernel gets the gradient times the outputs, which explode as well.
    swollen = examination(tuple(layers), kernel_gradient=[1e9, 1e9], activation_rms=[1e9, 0.3])
    assert only(swollen).value == pytest.approx(1e9)
    # And what leaves the loss is no smaller where the outputs are small.
    small = examination(tuple(layers), kernel_gradient=[100.0, 0.5], activation_rms=[0.01, 0.3])
    assert kinds(small) == []
    at_once = np.tile([2.0, 0.5], (SAMPLES, 1))
    at_once[:5, 0] = 100.0
    found = only(examination(tuple(layers), kernel_gradient=at_once, **full))
    assert (found.value, found.step) == (200, 0)
    both = judge(examination(tuple(layers), kernel_gradient=[100.0, 0.5], saturated=0.6, **full))
    assert [one.kind for one in both] == ["exploding_gradients", "saturated_activations"]
    assert both[1].because is both[0]


def test_tables_of_embeddings_begin_small():
    layers = list(facts(2))
    layers[0] = dataclasses.replace(layers[0], kind="Embedding", initializer="RandomUniform")
    assert kinds(examination(tuple(layers), update_ratio=[0.4, 2e-3, 2e-3])) == []
    assert kinds(examination(tuple(layers), update_ratio=[2.0, 2e-3, 2e-3])) == ["large_updates"]


def test_updates_at_a_thousandth_of_the_rate_are_small_everywhere():
    found = only(examination(update_ratio=4e-6))
    assert (found.kind, found.layer, found.cause) == ("small_updates", None, "learning_rate")
    assert found.value == pytest.approx(4e-6)
    assert found.remedies[0].treatment.value == 1000
    # One layer that learns is enough, and a net that has learned may rest. Heads move more.
    assert kinds(examination(update_ratio=[4e-6] * 4 + [1e-3, 4e-6])) == []
    assert kinds(examination(update_ratio=[4e-6] * 5 + [1e-2])) == []
    assert kinds(examination(update_ratio=[4e-6] * 5 + [1e-4])) == ["small_updates"]
    assert kinds(examination(update_ratio=4e-6, loss=np.full(SAMPLES, 0.1))) == []


def test_small_updates_by_clipping():
    training = TrainingFacts("SGD", 0.01, "sparse_categorical_crossentropy", 32, clips=True)
    examined = examination(update_ratio=4e-6, training=training)
    examined.clipped = np.full(SAMPLES, 1e-4)
    assert only(examined).cause == "optimizer"


def test_decay_with_depth_and_small_updates_everywhere_are_told_apart():
    layers = facts(5, activation="sigmoid", initializer="GlorotUniform")
    assert kinds(examination(layers, speed=chain(1 / 4))) == ["vanishing_gradients"]
    assert kinds(examination(layers, update_ratio=1e-7)) == ["small_updates"]


def test_large_updates_and_what_dies_of_them():
    update = np.full((SAMPLES, 6), 2e-3)
    update[3:, 2] = 0.7
    dead = np.full((SAMPLES, 6), 0.05)
    dead[10:, 2] = 0.85
    examined = examination(update_ratio=update, dead=dead)
    found = judge(examined)
    assert [(one.kind, one.layer, one.step) for one in found] == [
        ("large_updates", "dense_2", 3),
        ("dead_units", "dense_2", 10),
    ]
    assert found[1].because is found[0]
    assert {one.cause for one in found} == {"learning_rate"}
    # 0.7 over 0.003 is 233: the nearest power of ten.
    assert found[0].remedies[0].treatment.value in {0.1, 0.01}
    # One odd step is none, nor is one of a layer that is normalized.
    update[4:, 2] = 2e-3
    assert kinds(examination(update_ratio=np.where(update > 0.5, 0.3, update))) == []
    assert kinds(examination(facts(5, normalized=True), update_ratio=[0.7] * 5 + [2e-3])) == []


def test_large_updates_of_a_head_alone_while_the_loss_falls_are_a_note():
    update = [2e-3] * 5 + [0.4]
    assert only(examination(update_ratio=update)).severity == "note"
    rising = np.linspace(1.5, 2.3, SAMPLES)
    assert only(examination(update_ratio=update, loss=rising)).severity == "warning"


def test_large_updates_of_kernels_that_a_penalty_made_small_are_a_note():
    update = np.full((SAMPLES, 6), 2e-3)
    update[30:, 1] = 0.5
    found = only(examination(facts(5, penalized=True), update_ratio=update))
    assert (found.severity, found.cause) == ("note", "regularization")
    assert only(examination(update_ratio=update)).severity == "warning"


def test_updates_of_normalized_kernels_become_small_by_themselves():
    layers = facts(5, normalized=True)
    update = np.full((SAMPLES, 6), 2e-3)
    update[:3, 1] = 5.0
    assert kinds(examination(layers, update_ratio=update)) == []
    update[3:, 1] = 5.0
    assert kinds(examination(layers, update_ratio=update)) == ["large_updates"]


def test_large_targets_make_large_updates():
    training = TrainingFacts("SGD", 0.01, "mean_squared_error", 32)
    data = digits(targets="numbers", target_mean=15_000.0, target_std=7_000.0)
    examined = examination(facts(5, head="linear"), update_ratio=0.9, training=training, data=data)
    found = only(examined)
    assert (found.kind, found.cause) == ("large_updates", "labels")
    assert "Standardize the targets" in found.remedies[0].text


def test_saturated_activations():
    layers = facts(3, activation="sigmoid", initializer="RandomNormal")
    saturated = [0.1, 0.65, 0.65, np.nan]
    found = only(examination(layers, saturated=saturated))
    assert (found.kind, found.layer, found.value) == ("saturated_activations", "dense_1", 0.65)
    assert found.cause == "initializer"
    # New values alone leave three logistic layers as they are.
    assert found.remedies[0].treatment.change == "activation"
    tanh = facts(3, activation="tanh", initializer="RandomNormal")
    assert only(examination(tanh, saturated=0.9)).remedies[0].treatment.change == "initializer"
    assert kinds(examination(layers, saturated=0.1)) == []
    # The flat side of ELU is meant to be one.
    assert kinds(examination(facts(3, activation="elu"), saturated=0.6)) == []


def test_activations_that_saturate_later():
    saturated = np.full((SAMPLES, 4), 0.1)
    saturated[20:, 1] = 0.6
    examined = examination(facts(3, activation="tanh"), saturated=saturated)
    found = only(examined)
    assert (found.layer, found.step, found.cause) == ("dense_1", 20, "learning_rate")
    # Nets that learn come to it by themselves.
    assert found.severity == "note"
    examined.measures["update_ratio"][5] = 0.15
    assert only(examined).severity == "warning"


def test_dead_units():
    dead = np.full((SAMPLES, 6), 0.05)
    dead[7:, 1] = 0.7
    found = only(examination(dead=dead))
    assert (found.kind, found.layer, found.step) == ("dead_units", "dense_1", 7)
    assert (found.cause, found.value) == ("learning_rate", 0.7)
    assert only(examination(dead=0.95)).cause == "initializer"
    # What a layer that saw no rows would be is not known.
    assert kinds(examination(dead=np.nan)) == []
    # Units of batches differ: those that are dead in all of them are few.
    dead[7::2, 1] = 0.2
    assert kinds(examination(dead=dead)) == []


def test_half_of_the_units_of_a_deep_layer_may_be_0_for_all_rows():
    assert kinds(examination(facts(30), dead=[*np.linspace(0.03, 0.55, 30), np.nan])) == []


def test_signals_that_fade():
    # ReLU with variance 1 / n: 2^(-1/2) with each layer, and the gradient likewise.
    depth = 30
    layers = facts(depth, initializer="LecunNormal")
    rms = [*(2 ** (-(at + 1) / 2) for at in range(depth)), 0.3]
    speed = [*(2 ** (-(depth - at) / 2) for at in range(depth)), 0.3]
    found = judge(examination(layers, activation_rms=rms, speed=speed))
    assert [one.kind for one in found] == ["signal_collapse", "vanishing_gradients"]
    assert found[1].because is found[0]
    assert {one.cause for one in found} == {"initializer"}
    # 2^(-9/2) is the first part below 1/20.
    assert found[0].layer == "dense_9"
    assert found[0].value == pytest.approx(2**-4.5)
    assert found[1].value == pytest.approx(2 ** (29 / 2))
    assert found[0].remedies[0].treatment.change == "initializer"


def test_nets_that_come_out_of_a_faded_signal_and_learn_have_a_note():
    rms = np.tile([*(0.5 ** np.arange(8)), 0.3], (SAMPLES, 1))
    layers = facts(8, initializer="GlorotUniform")
    falls, stays = np.linspace(2.3, 0.9, SAMPLES), np.full(SAMPLES, 2.3)
    assert only(examination(layers, activation_rms=rms, loss=falls)).severity == "error"
    rms[20:] = 0.7
    assert only(examination(layers, activation_rms=rms, loss=stays)).severity == "error"
    assert only(examination(layers, activation_rms=rms, loss=falls)).severity == "note"
    speed = np.tile(chain(0.5, 8), (SAMPLES, 1))
    assert only(examination(layers, speed=speed, loss=falls)).severity == "error"
    speed[20:] = 0.1
    assert only(examination(layers, speed=speed, loss=falls)).severity == "note"


def test_rows_that_come_to_the_same_follow_from_a_logistic_stack():
    layers = facts(6, activation="sigmoid", initializer="GlorotUniform")
    spread = [*(0.4 * 0.236**at for at in range(6)), 0.1]
    found = judge(examination(layers, speed=chain(1 / 4.24, 6), row_spread=spread))
    assert [one.kind for one in found] == ["vanishing_gradients", "signal_collapse"]
    assert {one.cause for one in found} == {"activation"}


def test_signals_that_swell():
    # ReLU with deviation 0.3 and 100 units: sqrt(100 * 0.09 / 2) with each layer.
    layers = facts(20, initializer="RandomNormal")
    rms = [*(4.5 ** ((at + 1) / 2) for at in range(20)), 1.0]
    found = only(examination(layers, activation_rms=rms))
    assert (found.kind, found.cause) == ("signal_explosion", "initializer")
    assert found.value == pytest.approx(4.5 ** (19 / 2))
    blocks = facts(20, initializer="RandomNormal", shortcut=True)
    assert kinds(examination(blocks, activation_rms=rms)) == []


def test_units_that_are_all_equal():
    layers = facts(3, initializer="Constant")
    found = only(examination(layers, unit_spread=[0.0, 0.0, 0.0, 0.4], speed=chain(8, 3)))
    assert (found.kind, found.layer, found.value) == ("symmetric_units", "dense", 0)
    assert (found.cause, found.remedies[0].treatment.change) == ("initializer", "initializer")
    # One unit is equal to itself.
    assert kinds(examination(facts(3, units=1), unit_spread=0.0)) == []
    zeros = facts(3, initializer="Zeros")
    assert only(examination(zeros, unit_spread=np.nan, activation_rms=0.0)).kind == found.kind


def test_inputs_that_are_not_scaled():
    layers = facts(3, activation="tanh", initializer="GlorotUniform")
    examined = examination(
        layers, data=digits(1000), saturated=0.99, preactivation_std=1000.0, update_ratio=0.5
    )
    found = judge(examined)
    assert found[0].kind == "unscaled_inputs"
    assert (found[0].layer, found[0].value, found[0].step) == ("dense", 1000, None)
    assert {one.kind for one in found[1:]} == {"saturated_activations", "large_updates"}
    assert all(one.because is found[0] and one.cause == "inputs" for one in found[1:])
    assert found[0].remedies[0].treatment.change == "scale_inputs"
    assert kinds(examination(data=digits(10))) == []
    # Something between the inputs and the first kernel scales them.
    assert kinds(examination(data=digits(1000), preactivation_std=1.0)) == []
    assert kinds(examination(data=digits(1e-5))) == ["unscaled_inputs"]


def test_non_finite_numbers_of_the_data_come_before_all():
    found = judge(examination(data=digits(non_finite_inputs=3), saturated=0.9))
    assert (found[0].kind, found[0].cause, found[0].tensor) == ("non_finite", "inputs", "input")
    assert found[0].value == 3
    labels = only(examination(data=digits(non_finite_targets=2)))
    assert (labels.cause, labels.layer) == ("labels", None)


def test_non_finite_numbers_follow_from_what_grew():
    share = np.zeros((SAMPLES, 6))
    share[30:, 2:] = 0.5
    update = np.full((SAMPLES, 6), 2e-3)
    update[25:, 2] = 2.0
    loss = np.linspace(2.3, 1.5, SAMPLES)
    loss[30:] = np.nan
    found = judge(examination(non_finite=share, update_ratio=update, loss=loss))
    assert found[0].kind == "large_updates"
    by_kind = {one.kind: one for one in found}
    assert by_kind["non_finite"].because is found[0]
    assert (by_kind["non_finite"].layer, by_kind["non_finite"].step) == ("dense_2", 30)


def test_findings_of_callers_stand_for_their_kind():
    own = eg.health.Finding("non_finite", "dense", 1, 0, 17, "error", "learning_rate")
    loss = np.full(SAMPLES, np.nan)
    found = judge(examination(loss=loss), known=[own])
    assert [(one.kind, one.step) for one in found] == [("non_finite", 17)]
    assert found[0].remedies
    remedy = eg.health.Remedy("Do this.")
    found = judge(examination(loss=loss), known=[dataclasses.replace(own, remedies=(remedy,))])
    assert found[0].remedies == (remedy,)


HEADS = {
    "softmax of one unit": ("softmax", 1, "binary_crossentropy", {}, "activation", "head"),
    "logits behind a relu": (
        "relu",
        10,
        "sparse_categorical_crossentropy",
        {},
        "activation",
        "head",
    ),
    "logits of probabilities": (
        *("softmax", 10, "sparse_categorical_crossentropy"),
        {"from_logits": True},
        *("loss", "loss"),
    ),
    "too few units": ("softmax", 5, "sparse_categorical_crossentropy", {}, "labels", "units"),
    "squares of probabilities": ("softmax", 10, "mean_squared_error", {}, "loss", "loss"),
    "class names": ("softmax", 10, "MeanSquaredError", {}, "loss", "loss"),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_that_do_not_fit(name):
    activation, units, loss, more, cause, change = HEADS[name]
    layers = list(facts(2, head=activation))
    layers[-1] = dataclasses.replace(layers[-1], units=units)
    training = TrainingFacts("SGD", 0.01, loss, 32, **more)
    found = only(examination(tuple(layers), training=training))
    assert (found.kind, found.layer, found.cause) == ("head_loss_mismatch", "dense_2", cause)
    assert found.remedies[0].treatment.change == change


@pytest.mark.parametrize(
    ("head", "low", "high", "fits"),
    [
        ("relu", -2.0, 3.0, False),
        ("relu", 0.0, 50.0, True),
        ("sigmoid", 5.0, 30.0, False),
        ("sigmoid", 0.0, 1.0, True),
        ("tanh", -3.0, 3.0, False),
        # Measured values may be a little off.
        ("tanh", -1.02, 1.02, True),
        ("linear", -100.0, 30.0, True),
    ],
)
def test_heads_that_cannot_reach_the_numbers(head, low, high, fits):
    training = TrainingFacts("SGD", 0.01, "mean_squared_error", 32)
    data = digits(
        targets="numbers",
        classes=0,
        target_mean=(low + high) / 2,
        target_std=(high - low) / 4,
        target_low=low,
        target_high=high,
    )
    layers = facts(2, head=head)
    examined = examination(layers, training=training, data=data, loss=np.ones(SAMPLES))
    assert kinds(examined) == ([] if fits else ["head_loss_mismatch"])


def test_heads_that_cannot_vary_as_the_numbers_do():
    # In [0, 1] numbers of mean 0.3 vary by 0.7 · 0.3 = 0.21 at most.
    training = TrainingFacts("SGD", 0.01, "mean_squared_error", 32)
    given = {"targets": "numbers", "classes": 0, "target_mean": 0.3}
    for deviation, fits in ((0.45, True), (0.47, False)):
        data = digits(target_std=deviation, **given)
        layers = facts(2, head="sigmoid")
        examined = examination(layers, training=training, data=data, loss=np.full(SAMPLES, 0.2))
        assert kinds(examined) == ([] if fits else ["head_loss_mismatch"])


def test_what_fit_refuses_is_a_finding():
    training = TrainingFacts("SGD", 0.01, "hinge", 32, refusal="hinge: expected numbers")
    found = only(examination(training=training))
    assert (found.kind, found.severity) == ("head_loss_mismatch", "error")
    assert "expected numbers" in found.remedies[0].text


SELU = {
    "dropout": ({"dropout": 0.5}, "regularization", "alpha_dropout"),
    "initializer": ({"initializer": "HeNormal"}, "initializer", "initializer"),
    "shortcut": ({"shortcut": True}, "architecture", "activation"),
    "penalty": ({"penalized": True}, "regularization", "remove_regularizers"),
    "max-norm": ({"constrained": True}, "regularization", "remove_regularizers"),
}


@pytest.mark.parametrize("name", SELU)
def test_conditions_of_selu(name):
    more, cause, change = SELU[name]
    given = {"activation": "selu", "initializer": "LecunNormal", **more}
    found = only(examination(facts(4, **given)))
    assert (found.kind, found.layer, found.cause) == ("selu_conditions", "dense", cause)
    assert found.severity == "warning"
    assert found.remedies[0].treatment.change == change


def test_conditions_of_selu_that_hold():
    layers = facts(4, activation="selu", initializer="LecunNormal")
    assert kinds(examination(layers)) == []
    shifted = only(examination(layers, data=digits(4.0)))
    assert (shifted.cause, shifted.severity) == ("inputs", "warning")
    normalized = facts(4, activation="selu", initializer="LecunNormal", normalized=True)
    assert only(examination(normalized)).severity == "note"


def test_what_follows_from_values_that_are_not_lecuns():
    layers = facts(5, activation="selu", initializer="RandomNormal")
    found = judge(examination(layers, speed=chain(3)))
    assert [one.kind for one in found] == ["selu_conditions", "exploding_gradients"]
    assert found[1].because is found[0]
    # Dropout makes no gradients grow.
    layers = facts(5, activation="selu", initializer="LecunNormal", dropout=0.1)
    found = judge(examination(layers, speed=chain(3)))
    assert [one.because for one in found] == [None, None]


def test_loss_that_diverges_and_the_layer_that_moved():
    loss = np.concatenate([np.linspace(1.6, 0.1, 25), np.full(15, 1.63)])
    update = np.full((SAMPLES, 6), 2e-3)
    update[25, 3] = 0.15
    found = only(examination(loss=loss, update_ratio=update))
    assert (found.kind, found.layer, found.cause) == ("diverging_loss", "dense_3", "learning_rate")
    assert 25 <= found.step <= 28
    assert found.severity == "error"
    assert kinds(examination(loss=np.linspace(2.3, 0.01, SAMPLES))) == []
    # Losses may be 0 or less, and small ones may wobble.
    unknown = digits(targets="numbers")
    for values in ([1.0, 0.5, 0.0, 0.01], [-0.1, -0.9, -0.5, -0.9]):
        assert kinds(examination(loss=np.repeat(values, 10), data=unknown)) == []
    assert kinds(examination(loss=np.tile([0.01, 0.05], SAMPLES // 2))) == []


def with_curves(**curves):
    last = curves["loss"][-1]
    examined = examination(loss=np.full(SAMPLES, last))
    examined.epochs = np.linspace(0, len(curves["loss"]) - 1, SAMPLES).astype(int)
    examined.curves = {name: list(map(float, values)) for name, values in curves.items()}
    return examined


def test_plateau():
    found = only(with_curves(loss=[2.4, *[2.3] * 8]))
    assert (found.kind, found.layer, found.cause) == ("plateau", None, "learning_rate")
    assert kinds(with_curves(loss=np.geomspace(2.3, 1.0, 9))) == []
    # Half of it was learned, and the rest may be noise, unless a schedule has ended the training.
    half = with_curves(loss=[2.3, *[1.2] * 8])
    assert only(half).severity == "note"
    half.measures["update_ratio"][5:] = 1e-6
    assert {one.kind for one in judge(half)} == {"plateau", "small_updates"}
    assert kinds(with_curves(loss=np.full(9, 0.05))) == []
    layers = facts(5, activation="sigmoid", initializer="GlorotUniform")
    stack = with_curves(loss=[2.4, *[2.3] * 8])
    stack.layers = layers
    stack.measures["speed"][:] = chain(1 / 4)
    assert only(stack).kind == "vanishing_gradients"


def test_overfitting():
    falls, rises = np.geomspace(2.3, 0.05, 12), [2.0, 1.0, 0.8, *np.linspace(0.85, 1.4, 9)]
    found = only(with_curves(loss=falls, val_loss=rises))
    assert (found.kind, found.cause) == ("overfitting", "regularization")
    # The least is that of the third epoch.
    assert found.value == pytest.approx(np.median(rises[-3:]) / 0.8)
    assert found.remedies[0].treatment.change == "dropout"
    assert kinds(with_curves(loss=falls, val_loss=1.2 * falls)) == []
    # What is learned by heart need not rise: it is far from the training loss.
    falls = np.geomspace(2.3, 0.001, 12)
    by_heart = only(with_curves(loss=falls, val_loss=np.maximum(falls, 0.5)))
    assert by_heart.kind == "overfitting"
    assert by_heart.value == pytest.approx(0.5 / falls[-2])
    # Far from it too, and yet well.
    assert kinds(with_curves(loss=falls, val_loss=np.maximum(falls, 0.3))) == []


def test_underfitting():
    slow = np.linspace(2.29, 1.75, 12)
    small = with_curves(loss=slow, val_loss=slow)
    small.layers = facts(5, units=10)
    found = only(small)
    assert (found.kind, found.cause, found.severity) == ("underfitting", "architecture", "warning")
    # 50,000 weights could learn 1,000 rows by heart: there may be no more to learn.
    large = only(with_curves(loss=slow, val_loss=slow))
    assert (large.kind, large.cause, large.severity) == ("underfitting", "data", "note")
    held = with_curves(loss=slow, val_loss=slow)
    held.layers = facts(5, dropout=0.8)
    assert only(held).cause == "regularization"
    assert kinds(with_curves(loss=np.geomspace(2.3, 0.3, 12))) == []
    # A layer that is narrower than the outputs lets less through.
    narrow = with_curves(loss=np.linspace(2.29, 1.05, 12))
    assert kinds(narrow) == []
    narrow.layers = facts(5, units=3)
    assert only(narrow).kind == "underfitting"


def test_a_plateau_follows_from_a_net_that_is_too_small():
    examined = with_curves(loss=[2.4, *[2.3] * 11])
    examined.layers = facts(5, units=10)
    found = judge(examined)
    assert [one.kind for one in found] == ["underfitting", "plateau"]
    assert found[1].because is found[0]


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_thresholds_are_positive(value):
    with pytest.raises(ValueError, match="dead: expected a number in"):
        eg.health.Thresholds(dead=value)


def test_thresholds_decide():
    examined = examination(dead=[0.05, 0.3, 0.05, 0.05, 0.05, np.nan])
    assert kinds(examined) == []
    assert kinds(examined, dead=0.1) == ["dead_units"]


def test_remedies_are_short():
    for layers in (facts(5), facts(5, activation="sigmoid", initializer="RandomNormal")):
        for examined in (
            examination(layers, speed=chain(1 / 4), update_ratio=0.9, saturated=0.9, dead=0.9),
            examination(layers, speed=chain(25), activation_rms=chain(1 / 30), update_ratio=1e-9),
        ):
            found = judge(examined)
            assert found
            for finding in found:
                assert finding.remedies
                assert all(0 < len(one.text) <= 400 for one in finding.remedies)
