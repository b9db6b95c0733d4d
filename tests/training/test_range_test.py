"""The learning-rate range test: what it finds, and that it leaves no trace."""

import numpy as np
import pytest
from training_checks import everything

import evengrad as eg
from evengrad.layers._module import module_tree

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 6))
Y = RNG.integers(0, 3, 200)


def classifier(optimizer, eager=False, loss="sparse_categorical_crossentropy"):
    model = eg.Sequential(
        [
            eg.Input((6,)),
            eg.layers.Dense(8, "relu", norm=eg.layers.BatchNormalization()),
            eg.layers.Dropout(0.3),
            eg.layers.Dense(3),
        ],
        seed=11,
    )
    model.compile(optimizer, loss, ["accuracy"], run_eagerly=eager)
    return model


def quadratic(optimizer="sgd", first=1.0):
    """One weight w whose loss on rows of ones and zeros as targets is w²."""
    model = eg.Sequential(
        [
            eg.Input((1,)),
            eg.layers.Dense(1, use_bias=False, kernel_initializer=eg.initializers.Constant(first)),
        ],
        dtype="float64",
        seed=1,
    )
    model.compile(optimizer, "mse")
    return model


def test_the_losses_of_a_parabola_are_those_of_the_algebra():
    model = quadratic()
    found = model.find_learning_rate(
        np.ones((4, 1)), np.zeros((4, 1)), 1e-3, 1.0, batch_size=4, steps=30, smoothing=0.0
    )
    np.testing.assert_allclose(
        found.learning_rates, 1e-3 * 10.0 ** (np.arange(30) / 10), rtol=1e-13
    )
    # Each step multiplies w by 1 − 2η; nothing shoots up, since η stays below 1.
    w = np.cumprod(np.concatenate([[1.0], 1 - 2 * found.learning_rates[:-1]]))
    np.testing.assert_allclose(found.losses, w**2, rtol=1e-12)
    np.testing.assert_array_equal(found.losses, found.smoothed_losses)


def test_the_factor_of_the_notes():
    found = quadratic().find_learning_rate(np.ones((43, 1)), np.zeros(43), batch_size=1)
    assert found.learning_rates[0] == 1e-5
    np.testing.assert_allclose(
        found.learning_rates[1:] / found.learning_rates[:-1], 1.378907, rtol=3e-7
    )


def test_smoothing_is_the_average_with_its_bias_corrected():
    found = classifier("sgd").find_learning_rate(X, Y, steps=50, smoothing=0.8)
    for t, smooth in enumerate(found.smoothed_losses, 1):
        weights = 0.8 ** np.arange(t)[::-1]
        assert smooth == pytest.approx(
            (weights * found.losses[:t]).sum() / weights.sum(), rel=1e-12
        )


def test_it_ends_where_the_loss_shoots_up():
    found = quadratic().find_learning_rate(
        np.ones((4, 1)), np.zeros(4), 0.01, 100.0, steps=60, smoothing=0.0, stop_factor=4.0
    )
    assert found.stopped_early
    assert len(found.losses) < 60
    best = np.minimum.accumulate(found.losses)
    assert (found.losses[:-1] <= 4 * best[:-1]).all()
    assert found.losses[-1] > 4 * best[-1]
    # |1 − 2η| > 1 from η = 1 on: the last fall is the step before the rate passes 1.
    assert found.turning_point == pytest.approx(found.learning_rates[found.learning_rates > 1.0][0])
    assert found.suggestion == found.turning_point / 10


def test_the_curve_of_a_result():
    rates = [0.001, 0.01, 0.1, 1.0, 10.0]
    found = type(quadratic().find_learning_rate(X[:, :1], Y, steps=2))(
        rates, [3.0, 2.9, 2.0, 1.5, 9.0], [3.0, 2.9, 2.0, 1.5, 9.0], True
    )
    assert (found.turning_point, found.steepest, found.suggestion) == (1.0, 0.01, 0.1)
    assert repr(found) == ("<RangeTest of 5 steps, learning rates 0.001 to 10: suggestion 0.1>")


OPTIMIZERS = [
    lambda: eg.optimizers.SGD(0.1, 0.9),
    lambda: eg.optimizers.Adam(0.01),
    lambda: eg.optimizers.Nadam(eg.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)),
    lambda: eg.optimizers.RMSprop(0.01, centered=True, weight_decay=0.1),
    lambda: eg.optimizers.Adam(
        0.01,
        use_ema=True,
        ema_overwrite_frequency=3,
        gradient_accumulation_steps=4,
        groups=[{"names": "bias", "learning_rate_multiplier": 2.0}],
    ),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("eager", [False, True])
