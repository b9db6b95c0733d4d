"""Keras' files by hand: each habit of the format, and files that are damaged or none at all."""

import io
import json
import random
import zipfile

import h5py
import metric_cases
import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

L = eg.layers
X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def chain(seed=1, **last):
    layers = [L.Dense(3, "relu"), L.BatchNormalization(), L.Dense(2, "tanh", **last)]
    return eg.Sequential([eg.Input((4,)), *layers], seed=seed)


@pytest.fixture
def saved(tmp_path):
    """Return the path of a file of a chain, and what the chain answers."""
    net = chain()
    path = tmp_path / "net.keras"
    net.save(path)
    return path, net.predict(X, verbose=0)


def changed(path, config=None, **members):
    """Write a .keras file anew: the configuration by a function of it, members as given."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        described = json.loads(content["config.json"])
        described = config(described) or described
        content["config.json"] = json.dumps(described).encode()
    content |= {name.replace("__", "."): data for name, data in members.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def layer(described, place=1):
    return described["config"]["layers"][place]["config"]


def setting(place=1, **settings):
    return lambda described: layer(described, place).update(settings)


def hdf5(arrays, attributes=()):
    """Return the bytes of an HDF5 file with these arrays by paths, and texts of groups."""
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        for path, array in arrays.items():
            root.create_dataset(path, data=array)
        for path, name, value in attributes:
            root.require_group(path) if path not in root else None
            root[path].attrs[name] = value
    return file.getvalue()


def test_the_configuration_has_no_key_that_old_releases_refuse(saved):
    with zipfile.ZipFile(saved[0]) as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        described = json.loads(archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as root:
            assert root["layers/dense_1/vars"].attrs["name"] == "dense_1"
            assert list(root["layers/batch_normalization/vars"]) == ["0", "1", "2", "3"]
    assert layer(described).keys() == {
        *("name", "dtype", "units", "activation", "use_bias"),
        *("kernel_initializer", "bias_initializer"),
    }


def test_equal_models_give_equal_bytes(tmp_path):
    for name in "ab":
        chain().save(tmp_path / f"{name}.keras")
        chain().save_weights(tmp_path / f"{name}.weights.h5")
    for suffix in ("keras", "weights.h5"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_keys_of_other_releases_may_say_nothing_but_not_something(saved):
    path, answer = saved
    changed(path, setting(quantization_config=None, new_flag=False))
    assert np.array_equal(eg.Model.from_keras(path).predict(X, verbose=0), answer)
    changed(path, setting(new_flag=True))
    with pytest.raises(eg.FileFormatError, match=r"layer 'dense': Keras' Dense with new_flag=True"):
        eg.Model.from_keras(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting(2, renorm=True), "BatchNormalization with renorm=True"),
        (setting(2, axis=1), None),
        (setting(2, axis=0), "expected any dimension but 0, the rows"),
        (
            setting(dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "int8"}}),
            "quantised",
        ),
        (setting(activation="sparsemax"), "activation 'sparsemax' has no counterpart"),
        (setting(activation={"class_name": "function", "config": "<lambda>"}), "'<lambda>'"),
        (setting(units=0), "dense.*units"),
        (setting(units=10**9), "dense/kernel: the description asks for shape"),
        (setting(units=7), "dense/kernel: the description asks for shape"),
        (setting(use_bias=False), r"expected 1 arrays of a Dense \(kernel\), the file has 2"),
        (lambda d: layer(d, 0).update(batch_shape=[None, 10**15]), "absurdly large"),
        (lambda d: d["config"]["layers"][1].update(class_name="Lambda"), "is not run"),
        (lambda d: d["config"]["layers"][1].update(class_name="MixUp"), "put layers.MixUp first"),
        (lambda d: d["config"]["layers"][1].update(class_name="Conv2D"), "Keras' Conv2D has no"),
        (lambda d: d["config"]["layers"][1].update(class_name="Bidirectional"), "go_backwards"),
        (lambda d: d["config"]["layers"][1].update(registered_name="mine>Dense"), "writer's own"),
        (lambda d: d["config"].update(layers=None), "no list of layers"),
        (lambda d: d.update(class_name="Dense"), "expected a model"),
        (lambda d: [d], "expected a table"),
    ],
)
def test_what_has_no_counterpart_is_named(saved, change, message):
    path = changed(saved[0], change)
    if message is None:
        # The last dimension, as Keras has it once it is built.
        path = changed(
            path, lambda d: d["config"]["layers"][2].update(build_config={"input_shape": [None, 3]})
        )
        eg.Model.from_keras(path)
        return
    with pytest.raises(eg.FileFormatError, match=message) as caught:
        eg.Model.from_keras(path)
    assert str(caught.value).startswith(str(path))


def test_hard_sigmoid_of_keras_2_is_another_function(tmp_path):
    path = tmp_path / "net.keras"
    eg.Sequential([eg.Input((4,)), L.Dense(2, "hard_sigmoid")]).save(path)
    eg.Model.from_keras(path)
    changed(path, metadata__json=b'{"keras_version": "2.15.0"}')
    with pytest.raises(eg.FileFormatError, match=r"clip\(0.2 x \+ 0.5, 0, 1\)"):
        eg.Model.from_keras(path)


def test_slopes_are_written_and_read_by_both_names(tmp_path):
    path = tmp_path / "net.keras"
    net = eg.Sequential([eg.Input((4,)), L.Dense(3, "leaky_relu"), L.LeakyReLU(0.4)])
    net.save(path)
    kinds = [
        (type(one).__name__, getattr(one, "negative_slope", None))
        for one in eg.Model.from_keras(path).layers
    ]
    assert kinds == [("Dense", None), ("LeakyReLU", 0.01), ("LeakyReLU", 0.4)]

    def older(described):
        layer(described, 3)["alpha"] = layer(described, 3).pop("negative_slope")

    assert eg.Model.from_keras(changed(path, older)).layers[2].negative_slope == 0.4


def numbered_arrays(net):
    """Return the arrays of a chain of dense layers as Keras 3.0 has them: without names."""
    arrays = {}
    for place, one in enumerate(net.layers):
        group = f"layers/dense{f'_{place}' if place else ''}/vars"
        arrays |= {f"{group}/{i}": w.numpy() for i, w in enumerate(one.weights)}
    return arrays


def test_numbers_of_layers_are_no_words(tmp_path):
    def deep(seed):
        dense = [L.Dense(4, "tanh") for _ in range(12)]
        return eg.Sequential([eg.Input((4,)), *dense], seed=seed)

    net, other = deep(1), deep(2)
    path = tmp_path / "deep.weights.h5"
    path.write_bytes(hdf5(numbered_arrays(net)))
    report = other.load_weights(path)
    assert report.missing == []
    assert len(report.by_order) == 24
    assert np.array_equal(other.predict(X, verbose=0), net.predict(X, verbose=0))


def test_names_of_users_come_before_the_order(tmp_path):
    def two(first, second, seed):
        return eg.Sequential(
            [eg.Input((4,)), L.Dense(4, name=first), L.Dense(4, name=second)], seed=seed
        )

    net, other = two("a", "b", 1), two("b", "a", 2)
    path = tmp_path / "net.weights.h5"
    net.save_weights(path)
    other.load_weights(path)
    for name in "ab":
        kernel = other.get_layer(name).kernel.numpy()
        assert np.array_equal(kernel, net.get_layer(name).kernel.numpy())


def test_half_precision_becomes_float32(tmp_path):
    net = eg.Sequential([eg.Input((4,)), L.Dense(3)])
    kernel = np.arange(12, dtype=np.float32).reshape(4, 3) / 16 - 0.3125
    upper = (kernel.view(np.uint32) >> 16).astype("<u2").view("V2")
    arrays = {"layers/dense/vars/0": upper, "layers/dense/vars/1": np.ones(3, np.float16)}
    path = tmp_path / "half.weights.h5"
    path.write_bytes(hdf5(arrays, [("layers/dense/vars/0", "dtype", "bfloat16")]))
    net.load_weights(path)
    assert np.array_equal(net.layers[0].kernel.numpy(), kernel)
    assert net.layers[0].bias.tolist() == [1.0] * 3


@pytest.mark.parametrize("dtype", ["i1", "V1"])
def test_quantised_weights_are_refused(tmp_path, dtype):
    net = eg.Sequential([eg.Input((4,)), L.Dense(3)])
    before = net.get_weights()
    arrays = {"layers/dense/vars/0": np.ones((4, 3), "i1").view(dtype)}
    path = tmp_path / "net.weights.h5"
    path.write_bytes(hdf5({**arrays, "layers/dense/vars/1": np.ones(3, "f4")}))
    with pytest.raises(eg.FileFormatError, match=r"dense/vars/0: it holds .*quantised"):
        net.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))


def test_another_number_of_arrays_says_nothing_of_their_roles(tmp_path):
    net = eg.Sequential([eg.Input((4,)), L.BatchNormalization(name="n"), L.Dense(2, name="d")])
    arrays = {f"layers/batch_normalization/vars/{i}": np.full(4, i, "f4") for i in range(3)}
    arrays |= {
        "layers/dense/vars/0": np.ones((4, 2), "f4"),
        "layers/dense/vars/1": np.ones(2, "f4"),
    }
    names = [("layers/batch_normalization/vars", "name", "n"), ("layers/dense/vars", "name", "d")]
    path = tmp_path / "net.weights.h5"
    path.write_bytes(hdf5(arrays, names))
    with pytest.raises(eg.FileFormatError, match=r"no values for 'n/gamma'|no variable"):
        net.load_weights(path)
    report = net.load_weights(path, strict=False)
    assert net.get_layer("n").gamma.tolist() == [1.0] * 4
    assert report.matched.keys() == {"layers/dense/vars/0", "layers/dense/vars/1"}


def test_the_old_format_goes_by_the_names_that_it_lists(tmp_path):
    inner = eg.Sequential([eg.Input((4,)), L.Dense(4), L.Dense(4, name="upper")], name="inner")
    net = eg.Sequential([eg.Input((4,)), inner, L.Dense(2, "hard_sigmoid", name="out")])
    values = {
        path: np.random.default_rng(len(path)).normal(size=w.shape).astype("f4")
        for path, w in net.named_weights()
    }
    arrays = {
        f"{path.partition('/')[0]}/{path if path[0] == 'o' else path.partition('/')[2]}:0": array
        for path, array in values.items()
    }
    listed = [("/", "layer_names", [b"inner", b"out"]), ("/", "keras_version", "2.11.0")]
    # What is frozen comes last: the order is not that of the net.
    listed.append(
        (
            "inner",
            "weight_names",
            [b"upper/kernel:0", b"upper/bias:0", b"dense/kernel:0", b"dense/bias:0"],
        )
    )
    listed.append(("out", "weight_names", [b"out/kernel:0", b"out/bias:0"]))
    path = tmp_path / "net.h5"
    path.write_bytes(hdf5(arrays, listed))
    report = net.load_weights(path)
    assert report.missing == []
    assert "hard_sigmoid of Keras 2.11.0 has the slope 0.2" in report.notes[0]
    for name, tensor in net.named_weights():
        assert np.array_equal(tensor.numpy(), values[name])


def test_optimizers_begin_anew_where_arrays_are_not_as_expected(tmp_path):
    net = chain()
    net.compile(eg.optimizers.Adam(0.02), "mse")
    net.fit(X, X[:, :2], epochs=2, verbose=0)
    path = tmp_path / "net.keras"
    net.save(path)
    assert eg.Model.from_keras(path).optimizer.iterations == 2

    def other(described):
        described["compile_config"]["optimizer"]["config"]["amsgrad"] = True

    with pytest.warns(UserWarning, match="the state of Adam: its arrays are not those"):
        made = eg.Model.from_keras(changed(path, other))
    assert made.optimizer.iterations == 0
    assert made.optimizer.amsgrad is True


@pytest.mark.parametrize("kind", ["Nadam", "Adagrad"])
def test_optimizers_go_on_here_to_the_bit(tmp_path, kind):
    def trained(epochs):
        net = chain()
        net.compile(getattr(eg.optimizers, kind)(0.01), "mse")
        net.fit(X, X[:, :2], epochs=epochs, shuffle=False, verbose=0)
        return net

    fresh, half, whole = trained(0), trained(3), trained(6)
    path = tmp_path / "net.keras"
    fresh.save(path)
    assert fresh.optimizer.iterations == eg.Model.from_keras(path).optimizer.iterations == 0
    half.save(path)
    made = eg.Model.from_keras(path)
    made.fit(X, X[:, :2], epochs=3, shuffle=False, verbose=0)
    for one, other in zip(made.get_weights(), whole.get_weights(), strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-9 if kind == "Adagrad" else 1e-7)


def test_what_changes_no_output_is_left_out_with_a_warning(tmp_path):
    net = chain()
    net.compile("adam", "mse", metrics=["mae"])
    path = tmp_path / "net.keras"
    net.save(path)

    def stranger(described):
        described["compile_config"]["metrics"].append("fancy_metric_of_mine")
        layer(described)["kernel_regularizer"] = {"class_name": "Mine", "config": {"a": 1}}

    with pytest.warns(UserWarning, match="dense: kernel_regularizer: Mine has no counterpart here"):
        made = eg.Model.from_keras(changed(path, stranger))
    assert np.array_equal(made.predict(X, verbose=0), net.predict(X, verbose=0))
    with pytest.warns(UserWarning, match="could be taken: dense: kernel_reg.* here$") as caught:
        eg.Model.from_keras(path, compile=False)
    assert caught[0].filename == __file__


def test_what_keras_has_not_is_said_when_it_is_written(tmp_path):
    class Own(L.Layer):
        def call(self, x):
            return x

    path = tmp_path / "net.keras"
    for stranger, message in [
        (Own(name="mine"), "mine: Own has no counterpart in Keras"),
        (L.RReLU(), r"LeakyReLU\(negative_slope=0.229167\)"),
        (L.MixUp(), r"replace\('mix_up', layers.Activation\('linear'\)\)"),
        (L.SwapNoise(0.1), "swap_noise: SwapNoise has no counterpart in Keras; in inference"),
        (L.GaussianNoise([0.1] * 4), "with deviations of columns has no counterpart in Keras"),
        (L.Dense(2, lambda x: x), "has no counterpart in Keras; take another activation"),
    ]:
        with pytest.raises(ValueError, match=message):
            eg.Sequential([eg.Input((4,)), L.Dense(4), stranger]).save(path)
        assert not path.exists()
    net = chain()
    net.compile("adam", lambda y, z: ((y - z) ** 2).mean(), metrics=["mae"])
    with pytest.warns(UserWarning, match="the model is not compiled there"):
        net.save(path)
    for loss, metric, message in [
        (eg.losses.BinaryCrossentropy(pos_weight=2.0), None, "BinaryCrossentropy with pos_weight"),
        (eg.losses.CategoricalHinge(), None, "CategoricalHinge with convention='textbook'"),
        ("mse", eg.metrics.Precision(average="macro"), "metrics: Precision with average='macro'"),
    ]:
        net.compile("adam", loss, metrics=metric)
        with pytest.warns(UserWarning, match=message):
            net.save(path)
    with pytest.raises(ValueError, match=r"layout: .* is a file of Keras'"):
        net.save_weights(tmp_path / "net.weights.h5", layout="torch")
    with pytest.raises(ValueError, match=r"model.save\('net.keras'\)"):
        net.save(tmp_path / "net.h5")


@pytest.mark.parametrize("end", ["softmax", None])
def test_metrics_of_every_kind_come_back(tmp_path, end):
    points = [
        getattr(eg.metrics, name)(0.6, num_thresholds=200, class_id=1, name=bound)
        for name, bound in metric_cases.POINTS.items()
    ]
    given = [
        eg.metrics.AUC(200, summation_method="minoring", multi_label=True, name="auc"),
        eg.metrics.CategoricalHinge(convention="keras"),
        *(getattr(eg.metrics, name)(thresholds=0.4) for name in metric_cases.COUNTS),
        *("bce", "kld", "hinge", "log_cosh_error", "cosine_similarity", "msle"),
        *points,
        "categorical_crossentropy",
    ]
    net = eg.Sequential([eg.Input((4,)), L.Dense(2, end)])
    net.compile("adam", "categorical_crossentropy", metrics=given)
    x, y = np.random.default_rng(1).normal(size=(30, 4)), np.eye(2)[np.arange(30) % 2]
    before = net.evaluate(x, y, return_dict=True)
    path = tmp_path / "net.keras"
    if end is None:
        # What Keras makes of these logits is another figure.
        del before["bce"]
        with pytest.warns(UserWarning, match="metrics: bce of the softmax of logits is not there"):
            net.save(path)
    else:
        net.save(path)
    again = eg.Model.from_keras(path).evaluate(x, y, return_dict=True)
    assert again == {name: pytest.approx(value, rel=1e-6) for name, value in before.items()}


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("config__json", b"{", "config.json: "),
        ("config__json", b"[" * 100_000, "config.json: "),
        ("config__json", b"[" * 300 + b"]" * 300, "expected a table"),
        ("config__json", b'{"a":' * 500 + b"1" + b"}" * 500, "nested too deeply"),
        ("model__weights__h5", b"no file", "no HDF5 file"),
        ("metadata__json", b"3", "metadata.json: expected a table"),
    ],
)
def test_damaged_members_are_named(saved, member, content, message):
    path = changed(saved[0], **{member: content})
    with pytest.raises(eg.FileFormatError, match=message):
        eg.Model.from_keras(path)


def test_no_archive_no_members_and_bombs(tmp_path):
    path = tmp_path / "other.keras"
    path.write_bytes(b"text")
    with pytest.raises(eg.FileFormatError, match="no zip archive"):
        eg.Model.from_keras(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../etc/passwd", b"x")
    with pytest.raises(eg.FileFormatError, match=r"has no 'config\.json'"):
        eg.Model.from_keras(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", bytes(2**26))
    with pytest.raises(eg.FileFormatError, match=r"claims 67108864 bytes out of \d+"):
        eg.Model.from_keras(path)
    with pytest.raises(OSError, match="missing"):
        eg.Model.from_keras(tmp_path / "missing.keras")


def test_changed_and_cut_files_give_one_error_and_change_nothing(tmp_path, saved):
    whole = saved[0].read_bytes()
    net = chain(seed=5)
    before = net.get_weights()
    draws, said = random.Random(2), []
    path = tmp_path / "bad.keras"
    for number in range(150):
        data = bytearray(whole)
        if number < 50:
            del data[draws.randrange(len(data)) :]
        else:
            for _ in range(draws.choice((1, 2, 8))):
                data[draws.randrange(len(data))] = draws.randrange(256)
        path.write_bytes(data)
        for read in (eg.Model.from_keras, net.load_weights):
            try:
                read(path)
            except eg.FileFormatError as error:
                said.append(str(error))
                continue
            net.set_weights(before)
        assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))
    assert len(said) > 100
    assert all(str(path) in message for message in said)


def test_round_trips_keep_what_both_have(tmp_path):
    layers = [
        L.Dense(3, "leaky_relu", norm=L.BatchNormalization(convention="torch")),
        L.Dense(3, "hard_tanh", norm=L.LayerNormalization(), norm_position="after"),
        L.Residual([L.Dense(5, "relu"), L.Dense(3)], activation="tanh"),
        L.Dense(3, L.PReLU(convention="torch")),
        L.Normalization(mean=[1.0, 2.0, 3.0], variance=[0.0, 2.0, 3.0]),
        L.Dense(2, trainable=False, kernel_regularizer=eg.regularizers.L1L2(0.1, 0.2)),
    ]
    net = eg.Sequential([eg.Input((4,)), *layers], seed=2)
    path = tmp_path / "net.keras"
    net.save(path)
    same = eg.Model.from_keras(path)
    wanted = net.predict(X, verbose=0)
    np.testing.assert_allclose(same.predict(X, verbose=0), wanted, rtol=1e-6, atol=1e-6)
    assert same.layers[-1].kernel_regularizer.l2 == 0.2
    assert [one.name for one in same.layers if not one.trainable] == ["dense_3"]
    # The block has become a model, whose layers are those of the block.
    assert same.get_layer("residual").count_params() == net.get_layer("residual").count_params()
    again = tmp_path / "again.keras"
    same.save(again)
    assert np.array_equal(
        eg.Model.from_keras(again).predict(X, verbose=0), same.predict(X, verbose=0)
    )


def test_layers_that_change_images_keep_their_ranges(tmp_path):
    changes = [
        L.RandomTranslation(0.1, (-0.2, 0.1), "wrap", "nearest", fill_value=2.0),
        L.RandomRotation(0.1),
        L.RandomZoom(0.1, data_format="channels_first"),
        L.RandomFlip("vertical", seed=3),
        L.RandomBrightness((0.0, 0.1), value_range=(0.0, 1.0)),
        L.RandomContrast(0.1),
        L.RandomErasing(0.5, 0.1, [1.0, 2.0, 3.0]),
    ]
    net = eg.Sequential([eg.Input((6, 5, 3)), *changes])
    path = tmp_path / "net.keras"
    net.save(path)
    with zipfile.ZipFile(path) as archive:
        written = json.loads(archive.read("config.json"))["config"]["layers"]
    # What older releases do not know is not there, where it has their value.
    contrast = next(one for one in written if one["class_name"] == "RandomContrast")
    assert {"value_range", "data_format"}.isdisjoint(contrast["config"])
    # A seed goes there; what comes from there Keras may have drawn.
    seeds = [one["config"].get("seed") for one in written if one["class_name"] != "InputLayer"]
    assert seeds == [None, None, None, 3, None, None, None]
    # Keras 3.0 writes a range that its rotation has no use for.
    read = eg.Model.from_keras(changed(path, setting(2, value_range=[0, 255]))).layers
    for one, same in zip(changes, read, strict=True):
        wanted, got = one.get_config(), same.get_config()
        factor = wanted.get("factor")
        if isinstance(one, (L.RandomContrast, L.RandomErasing)):
            # A pair there, as Keras has a single number mean the upper end.
            factor = (factor, factor)
        assert type(same) is type(one)
        assert got.get("factor") == factor
        others = wanted.keys() - {"factor", "name", "dtype", "seed"}
        assert {name: got[name] for name in others} == {name: wanted[name] for name in others}


def test_pieces_of_maxout_are_a_wide_layer_there(tmp_path):
    net = eg.Sequential([eg.Input((4,)), L.Maxout(3, 4)])
    path = tmp_path / "net.keras"
    net.save(path)
    with zipfile.ZipFile(path) as archive:
        kinds = [
            one["class_name"] for one in json.loads(archive.read("config.json"))["config"]["layers"]
        ]
    assert kinds == ["InputLayer", "Dense", "Reshape", "GlobalMaxPooling1D"]
    with pytest.raises(ValueError, match="Maxout on sequences has no counterpart in Keras"):
        eg.Sequential([eg.Input((5, 4)), L.Maxout(3)]).save(path)


class Shift(L.Layer):
    """What a user has written twice, with Keras and here."""

    def __init__(self, times=1.0, **shared):
        super().__init__(**shared)
        self.times = times

    def build(self, input_shape):
        self.seen = self.add_weight("seen", (1,), "zeros", trainable=False)
        self.offset = self.add_weight("offset", (input_shape[-1],), "zeros")

    def call(self, x):
        return self.times * x + self.offset + self.seen


def squared(x):
    return x * x


def test_layers_losses_and_functions_of_the_caller(tmp_path):
    net = eg.Sequential([eg.Input((4,)), L.Dense(3, "tanh"), L.PReLU(), L.Dense(2, "elu")])
    net.compile("adam", "mse")
    path = tmp_path / "net.keras"
    net.save(path)
    arrays = {
        f"layers/dense{n}/vars/{i}": w.numpy()
        for n, i, w in (
            ("", 0, net.layers[0].kernel),
            ("", 1, net.layers[0].bias),
            ("_1", 0, net.layers[2].kernel),
            ("_1", 1, net.layers[2].bias),
        )
    }
    offset, seen = np.array([1, 2, 3], "f4"), np.array([0.25], "f4")
    # What trains comes first there.
    arrays |= {"layers/shift/vars/0": offset, "layers/shift/vars/1": seen}

    def own(described):
        one = described["config"]["layers"][2]
        one.update(class_name="Shift", module=None, registered_name="Mine>Shift")
        one["config"] = {"name": "shift", "dtype": "float32", "trainable": True, "times": 2.0}
        layer(described, 3)["activation"] = {
            "class_name": "function",
            "config": "squared",
            "registered_name": "function",
        }
        described["compile_config"]["loss"] = {"class_name": "function", "config": "my_loss"}

    changed(path, own, model__weights__h5=hdf5(arrays))

    def my_loss(y, z):
        return ((y - z) ** 2).mean()

    given = {"Shift": Shift, "squared": squared, "my_loss": my_loss}
    made = eg.Model.from_keras(path, given)
    first = np.tanh(X @ net.layers[0].kernel.numpy() + net.layers[0].bias.numpy())
    wanted = ((2 * first + offset + seen) @ net.layers[2].kernel.numpy()) ** 2
    np.testing.assert_allclose(made.predict(X, verbose=0), wanted, rtol=1e-5, atol=1e-6)
    assert made.evaluate(X, wanted, verbose=0) < 1e-10
    with pytest.raises(eg.FileFormatError, match=r"writer's own; .*custom_objects=.'Shift': "):
        eg.Model.from_keras(path)
    with pytest.raises(eg.FileFormatError, match="activation 'squared' has no counterpart"):
        eg.Model.from_keras(path, {"Shift": Shift})
    with pytest.raises(TypeError, match=r"custom_objects\['Shift'\]: expected a Layer class"):
        eg.Model.from_keras(path, {**given, "Shift": squared})

    class Fewer(Shift):
        def build(self, input_shape):
            self.seen = self.add_weight("seen", input_shape[-1:], "zeros")

        def call(self, x):
            return x + self.seen

    with pytest.raises(eg.FileFormatError, match=r"Fewer has 1 variables \(seen\), the file has 2"):
        eg.Model.from_keras(path, {**given, "Shift": Fewer})


def augmented(*layers, shape=(6, 5, 2)):
    return eg.Sequential([eg.Input(shape), *layers])


def test_what_augmentation_means_there_is_written(tmp_path):
    path = tmp_path / "net.keras"
    augmented(
        L.RandomErasing(0.5, fill_value=[0.5]),
        L.RandomContrast(0.25, data_format="channels_first"),
        L.RandomBrightness((0.2, -0.1), data_format="channels_first"),
        L.RandomRotation(-0.1, data_format="channels_first"),
    ).save(path)
    one, two, three, four = eg.Model.from_keras(path).layers
    assert (one.factor, one.scale, one.fill_value) == ((0.5, 0.5), (0.02, 0.33), 0.5)
    assert (two.factor, two.data_format) == ((0.25, 0.25), "channels_first")
    assert three.factor == (-0.1, 0.2)
    assert (four.factor, four.data_format) == (0.1, "channels_first")
    with pytest.warns(UserWarning, match=r"random_contrast: factor: Keras sorts \(0.5, 0\)"):
        augmented(L.RandomContrast((0.5, 0.0))).save(path)
    with pytest.warns(UserWarning, match="random_erasing: fill_value: Keras takes one number or 3"):
        augmented(L.RandomErasing(fill_value=[0.1, 0.2])).save(path)
    with pytest.raises(ValueError, match="random_flip: RandomFlip on images without channels"):
        augmented(L.RandomFlip(), shape=(None, 5)).save(tmp_path / "open.keras")


def test_keras_takes_rows_without_channels_for_one_image(tmp_path):
    path = tmp_path / "net.keras"
    augmented(L.RandomFlip("vertical")).save(path)

    def plain(described):
        layer(described, 0)["batch_shape"] = [None, 6, 5]
        described["config"]["layers"][1]["build_config"] = {"input_shape": [None, 6, 5]}
        layer(described, 1)["data_format"] = None

    with pytest.warns(UserWarning, match=r"random_flip: Keras takes the rows of shape \(None, 6"):
        made = eg.Model.from_keras(changed(path, plain))
    assert made.layers[0].data_format == "channels_last"


def test_mixing_is_left_out_by_hand(tmp_path):
    net = eg.Sequential([eg.Input((4,)), L.MixUp(), L.Dense(2)])
    path = tmp_path / "net.keras"
    net.replace("mix_up", L.Activation("linear")).save(path)
    same = eg.Model.from_keras(path)
    assert np.array_equal(same.predict(X, verbose=0), net.predict(X, verbose=0))


def test_only_some_layers_are_read_out_of_wrappers(saved):
    def wrapped(described, kind):
        one = described["config"]["layers"][1]
        inside = {"class_name": kind, "config": dict(one["config"])}
        one.update(class_name="TimeDistributed", config={"name": "wrap", "layer": inside})

    path = changed(saved[0], lambda d: wrapped(d, "Flatten"))
    message = r"layer 'wrap': TimeDistributed\(Flatten\) has no counterpart"
    with pytest.raises(eg.FileFormatError, match=message):
        eg.Model.from_keras(path)


def test_dense_layers_of_keras_come_back(tmp_path):
    x = eg.Input((3, 4))
    h = layers.BatchNormalization(axis=1, gamma_regularizer="l2", name="batches")(x)
    h = layers.LayerNormalization(axis=[1, 2], beta_constraint="non_neg", name="rows")(h)
    h = layers.Dropout(0.2, noise_shape=(None, 1, 4), name="dropped")(h)
    h = layers.Identity()(layers.Permute((2, 1), name="turned")(h))
    h = layers.UnitNormalization(axis=[1, 2], name="unit")(h)
    h = layers.ActivityRegularization(0.1, 0.2, name="small")(h)
    flat = layers.Flatten()(h)
    ends = [layers.Dense(5)(flat), layers.Dense(5)(flat)]
    cosine = layers.Dot(1, normalize=True, name="cosine")(ends)
    model = eg.Model(x, [cosine, layers.Softmax([1, 2], name="shares")(h)], seed=1)
    model.save(tmp_path / "net.keras")
    again = eg.Model.from_keras(tmp_path / "net.keras")
    data = np.random.default_rng(0).normal(size=(5, 3, 4))
    for one, other in zip(model.predict(data), again.predict(data), strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("batches", "rows", "dropped", "turned", "unit", "small", "cosine", "shares"):
        before, after = (net.get_layer(name).get_config() for net in (model, again))
        assert repr({**after, "dtype": None}) == repr({**before, "dtype": None})
