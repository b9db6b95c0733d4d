"""`Ensemble`: means and deviations by NumPy, training as `fit_many`, files."""

import json

import numpy as np
import pytest
from training_checks import everything, three_classes

import evengrad as eg
from evengrad import layers
from evengrad.saving import _safetensors


def net(seed, units=3):
    model = eg.Sequential(
        [eg.Input((12,)), layers.Dense(8, "relu"), layers.Dense(units, "softmax")], seed=seed
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_mean_and_deviation_over_the_models():
    x, _ = three_classes()
    models = [net(seed) for seed in range(5)]
    mean, deviation = eg.Ensemble(models).predict(x, return_std=True)
    outputs = np.stack([model.predict(x) for model in models]).astype(np.float64)
    np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation, outputs.std(axis=0), rtol=1e-5, atol=1e-9)
    assert mean.dtype == deviation.dtype == np.float32
    assert np.array_equal(eg.Ensemble(models).predict(x, batch_size=10), mean)


def test_models_with_several_outputs():
    def make(seed):
        a = eg.Input((12,))
        return eg.Model(a, [layers.Dense(1)(a), layers.Dense(2)(a)], seed=seed)

    x, _ = three_classes()
    models = [make(seed) for seed in range(3)]
    means, deviations = eg.Ensemble(models).predict(x, return_std=True)
    for place, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        outputs = np.stack([model.predict(x)[place] for model in models])
        np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(deviation, outputs.std(axis=0), rtol=1e-4, atol=1e-6)


def test_training_is_that_of_fit_many():
    x, y = three_classes()
    ensemble, alone = eg.Ensemble(map(net, range(3))), net(1)
    histories = ensemble.fit(x, y, epochs=3, verbose=0)
    expected = alone.fit(x, y, epochs=3, verbose=0)
    assert histories[1].history == expected.history
    assert list(map(repr, everything(ensemble.models[1]))) == list(map(repr, everything(alone)))


def test_a_file_has_all_models_and_how_they_are_trained(tmp_path):
    x, y = three_classes()
    ensemble, path = eg.Ensemble(map(net, range(3))), tmp_path / "nets.safetensors"
    ensemble.fit(x, y, verbose=0)
    ensemble.save(path)
    read = eg.Ensemble.load(path)
    assert np.array_equal(read.predict(x), ensemble.predict(x))
    for one in (read, ensemble):
        one.fit(x, y, epochs=2, verbose=0)
    for one, other in zip(read.models, ensemble.models, strict=True):
        assert list(map(repr, everything(one))) == list(map(repr, everything(other)))
    assert eg.Ensemble.load(path, compile=False).models[0].predict(x).shape == (203, 3)


def test_files_that_are_no_ensembles(tmp_path):
    path = tmp_path / "net.safetensors"
    net(0).save(path)
    with pytest.raises(eg.FileFormatError, match="holds no ensemble; a single model"):
        eg.Ensemble.load(path)
    eg.Ensemble([net(0)]).save(path)
    with pytest.raises(eg.FileFormatError, match="holds tensors but no model"):
        eg.load_model(path)
    for described, said in [
        ("{", "the description is damaged"),
        (json.dumps({"version": 2, "models": []}), "of version 2"),
        (json.dumps({"version": 1, "models": [1]}), "no list of models"),
    ]:
        _safetensors.write(path, {}, {"evengrad_ensemble": described})
        with pytest.raises(eg.FileFormatError, match=said):
            eg.Ensemble.load(path)


def test_what_is_refused():
    with pytest.raises(ValueError, match="models: expected one model or more, got none"):
        eg.Ensemble([])
    with pytest.raises(TypeError, match=r"models\[1\]: expected a Model, got 'net'"):
        eg.Ensemble([net(0), "net"])
    with pytest.raises(ValueError, match=r"models\[1\]: expected outputs of shape \(203, 3\) as"):
        eg.Ensemble([net(0), net(1, units=4)]).predict(three_classes()[0])
