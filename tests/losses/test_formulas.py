"""Every loss: values from elsewhere, gradients, edges, masks, training."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from loss_cases import NAMES, OF_ROWS, batch
from scipy import special, stats

import evengrad as eg
from evengrad import losses

CLOSE = {"rtol": 1e-12, "atol": 1e-14}


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def rows_of(loss, y, p):
    """Return a loss's value per row."""
    loss.reduction = "none"
    return loss(y, p).numpy()


# ---- values


def test_binary_focal_is_the_paper_s(rng):
    logits, y = rng.normal(size=(40, 2)) * 4, rng.integers(0, 2, (40, 2))
    p = special.expit(logits)
    true = np.where(y == 1, p, 1 - p)
    balance = np.where(y == 1, 0.3, 0.7)
    expected = (-balance * (1 - true) ** 1.5 * np.log(true)).mean(axis=1)
    for given, from_logits, rtol in ((logits, True, 1e-12), (p, False, 1e-9)):
        loss = losses.BinaryFocalCrossentropy(True, 0.3, 1.5, from_logits)
        np.testing.assert_allclose(rows_of(loss, y, given), expected, rtol=rtol)
        loss.reduction = "sum"
        np.testing.assert_allclose(loss(y, given).item(), expected.sum(), rtol=rtol)


def test_focal_figures_of_the_paper():
    # Lin et al., section 3.2: with γ = 2 a probability of 0.9 costs 100 times less, and one of
    # 0.968 about 1000 times less, than under cross-entropy.
    for p, factor in ((0.9, 100.0), (0.968, 1000.0)):
        y, given = [[1.0]], np.array([[p]])
        ratio = losses.BinaryCrossentropy()(y, given) / losses.BinaryFocalCrossentropy()(y, given)
        assert ratio.item() == pytest.approx(factor, rel=0.03)


def test_categorical_focal(rng):
    logits, labels = rng.normal(size=(40, 4)) * 3, rng.integers(0, 4, 40)
    p = special.softmax(logits, axis=1)[np.arange(40), labels]
    alpha = np.array([0.1, 0.2, 0.3, 0.4])
    expected = -alpha[labels] * (1 - p) ** 3 * np.log(p)
    loss = losses.CategoricalFocalCrossentropy(alpha.tolist(), 3.0, from_logits=True)
    np.testing.assert_allclose(rows_of(loss, np.eye(4)[labels], logits), expected, rtol=1e-11)
    loss = losses.CategoricalFocalCrossentropy(0.5, 3.0)
    got = rows_of(loss, np.eye(4)[labels], special.softmax(logits, axis=1))
    np.testing.assert_allclose(got, 0.5 * expected / alpha[labels], rtol=1e-6, atol=1e-20)
    with pytest.raises(ValueError, match="3 classes, as alpha has, got 2"):
        losses.CategoricalFocalCrossentropy([1.0, 1.0, 1.0])([[1.0, 0.0]], [[0.5, 0.5]])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_focal_with_gamma_0_is_the_cross_entropy(rng, smoothing):
    logits, y = rng.normal(size=(20, 3)), np.eye(3)[rng.integers(0, 3, 20)]
    for focal, plain in (
        (losses.BinaryFocalCrossentropy, losses.BinaryCrossentropy),
        (losses.CategoricalFocalCrossentropy, losses.CategoricalCrossentropy),
    ):
        scale = {"alpha": 1.0} if focal is losses.CategoricalFocalCrossentropy else {}
        got = focal(gamma=0.0, from_logits=True, label_smoothing=smoothing, **scale)(y, logits)
        expected = plain(from_logits=True, label_smoothing=smoothing)(y, logits)
        np.testing.assert_allclose(got.item(), expected.item(), **CLOSE)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_focal_at_extreme_logits(gamma, dtype):
    z = eg.tensor([[1e4], [-1e4], [1e4], [-1e4]], dtype=dtype, requires_grad=True)
    y = eg.tensor([[1.0], [0.0], [0.0], [1.0]], dtype=dtype)
    values = losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=True, reduction=None)(y, z)
    np.testing.assert_allclose(values.numpy(), [0, 0, 1e4, 1e4], atol=1e-15)
    values.sum().backward()
    np.testing.assert_allclose(z.grad.numpy().ravel(), [0, 0, 1, -1], atol=1e-12)
    logits = eg.tensor([[1e4, -1e4], [-1e4, 1e4]], dtype=dtype, requires_grad=True)
    hot = eg.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=dtype)
    loss = losses.CategoricalFocalCrossentropy(1.0, gamma, from_logits=True, reduction=None)
    values = loss(hot, logits)
    np.testing.assert_allclose(values.numpy(), [0, 2e4], atol=1e-15)
    values.sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), [[0, 0], [-1, 1]], atol=1e-12)