def test_it_leaves_no_trace(make, eager):
    touched, untouched = classifier(make(), eager), classifier(make(), eager)
    x, y = X.copy(), Y.copy()
    found = []
    for _ in range(2):
        before = everything(touched)
        history = touched.__dict__.get("history")
        found.append(touched.find_learning_rate(X, Y, batch_size=32))
        again = touched.find_learning_rate(X, Y, batch_size=32)
        np.testing.assert_array_equal(again.losses, found[-1].losses)
        assert again.suggestion == found[-1].suggestion
        assert everything(touched) == before
        assert touched.__dict__.get("history") is history
        logs = [model.fit(X, Y, epochs=2, verbose=0).history for model in (touched, untouched)]
        assert logs[0] == logs[1]
        assert everything(touched)[:-2] == everything(untouched)[:-2]
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    # The second began where training had led.
    assert found[0].losses[0] != found[1].losses[0]


def test_eager_and_captured_find_the_same_bits():
    one, other = (
        classifier(eg.optimizers.Adam(), eager).find_learning_rate(X, Y) for eager in (False, True)
    )
    np.testing.assert_array_equal(one.losses, other.losses)


@pytest.mark.parametrize("error", [RuntimeError("on purpose"), KeyboardInterrupt()])
def test_an_error_in_the_middle_leaves_no_trace(error):
    calls = []

    def loss(y, prediction):
        calls.append(1)
        if len(calls) == 8:
            raise error
        return (prediction - y[:, None].astype("float32")).square().mean()

    model = classifier(eg.optimizers.Adam(0.01), eager=True, loss=loss)
    before = everything(model)
    with pytest.raises(type(error)):
        model.find_learning_rate(X, Y)
    assert len(calls) == 8
    assert everything(model) == before


def test_ctrl_c_in_a_captured_test(monkeypatch):
    from evengrad.training._objective import Mean

    model = classifier(eg.optimizers.Adam(0.01))
    model.fit(X, Y, verbose=0)
    before = everything(model)
    calls = []

    def interrupted(self):
        calls.append(self)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return 1.0

    with monkeypatch.context() as patch:
        patch.setattr(Mean, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.find_learning_rate(X, Y)
    assert everything(model) == before


def test_the_state_of_the_optimizer_counts():
    fresh, warm = classifier(eg.optimizers.SGD(0.1, 0.9)), classifier(eg.optimizers.SGD(0.1, 0.9))
    warm.fit(X, Y, epochs=1, verbose=0)
    fresh.set_weights(warm.get_weights())
    for ours, theirs in zip(module_tree(fresh).layers, module_tree(warm).layers, strict=True):
        for name, stream in ours[1]._state.generators.items():
            stream.draws = theirs[1]._state.generators[name].draws
    one, other = (model.find_learning_rate(X, Y, 1e-2, 1.0) for model in (fresh, warm))
    assert one.losses[0] == other.losses[0]
    assert one.losses[2] != other.losses[2]


def test_weights_of_rows_and_unbuilt_models():
    model = eg.Sequential([eg.layers.Dense(3)], seed=5)
    model.compile("sgd", "sparse_categorical_crossentropy")
    plain = model.find_learning_rate(X, Y, batch_size=200, steps=5)
    assert model.built
    double = model.find_learning_rate(
        X, Y, batch_size=200, steps=5, class_weight={0: 2.0, 1: 2.0, 2: 2.0}
    )
    assert double.losses[0] == pytest.approx(2 * plain.losses[0], rel=1e-6)
    zeros = np.zeros(200)
    assert (model.find_learning_rate(X, Y, steps=5, sample_weight=zeros).losses == 0).all()


def test_how_many_steps():
    model = quadratic()
    x = np.ones((6400, 1))
    for rows, steps in ((10, 40), (1600, 50), (6400, 200)):
        assert len(model.find_learning_rate(x[:rows], x[:rows], 1e-5, 1e-4).losses) == steps
    assert len(model.find_learning_rate(x, x, 1e-6, 1e-5, batch_size=1).losses) == 1000


def test_a_range_that_shows_nothing_is_said(advice):
    model = quadratic()
    x = np.ones((8, 1))
    with advice.heard():
        found = model.find_learning_rate(x, np.zeros(8), 1e-3, 1e-2)
    assert found.turning_point == found.learning_rates[-1]
    assert "raise max_lr" in advice.text
    advice.clear()
    with advice.heard():
        found = model.find_learning_rate(x, np.zeros(8), 2.0, 20.0)
    assert found.turning_point == 2.0
    assert "lower min_lr" in advice.text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"min_lr": 0.0}, ValueError, "min_lr"),
        ({"min_lr": 1.0, "max_lr": 1.0}, ValueError, "max_lr"),
        ({"max_lr": float("inf")}, ValueError, "max_lr"),
        ({"max_lr": float("nan")}, ValueError, "max_lr"),
        ({"steps": 1}, ValueError, "steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"stop_factor": 1.0}, ValueError, "stop_factor"),
        ({"smoothing": 1.0}, ValueError, "smoothing"),
        ({"min_rate": 1.0}, TypeError, "did you mean 'min_lr'"),
        ({"y": Y[:-1]}, ValueError, "expected 200 rows"),
        ({"x": iter([(X, Y)])}, TypeError, "expected arrays"),
    ],
)
def test_bad_arguments(arguments, error, message):
    model = classifier("adam")
    before = everything(model)
    with pytest.raises(error, match=message):
        model.find_learning_rate(**{"x": X, "y": Y, **arguments})
    assert everything(model) == before


