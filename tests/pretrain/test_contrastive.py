"""The contrastive loss against its formula, and what training by it leaves."""

import numpy as np
import pytest
from scipy.special import logsumexp

import evengrad as eg
from evengrad import layers
from evengrad.pretrain._contrastive import nt_xent, whole_batches


@pytest.fixture
def rng():
    return np.random.default_rng(18)


def body(**settings):
    chain = [layers.Dense(12, "elu"), layers.BatchNormalization(), layers.Dense(6)]
    return eg.Sequential(chain, **{"seed": 1, **settings})


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_formula(rng, temperature):
    vectors = rng.normal(size=(10, 4))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = unit @ unit.T / temperature
    losses, hits = np.zeros(10), np.zeros(10)
    for i in range(10):
        others = [k for k in range(10) if k != i]
        losses[i] = logsumexp(similar[i, others]) - similar[i, (i + 5) % 10]
        hits[i] = others[np.argmax(similar[i, others])] == (i + 5) % 10
    found = nt_xent(eg.tensor(vectors), temperature)
    np.testing.assert_allclose(found[0].numpy(), losses.reshape(2, 5).mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found[1].numpy(), hits.reshape(2, 5).mean(axis=0))


def test_gradients(rng):
    assert eg.autograd.gradcheck(lambda x: nt_xent(x, 0.5)[0], rng.normal(size=(6, 3)))


def test_views_differ_and_the_body_learns(rng):
    x = rng.normal(size=(256, 8)).astype(np.float32)
    noise = layers.GaussianNoise(0.4)
    one = body()
    settings = {"epochs": 15, "batch_size": 64, "verbose": 0}
    report = eg.pretrain.contrastive(one, x, augment=[noise, layers.Dropout(0.1)], **settings)
    history = report.stages[0].history
    # With equal views all would be hits from the beginning.
    assert history["accuracy"][0] < 0.9
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    assert history["accuracy"][-1] > history["accuracy"][0]
    assert not noise.built
    equal = eg.pretrain.contrastive(body(), x, augment=layers.Dropout(0.0), **settings)
    assert equal.stages[0].history["accuracy"][0] == 1.0


def test_two_views_that_are_given(rng):
    latent = rng.normal(size=(200, 8))
    views = tuple((latent + 0.1 * rng.normal(size=(200, 8))).astype(np.float32) for _ in range(2))
    report = eg.pretrain.contrastive(body(), views, epochs=30, batch_size=50, verbose=0)
    assert report.stages[0].history["accuracy"][-1] > 0.5
    # Rows that do not belong together.
    mixed = (views[0], views[1][rng.permutation(200)])
    report = eg.pretrain.contrastive(body(), mixed, epochs=30, batch_size=50, verbose=0)
    assert report.stages[0].history["accuracy"][-1] < 0.5


@pytest.mark.parametrize("given", [False, True])
def test_a_validation_tells_of_other_rows_and_changes_nothing(rng, given):
    x = rng.normal(size=(300, 8)).astype(np.float32)
    views = (x, x + rng.normal(0, 0.2, x.shape).astype(np.float32))
    train = tuple(view[:200] for view in views) if given else x[:200]
    held = tuple(view[200:] for view in views) if given else x[200:]
    settings = {"augment": [layers.GaussianNoise(0.4)], "epochs": 6, "batch_size": 40}
    one, other = body(), body()
    alone = eg.pretrain.contrastive(one, train, verbose=0, **settings)
    report = eg.pretrain.contrastive(other, train, validation_data=held, verbose=0, **settings)
    assert_same_weights(one, other)
    history = report.stages[0].history
    assert history["loss"] == alone.stages[0].history["loss"]
    assert len(history["val_loss"]) == len(history["val_accuracy"]) == 6
    # Noise acts there too: equal views would all be hits, and the loss nearly 0.
    assert history["val_accuracy"][0] < 0.95
    assert history["val_loss"][-1] < history["val_loss"][0]


def test_a_validation_has_whole_batches():
    assert len(whole_batches(np.zeros((100, 2)), 40)) == 80
    assert [len(view) for view in whole_batches([np.zeros((30, 2))] * 2, 40)] == [30, 30]


def assert_same_weights(one, other):
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_all_else_stays(rng):
    x = rng.normal(size=(70, 8)).astype(np.float32)
    model = body()
    model.compile("adam", "mse")
    model.fit(x, np.zeros((70, 6)), epochs=1, verbose=0)
    before, config = model.get_weights(), model._config
    settings = {"augment": layers.GaussianNoise(0.1), "epochs": 1, "verbose": 0}
    eg.pretrain.contrastive(model, x, projection=None, **settings)
    assert model._config is config
    assert not any(
        np.array_equal(one, other) for one, other in zip(model.get_weights(), before, strict=True)
    )
    slots = model.optimizer.slots(model.layers[0].kernel).values()
    assert not any(slot.numpy().any() for slot in slots)


def test_the_same_bits(rng):
    x = rng.normal(size=(100, 8)).astype(np.float32)
    found, threads = [], eg.get_num_threads()
    try:
        for count, seed in ((1, 3), (2, 3), (2, 4)):
            eg.set_num_threads(count)
            one = body()
            settings = {"augment": layers.Dropout(0.2), "epochs": 2, "seed": seed, "verbose": 0}
            eg.pretrain.contrastive(one, x, **settings)
            found.append(one.get_weights())
    finally:
        eg.set_num_threads(threads)
    for first, second in zip(*found[:2], strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(found[0][0], found[2][0])


WRONG = {
    "augment": (lambda x: x, {}, ValueError, "augment: expected layers that make two views"),
    "kind": (lambda x: x, {"augment": "noise"}, TypeError, "augment: expected layers or None"),
    "rows": (lambda x: (x, x[:5]), {}, ValueError, "as many rows in both views, got 9 and 5"),
    "views": (lambda x: (x, x, x), {}, ValueError, "a tuple of two views, got 3"),
    "one": (lambda x: (x[:1], x[:1]), {}, ValueError, "expected two rows or more"),
    "held": (
        lambda x: (x, x),
        {"validation_data": (np.zeros((1, 8)), np.zeros((1, 8)))},
        ValueError,
        "validation_data: expected two rows or more, got 1 row",
    ),
    "temperature": (lambda x: (x, x), {"temperature": 0.0}, ValueError, "temperature: "),
    "projection": (lambda x: (x, x), {"projection": 0}, ValueError, "projection: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors(rng, case):
    data, settings, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        eg.pretrain.contrastive(body(), data(rng.normal(size=(9, 8))), verbose=0, **settings)
    shaped = eg.Sequential([layers.Reshape((2, 4))])
    with pytest.raises(ValueError, match=r"expected outputs of shape \(rows, features\)"):
        eg.pretrain.contrastive(shaped, (np.zeros((4, 8)), np.zeros((4, 8))), verbose=0)