@pytest.mark.parametrize("weight", [3.0, [0.5, 4.0]])
def test_weights_of_yes(weight, rng):
    logits, y = rng.normal(size=(40, 2)) * 4, rng.integers(0, 2, (40, 2))
    p, smooth = special.expit(logits), y * 0.9 + 0.05
    for targets, smoothing in ((y, 0.0), (smooth, 0.1)):
        values = -np.multiply(weight, targets) * np.log(p) - (1 - targets) * np.log(1 - p)
        for given, from_logits, rtol in ((logits, True, 1e-12), (p, False, 1e-9)):
            settings = {"label_smoothing": smoothing, "pos_weight": weight}
            loss = losses.BinaryCrossentropy(from_logits, **settings)
            np.testing.assert_allclose(rows_of(loss, y, given), values.mean(axis=1), rtol=rtol)
            loss.reduction = "sum"
            np.testing.assert_allclose(loss(y, given).item(), values.mean(axis=1).sum(), rtol=rtol)
    one = losses.BinaryCrossentropy(True, pos_weight=1.0)(y, logits).item()
    assert one == pytest.approx(losses.BinaryCrossentropy(True)(y, logits).item(), rel=1e-14)
    extreme = losses.BinaryCrossentropy(True, pos_weight=2.0, reduction=None)
    got = extreme([[1.0], [1.0], [0.0]], [[-1e4], [1e4], [1e4]]).numpy()
    np.testing.assert_allclose(got, [2e4, 0.0, 1e4], atol=1e-12)
    with pytest.raises(ValueError, match="3 outputs, as pos_weight has, got 2"):
        losses.BinaryCrossentropy(pos_weight=[1.0, 2.0, 3.0])(y, p)


def test_generalized_cross_entropy(rng):
    logits, labels = rng.normal(size=(40, 4)) * 3, rng.integers(0, 4, 40)
    p = special.softmax(logits, axis=1)
    true = p[np.arange(40), labels]
    for q in (0.3, 1.0):
        expected = (1 - true**q) / q
        for given, from_logits in ((logits, True), (p, False)):
            loss = losses.CategoricalGeneralizedCrossEntropy(q, from_logits=from_logits)
            np.testing.assert_allclose(rows_of(loss, labels, given), expected, rtol=1e-6)
    # Near 0 it is the cross-entropy, at 1 half the absolute error to one-hot rows.
    near = losses.CategoricalGeneralizedCrossEntropy(1e-8, from_logits=True)
    np.testing.assert_allclose(rows_of(near, labels, logits), -np.log(true), rtol=1e-6)
    absolute = np.abs(np.eye(4)[labels] - p).sum(axis=1) / 2
    np.testing.assert_allclose(1 - true, absolute)
    sequences = losses.CategoricalGeneralizedCrossEntropy(0.3)(
        labels.reshape(8, 5), p.reshape(8, 5, 4)
    )
    assert sequences.item() == pytest.approx(((1 - true**0.3) / 0.3).mean(), rel=1e-6)


