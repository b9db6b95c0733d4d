"""Moving averages of the weights."""

import inspect

import numpy as np
import pytest

import evengrad as eg
from evengrad import optimizers
from evengrad.callbacks import LambdaCallback, SwapEMAWeights

RNG = np.random.default_rng(10)
X, Y = RNG.normal(size=(50, 4)), RNG.normal(size=(50, 1))


def network(optimizer, eager=False, **dense):
    model = eg.Sequential(
        [eg.Input((4,)), eg.layers.Dense(5, "tanh", **dense), eg.layers.Dense(1)],
        dtype="float64",
        seed=1,
    )
    model.compile(optimizer, "mse", run_eagerly=eager)
    return model


def averages(model):
    return [np.array(model.optimizer.slots(w)["average"].numpy()) for w in model.trainable_weights]


def assert_same(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("every", [None, 1, 3])
@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_the_recurrence(dtype, every, momentum):
    gradients = RNG.normal(size=(25, 9))
    w = eg.tensor(np.full(9, 2.0), dtype=dtype, requires_grad=True)
    optimizer = optimizers.SGD(
        0.1, use_ema=True, ema_momentum=momentum, ema_overwrite_frequency=every
    )
    theta, average = np.full(9, 2.0), None
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    for t, gradient in enumerate(gradients, 1):
        optimizer.apply_gradients([(eg.tensor(gradient, dtype=dtype), w)])
        theta = theta - 0.1 * gradient
        average = theta if t == 1 else momentum * average + (1 - momentum) * theta
        if every is not None and t % every == 0:
            theta = average
        np.testing.assert_allclose(w.numpy(), theta, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(
            optimizer.slots(w)["average"].numpy(), average, rtol=tolerance, atol=tolerance
        )
        if t == 1:
            np.testing.assert_array_equal(optimizer.slots(w)["average"].numpy(), w.numpy())


def test_constraints_come_before_averages():
    ball = eg.constraints.MaxNorm(0.1)
    model = network(optimizers.SGD(10.0, use_ema=True), kernel_constraint=ball)
    model.train_on_batch(X, Y)
    kernel, average = model.trainable_weights[0], averages(model)[0]
    np.testing.assert_array_equal(kernel.numpy(), average)
    assert np.linalg.norm(average, axis=0).max() <= 0.1 + 1e-12


def test_only_updates_count():
    w = eg.tensor(np.array([1.0]), requires_grad=True)
    optimizer = optimizers.SGD(
        1.0,
        use_ema=True,
        ema_momentum=0.5,
        ema_overwrite_frequency=2,
        gradient_accumulation_steps=2,
    )
    path = []
    for _ in range(4):
        optimizer.apply_gradients([(eg.tensor(np.array([1.0])), w)])
        path.append((w.item(), optimizer.slots(w)["average"].item()))
    assert path == [(1.0, 1.0), (0.0, 0.0), (0.0, 0.0), (-0.5, -0.5)]


def test_fit_ends_with_the_averages():
    made = {"use_ema": True, "ema_momentum": 0.9}
    plain, model = network(optimizers.Adam(0.05)), network(optimizers.Adam(0.05, **made))
    for one in (plain, model):
        one.fit(X, Y, epochs=3, verbose=0)
    assert_same(model.get_weights(), averages(model))
    assert not np.array_equal(model.get_weights()[0], plain.get_weights()[0])
    # What is trained is the same: only the end differs.
    weights = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))  # noqa: ARG005 - a hook
    model = network(optimizers.Adam(0.05, **made))
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[look])
    assert_same(weights[-1], plain.get_weights())
    before = model.get_weights()
    model.fit(X, Y, epochs=3, initial_epoch=3, verbose=0)
    assert_same(model.get_weights(), before)


def test_an_interrupted_fit_keeps_the_weights():
    def stop(epoch, logs):
        del logs
        if epoch == 1:
            raise KeyboardInterrupt

    model, plain = network(optimizers.Adam(use_ema=True)), network(optimizers.Adam())
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[LambdaCallback(on_epoch_end=stop)])
    plain.fit(X, Y, epochs=2, verbose=0)
    assert_same(model.get_weights(), plain.get_weights())


def test_swapping():
    model = network(optimizers.Adam(0.05, use_ema=True, ema_momentum=0.5))
    for _ in range(4):
        model.train_on_batch(X, Y)
    weights, means, optimizer = model.get_weights(), averages(model), model.optimizer
    with optimizer.averaged_weights(model.trainable_weights):
        assert_same(model.get_weights(), means)
        with pytest.raises(RuntimeError, match="swap_ema_weights again"):
            model.train_on_batch(X, Y)
        with pytest.raises(RuntimeError, match="swap_ema_weights again"):
            model.fit(X, Y, verbose=0)
        averaged = model.evaluate(X, Y)
    assert_same(model.get_weights(), weights)
    assert_same(averages(model), means)
    assert model.evaluate(X, Y) != averaged
    with pytest.raises(ZeroDivisionError), optimizer.averaged_weights(model.trainable_weights):
        raise ZeroDivisionError
    assert_same(model.get_weights(), weights)
    optimizer.swap_ema_weights(model.trainable_weights)
    optimizer.finalize_variable_values(model.trainable_weights)
    assert_same(model.get_weights(), means)
    assert_same(averages(model), means)
    model.train_on_batch(X, Y)


