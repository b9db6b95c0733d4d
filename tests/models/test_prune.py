"""Pruning: which weights go, that they stay away, and that all who keep a model keep that."""

# ruff: noqa: ARG002 - methods have the signatures that they are called with

import pickle
import re

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, layers, models, optimizers
from evengrad._core import set_num_threads
from evengrad.health._finding import Treatment
from evengrad.models._treatments import treated

RNG = np.random.default_rng(2)
X = RNG.normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("int64")


def net(optimizer="adam", seed=4, **settings):
    model = eg.Sequential(
        [
            eg.Input((6,)),
            layers.Dense(16, "elu", **settings),
            layers.BatchNormalization(),
            layers.Dense(12, "elu", **settings),
            layers.Dense(2),
        ],
        seed=seed,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def fit(model, epochs=2, **given):
    return model.fit(X, Y, **{"epochs": epochs, "batch_size": 16, "verbose": 0, **given})


def kernels(model):
    return [w for w in model.get_weights() if w.ndim == 2]


def zeros(model):
    return [w == 0.0 for w in kernels(model)]


def assert_same(left, right):
    for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- which weights go


def reference(arrays, sparsity):
    """Return which elements go, of several arrays in a row: by sorting, equal ones in order."""
    row = np.concatenate([np.abs(array).reshape(-1) for array in arrays])
    gone = np.zeros(row.size, bool)
    gone[np.argsort(row, kind="stable")[: round(sparsity * row.size)]] = True
    ends = np.cumsum([array.size for array in arrays])[:-1]
    return [
        part.reshape(array.shape) for part, array in zip(np.split(gone, ends), arrays, strict=True)
    ]


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.77, 0.995])
@pytest.mark.parametrize("ties", [False, True])
def test_the_smallest_of_all_or_of_each(sparsity, ties):
    model = net()
    if ties:
        model.set_weights([np.round(w * 4.0) / 4.0 for w in model.get_weights()])
    before = kernels(model)
    report = model.prune(sparsity)
    for now, then, gone in zip(kernels(model), before, reference(before, sparsity), strict=True):
        np.testing.assert_array_equal(now, np.where(gone, 0.0, then))
    assert report.whole.pruned == round(sparsity * sum(w.size for w in before))
    alone = net()
    alone.set_weights([np.zeros_like(w) if w.ndim < 2 else w for w in alone.get_weights()])
    for path, weight in alone.named_weights():
        if weight.ndim == 2:
            weight.copy_(dict(zip(("dense", "dense_1", "dense_2"), before, strict=True))[path[:-7]])
    alone.prune(sparsity, scope="layer")
    for now, then in zip(kernels(alone), before, strict=True):
        np.testing.assert_array_equal(now, np.where(reference([then], sparsity)[0], 0.0, then))


def test_repeated_calls_only_raise():
    model = net()
    model.prune(0.5)
    fit(model)
    first, values = zeros(model), kernels(model)
    assert model.prune(0.3).share == 0.5
    for a, b in zip(kernels(model), values, strict=True):
        np.testing.assert_array_equal(a, b)
    model.prune(0.8)
    rest = [np.where(gone, -1.0, np.abs(w)) for gone, w in zip(first, values, strict=True)]
    row = np.concatenate([one.reshape(-1) for one in rest])
    expected = np.sort(row)[round(0.8 * row.size) :]
    left = np.sort(np.abs(np.concatenate([w[w != 0.0] for w in kernels(model)])))
    np.testing.assert_array_equal(left, expected.astype("float32"))
    assert all((a <= b).all() for a, b in zip(first, zeros(model), strict=True))


def test_biases_normalizations_and_what_is_frozen_stay():
    model = net()
    model.get_layer("dense_1").trainable = False
    before = dict(zip([p for p, _ in model.named_weights()], model.get_weights(), strict=True))
    model.prune(0.9)
    for (path, _), now in zip(model.named_weights(), model.get_weights(), strict=True):
        if path in ("dense/kernel", "dense_2/kernel"):
            assert (now == 0.0).any()
        else:
            np.testing.assert_array_equal(now, before[path])
    model.trainable = False
    with pytest.raises(ValueError, match="prune: expected kernels that train, got none"):
        model.prune(0.95)


