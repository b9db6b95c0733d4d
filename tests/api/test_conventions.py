"""The conventions, row by row: what each library's word sets where nothing is passed."""

import numpy as np
import pytest
from scipy import stats

import evengrad as eg
from evengrad import constraints, initializers, layers, optimizers, regularizers
from evengrad.optimizers import schedules

# What an unset `convention` stands for.
OURS = "evengrad"


def said(convention):
    return {} if convention == OURS else {"convention": convention}


def walk(optimizer, gradients=(1.0, 1.0), start=0.0, rates=None):
    w = eg.tensor(np.full(1, start), requires_grad=True)
    for i, gradient in enumerate(gradients):
        if rates is not None:
            optimizer.learning_rate = rates[i]
        optimizer.apply_gradients([(eg.tensor(np.full(1, gradient)), w)])
    return round(w.item(), 10)


def settings(name, *arguments, **given):
    """Return a function of the convention: these arguments of an optimizer's defaults."""

    def of(convention):
        made = getattr(optimizers, name)(**given, **said(convention))
        return tuple(getattr(made, argument) for argument in arguments)

    return of


def momentum_form(convention):
    """Return where two gradients of 1 lead with rates 1 and .1, and β .9."""
    return walk(optimizers.SGD(1.0, 0.9, **said(convention)), rates=(1.0, 0.1))


def nesterov(convention):
    optimizer = optimizers.SGD(1.0, 0.9, nesterov=True, **said(convention))
    return walk(optimizer, rates=(1.0, 0.1))


def nesterov_without_momentum(convention):
    return walk(optimizers.SGD(1.0, 0.0, nesterov=True, **said(convention)))


def first_square(convention):
    """Return where RMSProp's mean square begins."""
    w = eg.tensor(np.zeros(1))
    optimizer = optimizers.RMSprop(**said(convention))
    return optimizer.slots(w)["mean_square"].item()


def with_decay(kind):
    """Return what a decay of .5 makes of 4 where the gradient is 1 and the rate .1."""

    def of(convention):
        optimizer = getattr(optimizers, kind)(0.1, weight_decay=0.5, **said(convention))
        return walk(optimizer, (1.0,), start=4.0)

    return of


def adamw_without_gradient(convention):
    optimizer = optimizers.AdamW(0.1, weight_decay=0.5, **said(convention))
    return walk(optimizer, (0.0,), start=4.0)


def clipped(convention):
    w = eg.tensor(np.zeros(2), requires_grad=True)
    optimizer = optimizers.SGD(1.0, global_clipnorm=1.0, **said(convention))
    optimizer.apply_gradients([(eg.tensor(np.array([3.0, 4.0])), w)])
    return tuple(np.round(-w.detach().numpy(), 8))


def max_norm(convention):
    """Return the shares that are left of a column of norm 5 and of one of norm .5."""
    w = np.array([[3.0, 0.3], [4.0, 0.4]])
    got = constraints.MaxNorm(1.0, **said(convention))(eg.tensor(w)).numpy()
    return tuple(np.round(got[0] / w[0], 9))


def moving_statistics(convention):
    layer = layers.BatchNormalization(dtype="float64", **said(convention))
    layer(np.arange(4.0).reshape(4, 1), training=True)
    return tuple(round(value.item(), 7) for value in (layer.moving_mean, layer.moving_variance))


def batch_norm(*arguments):
    def of(convention):
        made = layers.BatchNormalization(**said(convention))
        return tuple(getattr(made, argument) for argument in arguments)

    return of


def batch_of_one(convention):
    layer = layers.BatchNormalization(0.5, dtype="float64", **said(convention))
    output = layer(np.full((1, 1), 3.0), training=True)
    return output.item(), layer.moving_variance.item()


def plateau(convention):
    """Return the rates after each epoch of a constant figure, with a patience of 2."""
    callback = eg.callbacks.ReduceLROnPlateau("loss", patience=2, **said(convention))
    model = eg.Sequential([layers.Dense(1)])
    model.compile(optimizers.SGD(1.0), "mse")
    callback.set_model(model)
    callback.on_train_begin()
    seen = []
    for epoch in range(5):
        callback.on_epoch_end(epoch, {"loss": 1.0})
        seen.append(round(model.optimizer.learning_rate, 4))
    return tuple(seen)


