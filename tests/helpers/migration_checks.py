"""What the rows of docs/how-to/migration.md must come to: closed forms, SciPy, and literals.

The trajectories of optimizers are those of the libraries' rules in float64, from θ = 1 with the
gradients 0.5, −0.25 and 1 at η = 0.1.
"""

import random
from pathlib import Path

import numpy as np
from scipy import special, stats

import evengrad as eg

CHECKS = {}


def means(left):
    """Enter a check of the row with that first cell: a function of its value and its names."""

    def enter(check):
        assert left not in CHECKS
        CHECKS[left] = check
        return check

    return enter


def close(found, expected, tolerance=1e-6):
    found = found.detach().numpy() if isinstance(found, eg.Tensor) else np.asarray(found)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def draws(initializer, shape=(400, 500)):
    return initializer(shape, "float64", seed=1, path="kernel").numpy().ravel()


def follows(values, law):
    assert stats.kstest(values, law.cdf).pvalue > 1e-3


def uniform(limit):
    return stats.uniform(-limit, 2 * limit)


def truncated(before):
    return stats.truncnorm(-2, 2, 0, before)


def trajectory(optimizer, gradients=(0.5, -0.25, 1.0)):
    """Return where a parameter at 1 is after each gradient."""
    w = eg.tensor(np.array([1.0]), requires_grad=True)
    places = []
    for gradient in gradients:
        optimizer.apply_gradients([(eg.tensor(np.array([gradient])), w)])
        places.append(w.item())
    return places


def step(optimizer, gradient):
    """Return the step that one gradient makes."""
    w = eg.zeros(len(gradient), dtype="float64", requires_grad=True)
    optimizer.apply_gradients([(eg.tensor(np.array(gradient)), w)])
    return w.detach().numpy()


def seeded(value, names):
    """Check that what the seed is for begins anew: models, NumPy's numbers, random's."""
    assert value is None
    first = [eg.randn(3).tolist(), np.random.rand(), random.random()]  # noqa: NPY002 - it is meant
    names["eg"].utils.set_random_seed(42)
    again = [eg.randn(3).tolist(), np.random.rand(), random.random()]  # noqa: NPY002 - as above
    assert first == again


means("reset_graph(seed=42)")(seeded)


# ---- layers and first values


@means("tf.contrib.layers.fully_connected(X, n)")
def _(value, names):
    kernel, bias = names["layer"].get_weights()
    close(value, np.maximum(names["X"] @ kernel + bias, 0.0), 1e-5)
    follows(kernel.ravel(), uniform(np.sqrt(6 / 108)))
    assert not bias.any()


@means("fully_connected(X, n, activation_fn=None)")
def _(value, names):
    kernel, bias = names["layer"].get_weights()
    close(value, names["X"] @ kernel + bias, 1e-5)
    follows(kernel.ravel(), uniform(np.sqrt(6 / 108)))


@means("tf.layers.dense(X, n, activation=tf.nn.relu, kernel_initializer=he_init)")
def _(value, names):
    kernel = names["layer"].get_weights()[0]
    close(value, np.maximum(names["X"] @ kernel, 0.0), 1e-5)
    follows(kernel.ravel(), truncated(np.sqrt(2 / 8) / stats.truncnorm(-2, 2).std()))


@means("tf.contrib.layers.variance_scaling_initializer()")
def _(value, names):
    del names
    values, before = draws(value), np.sqrt(1.3 * 2.0 / 400)
    follows(values, truncated(before))
    assert 1.9995 * before < np.abs(values).max() <= 2 * before


@means("tf.contrib.layers.xavier_initializer()")
def _(value, names):
    value(names["X"])
    follows(value.get_weights()[0].ravel(), uniform(np.sqrt(6 / 108)))


@means('keras.initializers.VarianceScaling(scale=2., mode="fan_avg", distribution="uniform")')
def _(value, names):
    del names
    follows(draws(value), uniform(np.sqrt(3 * 2.0 / 450)))


@means("tf.truncated_normal_initializer(stddev=0.1)")
def _(value, names):
    del names
    follows(draws(value), truncated(0.1))


@means("tf.nn.relu(z)")
def _(value, names):
    close(value, np.maximum(names["z"].numpy(), 0.0))


@means("tf.nn.elu(z)")
def _(value, names):
    z = names["z"].numpy()
    close(value, np.where(z > 0, z, np.expm1(z)), 1e-12)


