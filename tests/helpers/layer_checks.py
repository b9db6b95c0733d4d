"""What every layer must pass: true gradients, and the same bits however it is run."""

import numpy as np

import evengrad as eg
from evengrad.layers._module import module_tree


def rewind(layer):
    """Have the layer's next random draw be its first."""
    for _, inner in module_tree(layer).layers:
        for stream in inner._state.generators.values():
            stream.draws = 0


def assert_gradients(layer, *inputs, training=False, step=1e-6):
    """Compare the gradients of inputs and trainable variables with central differences, float64."""
    leaves = [eg.tensor(x, requires_grad=True) for x in inputs]

    def run():
        rewind(layer)
        return layer(leaves if len(leaves) > 1 else leaves[0], training=training)

    weights = np.random.default_rng(0).normal(size=run().shape)
    leaves_and_variables = [*leaves, *layer.trainable_weights]
    found = eg.autograd.grad((run() * weights).sum(), leaves_and_variables)
    for leaf, gradient in zip(leaves_and_variables, found, strict=True):
        values = leaf.detach().numpy().copy()
        numeric = np.zeros_like(values)
        for index in np.ndindex(values.shape):
            sides = []
            for side in (step, -step):
                moved = values.copy()
                moved[index] += side
                leaf.copy_(moved)
                sides.append((run().detach().numpy() * weights).sum())
            numeric[index] = (sides[0] - sides[1]) / (2 * step)
        leaf.copy_(values)
        np.testing.assert_allclose(gradient.numpy(), numeric, rtol=1e-6, atol=1e-7)


def assert_same_bits(make, x, y, tmp_path, *, loss="mse", threads=(1, 2)):
    """Fit eagerly and captured, on several threads, save and load: always the same bits.

    `make` returns a fresh model with a seed. Returns the model that was fitted last.
    """
    weights, before = [], eg.get_num_threads()
    try:
        for run_eagerly, count in [(True, 1), *((False, count) for count in threads)]:
            eg.set_num_threads(count)
            model = make()
            model.compile(eg.optimizers.Adam(0.01), loss, run_eagerly=run_eagerly)
            model.fit(x, y, batch_size=16, epochs=2, verbose=0)
            weights.append(model.get_weights())
    finally:
        eg.set_num_threads(before)
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    expected = model.predict(x)
    assert np.isfinite(expected).all()
    model.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net")
    assert list(map(repr, again.layers)) == list(map(repr, model.layers))
    np.testing.assert_array_equal(again.predict(x), expected)
    # Training goes on as if nothing had happened.
    for one in (model, again):
        one.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    return model