def test_hinges(rng):
    y, s = rng.choice([-1, 1], (30, 2)), rng.normal(size=(30, 2)) * 2
    expected = np.maximum(0, 1 - y * s)
    np.testing.assert_allclose(rows_of(losses.Hinge(), y, s), expected.mean(axis=1), **CLOSE)
    squared = (expected**2).mean(axis=1)
    np.testing.assert_allclose(rows_of(losses.SquaredHinge(), y, s), squared, **CLOSE)
    # Labels 0 and 1 are the same classes.
    for kind in (losses.Hinge, losses.SquaredHinge):
        assert kind()((y + 1) // 2, s).item() == kind()(y, s).item()


def test_hinge_agrees_with_scikit_learn(rng):
    from sklearn.metrics import hinge_loss

    y, s = rng.choice([-1, 1], 50), rng.normal(size=50) * 2
    np.testing.assert_allclose(losses.Hinge()(y, s).item(), hinge_loss(y, s), **CLOSE)
    labels, scores = rng.integers(0, 4, 50), rng.normal(size=(50, 4)) * 2
    got = losses.CategoricalHinge()(np.eye(4)[labels], scores).item()
    np.testing.assert_allclose(got, hinge_loss(labels, scores, labels=range(4)), **CLOSE)


@pytest.mark.parametrize(
    ("convention", "expected"),
    # By hand, for the right class 1: the others lead by -3 - 0.5 and -2 - 0.5; in the torch form
    # both margins are met.
    [("textbook", [0.0, 2.0]), ("keras", [0.5, 2.0]), ("torch", [0.0, (2.0 + 0.5) / 3])],
)
def test_categorical_hinge_conventions(convention, expected):
    y = [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    s = np.array([[-3.0, 0.5, -2.0], [2.0, 1.0, 0.5]])
    loss = losses.CategoricalHinge(convention=convention)
    np.testing.assert_allclose(rows_of(loss, y, s), expected, **CLOSE)


def test_categorical_hinge_of_one_class_is_0():
    assert losses.CategoricalHinge()([[1.0]], [[-4.0]]).item() == 0.0


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.5])
def test_huber(rng, delta):
    y, p = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) * 3
    expected = special.huber(delta, p - y).mean(axis=1)
    np.testing.assert_allclose(rows_of(losses.Huber(delta), y, p), expected, **CLOSE)


def test_huber_does_not_square_what_is_large():
    p = eg.tensor([[1e30], [-1e30]], requires_grad=True)
    loss = losses.Huber()([[0.0], [0.0]], p)
    assert loss.item() == pytest.approx(1e30, rel=1e-6)
    loss.backward()
    assert p.grad.tolist() == [[0.5], [-0.5]]


def decimal_log_cosh(e):
    getcontext().prec = 50
    e = Decimal(float(e))
    return float(((e.exp() + (-e).exp()) / 2).ln())


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("error", [1e-12, 1e-8, 1e-3, 0.3, 0.999, 1.0, 1.001, 5.0, 30.0, 400.0])
def test_log_cosh_keeps_its_digits(error, sign):
    p = eg.tensor(np.array([[sign * error]]), requires_grad=True)
    loss = losses.LogCosh()(np.zeros((1, 1)), p)
    np.testing.assert_allclose(loss.item(), decimal_log_cosh(error), rtol=1e-14)
    loss.backward()
    np.testing.assert_allclose(p.grad.item(), np.tanh(sign * error), rtol=1e-14)


def test_log_cosh_far_away_and_at_0():
    values = rows_of(losses.LogCosh(), [[0.0], [0.0]], [[1e30], [0.0]])
    np.testing.assert_allclose(values, [1e30, 0.0], rtol=1e-6)


def test_poisson_is_the_likelihood_up_to_a_constant(rng):
    y, p = rng.poisson(3.0, (50, 1)), rng.uniform(0.5, 6.0, (50, 1))
    constant = special.gammaln(y + 1)
    expected = (-stats.poisson.logpmf(y, p) - constant).mean()
    np.testing.assert_allclose(losses.Poisson()(y, p).item(), expected, atol=2e-6)
    assert losses.Poisson()([[0.0]], [[0.0]]).item() == 0.0


def test_half_of_the_poisson_deviance(rng):
    y, p = rng.poisson(3.0, (50, 2)).astype(float), rng.uniform(0.5, 6.0, (50, 2))
    y[:5], weights = [0.0, 0.5], rng.integers(0, 4, 50)
    loss = losses.Poisson("mean_with_sample_weight", deviance=True)
    expected = np.average(special.xlogy(y, y / p) - y + p, axis=0, weights=weights).mean()
    assert loss(y, p, weights).item() == pytest.approx(expected, rel=1e-12)
    assert loss(p, p).item() == pytest.approx(0.0, abs=1e-12)
    # The slope of p − y · ln p, also where predictions are tiny.
    small = eg.tensor([[1e-30], [2.0]], dtype="float32", requires_grad=True)
    losses.Poisson("sum", deviance=True)([[3.0], [0.0]], small).backward()
    np.testing.assert_allclose(small.grad.numpy(), [[-3e30], [1.0]], rtol=1e-5)
    zero = losses.Poisson(deviance=True)([[2.0]], [[0.0]])
    assert np.isfinite(zero.item())


def test_divergence(rng):
    y, p = rng.dirichlet(np.ones(5), 30), rng.dirichlet(np.ones(5), 30)
    y[0] = [1, 0, 0, 0, 0]
    expected = special.rel_entr(y, p).sum(axis=1)
    np.testing.assert_allclose(rows_of(losses.KLDivergence(), y, p), expected, rtol=1e-12)
    assert losses.KLDivergence()([[0.0, 1.0]], [[0.0, 1.0]]).item() == 0.0
    floor = losses.KLDivergence()([[1.0, 0.0]], np.array([[0.0, 1.0]])).item()
    assert floor == pytest.approx(np.log(1e7))