@means("tf.nn.selu(z)")
def _(value, names):
    z = names["z"].numpy()
    negative = 1.0507009873554804934 * 1.6732632423543772848 * np.expm1(z)
    close(value, np.where(z > 0, 1.0507009873554804934 * z, negative), 1e-12)


@means("tf.nn.leaky_relu(z)")
def _(value, names):
    z = names["z"].numpy()
    close(value, np.where(z > 0, z, 0.2 * z), 1e-12)


@means("tf.maximum(0.01 * z, z)")
def _(value, names):
    z = names["z"].numpy()
    close(value, np.where(z > 0, z, 0.01 * z), 1e-12)


@means(
    "fully_connected(X, n, activation_fn=tf.nn.elu, normalizer_fn=batch_norm, "
    'normalizer_params={"is_training": True, "decay": 0.99, "updates_collections": None})'
)
def _(value, names):
    layer = names["layer"]
    weights = {path.split("/")[-1]: w.numpy() for path, w in layer.named_weights()}
    # Neither a bias beneath a normalization, nor a factor.
    assert sorted(weights) == ["beta", "kernel", "moving_mean", "moving_variance"]
    sums = names["X"] @ weights["kernel"]
    normalized = (sums - sums.mean(0)) / np.sqrt(sums.var(0) + 1e-3)
    close(value, np.where(normalized > 0, normalized, np.expm1(normalized)), 1e-4)
    close(weights["moving_mean"], 0.01 * sums.mean(0), 1e-5)
    close(weights["moving_variance"], 0.99 + 0.01 * sums.var(0, ddof=1), 1e-5)


@means("with arg_scope([fully_connected], weights_initializer=he_init): h = fully_connected(X, n)")
def _(value, names):
    kernel, bias = names["layer"].get_weights()
    close(value, np.maximum(names["X"] @ kernel + bias, 0.0), 1e-5)
    # He's variance 2 / 8, after the cut at two deviations.
    follows(kernel.ravel(), truncated(np.sqrt(2 / 8) / 0.8796256610342398))
    assert repr(names["layers"].Dense(3)) == "Dense(3)"


@means("tf.layers.batch_normalization(X, training=True)")
def _(value, names):
    x = names["X"]
    close(value, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), 1e-5)


@means("dropout(X, keep_prob, is_training=True)")
def _(value, names):
    x, kept = names["X"], value.numpy() != 0
    close(value, np.where(kept, x / 0.8, 0.0), 1e-6)
    assert 0.7 < kept.mean() < 0.9


@means("is_training = tf.placeholder(tf.bool)")
def _(value, names):
    # Dropout is on: two calls differ, and without `training` they do not.
    model, x = names["model"], names["X"]
    assert np.abs(value.detach().numpy() - model(x, training=True).detach().numpy()).max() > 0
    assert np.array_equal(model(x).detach().numpy(), model.predict(x))


@means("dynamic_rnn(LSTMCell(n), X[:, None, :])")
def _(value, names):
    assert value.shape == (64, 100)
    layer = names["layers"].LSTM(2)
    layer(names["X"][:, None, :])
    assert layer.get_weights()[2].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


@means("bidirectional_dynamic_rnn(LSTMCell(n), LSTMCell(n), X[:, None, :])")
def _(value, names):
    del names
    assert value.shape == (64, 200)


@means("dynamic_rnn(cell, X, sequence_length=lengths)")
def _(value, names):
    del names
    assert value.shape == (64, 100)


@means("keras.layers.TimeDistributed(Dense(n))(X[:, :, None])")
def _(value, names):
    del names
    assert value.shape == (64, 8, 100)


@means("keras.layers.RepeatVector(4)(X)")
def _(value, names):
    close(value, np.repeat(names["X"][:, None], 4, axis=1))


@means("keras.layers.GlobalAveragePooling1D()(X[:, :, None])")
def _(value, names):
    close(value, names["X"].mean(1, keepdims=True))


@means("keras.utils.pad_sequences([[1], [2, 3]])")
def _(value, names):
    del names
    assert value.tolist() == [[0, 1], [2, 3]]


@means("keras.utils.timeseries_dataset_from_array(X, None, 5)")
def _(value, names):
    close(next(iter(value)), np.stack([names["X"][i : i + 5] for i in range(60)]))


# ---- losses and penalties


@means("tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))")
def _(value, names):
    shares = special.log_softmax(names["logits"].numpy(), axis=1)
    close(value, -shares[np.arange(64), names["y"]].mean(), 1e-12)


@means("tf.nn.softmax_cross_entropy_with_logits(labels=Y, logits=logits)")
def _(value, names):
    shares = special.log_softmax(names["logits"].numpy(), axis=1)
    close(value, -shares[np.arange(64), names["y"]], 1e-12)


