"""The operation for all steps of a recurrent layer, against the loop over the steps."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

KINDS = {"simple": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def run_once(layer, x, states, training):
    """Return outputs, states and all gradients of a call."""
    inputs = [eg.tensor(one, requires_grad=True) for one in (x, *states)]
    for weight in layer.trainable_weights:
        weight.zero_grad()
    for stream in layer._state.generators.values():
        stream.draws = 0
    results = layer(inputs, training=training)
    total = None
    for k, part in enumerate(results):
        factors = np.cos(np.arange(part.size) + k).reshape(part.shape)
        one = (part * eg.tensor(factors)).sum()
        total = one if total is None else total + one
    total.backward()
    gradients = [t.grad.numpy() for t in [*inputs, *layer.trainable_weights]]
    return [result.numpy() for result in results], gradients


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", ["simple", "lstm", "gru"])
def test_the_operation_is_the_loop(kind, use_bias, training, rng, monkeypatch):
    x = rng.normal(size=(34, 5, 2))
    layer = KINDS[kind](
        19,
        dtype="float64",
        use_bias=use_bias,
        return_sequences=True,
        return_state=True,
        dropout=0.2,
        recurrent_dropout=0.3,
    )
    layer(x)
    layer.set_weights([rng.normal(size=w.shape) * 0.7 for w in layer.weights])
    states = [rng.normal(size=(34, 19)) for _ in range(layer.states)]
    assert layer.fused_cell() == kind
    fused = run_once(layer, x, states, training)
    monkeypatch.setattr(layer, "fused_cell", lambda: None)
    loop = run_once(layer, x, states, training)
    for some, others in zip(fused, loop, strict=True):
        for one, other in zip(some, others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 7, 32, 34])
def test_same_bits_for_any_number_of_threads(rows, rng):
    x = rng.normal(size=(rows, 40, 16)).astype("float32")
    found = []
    before = eg.get_num_threads()
    for threads in (1, 2, 3):
        eg.set_num_threads(threads)
        try:
            model = eg.Sequential([layers.LSTM(48), eg.layers.Dense(1)], seed=3)
            model.compile("adam", "mse")
            model.fit(x, x[:, 0, 0], batch_size=rows, epochs=3, shuffle=False, verbose=0)
            found.append([w.tobytes() for w in model.get_weights()])
        finally:
            eg.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def plan_of(steps, rng, **options):
    """Return the description of a captured training step over sequences of that length."""
    layer, head = layers.LSTM(8, **options), eg.layers.Dense(1)
    x = eg.tensor(rng.normal(size=(32, steps, 3)))
    head(layer(x))
    optimizer = eg.optimizers.SGD(0.1)
    with eg._core.Recording() as recording:
        loss = head(layer(x)).square().mean()
        optimizer.minimize(loss, layer.trainable_weights + head.trainable_weights)
    return recording.plan.describe()


def test_a_step_has_as_few_launches_and_barriers_for_long_sequences(rng):
    short, long = plan_of(2, rng), plan_of(50, rng)
    for key in ("launches", "phases"):
        assert short[key] == long[key]
    assert long["phases"] <= 3
    assert long["memory"] < 25 * short["memory"]


def test_the_loop_s_memory_does_not_grow_with_the_square_of_the_steps(rng):
    short, long = (plan_of(steps, rng, activation="softsign")["memory"] for steps in (8, 64))
    assert long < 8 * 2 * short