def test_cosine(rng):
    from scipy.spatial.distance import cosine

    y, p = rng.normal(size=(20, 4)), rng.normal(size=(20, 4))
    expected = [cosine(a, b) - 1 for a, b in zip(y, p, strict=True)]
    got = rows_of(losses.CosineSimilarity(), y, p)
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    for scale in (1e30, 1e-30):
        again = rows_of(losses.CosineSimilarity(), y.astype("f4"), (p * scale).astype("f4"))
        np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-6)
    zero = eg.tensor(np.zeros((1, 4)), requires_grad=True)
    loss = losses.CosineSimilarity()(y[:1], zero)
    loss.backward()
    assert loss.item() == 0.0
    assert np.isfinite(zero.grad.numpy()).all()


# ---- what holds for every one


@pytest.mark.parametrize("name", NAMES)
def test_gradient(name, rng):
    y, p = batch(name, rng)
    weights = rng.uniform(0.5, 2.0, len(p))
    for reduction in ("sum_over_batch_size", "sum"):
        loss = getattr(losses, name)(reduction=reduction)
        prediction = eg.tensor(p, requires_grad=True)
        assert eg.autograd.gradcheck(lambda x, loss=loss: loss(y, x, weights), prediction)


@pytest.mark.parametrize("convention", ["keras", "torch"])
def test_gradient_of_the_other_hinges(convention, rng):
    y, p = batch("CategoricalHinge", rng)
    loss = losses.CategoricalHinge(convention=convention)
    assert eg.autograd.gradcheck(lambda x: loss(y, x), eg.tensor(p, requires_grad=True))


@pytest.mark.parametrize(
    "kind", ["BinaryFocalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalCrossentropy"]
)
def test_gradient_from_logits(kind, rng):
    y, _ = batch(kind, rng)
    logits = eg.tensor(rng.normal(size=y.shape) * 2, requires_grad=True)
    for options in ({}, {"label_smoothing": 0.1}, {"gamma": 0.7}):
        if "gamma" in options and "Focal" not in kind:
            continue
        loss = getattr(losses, kind)(from_logits=True, **options)
        assert eg.autograd.gradcheck(lambda z, loss=loss: loss(y, z), logits)