@means("tf.nn.sigmoid_cross_entropy_with_logits(labels=Y, logits=logits)")
def _(value, names):
    logits, hot = names["logits"].numpy(), np.eye(3)[names["y"]]
    expected = -hot * special.log_expit(logits) - (1 - hot) * special.log_expit(-logits)
    close(value, expected, 1e-12)


@means("tf.reduce_mean(tf.cast(tf.nn.in_top_k(logits, y, 1), tf.float32))")
def _(value, names):
    assert float(value) == (names["logits"].numpy().argmax(1) == names["y"]).mean()


@means("tf.contrib.layers.l1_regularizer(0.01)")
def _(value, names):
    del names
    close(value, 0.01 * 7.7)


@means("tf.contrib.layers.l2_regularizer(0.01)")
def _(value, names):
    del names
    close(value, 0.01 * 25.25 / 2)


@means("tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))")
def _(value, names):
    kernel = names["model"].get_weights()[0].astype("float64")
    close(value, 0.01 * (kernel**2).sum(), 1e-5)


@means("tf.clip_by_norm(W, 1.0, axes=1) and an assignment")
def _(value, names):
    del names
    close(value, [[0.6, 0.8], [0.3, 0.4]])


@means('max_norm_regularizer(threshold=1.0), run from get_collection("max_norm") after each step')
def _(value, names):
    model = eg.Sequential([value])
    model.compile(eg.optimizers.SGD(1.0), "mse")
    model.fit(names["X"], np.zeros((64, 100)), epochs=1, verbose=0)
    norms = np.sqrt((model.get_weights()[0].astype("float64") ** 2).sum(0))
    assert norms.max() <= 1.0 + 1e-6
    moved = eg.constraints.MaxNorm(1.0)(eg.tensor([[3.0, 4.0], [0.3, 0.4]]))
    close(moved, [[0.99503719, 0.99503719], [0.09950372, 0.09950372]])


# ---- optimizers and training


def follows_rule(left, places, tolerance=1e-11):
    @means(left)
    def check(value, names):
        del names
        close(trajectory(value), places, tolerance)


follows_rule("tf.train.GradientDescentOptimizer(0.1)", [0.95, 0.975, 0.875])
follows_rule("tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True)", [0.905, 0.912, 0.7058])
follows_rule("tf.train.AdagradOptimizer(0.1)", [0.915484574527, 0.954409521735, 0.870268889353])
follows_rule("tf.train.AdamOptimizer(0.1)", [0.900000063246, 0.873366374352, 0.807555232496])
follows_rule("torch.optim.Adam(params, lr=0.1)", [0.900000002, 0.873366298708, 0.807555139677])
follows_rule("torch.optim.AdamW(params, lr=0.1)", [0.899000002, 0.871467298706, 0.804784672376])
follows_rule("torch.optim.RMSprop(params, lr=0.1)", [2e-7, 0.449013374422, -0.425726216071])
follows_rule("torch.optim.Adagrad(params, lr=0.1)", [0.90000000002, 0.944721359562, 0.857434203475])


@means("tf.train.MomentumOptimizer(0.1, 0.9)")
def _(value, names):
    # The rate falls after the first step: here the forms differ, Keras' would give 0.9075.
    del names
    w = eg.tensor(np.array([1.0]), requires_grad=True)
    places = []
    for rate, gradient in [(0.1, 0.5), (0.01, -0.25), (0.01, 1.0)]:
        value.learning_rate = rate
        value.apply_gradients([(eg.tensor(np.array([gradient])), w)])
        places.append(w.item())
    close(places, [0.95, 0.948, 0.9362], 1e-12)


@means("tf.train.RMSPropOptimizer(0.1, decay=0.9, momentum=0.9, epsilon=1e-10)")
def _(value, names):
    del names
    place, average, buffer, places = 1.0, 1.0, 0.0, []
    for gradient in (0.5, -0.25, 1.0):
        average = 0.9 * average + 0.1 * gradient**2
        buffer = 0.9 * buffer + 0.1 * gradient / np.sqrt(average + 1e-10)
        place -= buffer
        places.append(place)
    close(trajectory(value), places, 1e-12)
    assert value.epsilon == 1e-10


@means("tf.train.exponential_decay(0.1, global_step, 10000, 1/10)")
def _(value, names):
    del names
    close([value(step) for step in (0, 5000, 10000, 20000)], [0.1, 0.1**1.5, 0.01, 0.001], 1e-12)