def boundary(convention):
    schedule = schedules.PiecewiseConstantDecay([2, 4], [1.0, 0.1, 0.01], **said(convention))
    return tuple(schedule(step) for step in range(6))


def leaky(convention):
    return -round(layers.LeakyReLU(**said(convention))(eg.tensor([[-1.0]])).item(), 6)


def learned_slopes(convention):
    layer = layers.PReLU(**said(convention))
    layer(np.ones((2, 3)))
    return tuple(layer.alpha.detach().numpy().ravel())


def normal_law(convention):
    """Return the largest of many values, in deviations that were asked for, to two digits."""
    values = initializers.HeNormal(1, **said(convention))((200, 1000), "float64").numpy()
    deviations = np.abs(values).max() / (2 / 200) ** 0.5
    return round(float(deviations), 2) if deviations < 3 else "not cut"


def cut_at(convention):
    made = initializers.TruncatedNormal(0.0, 1.5, 1, **said(convention))
    return round(float(np.abs(made((100000,), "float64").numpy()).max()), 2)


def dense(convention):
    """Return the largest first value of kernel and bias, with 400 inputs and 2000 outputs."""
    layer = layers.Dense(2000, dtype="float64", **said(convention))
    layer.build((None, 400))
    return tuple(round(float(np.abs(w.detach().numpy()).max()), 3) for w in layer.weights)


def forget_bias(convention):
    layer = layers.LSTM(50, **said(convention))
    layer.build((None, 3, 2))
    bias = layer.bias.detach().numpy()
    return "random" if (bias != 0).all() and (bias != 1).all() else tuple(np.unique(bias[50:100]))