@pytest.mark.parametrize(
    "pattern", ["dense_1", re.compile("_1$"), ["dense_1", "batch_normalization"], "layer"]
)
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_of_some_layers_alone(pattern, scope):
    model = net()
    before = kernels(model)
    pattern = model.layers[2] if pattern == "layer" else pattern
    found = model.prune(0.5, scope, pattern=pattern)
    first, second, last = kernels(model)
    np.testing.assert_array_equal(first, before[0])
    np.testing.assert_array_equal(last, before[2])
    np.testing.assert_array_equal(second == 0, reference([before[1]], 0.5)[0])
    assert found.by_layer["dense_1"] == 0.5
    fit(model)
    assert model.sparsity().by_layer == {"dense": 0.0, "dense_1": 0.5, "dense_2": 0.0}
    # Others may follow by another share.
    model.prune(0.25, pattern="dense")
    assert model.sparsity().by_layer == {"dense": 0.25, "dense_1": 0.5, "dense_2": 0.0}


def test_a_schedule_of_some_layers_and_its_file(tmp_path):
    model = net(optimizers.Adam(0.01))
    model.prune(0.75, schedule=models.PruningSchedule(12), pattern="dense_?")
    model.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net")
    for one in (model, again):
        fit(one)
        shares = one.sparsity().by_layer
        assert shares["dense"] == 0.0
        pruned = [one.sparsity().layers[name] for name in ("dense_1", "dense_2")]
        assert sum(layer.zeros for layer in pruned) == 0.75 * sum(one.weights for one in pruned)
    assert_same(model, again)


def test_layers_inside_are_meant_too():
    inner = eg.Sequential([layers.Dense(4), layers.Dense(3)], name="inner")
    model = eg.Sequential([eg.Input((6,)), inner, layers.Dense(2)], seed=1)
    shares = model.prune(0.5, "layer", pattern="inner").by_layer
    assert shares == {"inner/dense": 0.5, "inner/dense_1": 0.5, "dense": 0.0}


def test_recurrent_kernels_count_as_one_layer():
    model = eg.Sequential([eg.Input((5, 3)), layers.LSTM(4), layers.Dense(2)])
    report = model.prune(0.5, scope="layer")
    assert report.layers["lstm"] == models.LayerSparsity(weights=112, zeros=56, pruned=56)
    assert report.by_layer == {"lstm": 0.5, "dense": 0.5}


def test_large_values_are_the_last_to_go():
    model = eg.Sequential([eg.Input((2,)), layers.Dense(2, use_bias=False)])
    model.set_weights([[[np.nan, 1.0], [np.inf, -3.0]]])
    model.prune(0.5)
    assert model.get_weights()[0].tolist()[1:] == [[np.inf, 0.0]]


# ---- that they stay away

OPTIMIZERS = {
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: optimizers.Adam(0.02),
    "lion": lambda: optimizers.Lion(0.01),
    "averages": lambda: optimizers.AdamW(0.02, use_ema=True, ema_momentum=0.9),
    "overwrite": lambda: optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=3),
    "accumulation": lambda: optimizers.RMSprop(0.01, gradient_accumulation_steps=4),
    "clipping": lambda: optimizers.Nadam(0.02, global_clipnorm=0.5),
}


class Away(eg.constraints.Constraint):
    """A constraint that would revive what is zero."""

    def __call__(self, w):
        return eg.maximum(w, 0.01)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("eagerly", [False, True])
