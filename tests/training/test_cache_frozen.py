"""Tests of `fit(cache_frozen=...)`: the same training to the bit, without the frozen layers."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import os

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, layers, optimizers, regularizers
from evengrad.training import _frozen_rows

rng = np.random.default_rng(5)
X = rng.normal(size=(53, 6)).astype("float32")
Y = np.arange(53) % 3
HELD = (rng.normal(size=(21, 6)).astype("float32"), np.arange(21) % 3)
PLAIN = {"epochs": 3, "batch_size": 8, "verbose": 0}


class Counting(layers.Layer):
    """Twice its input; counts the calls of its Python."""

    calls = 0

    def build(self, input_shape):
        self.factor = self.add_weight("factor", (input_shape[-1],), "ones")

    def call(self, x):
        type(self).calls += 1
        return x * self.factor * 2.0


def compiled(model, optimizer=None, **given):
    given = {"metrics": ["accuracy"], **given}
    optimizer = optimizer or optimizers.Adam(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", **given)
    return model


def chain(*head, dtype=None):
    hidden = [layers.Dense(7, "elu", name=f"hidden{i}") for i in (1, 2)]
    end = layers.Dense(3, "softmax", name="out")
    model = eg.Sequential([eg.Input((6,)), *hidden, *head, end], seed=1, dtype=dtype)
    model.freeze("hidden*")
    return compiled(model)


def bits(model):
    tensors = dict(model.named_weights())
    slots = {
        path: [slot.numpy().tobytes() for slot in model.optimizer.slots(tensor).values()]
        for path, tensor in tensors.items()
        if id(tensor) in model.optimizer._parameters
    }
    return [w.tobytes() for w in model.get_weights()], slots, model.optimizer.iterations


def agree(make, x=X, y=Y, cache=True, **given):
    """Train twice, plainly and with kept outputs; return the second model."""
    given = {**PLAIN, **given}
    plain, kept = make(), make()
    histories = [plain.fit(x, y, **given), kept.fit(x, y, cache_frozen=cache, **given)]
    assert bits(plain) == bits(kept)
    first, second = (history.history for history in histories)
    np.testing.assert_equal(second, first)
    assert histories[0].epoch == histories[1].epoch
    return kept


# ---- the same training


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"validation_data": HELD},
        {"validation_split": 0.3, "shuffle": False},
        {"validation_split": 0.3, "class_weight": "balanced"},
        {"sample_weight": np.linspace(0.0, 2.0, 53), "class_weight": {0: 2.0}},
        {"drop_last": True, "validation_data": HELD, "validation_steps": 2},
        {"steps_per_epoch": 3, "epochs": 5},
        {"batch_size": 64, "validation_data": HELD, "validation_freq": 2},
        {"batch_size": 52},
    ],
)
def test_a_chain_trains_the_same(given):
    agree(chain, **given)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: optimizers.AdamW(lambda step: 0.1 / (step + 1), use_ema=True),
        lambda: optimizers.Adam(0.01, gradient_accumulation_steps=3, global_clipnorm=0.1),
    ],
)
def test_dtypes_and_optimizers(dtype, optimizer):
    agree(lambda: compiled(chain(dtype=dtype), optimizer()), validation_data=HELD)


def test_noise_above_the_cut_draws_the_same_numbers():
    norm = layers.BatchNormalization
    agree(lambda: chain(layers.Dropout(0.3), layers.Dense(5, "relu"), norm()), epochs=4)


def test_frozen_batch_normalization_and_adapted_layers_lie_below():
    def make():
        first = layers.Normalization()
        first.adapt(X)
        body = [layers.Dense(5, "relu"), layers.BatchNormalization()]
        end = layers.Dense(3, "softmax", name="out")
        model = compiled(eg.Sequential([eg.Input((6,)), first, *body, end], seed=1))
        model.fit(X, Y, **PLAIN)
        model.freeze()
        model.unfreeze("out")
        return model

    agree(make, validation_data=HELD)


def test_threads_change_no_bit():
    before = eg.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            eg.set_num_threads(threads)
            found.append(bits(agree(chain, validation_data=HELD)))
    finally:
        eg.set_num_threads(before)
    assert found[0] == found[1]


def graph():
    """Two inputs: one side is frozen, the other begins with a layer that trains."""
    a, b = eg.Input((6,), name="a"), eg.Input((4,), name="b")
    low = layers.Dense(5, "relu", name="low")(a)
    left = layers.Dense(5, "relu", name="left")(low)
    right = layers.Dense(5, "relu", name="right")(b)
    top = layers.Dense(4, "relu", name="top")(layers.Concatenate()([left, right]))
    skip = layers.Concatenate()([top, low])
    outputs = [layers.Dense(3, "softmax", name="y")(skip), layers.Dense(1, name="z")(left)]
    model = eg.Model([a, b], outputs, seed=1)
    model.freeze(until="left")
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"], loss_weights=[1.0, 0.3])
    return model


def test_a_graph_is_cut_where_frozen_values_are_read():
    x = [X, rng.normal(size=(53, 4)).astype("float32")]
    y = [Y, rng.normal(size=(53, 1)).astype("float32")]
    agree(graph, x, y, validation_data=([one[:9] for one in x], [one[:9] for one in y]))
    part = graph()._view().frozen_part([eg.tensor(one[:2]) for one in x])
    assert [use.layer.name for use in part.below] == ["low", "left"]
    shapes = [tuple(one.shape) for one in part.compute([eg.tensor(one) for one in x], False)]
    assert shapes == [(53, 4), (53, 5), (53, 5)]


def test_models_inside_are_cut_within():
    def make():
        body = eg.Sequential(
            [eg.Input((6,)), layers.Dense(5, "relu", name="low"), layers.Dense(4, name="high")],
            name="body",
            seed=2,
        )
        end = layers.Dense(3, "softmax", name="out")
        model = compiled(eg.Sequential([eg.Input((6,)), body, end], seed=1))
        model.freeze("body/low")
        return model

    agree(make, validation_data=HELD)
    part = make()._view().frozen_part([eg.tensor(X[:2])])
    assert [use.layer.path for use in part.below] == ["body/low"]


def test_a_shared_layer_and_a_model_of_sequences():
    def make():
        x = eg.Input((2, 3))
        inner = layers.LSTM(4, return_sequences=True, name="lower")(x)
        shared = layers.Dense(4, "tanh", name="shared")
        end = layers.LSTM(3, name="upper")(shared(shared(inner)))
        model = compiled(eg.Model(x, layers.Dense(3, "softmax", name="out")(end), seed=1))
        model.freeze(until="shared")
        return model

    agree(make, X.reshape(53, 2, 3), validation_split=0.2)


# ---- that nothing below the cut is run


def counted(**given):
    Counting.calls = 0
    model = eg.Sequential([eg.Input((6,)), Counting(name="low"), layers.Dense(3, name="out")])
    compiled(model, run_eagerly=True)
    model.freeze("low")
    model.fit(X, Y, validation_data=HELD, **{**PLAIN, **given})
    return Counting.calls


def test_steps_begin_behind_the_cut():
    few = counted(cache_frozen=True)
    assert counted(cache_frozen=True, epochs=9) == few
    assert counted(cache_frozen="auto") == few
    assert counted() > few


# ---- what is refused, and what is not


@pytest.mark.parametrize(
    "noise",
    [
        layers.Dropout(0.2, name="noise"),
        layers.GaussianNoise(0.1, name="noise"),
        layers.AlphaDropout(0.1, name="noise"),
        layers.RReLU(name="noise"),
    ],
)
def test_noise_below_frozen_layers_is_refused_by_name(noise):
    dense = [layers.Dense(5, name="low"), layers.Dense(5, name="high")]
    end = layers.Dense(3, "softmax", name="out")
    model = compiled(eg.Sequential([eg.Input((6,)), dense[0], noise, dense[1], end], seed=1))
    model.freeze(["low", "high"])
    before = bits(model)
    with pytest.raises(ValueError, match=r"cache_frozen: .*as noise draws random numbers"):
        model.fit(X, Y, cache_frozen=True, **PLAIN)
    assert bits(model) == before
    assert not hasattr(model, "history")
    agree(lambda: refrozen(model), cache="auto")


def refrozen(model):
    twin = model.clone()
    twin.freeze(["low", "high"])
    return compiled(twin)


def test_frozen_noise_is_refused_and_noise_that_is_not_lies_above():
    model = chain(layers.Dropout(0.2, name="drop"))
    model.freeze("drop")
    with pytest.raises(ValueError, match="as drop draws random numbers"):
        model.fit(X, Y, cache_frozen=True, **PLAIN)
    silent = chain(layers.Dropout(0.0, name="drop"))
    silent.freeze("drop")
    silent.fit(X, Y, cache_frozen=True, **PLAIN)
    agree(lambda: chain(layers.Dropout(0.2, name="drop")))


def test_noise_inside_a_frozen_model_is_named_with_its_path():
    body = eg.Sequential(
        [eg.Input((6,)), layers.Dense(5), layers.Dropout(0.5), layers.Dense(4)], name="body"
    )
    model = compiled(eg.Sequential([eg.Input((6,)), body, layers.Dense(3, "softmax")], seed=1))
    model.freeze("body")
    with pytest.raises(ValueError, match="as body/dropout draws"):
        model.fit(X, Y, cache_frozen=True, **PLAIN)


def test_rows_that_depend_on_others_are_refused():
    class Centred(layers.Layer):
        def call(self, x):
            return x - x.mean(0)

    model = chain()
    own = eg.Sequential([eg.Input((6,)), layers.Dense(6, name="low"), Centred(name="middle")])
    own.add(layers.Dense(3, "softmax", name="out"))
    compiled(own).freeze(["low", "middle"])
    with pytest.raises(ValueError, match="middle: its output for a row is another one beside"):
        own.fit(X, Y, cache_frozen=True, **PLAIN)
    model.fit(X, Y, cache_frozen=True, **PLAIN)


def test_without_anything_frozen_there_is_nothing_to_keep():
    model = chain()
    model.unfreeze()
    with pytest.raises(ValueError, match=r"no layer is frozen .* model.freeze\(until=...\)"):
        model.fit(X, Y, cache_frozen=True, **PLAIN)
    agree(lambda: unfrozen(chain()), cache="auto")
    upper = chain()
    upper.unfreeze("hidden1")
    with pytest.raises(ValueError, match="no layer is frozen that others"):
        upper.fit(X, Y, cache_frozen=True, **PLAIN)


def unfrozen(model):
    model.unfreeze()
    return model


def test_code_of_users_does_not_tell_the_cut():
    class Own(eg.Model):
        def __init__(self):
            super().__init__(seed=1)
            self.low, self.out = layers.Dense(4), layers.Dense(3)

        def call(self, x, training):
            return self.out(self.low(x))

    def make():
        model = compiled(Own())
        model.build((None, 6))
        model.freeze("low")
        return model

    with pytest.raises(ValueError, match="its call is code"):
        make().fit(X, Y, cache_frozen=True, **PLAIN)
    agree(make, cache="auto")


def test_a_penalty_on_outputs_stays_in_the_loss():
    def make():
        model = chain()
        model.layers[1].activity_regularizer = regularizers.L2(0.1)
        return model

    agree(make)
    part = make()._view().frozen_part([eg.tensor(X[:2])])
    assert [use.layer.name for use in part.below] == ["hidden1"]


def test_the_argument_is_checked():
    model = chain()
    with pytest.raises(TypeError, match='cache_frozen: expected True, False, "auto" or the path'):
        model.fit(X, Y, cache_frozen=3, **PLAIN)
    batches = [(X[:8], Y[:8])]
    with pytest.raises(ValueError, match="cache_frozen: expected with arrays alone"):
        model.fit(batches, cache_frozen=True, epochs=2, verbose=0)
    model.fit(batches, cache_frozen="auto", epochs=2, verbose=0)


# ---- changes between steps


class At(callbacks.Callback):
    """Do something before an epoch."""

    def __init__(self, epoch, change):
        self.epoch, self.change = epoch, change

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.change(self.model)


def set_weights(model):
    layer = model.layers[0]
    layer.set_weights([0.5 * w for w in layer.get_weights()])


def set_activation(model):
    model.layers[1].activation = eg.activations.get("relu")


def set_the_same(model):
    model.set_weights(model.get_weights())


@pytest.mark.parametrize(
    "change",
    [
        set_weights,
        set_activation,
        set_the_same,
        lambda model: model.unfreeze("hidden2"),
        lambda model: model.unfreeze(),
        lambda model: model.freeze("out"),
        lambda model: model.unfreeze("out", learning_rate=1e-4),
        lambda model: setattr(model.layers[-1], "activation", eg.activations.get("sigmoid")),
    ],
)
@pytest.mark.parametrize("epoch", [0, 2])
def test_what_callbacks_change_holds_from_the_next_step(change, epoch):
    given = {"validation_data": HELD, "epochs": 4}
    agree(lambda: chain(layers.Dense(4, "relu")), callbacks=[At(epoch, change)], **given)


def test_a_change_between_two_batches():
    class Halve(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                set_weights(self.model)

    agree(chain, callbacks=[Halve()], validation_data=HELD)


def test_what_freezes_later_is_kept_from_then_on(advice):
    def make():
        return unfrozen(chain())

    agree(make, callbacks=[At(1, lambda model: model.freeze(until="hidden2"))], epochs=3)
    noisy = At(1, lambda model: model.freeze(["hidden1", "drop", "hidden2"]))
    with advice.heard():
        agree(lambda: chain(layers.Dropout(0.1, name="drop"), layers.Dense(3)), callbacks=[noisy])
    assert "drop draws random numbers" in advice.text


# ---- callbacks, checkpoints


def test_callbacks_see_the_same():
    seen = []

    class Tell(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, dict(logs)))

        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, dict(logs), self.model.evaluate(*HELD)))

    stop = lambda: callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)  # noqa: E731
    for cache in (False, True):
        model = chain()
        model.fit(
            X, Y, cache_frozen=cache, callbacks=[Tell(), stop()], validation_data=HELD, **PLAIN
        )
    half = len(seen) // 2
    assert seen[:half] == seen[half:]


def test_doctors_and_forensics_see_all_layers():
    def health(cache):
        doctor = callbacks.GradientDoctor(every=1)
        guard = callbacks.TerminateOnNaN()
        model = chain()
        history = model.fit(
            X, Y, cache_frozen=cache, callbacks=[doctor, guard], validation_data=HELD, **PLAIN
        )
        return bits(model), history

    (plain, before), (kept, after) = health(False), health(True)
    assert plain == kept
    assert before.health.keys() == after.health.keys()
    for name, values in before.health.items():
        np.testing.assert_equal(values, after.health[name], err_msg=name)


def test_a_step_that_breaks_is_found():
    found = []
    for cache in (False, True):
        model = compiled(chain(layers.Dense(4, "relu")), optimizers.SGD(1e30))
        guard = callbacks.TerminateOnNaN()
        model.fit(X, Y, cache_frozen=cache, callbacks=[guard], **PLAIN)
        found.append((bits(model)[0], str(guard.finding), model.history.history["loss"]))
    np.testing.assert_equal(found[0], found[1])


@pytest.mark.parametrize("kept", [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("every", ["epoch", "3 steps"])
def test_a_training_is_gone_on_with(tmp_path, kept, every):
    class Stop(callbacks.Callback):
        left = 10

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    given = {**PLAIN, "epochs": 4, "validation_data": HELD}
    whole = chain(layers.Dropout(0.1))
    whole.fit(X, Y, **given)
    given.update(checkpoint=tmp_path, checkpoint_every=every)
    model = chain(layers.Dropout(0.1))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, cache_frozen=kept[0], callbacks=[Stop()], **given)
    other = chain(layers.Dropout(0.1))
    history = other.fit(X, Y, cache_frozen=kept[1], **given)
    assert bits(other) == bits(whole)
    assert history.history == whole.history.history


# ---- where they are kept


def test_large_outputs_lie_in_a_file_that_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = []
    ours = _frozen_rows.in_temporary_file

    def noted(columns):
        made.extend(columns)
        return ours(columns)

    monkeypatch.setattr(_frozen_rows, "in_temporary_file", noted)
    before = eg.utils.set_cache_memory(0.0)
    try:
        agree(chain, validation_data=HELD)
        assert [one.shape for one in made] == [(53, 7), (21, 7)]
        # By itself it is not worth a file.
        agree(chain, validation_data=HELD, cache="auto")
        assert len(made) == 2
    finally:
        eg.utils.set_cache_memory(before)
    assert os.listdir(tmp_path) == []


def test_rows_come_in_windows_where_they_are_many(monkeypatch):
    monkeypatch.setattr("evengrad.training._data.RESIDENT_BYTES", 600)
    monkeypatch.setattr("evengrad.training._data.PIECE_BYTES", 400)
    agree(chain, validation_data=HELD)
    doctor = callbacks.GradientDoctor(every=2)
    agree(chain, callbacks=[doctor, At(1, set_weights)], validation_data=HELD)


@pytest.fixture
def computed(monkeypatch):
    """The names of what was computed."""
    found, ours = [], _frozen_rows.write
    monkeypatch.setattr(
        _frozen_rows,
        "write",
        lambda path, *given: (found.append(path.split(os.sep)[-1]), ours(path, *given)),
    )
    return found


def test_a_folder_is_used_again(tmp_path, computed):
    folder = tmp_path / "kept"
    both = ["training.safetensors", "validation.safetensors"]
    for _ in range(2):
        agree(chain, cache=folder, validation_data=HELD)
    assert computed == both
    assert sorted(os.listdir(folder)) == both
    # Weights of the head are no part of it; those of frozen layers and data are.
    model = chain()
    model.layers[-1].set_weights([0.0 * w for w in model.layers[-1].get_weights()])
    model.fit(X, Y, cache_frozen=folder, validation_data=HELD, **PLAIN)
    assert computed == both
    agree(chain, X[::-1].copy(), cache=folder, validation_data=HELD)
    assert computed == [*both, both[0]]

    def other():
        model = chain()
        set_weights(model)
        return model

    agree(other, X[::-1].copy(), cache=str(folder), validation_data=HELD)
    assert computed == [*both, both[0], *both]


def test_other_programs_read_the_files(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = chain()
    model.fit(X, Y, cache_frozen=tmp_path, **PLAIN)
    (kept,) = safetensors.load_file(tmp_path / "training.safetensors").values()
    assert kept.tobytes() == model.features(X, "hidden2").tobytes()


@pytest.mark.parametrize("damage", ["cut", "flip", "longer"])
def test_damaged_files_are_made_anew(tmp_path, computed, damage):
    agree(chain, cache=tmp_path)
    path = tmp_path / "training.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-100]
    elif damage == "flip":
        data[-200] ^= 1
    else:
        data += b"more"
    path.write_bytes(bytes(data))
    agree(chain, cache=tmp_path)
    assert len(computed) == 2


def test_files_of_others_are_left_alone(tmp_path):
    path = tmp_path / "training.safetensors"
    for content in (b"", b"hello", (3).to_bytes(8, "little") + b"{}\n" + b"x" * 99):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="holds no outputs of frozen layers"):
            chain().fit(X, Y, cache_frozen=tmp_path, **PLAIN)
        assert path.read_bytes() == content
    with pytest.raises(ValueError, match="expected a folder"):
        chain().fit(X, Y, cache_frozen=path, **PLAIN)


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    model = chain()
    before = bits(model)
    with pytest.raises(OSError, match="disk full"):
        model.fit(X, Y, cache_frozen=tmp_path, **PLAIN)
    assert os.listdir(tmp_path) == []
    assert bits(model) == before


def test_rows_that_are_mixed_are_refused_below_and_the_same_above():
    def make(*first, above=()):
        chain_ = [*first, layers.Dense(6, "relu", name="low"), *above]
        end = layers.Dense(3, "softmax", name="out")
        model = compiled(eg.Sequential([eg.Input((6,)), *chain_, end], seed=1))
        model.freeze("low")
        return model

    with pytest.raises(ValueError, match="as mix_up draws random numbers"):
        make(layers.MixUp()).fit(X, Y, cache_frozen=True, **PLAIN)
    agree(lambda: make(above=[layers.MixUp(0.3)]), validation_data=HELD)