THIRD = round(6**0.5 / 2400**0.5, 3)
# Row by row: what `keras`, `torch`, `tf1` and nothing at all set. An error is what is refused.
ROWS = [
    ("momentum form", momentum_form, -2.0, -1.19, -1.19, -2.0),
    ("Nesterov", nesterov, -2.9, -2.171, -2.171, -2.9),
    ("Nesterov without momentum", nesterov_without_momentum, -2.0, ValueError, -2.0, -2.0),
    ("SGD rate", settings("SGD", "learning_rate"), (0.01,), (0.001,), ValueError, (0.01,)),
    (
        "AdaGrad",
        settings("Adagrad", "initial_accumulator_value", "epsilon", "learning_rate", "lr_decay"),
        (0.1, 1e-7, 1e-3, 0.0),
        (0.0, 1e-10, 1e-2, 0.0),
        (0.1, 0.0, 1e-3, 0.0),
        (0.1, 1e-7, 1e-3, 0.0),
    ),
    (
        "RMSProp",
        settings("RMSprop", "rho", "epsilon", "learning_rate"),
        (0.9, 1e-7, 1e-3),
        (0.99, 1e-8, 1e-2),
        (0.9, 1e-10, 1e-3),
        (0.9, 1e-7, 1e-3),
    ),
    ("RMSProp's first square", first_square, 0.0, 0.0, 1.0, 0.0),
    (
        "Adam",
        settings("Adam", "learning_rate", "beta_1", "beta_2", "epsilon"),
        (1e-3, 0.9, 0.999, 1e-7),
        (1e-3, 0.9, 0.999, 1e-8),
        (1e-3, 0.9, 0.999, 1e-8),
        (1e-3, 0.9, 0.999, 1e-7),
    ),
    ("AMSGrad", settings("Adam", "amsgrad", amsgrad=True), (True,), (True,), ValueError, (True,)),
    (
        "AdamW",
        settings("AdamW", "learning_rate", "weight_decay", "epsilon"),
        (1e-3, 0.004, 1e-7),
        (1e-3, 0.01, 1e-8),
        ValueError,
        (1e-3, 0.004, 1e-7),
    ),
    ("AdamW's decay", adamw_without_gradient, 3.8, 3.8, 2.0, 3.8),
    (
        "Nadam",
        settings("Nadam", "learning_rate", "momentum_decay", "epsilon"),
        (1e-3, 1.0, 1e-7),
        (2e-3, 0.004, 1e-8),
        (1e-3, None, 1e-8),
        (1e-3, 1.0, 1e-7),
    ),
    (
        "AdaMax",
        settings("Adamax", "learning_rate", "epsilon"),
        (1e-3, 1e-7),
        (2e-3, 1e-8),
        (1e-3, 1e-8),
        (1e-3, 1e-7),
    ),
    ("SGD's decay", with_decay("SGD"), 3.7, 3.7, ValueError, 3.7),
    (
        "penalty",
        lambda c: regularizers.L2(0.5, **said(c))(eg.tensor([2.0])).item(),
        2.0,
        1.0,
        1.0,
        2.0,
    ),
    ("global norm", clipped, (0.6, 0.8), (0.59999988, 0.79999984), (0.6, 0.8), (0.6, 0.8)),
    (
        "max-norm",
        max_norm,
        (0.199999996, 0.9999998),
        (0.199999996, 1.0),
        (0.2, 1.0),
        (0.2, 1.0),
    ),
    (
        "batch normalization",
        batch_norm("momentum", "epsilon", "scale"),
        (0.99, 1e-3, True),
        (0.1, 1e-5, True),
        (0.999, 1e-3, False),
        (0.99, 1e-3, True),
    ),
    # Of 0, 1, 2, 3: the mean 1.5, the variance 1.25, or 5/3 without bias.
    (
        "moving statistics",
        moving_statistics,
        (0.015, 1.0025),
        (0.15, 1.0666667),
        (0.0015, 1.0006667),
        (0.015, 1.0025),
    ),
    ("batch of one", batch_of_one, (0.0, 0.5), ValueError, (0.0, 0.5), (0.0, 0.5)),
    (
        "plateau",
        plateau,
        (1.0, 1.0, 0.1, 0.1, 0.01),
        (1.0, 1.0, 1.0, 0.1, 0.1),
        ValueError,
        (1.0, 1.0, 0.1, 0.1, 0.01),
    ),
    (
        "piecewise boundary",
        boundary,
        (1.0, 1.0, 1.0, 0.1, 0.1, 0.01),
        (1.0, 1.0, 0.1, 0.1, 0.01, 0.01),
        (1.0, 1.0, 1.0, 0.1, 0.1, 0.01),
        (1.0, 1.0, 1.0, 0.1, 0.1, 0.01),
    ),
    ("leaky slope", leaky, 0.3, 0.01, 0.2, 0.01),
    ("learned slope", learned_slopes, (0.0, 0.0, 0.0), (0.25,), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    # 2 / .879626 and 2 · √1.3.
    ("normal law by fans", normal_law, 2.27, "not cut", 2.28, 2.27),
    ("truncated normal", cut_at, 3.0, 2.0, 3.0, 3.0),
    ("dense", dense, (THIRD, 0.0), (0.05, 0.05), (THIRD, 0.0), (THIRD, 0.0)),
    ("forget bias", forget_bias, (1.0,), "random", (1.0,), (1.0,)),
]


@pytest.mark.parametrize("column", range(4), ids=("keras", "torch", "tf1", OURS))
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_row(row, column):
    _, found, *expected = row
    convention = ("keras", "torch", "tf1", OURS)[column]
    if expected[column] is ValueError:
        with pytest.raises(ValueError, match=r"convention|momentum above 0|batch|rows"):
            found(convention)
        return
    got = found(convention)
    if isinstance(expected[column], str):
        assert got == expected[column]
    else:
        np.testing.assert_allclose(
            [np.nan if one is None else one for one in np.ravel(got)],
            [np.nan if one is None else one for one in np.ravel(expected[column])],
            rtol=1e-7 if row[0] != "normal law by fans" else 2e-3,
        )


def test_what_has_no_word_for_it():
    """Kernels are (in, out), a rate is what is dropped, cross-entropy takes probabilities."""
    layer = layers.Dense(3)
    assert layer(np.ones((2, 5))).shape == (2, 3)
    assert layer.kernel.shape == (5, 3)
    kept = layers.Dropout(0.2)(np.ones((100, 100)), training=True).numpy()
    assert set(np.unique(kept).round(6)) == {0.0, 1.25}
    assert (kept == 0).mean() == pytest.approx(0.2, abs=0.02)
    y, p = np.array([1]), np.array([[0.25, 0.75]])
    found = eg.losses.SparseCategoricalCrossentropy()(y, p).item()
    assert found == pytest.approx(-np.log(0.75), rel=1e-6)


def test_lion_has_one_form():
    made = optimizers.Lion()
    assert (made.learning_rate, made.beta_1, made.beta_2) == (1e-4, 0.9, 0.99)
    with pytest.raises(TypeError, match="unknown argument 'convention'"):
        optimizers.Lion(convention="torch")


# ---- layers and initializers: explicit arguments win, and all of it is shown and saved


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        (layers.LeakyReLU, "LeakyReLU()"),
        (lambda **k: layers.LeakyReLU(convention="keras", **k), "LeakyReLU(convention='keras')"),
        (
            lambda **k: layers.LeakyReLU(0.5, convention="tf1", **k),
            "LeakyReLU(negative_slope=0.5, convention='tf1')",
        ),
        (lambda **k: layers.PReLU(convention="torch", **k), "PReLU(convention='torch')"),
        (
            lambda **k: layers.PReLU("ones", shared_axes=(), convention="torch", **k),
            "PReLU(alpha_initializer=Ones(), shared_axes=[], convention='torch')",
        ),
        (lambda **k: layers.PReLU(decays=True, **k), "PReLU(decays=True)"),
        (lambda **k: layers.Dense(4, convention="torch", **k), "Dense(4, convention='torch')"),
        (
            lambda **k: layers.Dense(
                4, kernel_initializer="he_normal", bias_initializer="ones", convention="torch", **k
            ),
            "Dense(4, kernel_initializer=HeNormal(), bias_initializer=Ones(), convention='torch')",
        ),
        (
            lambda **k: layers.Dense(
                4, kernel_initializer="glorot_uniform", convention="torch", **k
            ),
            "Dense(4, kernel_initializer=GlorotUniform(), convention='torch')",
        ),
        (
            lambda **k: layers.Dense(
                4, kernel_initializer=initializers.HeNormal(convention="tf1"), **k
            ),
            "Dense(4, kernel_initializer=HeNormal(convention='tf1'))",
        ),
    ],
)
def test_shown_and_saved(layer, shown, tmp_path):
    assert repr(layer()) == shown
    again = eval(shown, vars(layers) | vars(initializers))  # noqa: S307 - the text above
    assert again.get_config().keys() == layer().get_config().keys()
    assert repr(again.get_config()) == repr(layer().get_config())
    model = eg.Sequential([eg.Input((6,)), layer(name="one")], seed=1)
    model.save(tmp_path / "net")
    loaded = eg.load_model(tmp_path / "net")
    assert repr(loaded.layers[0]) == repr(model.layers[0])
    for left, right in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    # Made anew from its description it begins as it did.
    copy = eg.Sequential([eg.Input((6,)), type(again)(**model.layers[0].get_config())], seed=1)
    for left, right in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_scopes_set_conventions():
    with eg.default_arguments([layers.Dense, layers.LSTM], convention="torch"):
        inside = [layers.Dense(2), layers.LSTM(2), layers.Dense(2, convention="keras")]
    assert [layer.convention for layer in inside] == ["torch", "torch", "keras"]
    with pytest.raises(ValueError, match="convention: unknown 'pytorch'; did you mean 'torch'"):
        layers.Dense(2, convention="pytorch")