@pytest.mark.parametrize("name", OF_ROWS)
def test_reductions_and_weights(name, rng):
    y, p = batch(name, rng)
    weights = rng.uniform(size=len(p))
    each = getattr(losses, name)(reduction=None)(y, p).numpy()
    assert each.shape == (len(p),)
    for reduction, expected in (
        ("sum_over_batch_size", (each * weights).mean()),
        ("sum", (each * weights).sum()),
        ("none", each * weights),
    ):
        got = getattr(losses, name)(reduction=reduction)(y, p, weights)
        np.testing.assert_allclose(got.numpy(), expected, **CLOSE)
    single = getattr(losses, name)()(y[:1], p[:1]).item()
    assert single == pytest.approx(each[0], rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaks_out_of_a_masked_row(name, rng):
    y, p = batch(name, rng)
    weights = np.array([1.0, 0.0, 2.0, 1.0, 0.0, 1.0])
    clean = eg.tensor(p, requires_grad=True)
    expected = getattr(losses, name)()(y, clean, weights)
    expected.backward()
    for poison in (np.nan, np.inf):
        dirty, targets = p.copy(), y.copy()
        dirty[1] = dirty[4] = poison
        if targets.dtype.kind == "f":
            targets[1] = poison
        masked = eg.tensor(dirty, requires_grad=True)
        got = getattr(losses, name)()(targets, masked, weights)
        got.backward()
        assert got.item() == expected.item()
        np.testing.assert_array_equal(masked.grad.numpy(), clean.grad.numpy())


@pytest.mark.parametrize(
    "loss", ["sparse_categorical_crossentropy", "categorical_focal_crossentropy"]
)
def test_nothing_leaks_where_the_loss_takes_logits(loss, rng):
    labels = rng.integers(0, 3, 4)
    y = labels if loss.startswith("sparse") else np.eye(3)[labels]
    weights = eg.tensor([1.0, 0.0, 1.0, 1.0], dtype="float64")
    made = losses.get(loss)
    z = rng.normal(size=(4, 3))
    found = []
    for second in (0.0, np.nan):
        z[1] = second
        logits = eg.tensor(z, requires_grad=True)
        value = made.from_logits_loss(eg.tensor(y), logits, weights)
        value.backward()
        found.append((value.item(), logits.grad.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NAMES)
def test_no_rows(name, rng):
    y, p = batch(name, rng)
    assert getattr(losses, name)(reduction="sum")(y[:0], p[:0]).item() == 0.0
    if name not in ("Dice", "Tversky"):
        assert getattr(losses, name)(reduction=None)(y[:0], p[:0]).shape == (0,)


@pytest.mark.parametrize("name", NAMES)
def test_found_by_name_and_pasted_from_repr(name):
    made = losses.get(eg._common.names.snake_case(name))
    assert type(made) is getattr(losses, name)
    again = eval(repr(made), vars(losses))  # noqa: S307 - our own words
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    copy = type(made)(**made.get_config())
    assert repr(copy) == repr(made)


ENDS = {"Sparse": "softmax", "Categorical": "softmax", "KL": "softmax", "Binary": "sigmoid"}


def model_for(name, dtype, seed=1):
    end = next((end for start, end in ENDS.items() if name.startswith(start)), None)
    end = {"Poisson": "softplus", "CategoricalHinge": None}.get(name, end)
    units = 4 if name == "GaussianNegativeLogLikelihood" else 3
    layers = [eg.layers.Dense(5, "tanh"), eg.layers.Dense(units, end)]
    return eg.Sequential(layers, dtype=dtype, seed=seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
# Embeddings of length 1 come from a layer of their own (test_embedding.py).
@pytest.mark.parametrize("name", [name for name in NAMES if name != "Circle"])
def test_trains_captured_as_in_python_and_survives_a_file(name, dtype, rng, tmp_path):
    x = rng.normal(size=(32, 4))
    y, _ = batch(name, rng, rows=32)
    weights = rng.integers(0, 3, 32)
    histories = []
    for eagerly in (False, True):
        model = model_for(name, dtype)
        loss = getattr(losses, name)()
        # Percentages pull a hundred times as hard.
        rate = 0.001 if isinstance(loss, losses.MAPE) else 0.1
        model.compile(eg.optimizers.SGD(rate), loss, run_eagerly=eagerly)
        fitted = model.fit(x, y, epochs=3, batch_size=8, verbose=0, sample_weight=weights)
        histories.append((fitted.history["loss"], [w.tolist() for w in model.get_weights()]))
        if not eagerly:
            model.save(tmp_path / "model.safetensors")
            before = model.evaluate(x, y)
    assert histories[0] == histories[1]
    assert histories[0][0][-1] < histories[0][0][0]
    again = eg.load_model(tmp_path / "model.safetensors")
    assert again.evaluate(x, y) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Huber(0.0), "delta: expected a number in \\(0, inf\\)"),
        (lambda: losses.BinaryFocalCrossentropy(alpha=1.5), "alpha"),
        (lambda: losses.CategoricalFocalCrossentropy(gamma=-1.0), "gamma"),
        (lambda: losses.CategoricalFocalCrossentropy([0.5, -1.0]), "alpha"),
        (lambda: losses.CategoricalHinge(convention="tf"), "convention: unknown 'tf'"),
        (lambda: losses.BinaryCrossentropy(pos_weight=0.0), "pos_weight: expected a number"),
        (lambda: losses.BinaryCrossentropy(pos_weight=[]), "pos_weight: .*got none"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(0.0), "q: expected a number"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("poisson", -np.ones((8, 3)), "counts of 0 or more"),
        ("kl_divergence", 2 * np.ones((8, 3)), r"in \[0, 1\]"),
        ("categorical_hinge", -np.ones((8, 3)), "one-hot rows"),
        ("categorical_hinge", np.ones((8, 3)), "one-hot rows"),
    ],
)
def test_targets_are_checked(loss, y, message):
    model = eg.Sequential([eg.layers.Dense(3)])
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match=message):
        model.fit(np.zeros((8, 2)), y, verbose=0)


def test_one_value_for_the_batch_takes_no_weights():
    loss = losses.get(lambda y_true, y_pred: (y_pred - y_true).square().mean())
    assert loss([[0.0]], [[2.0]]).item() == 4.0
    with pytest.raises(ValueError, match="a value for each sample weight"):
        loss([[0.0]], [[2.0]], [1.0])