def test_before_the_first_step_the_average_is_the_weight():
    model = network(optimizers.SGD(use_ema=True))
    before = model.get_weights()
    with model.optimizer.averaged_weights(model.trainable_weights):
        assert_same(model.get_weights(), before)


def test_the_callback_evaluates_averages():
    def trained(callbacks):
        model = network(optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8))
        history = model.fit(
            X, Y, epochs=3, validation_data=(X, Y), verbose=0, callbacks=callbacks(model)
        )
        return model, history.history

    seen = []

    def measure(model):
        def look(epoch, logs):
            del epoch, logs
            with model.optimizer.averaged_weights(model.trainable_weights):
                seen.append(model.evaluate(X, Y, batch_size=32))

        return [LambdaCallback(on_epoch_end=look)]

    swapped, with_callback = trained(lambda _: [SwapEMAWeights()])
    plain, by_hand = trained(measure)
    assert with_callback["val_loss"] == seen
    assert by_hand["val_loss"] != seen
    assert with_callback["loss"] == by_hand["loss"]
    assert_same(swapped.get_weights(), plain.get_weights())


def test_averages_may_stay_for_the_callbacks_that_follow():
    model = network(optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8))
    seen = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()))  # noqa: ARG005 - a hook
    other = network(optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8))
    model.fit(
        X,
        Y,
        epochs=2,
        verbose=0,
        validation_split=0.2,
        callbacks=[SwapEMAWeights(swap_on_epoch=True), look],
    )
    other.fit(X, Y, epochs=2, verbose=0, validation_split=0.2)
    assert_same(seen[-1], other.get_weights())
    assert_same(model.get_weights(), other.get_weights())
    assert_same(averages(model), averages(other))
    model.fit(X, Y, epochs=1, verbose=0)


def test_an_error_while_the_averages_are_in_place():
    def fail(logs):
        del logs
        raise ZeroDivisionError

    model, plain = network(optimizers.Adam(use_ema=True)), network(optimizers.Adam())
    callbacks = [SwapEMAWeights(), LambdaCallback(on_test_begin=fail)]
    with pytest.raises(ZeroDivisionError):
        model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=callbacks)
    plain.fit(X, Y, verbose=0)
    assert_same(model.get_weights(), plain.get_weights())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.SGD(use_ema=True, ema_momentum=1.5), "ema_momentum"),
        (lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=0), "ema_overwrite_freq"),
        (lambda: optimizers.SGD(ema_overwrite_frequency=2), "use_ema=True"),
        (lambda: optimizers.SGD().swap_ema_weights([eg.tensor([1.0])]), "use_ema=True"),
        (
            lambda: network("sgd").fit(X, Y, verbose=0, callbacks=[SwapEMAWeights()]),
            "use_ema=True",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def public_optimizers():
    return [
        thing
        for name, thing in sorted(vars(optimizers).items())
        if inspect.isclass(thing)
        and issubclass(thing, optimizers.Optimizer)
        and thing is not optimizers.Optimizer
    ]


def public_forms():
    for kind in public_optimizers():
        conventions = ["keras", "torch", "tf1"]
        several = "convention" in inspect.signature(kind).parameters
        yield from ((kind, convention) for convention in (conventions if several else [None]))


@pytest.mark.parametrize(("kind", "convention"), list(public_forms()))
def test_state_of_every_optimizer_is_restored_exactly(kind, convention, tmp_path):
    """Everything at once, saved within a window of accumulation; eager goes the same way."""
    settings = {
        "use_ema": True,
        "ema_momentum": 0.7,
        "ema_overwrite_frequency": 4,
        "gradient_accumulation_steps": 3,
        "groups": [
            optimizers.ParameterGroup("bias", 2.0, 0.0),
            optimizers.ParameterGroup("dense/", 0.5),
        ],
        "clipnorm": 1.0,
    }
    if convention is not None:
        settings["convention"] = convention
    if convention != "tf1" or kind is optimizers.AdamW:
        settings["weight_decay"] = 0.01

    def make():
        return kind(learning_rate=optimizers.schedules.InverseTimeDecay(0.02, 3, 0.5), **settings)

    whole, eager = network(make()), network(make(), eager=True)
    for model in (whole, eager):
        model.fit(X, Y, epochs=2, batch_size=16, verbose=0)
        for step in range(3):
            model.train_on_batch(X[step::3], Y[step::3])
    assert (whole.optimizer.iterations, whole.optimizer._core.accumulated) == (3, 2)
    whole.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert repr(again.optimizer) == repr(whole.optimizer)
    for weight, other in zip(whole.trainable_weights, again.trainable_weights, strict=True):
        ours, theirs = whole.optimizer.slots(weight), again.optimizer.slots(other)
        assert list(ours) == list(theirs)
        assert_same([s.numpy() for s in ours.values()], [s.numpy() for s in theirs.values()])
    for model in (whole, again, eager):
        model.fit(X, Y, epochs=3, batch_size=16, verbose=0)
    assert_same(whole.get_weights(), again.get_weights())
    assert_same(whole.get_weights(), eager.get_weights())
    assert whole.optimizer.iterations == 7