def test_dense_under_torch_is_even_over_one_over_the_root_of_in():
    layer = layers.Dense(300, dtype="float64", convention="torch")
    layer.build((None, 100))
    law = stats.uniform(-0.1, 0.2).cdf
    for w in layer.weights:
        assert stats.kstest(w.detach().numpy().ravel(), law).pvalue > 1e-3
    assert not np.array_equal(layer.bias.numpy(), layer.kernel.detach().numpy()[0])


def test_lstm_under_torch(tmp_path):
    layer = layers.LSTM(100, dtype="float64", convention="torch")
    model = eg.Sequential([eg.Input((3, 200)), layer], seed=2)
    even = stats.uniform(-0.1, 0.2).cdf
    assert stats.kstest(layer.kernel.detach().numpy().ravel(), even).pvalue > 1e-3
    assert stats.kstest(layer.recurrent_kernel.detach().numpy().ravel(), even).pvalue > 1e-3
    # The sum of two even laws is a triangle.
    triangle = stats.triang(0.5, -0.2, 0.4).cdf
    assert stats.kstest(layer.bias.detach().numpy(), triangle).pvalue > 1e-3
    assert repr(layers.LSTM(100, convention="torch")) == "LSTM(100, convention='torch')"
    model.save(tmp_path / "net")
    assert repr(eg.load_model(tmp_path / "net").layers[0]) == repr(layer)
    forced = layers.LSTM(2, unit_forget_bias=True, convention="torch")
    forced.build((None, 3, 2))
    assert forced.bias.tolist()[2:4] == [1.0, 1.0]