def test_nothing_revives_them(name, eagerly):
    model = net(OPTIMIZERS[name](), kernel_constraint=Away() if name == "adam" else None)
    fit(model)
    model.prune(0.6)
    gone = zeros(model)
    model.compile(model.optimizer, "sparse_categorical_crossentropy", run_eagerly=eagerly)
    fit(model, epochs=3)
    for before, now, kernel in zip(gone, zeros(model), kernels(model), strict=True):
        assert now[before].all()
        assert np.abs(kernel[~before]).min() > 0.0
    model.train_on_batch(X, Y)
    assert all(now[before].all() for before, now in zip(gone, zeros(model), strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_bits_however_it_runs(name):
    found = []
    for threads, eagerly in ((1, False), (2, False), (2, True)):
        set_num_threads(threads)
        try:
            model = net(OPTIMIZERS[name]())
            model.compile(model.optimizer, "sparse_categorical_crossentropy", run_eagerly=eagerly)
            model.prune(0.7)
            fit(model, epochs=3)
        finally:
            set_num_threads(2)
        found.append(model)
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


class Sparse(layers.Layer):
    """A dense layer whose kernel is multiplied with zeros and ones in the forward pass."""

    def __init__(self, kernel, bias):
        super().__init__()
        self.start, self.offset, self.ones = kernel, bias, (kernel != 0.0).astype(kernel.dtype)

    def build(self, input_shape):
        self.kernel = self.add_weight("kernel", self.start.shape, lambda *_: eg.tensor(self.start))
        self.bias = self.add_weight("bias", self.offset.shape, lambda *_: eg.tensor(self.offset))

    def call(self, x):
        return eg.tanh(x @ (self.kernel * eg.tensor(self.ones)) + self.bias)


@pytest.mark.parametrize("clip", [{}, {"global_clipnorm": 0.05}, {"clipnorm": 0.02}])
def test_training_is_that_of_the_sparse_net(clip):
    """Gradients of what is gone take no part: not in norms that clip, nor in averages."""
    parts = [layers.Dense(8, "tanh", dtype="float64"), layers.Dense(2, "tanh", dtype="float64")]
    pruned = eg.Sequential([eg.Input((6,), "float64"), *parts], seed=1)
    pruned.prune(0.5)
    first, last = ([w.detach().numpy() for w in layer.weights] for layer in pruned.layers)
    other = eg.Sequential([eg.Input((6,), "float64"), Sparse(*first), Sparse(*last)], seed=1)
    target = np.stack([Y, 1 - Y], axis=1).astype("float64")
    for model in (pruned, other):
        model.compile(optimizers.Adam(0.01, **clip), "mse")
        model.fit(X.astype("float64"), target, epochs=3, batch_size=16, verbose=0)
    for a, b in zip(pruned.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_loop_of_ones_own():
    layer = layers.Dense(3)
    model = eg.Sequential([eg.Input((6,)), layer])
    model.prune(0.5)
    optimizer = optimizers.SGD(0.1, momentum=0.9)

    @eg.compile
    def step(x):
        loss = (layer(x) ** 2).sum()
        optimizer.minimize(loss, layer.trainable_weights)
        return loss

    for _ in range(4):
        step(X)
    assert model.sparsity().layers["dense"].zeros == 9


def test_masks_can_be_removed():
    model = net(optimizers.SGD(0.1))
    model.prune(0.5, schedule=models.PruningSchedule(10))
    model.prune(0.5)
    model.remove_masks()
    assert model.gradual_pruning is None
    assert (model.sparsity().whole.pruned, model.sparsity().share) == (0, 0.5)
    fit(model)
    assert model.sparsity().share == 0.0


# ---- who keeps it


@pytest.mark.parametrize("how", ["file", "pickle", "clone", "surgery", "without compile"])
def test_copies_go_on_alike(how, tmp_path):
    model = net(optimizers.Adam(0.01, use_ema=True))
    fit(model)
    model.prune(0.6)
    model.prune(0.9, schedule=models.PruningSchedule(20, frequency=4))
    fit(model, epochs=1)
    made = model.gradual_pruning.made
    if how in ("file", "without compile"):
        model.save(tmp_path / "net.safetensors")
        twin = eg.load_model(tmp_path / "net.safetensors", compile=how == "file")
    elif how == "pickle":
        twin = pickle.loads(pickle.dumps(model))  # noqa: S301 - made here
    elif how == "surgery":
        twin = model.with_head(layers.Activation("linear"))
    else:
        twin = model.clone()
    assert twin.sparsity() == model.sparsity()
    assert twin.gradual_pruning.made == made == 6
    if how == "without compile":
        for one in (model, twin):
            one.compile("adam", "sparse_categorical_crossentropy")
    for one in (model, twin):
        fit(one, epochs=3)
    assert_same(model, twin)
    assert model.sparsity().share == pytest.approx(0.9, abs=1e-2)
    assert twin.gradual_pruning.made == 24


def test_values_from_elsewhere(tmp_path):
    model, other = net(), net(seed=9)
    model.prune(0.5)
    gone = zeros(model)
    model.set_weights(other.get_weights())
    for now, before, given in zip(kernels(model), gone, kernels(other), strict=True):
        np.testing.assert_array_equal(now, np.where(before, 0.0, given))
    other.save_weights(tmp_path / "w.safetensors")
    model.load_weights(tmp_path / "w.safetensors")
    assert model.sparsity().share == 0.5
    # A file of weights alone has zeros and no masks.
    model.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    assert (other.sparsity().share, other.sparsity().whole.pruned) == (0.5, 0)


def test_first_values_of_a_net_that_was_pruned():
    model = net()
    start = kernels(model)
    fit(model)
    model.prune(0.6, schedule=models.PruningSchedule(5))
    model.prune(0.6)
    ticket = models.clone_model(model)
    for now, first, gone in zip(kernels(ticket), start, zeros(model), strict=True):
        np.testing.assert_array_equal(now, np.where(gone, 0.0, first))
    assert ticket.sparsity() == model.sparsity()
    assert ticket.gradual_pruning is None


def test_the_best_epoch_comes_back_as_it_was():
    class Worse(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["figure"] = float(epoch)
            kept.append((self.model.get_weights(), self.model.sparsity()))

    kept = []
    model = net()
    model.prune(0.9, schedule=models.PruningSchedule(30, begin_step=2, frequency=2))
    best = callbacks.EarlyStopping("loss", patience=9, mode="max", restore_best_weights=True)
    fit(model, epochs=5, callbacks=[Worse(), best])
    weights, sparsity = kept[best.best_epoch]
    assert best.best_epoch < 4
    assert model.sparsity() == sparsity
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_treated_copies_keep_it():
    model = net(kernel_regularizer="l2")
    model.prune(0.6)
    for change in (Treatment("remove_regularizers", ()), Treatment("learning_rate", (), 0.5)):
        twin = treated(model, change)
        assert twin.sparsity() == model.sparsity()
        fit(twin)
        assert twin.sparsity() == model.sparsity()


def test_reviving_units_revives_no_weight():
    first = layers.Dense(8, "relu", bias_initializer=eg.initializers.Constant(-9.0))
    model = eg.Sequential([eg.Input((6,)), first, layers.Dense(1)], seed=3)
    model.prune(0.5)
    before = model.sparsity()
    assert model.revive(X)
    assert model.sparsity() == before


def test_who_watches_changes_nothing():
    quiet, watched = net(), net()
    for model in (quiet, watched):
        model.prune(0.8, schedule=models.PruningSchedule(20, 3, 4))
    fit(quiet, epochs=4)
    fit(watched, epochs=4, callbacks=[callbacks.GradientDoctor(), callbacks.TerminateOnNaN()])
    assert_same(quiet, watched)


def test_a_step_is_found_among_others_with_other_masks():
    """What broke a training is found by making steps again: since the latest change of masks."""
    model = net()
    model.prune(0.8, schedule=models.PruningSchedule(60, 1, 2))
    x = X.copy()
    x[70] = 1e38
    watch = callbacks.TerminateOnNaN()
    model.fit(x, Y, epochs=2, batch_size=8, shuffle=False, verbose=0, callbacks=[watch])
    assert watch.finding.step == 70 // 8
    assert "row 70 " in watch.finding.remedies[0].text


def test_damaged_masks(tmp_path):
    from evengrad.saving import _safetensors

    model = net()
    model.prune(0.5)
    path = tmp_path / "net.safetensors"
    model.save(path)
    tensors, metadata = _safetensors.read(path)
    assert tensors["mask:dense/kernel"].shape == (12,)
    for change, message in (
        ({"mask:dense/kernel": np.zeros(11, "uint8")}, "expected the bits of 96 elements"),
        ({"mask:other/kernel": np.zeros(12, "uint8")}, "expected the bits of 0 elements"),
    ):
        _safetensors.write(path, {**tensors, **change}, {"evengrad": metadata["evengrad"]})
        with pytest.raises(eg.FileFormatError, match=message):
            eg.load_model(path)


# ---- a little at a time


def test_the_schedule_is_the_formula():
    schedule = models.PruningSchedule(110, 10, 30, initial_sparsity=0.2, power=3.0)
    steps, step = [], -1
    while (step := schedule.next_step(step)) is not None:
        steps.append(step)
    assert steps == [10, 40, 70, 100, 110]
    t = np.array(steps)
    expected = 0.9 + (0.2 - 0.9) * (1.0 - (t - 10) / 100) ** 3
    np.testing.assert_allclose([schedule(one, 0.9) for one in steps], expected)
    assert schedule(9, 0.9) == 0.0


class Watch(callbacks.Callback):
    """Note the sparsity after each batch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.model.sparsity().whole.pruned)


@pytest.mark.parametrize("batches", [False, True])
@pytest.mark.parametrize("accumulate", [None, 2])
def test_it_is_followed_update_by_update(batches, accumulate):
    model = net(optimizers.SGD(0.05, gradient_accumulation_steps=accumulate))
    schedule = models.PruningSchedule(12, 3, 4, initial_sparsity=0.1)
    assert model.prune(0.8, "layer", schedule).share == 0.0
    watch = Watch()
    if batches:
        data = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 96, 16)]
        model.fit(data, epochs=5, verbose=0, callbacks=[watch])
    else:
        fit(model, epochs=5, callbacks=[watch])
    sizes = [w.size for w in kernels(model)]
    every = accumulate or 1
    expected = []
    for step in range(1, 31):
        updates = step // every
        due = max([t for t in (3, 7, 11, 12) if t <= updates], default=None)
        share = 0.0 if due is None else schedule(due, 0.8)
        expected.append(sum(round(share * size) for size in sizes))
    # A callback hears of a batch before the pruning after it.
    assert watch.seen[1:] == expected[:-1]
    assert model.sparsity().whole.pruned == expected[-1]
    quiet = net(optimizers.SGD(0.05, gradient_accumulation_steps=accumulate))
    quiet.prune(0.8, "layer", models.PruningSchedule(12, 3, 4, initial_sparsity=0.1))
    if batches:
        quiet.fit(data, epochs=5, verbose=0)
    else:
        fit(quiet, epochs=5)
    assert_same(model, quiet)


def test_several_fits_are_one():
    one, several = net(optimizers.Adam(0.01)), net(optimizers.Adam(0.01))
    for model in (one, several):
        model.prune(0.8, schedule=models.PruningSchedule(17, frequency=5))
    fit(one, epochs=4)
    for _ in range(4):
        fit(several, epochs=1)
    assert_same(one, several)
    assert one.sparsity().share == pytest.approx(0.8, abs=1e-2)


def test_it_is_in_force_from_the_first_update():
    model = net()
    model.prune(0.5, schedule=models.PruningSchedule(100, initial_sparsity=0.25))
    fit(model, epochs=1)
    assert model.sparsity().share == pytest.approx(0.25, abs=1e-2)


class Cut(callbacks.Callback):
    """End the training in the middle of an epoch."""

    def __init__(self, left):
        self.left = left

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [1, 5, 6, 8, 15])
def test_a_training_that_goes_on_prunes_as_if_it_had_not_been_interrupted(at, tmp_path):
    def made():
        model = net(optimizers.Adam(0.01, use_ema=True))
        model.prune(0.9, schedule=models.PruningSchedule(18, 2, 3))
        return model

    whole = made()
    fit(whole, epochs=4)
    given = {"checkpoint": tmp_path / "run", "checkpoint_every": "1 step"}
    with pytest.raises(KeyboardInterrupt):
        fit(made(), epochs=4, callbacks=[Cut(at)], **given)
    again = made()
    fit(again, epochs=4, **given)
    assert_same(whole, again)
    assert whole.sparsity() == again.sparsity()
    with pytest.raises(ValueError, match="callbacks: expected those with state"):
        fit(net(optimizers.Adam(0.01, use_ema=True)), epochs=5, **given)


# ---- what is said


def test_the_table():
    model = net()
    report = model.prune(0.5, "layer")
    assert str(report).splitlines() == [
        "         weights    zeros   share   pruned",
        "dense         96       48   50.0%       48",
        "dense_1      192       96   50.0%       96",
        "dense_2       24       12   50.0%       12",
        "whole        312      156   50.0%      156",
    ]
    assert report.share == 0.5
    penalized = eg.Sequential([eg.Input((6,)), layers.Dense(1, kernel_initializer="zeros")])
    assert penalized.sparsity().whole == models.LayerSparsity(weights=6, zeros=6, pruned=0)
    assert eg.Sequential([eg.Input((6,)), layers.Flatten()]).sparsity().share == 0.0


def test_what_is_refused():
    model = net()
    for arguments, message in (
        ((1.0,), r"sparsity: expected a number in \[0, 1\), got 1"),
        ((-0.1,), "sparsity: expected a number"),
        ((0.5, "tensor"), "scope: unknown 'tensor'.*global, layer"),
    ):
        with pytest.raises(ValueError, match=message):
            model.prune(*arguments)
    with pytest.raises(ValueError, match="pattern: 'dens' matches no layer; did you mean 'dense'"):
        model.prune(0.5, pattern="dens")
    with pytest.raises(ValueError, match="kernels that train in batch_normalization, got none"):
        model.prune(0.5, pattern="batch*")
    with pytest.raises(TypeError, match=r"schedule: expected a models\.PruningSchedule, got 0.5"):
        model.prune(0.5, schedule=0.5)
    with pytest.raises(ValueError, match="prune before the model is built"):
        eg.Sequential([layers.Dense(2)]).prune(0.5)
    with pytest.raises(ValueError, match="end_step: expected 6 or more, got 5"):
        models.PruningSchedule(5, 5)
    swapped = net(optimizers.SGD(0.1, use_ema=True))
    fit(swapped, epochs=1)
    swapped.optimizer.swap_ema_weights(swapped.trainable_weights)
    with pytest.raises(RuntimeError, match="prune: the weights are exchanged"):
        swapped.prune(0.5)