def test_what_cannot_be_tested():
    model = classifier("adam")
    model.trainable = False
    with pytest.raises(ValueError, match="no variable is trainable"):
        model.find_learning_rate(X, Y)
    with pytest.raises(RuntimeError, match="compile"):
        eg.Sequential([eg.layers.Dense(1)]).find_learning_rate(X, Y)
    broken = quadratic(first=1e200)
    with pytest.raises(ValueError, match="first batch is not finite"):
        broken.find_learning_rate(X[:, :1], Y)


def test_a_loss_below_zero():
    model = eg.Sequential([eg.layers.Dense(3)], seed=5)
    model.compile("sgd", lambda y, p: y.astype(p.dtype).mean() * 0.0 - p.square().mean())
    found = model.find_learning_rate(X, Y, 1e-3, 1e-1)
    assert len(found.losses) == 40
    assert found.losses[-1] < found.losses[0] < 0


def test_the_picture():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    found = classifier("sgd").find_learning_rate(X, Y)
    axes = found.plot()
    raw, smooth, mark = axes.get_lines()
    np.testing.assert_array_equal(raw.get_ydata(), found.losses)
    np.testing.assert_array_equal(smooth.get_ydata(), found.smoothed_losses)
    assert mark.get_xdata()[0] == found.suggestion
    assert found.plot(axes) is axes
    pyplot.close("all")


def test_seeds_are_tests_of_their_own_whose_mean_is_returned():
    model = classifier(eg.optimizers.Adam(0.01))
    model.fit(X, Y, verbose=0)
    before = everything(model)
    found = model.find_learning_rate(X, Y, 1e-4, 10.0, steps=30, seeds=[3, 4, 11])
    assert list(map(repr, everything(model))) == list(map(repr, before))
    for seed, test in zip([3, 4, 11], found.tests, strict=True):
        alone = eg.models.clone_model(model, seed=seed)
        alone.compile(eg.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        expected = alone.find_learning_rate(X, Y, 1e-4, 10.0, steps=30)
        np.testing.assert_array_equal(test.losses, expected.losses)
        np.testing.assert_array_equal(test.learning_rates, expected.learning_rates)
    steps = min(len(test.losses) for test in found.tests)
    for name in ("losses", "smoothed_losses"):
        mean = np.mean([getattr(test, name)[:steps] for test in found.tests], axis=0)
        np.testing.assert_array_equal(getattr(found, name), mean)
    assert found.suggestion in found.learning_rates / 10


def test_seeds_that_are_none():
    model = classifier("sgd")
    with pytest.raises(ValueError, match="seeds: expected one integer or more, got none"):
        model.find_learning_rate(X, Y, seeds=[])
    with pytest.raises(TypeError, match="seeds: "):
        model.find_learning_rate(X, Y, seeds=[1.5])
    assert model.find_learning_rate(X, Y, steps=10).tests == []