def test_learned_slopes_of_every_shape_under_torch():
    layer = layers.PReLU(convention="torch")
    x = np.random.default_rng(0).normal(size=(4, 3, 5))
    np.testing.assert_allclose(layer(x).detach().numpy(), np.where(x > 0, x, 0.25 * x), rtol=1e-6)
    assert layer.alpha.shape == (1, 1)


@pytest.mark.parametrize(
    ("mean", "stddev"), [(0.0, 0.02), (0.0, 1.0), (0.5, 1.5), (0.0, 10.0), (3.0, 1.0), (4.0, 5.0)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncated_normal_under_torch(mean, stddev, dtype):
    made = initializers.TruncatedNormal(mean, stddev, seed=4, convention="torch")
    values = made((20, 1000), dtype).numpy().ravel()
    assert values.dtype == dtype
    assert np.abs(values).max() <= 2.0
    law = stats.truncnorm((-2 - mean) / stddev, (2 - mean) / stddev, mean, stddev)
    assert stats.kstest(values, law.cdf).pvalue > 1e-3
    with pytest.raises(ValueError, match="mean: expected a number in"):
        initializers.TruncatedNormal(5.0, 1.0, convention="torch")


@pytest.mark.parametrize("name", ["glorot_normal", "he_normal", "lecun_normal"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_named_initializers_by_convention(name, dtype):
    scale, fan = {
        "glorot_normal": (1.0, 300.0),
        "he_normal": (2.0, 200.0),
        "lecun_normal": (1.0, 200.0),
    }[name]
    sigma = (scale / fan) ** 0.5
    cut = sigma / stats.truncnorm(-2, 2).std()
    laws = {
        "keras": stats.truncnorm(-2, 2, 0, cut),
        "torch": stats.norm(0, sigma),
        "tf1": stats.truncnorm(-2, 2, 0, sigma * 1.3**0.5),
    }
    kind = type(initializers.get(name))
    for convention, law in laws.items():
        values = kind(7, convention)((200, 400), dtype).numpy().ravel()
        assert stats.kstest(values, law.cdf).pvalue > 1e-3
    assert repr(kind(convention="torch")) == f"{kind.__name__}(convention='torch')"


def test_short_names_of_initializers():
    assert repr(initializers.get("normal")) == "RandomNormal()"
    assert repr(initializers.get("uniform")) == "RandomUniform()"


# ---- weight decay leaves learned slopes alone


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("decays", [False, True])
def test_decay_of_learned_slopes(kind, decays, tmp_path):
    def made(eager):
        first = initializers.Constant(0.25)
        layer = layers.PReLU(first, decays=decays)
        parts = [eg.Input((3,)), layers.Dense(3, kernel_initializer="ones"), layer]
        model = eg.Sequential(parts, dtype="float64", seed=1)
        optimizer = getattr(optimizers, kind)(0.5, weight_decay=0.1)
        model.compile(optimizer, "mse", run_eagerly=eager)
        return model

    # Nothing but the decay moves them: all outputs are right.
    x = np.ones((4, 3))
    found = []
    for eager in (False, True):
        model = made(eager)
        model.fit(x, np.full((4, 3), 3.0), epochs=1, verbose=0)
        kernel, _, alpha = model.get_weights()
        np.testing.assert_allclose(kernel, 0.95, rtol=1e-12)
        np.testing.assert_allclose(alpha, 0.25 * (0.95 if decays else 1.0), rtol=1e-15)
        model.save(tmp_path / "net")
        for one in (model, eg.load_model(tmp_path / "net")):
            one.fit(x, np.full((4, 3), 3.0), epochs=2, verbose=0)
            found.append(one.get_weights()[2])
    assert (found[0] == 0.25).all() == (not decays)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_a_group_lowers_what_decays():
    layer = layers.PReLU(initializers.Ones(), decays=True)
    layer.build((None, 1))
    half = optimizers.ParameterGroup("alpha", weight_decay_multiplier=0.5)
    optimizer = optimizers.SGD(1.0, weight_decay=0.5, groups=[half])
    optimizer.apply_gradients([(eg.zeros(1), layer.alpha)])
    assert layer.alpha.item() == 0.75