@means("global_step")
def _(value, names):
    # Two epochs of the 48 rows that validation leaves, in batches of 32.
    assert value == 4
    assert len(names["history"].epoch) == 2


@means("optimizer.minimize(loss, var_list=[w])")
def _(value, names):
    assert value is None
    close(names["w"], [[2.4, 3.2], [0.24, 0.32]])


@means(
    "optimizer.compute_gradients(loss), tf.clip_by_value(grad, -1.0, 1.0), "
    "optimizer.apply_gradients(capped)"
)
def _(value, names):
    del value
    close(names["w"], [[2.9, 3.9], [0.24, 0.32]])


@means("the same, without looking at the gradients")
def _(value, names):
    value.minimize(names["loss"], [names["w"]])
    close(names["w"], [[2.9, 3.9], [0.24, 0.32]])


@means("tf.clip_by_global_norm(grads, 1.0)")
def _(value, names):
    del names
    close(step(value, [3.0, 4.0]), [-0.06, -0.08], 1e-12)


@means("tf.stop_gradient(w * 2)")
def _(value, names):
    assert not value.requires_grad
    close(value, 2.0 * names["w"].detach().numpy())


@means('train_vars = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="outputs")')
def _(value, names):
    del value
    model = names["model"]
    before = model.get_weights()
    model.fit(names["X"], names["y"], verbose=0)
    moved = [bool((a != b).any()) for a, b in zip(before, model.get_weights(), strict=True)]
    assert moved == [False, False, True, True]


@means("sess.run(training_op, feed_dict={X: X_batch, y: y_batch})")
def _(value, names):
    assert len(value) == 2
    assert names["model"].optimizer.iterations == 5


@means("logits.eval(feed_dict={X: X_new})")
def _(value, names):
    kernel, bias, last, offset = names["model"].get_weights()
    sums = names["X"] @ kernel + bias
    close(value, np.where(sums > 0, sums, np.expm1(sums)) @ last + offset, 1e-4)


@means("saver.save(sess, path) now and then, saver.restore at the start")
def _(history, names):
    # A second call goes on from what the first has left, and has no epoch to run.
    assert [path.suffix for path in Path("run/ck").iterdir()] == [".safetensors"] * 2
    before = names["model"].get_weights()
    again = names["model"].fit(names["X"], names["y"], verbose=0, checkpoint="run/ck")
    assert again.history == history.history
    assert all(map(np.array_equal, before, names["model"].get_weights()))


@means("a loop that stops when the validation loss does not fall")
def _(value, names):
    model = names["model"]
    model.optimizer.learning_rate = 0.0
    data = {"validation_data": (names["X"], names["y"]), "verbose": 0}
    # The first epoch is the best, and two more are waited for.
    assert len(model.fit(names["X"], names["y"], epochs=9, callbacks=[value], **data).epoch) == 3
    assert value.restore_best_weights


@means('tf.summary.scalar("loss", loss)')
def _(value, names):
    assert len(value) == len(names["history"].epoch) == 2


@means('saver.save(sess, "./net.ckpt")')
def _(value, names):
    assert value.optimizer.iterations == 4
    assert np.array_equal(value.predict(names["X"]), names["model"].predict(names["X"]))


@means("a file that Keras has written, or is to read")
def _(value, names):
    assert value.optimizer.iterations == names["model"].optimizer.iterations
    assert np.array_equal(value.predict(names["X"]), names["model"].predict(names["X"]))


@means('Saver(reuse_vars_dict).restore(sess, "./net.ckpt")')
def _(value, names):
    del value
    assert np.array_equal(names["model"].get_weights()[0], names["old"].get_weights()[0])


@means("X = tf.placeholder(tf.float32, [None, None, 8])")
def _(value, names):
    rng = names["rng"]
    for steps in (3, 5):
        x = rng.normal(size=(4, steps, 8)).astype("float32")
        close(value.predict(x), value.layers[0](x), 1e-6)


@means("tf.add_check_numerics_ops()")
def _(value, names):
    model = names["model"]
    model.compile(eg.optimizers.SGD(1e30), "sparse_categorical_crossentropy")
    history = model.fit(names["X"], names["y"], epochs=4, verbose=0, callbacks=[value])
    assert len(history.history["loss"]) == 1


@means("the same construction once more, in another scope")
def _(value, names):
    pairs = list(zip(value.get_weights(), names["model"].get_weights(), strict=True))
    assert all(new.shape == old.shape for new, old in pairs)
    assert not np.array_equal(*pairs[0])
