"""Files of real Keras read here, and files written here read by Keras: the same outputs."""

import importlib.util
import json

import keras_own
import numpy as np
import pytest
from keras_cases import CASES, erasing
from keras_own import ALL_OF_KERAS, BOTH
from keras_trained import OPTIMIZERS

import evengrad as eg

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("keras") is None, reason="Keras needs Python 3.11"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with files of both, made by one child process."""
    return keras_own.run(tmp_path_factory.mktemp("keras"))


@pytest.mark.parametrize(("name", "dtype"), ALL_OF_KERAS)
def test_models_of_keras_compute_the_same_here(folder, name, dtype):
    keras_own.check_read_here(folder, name, dtype)


@pytest.mark.parametrize(("name", "dtype"), ALL_OF_KERAS)
@pytest.mark.parametrize("suffix", ["weights.h5", "keras"])
def test_weights_of_keras_go_into_a_model_of_the_same_structure(folder, name, dtype, suffix):
    keras_own.check_weights(folder, name, dtype, suffix)


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"images"}))
def test_weights_of_the_old_format_go_by_their_names(folder, name):
    net = eg.Model.from_keras(folder / f"keras-{name}-float32.keras")
    net.set_weights([np.zeros(w.shape) for w in net.weights])
    report = net.load_weights(folder / f"keras-{name}-float32.h5")
    assert report.missing == report.by_order == []
    wanted = keras_own.keras_outputs(folder, name, "float32")
    keras_own.check_near(keras_own.outputs(net, name, "float32"), wanted, "float32")


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_keras_reads_what_is_written_here(folder, name, dtype):
    keras_own.check_read_there(folder, name, dtype)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_where_keras_stopped(folder, name):
    keras_own.check_goes_on_here(folder, name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keras_goes_on_where_training_stopped_here(folder, name):
    keras_own.check_goes_on_there(folder, name)


def settings_of(layer):
    """Return the arguments of a layer of ours, as Keras' configurations have them."""
    config = layer.get_config()
    for name in ("factor", "scale"):
        if isinstance(config.get(name), float):
            number = config[name]
            around_zero = name == "factor" and type(layer).__name__ != "RandomContrast"
            config[name] = (-number if around_zero else 0.0, number)
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in config.items()
    }


@pytest.mark.parametrize("name", ["images", "erasing"])
def test_layers_of_augmentation_are_the_same_on_both_sides(folder, name):
    own = erasing(eg) if name == "erasing" else keras_own.own_net(name, "float32")
    there = json.loads((folder / "settings.json").read_text())[name]
    here = eg.Model.from_keras(folder / f"keras-{name}-float32.keras").layers
    compared = 0
    for layer, (kind, config), read in zip(own.layers, there, here, strict=True):
        assert type(layer).__name__ == type(read).__name__ == kind
        if not kind.startswith("Random"):
            continue
        wanted = {
            key: value
            for key, value in settings_of(layer).items()
            if key not in ("name", "dtype", "trainable")
        }
        compared += len(wanted)
        assert {key: config[key] for key in wanted} == wanted
        assert {key: settings_of(read)[key] for key in wanted} == wanted
    assert compared >= 5


def test_images_without_channels_get_an_axis_for_keras(folder):
    there = json.loads((folder / "settings.json").read_text())["plain"]
    kinds = [kind for kind, _ in there]
    assert kinds == ["Reshape", "RandomContrast", "Reshape", "Reshape", "RandomFlip", "Reshape"]
    assert [there[place][1]["target_shape"] for place in (0, 2)] == [[5, 4, 1], [5, 4]]
    # Both ends: of one number Keras makes (0, 0.3).
    assert there[1][1]["factor"] == [0.3, 0.3]
    assert there[4][1]["data_format"] == "channels_last"
