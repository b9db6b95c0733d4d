"""What PyTorch's rows in docs/how-to/migration.md must come to; see migration_checks.py."""

import numpy as np
from migration_checks import close, draws, follows, means, seeded, step, trajectory, uniform
from scipy import special, stats

import evengrad as eg


@means("nn.Linear(8, n)")
def _(value, names):
    value(names["X"])
    kernel, bias = value.get_weights()
    for values in (kernel.ravel(), bias):
        follows(values, uniform(1 / np.sqrt(8)))


@means("nn.Sequential(nn.Linear(8, n), nn.ReLU(), nn.Linear(n, 3))")
def _(value, names):
    output = value.predict(names["X"])
    kernel, bias, last, offset = value.get_weights()
    close(output, np.maximum(names["X"] @ kernel + bias, 0.0) @ last + offset, 1e-4)


@means('nn.init.kaiming_normal_(weight, nonlinearity="relu")')
def _(value, names):
    del names
    follows(draws(value), stats.norm(0, np.sqrt(2 / 400)))


@means("nn.LeakyReLU()")
def _(value, names):
    del names
    close(value([[-3.0, 2.0]]), [[-0.03, 2.0]])


@means("nn.PReLU()")
def _(value, names):
    close(value([[[-4.0, 2.0], [-1.0, -2.0]]]), [[[-1.0, 2.0], [-0.25, -0.5]]])
    assert eg.layers.PReLU()([[-4.0]]).tolist() == [[0.0]]
    del names


@means("nn.BatchNorm1d(n)")
def _(value, names):
    x = names["X"]
    close(value(x, training=True), (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), 1e-5)
    close(value.moving_mean, 0.1 * x.mean(0), 1e-5)
    close(value.moving_variance, 0.9 + 0.1 * x.var(0, ddof=1), 1e-5)


@means("nn.LayerNorm(8)")
def _(value, names):
    x = names["X"].T
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    close(value(names["X"]), expected.T, 1e-5)


@means("nn.Dropout(0.2)")
def _(value, names):
    x = np.ones((200, 200), "float32")
    output = value(x, training=True).numpy()
    assert set(np.unique(output)) == {0.0, np.float32(1.25)}
    assert 0.18 < (output == 0).mean() < 0.22
    assert np.array_equal(value(x).numpy(), x)
    del names


@means("nn.Embedding(1000, n)")
def _(value, names):
    [vectors] = names["layer"].get_weights()
    assert vectors.shape == (1000, 100)
    follows(vectors.ravel(), stats.norm())
    close(value, vectors[names["y"]][:, None])


def torch_weights(layer, order):
    """Give a recurrent layer weights; return W, U and the biases of gates in PyTorch's order."""
    rng = np.random.default_rng(7)
    weights = [rng.normal(scale=0.3, size=w.shape) for w in layer.get_weights()]
    layer.set_weights(weights)
    gates = [np.split(w, len(order), axis=-1) for w in weights]
    return [[parts[place] for place in order] for parts in gates]


@means("nn.LSTM(8, n, batch_first=True)")
def _(value, names):
    layer, x = names["layer"], names["X"].reshape(16, 4, 8).astype("float64")
    kernel, recurrent, bias = (w.ravel() for w in layer.get_weights())
    for values in (kernel, recurrent):
        follows(values, uniform(0.1))
    # The sum of PyTorch's two.
    follows(bias, stats.triang(0.5, -0.2, 0.4))
    kernels, recurrent, biases = torch_weights(layer, (0, 1, 2, 3))
    h = c = np.zeros((16, 100))
    outputs = []
    for number in range(4):
        sums = [
            x[:, number] @ w + h @ u + b for w, u, b in zip(kernels, recurrent, biases, strict=True)
        ]
        i, f, o = (special.expit(sums[gate]) for gate in (0, 1, 3))
        c = f * c + i * np.tanh(sums[2])
        h = o * np.tanh(c)
        outputs.append(h)
    sequence, last, state = layer(x)
    close(sequence, np.stack(outputs, axis=1), 1e-5)
    close(last, h, 1e-5)
    close(state, c, 1e-5)
    assert [part.shape for part in value] == [(16, 4, 100), (16, 100), (16, 100)]


@means("nn.GRU(8, n, batch_first=True)")
def _(value, names):
    layer, x = names["layer"], names["X"].reshape(16, 4, 8).astype("float64")
    # Keras' z, r, g are PyTorch's second, first and third.
    kernels, recurrent, biases = torch_weights(layer, (1, 0, 2))
    h = np.zeros((16, 100))
    outputs = []
    for number in range(4):
        given = [x[:, number] @ w + b[0] for w, b in zip(kernels, biases, strict=True)]
        kept = [h @ u + b[1] for u, b in zip(recurrent, biases, strict=True)]
        r, z = (special.expit(given[gate] + kept[gate]) for gate in (0, 1))
        h = (1 - z) * np.tanh(given[2] + r * kept[2]) + z * h
        outputs.append(h)
    sequence, last = layer(x)
    close(sequence, np.stack(outputs, axis=1), 1e-5)
    close(last, h, 1e-5)
    assert [part.shape for part in value] == [(16, 4, 100), (16, 100)]


@means("nn.CrossEntropyLoss()(logits, y)")
def _(value, names):
    shares = special.log_softmax(names["logits"].numpy(), axis=1)
    close(value, -shares[np.arange(64), names["y"]].mean(), 1e-12)


@means("nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))(logits, Y)")
def _(value, names):
    yes = special.expit(names["logits"].numpy())
    hot = np.eye(3)[names["y"]]
    close(value, -(3.0 * hot * np.log(yes) + (1.0 - hot) * np.log(1.0 - yes)).mean(), 1e-6)


@means("nn.GaussianNLLLoss()(mean, Y, variance)")
def _(value, names):
    mean, deviation = names["X"][:, :4], np.exp(names["X"][:, 4:] / 2)
    densities = stats.norm(mean, deviation).logpdf(0.0)
    close(value, (-densities - np.log(2 * np.pi) / 2).mean(), 1e-5)


@means("F.linear(x, weight, bias)")
def _(value, names):
    close(value, np.tile(names["X"].sum(1, keepdims=True), 3), 1e-5)


@means("torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01)")
def _(value, names):
    del names
    # The decay goes into the gradient, and from there into the buffer.
    place, buffer, places = 1.0, 0.0, []
    for gradient in (0.5, -0.25, 1.0):
        buffer = 0.9 * buffer + gradient + 0.01 * place
        place -= 0.1 * buffer
        places.append(place)
    close(trajectory(value), places, 1e-12)


@means("torch.optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.1)")
def _(value, names):
    del names
    # The buffer is 0.5, then 0.9 · 0.5 − 0.9 · 0.25 = 0.225, then 0.9 · 0.225 + 0.9 = 1.1025.
    close(trajectory(value), [0.95, 0.9275, 0.81725], 1e-12)


@means('[{"params": decays}, {"params": biases, "weight_decay": 0.0}]')
def _(value, names):
    def trained(optimizer, start):
        layer = eg.layers.Dense(2, bias_initializer="ones", kernel_initializer="ones")
        model = eg.Sequential([layer])
        model.compile(optimizer, "mse")
        model.fit(np.zeros((4, 3)), np.full((4, 2), start), verbose=0)
        return [w.ravel()[0] for w in model.get_weights()]

    # No gradient reaches anything: the kernel decays by η · λ = 0.1 · 0.004, the bias does not.
    close(trained(value, 1.0), [1 - 0.0004, 1.0], 1e-7)
    del names


@means("nn.utils.clip_grad_norm_(params, 1.0)")
def _(value, names):
    del names
    close(step(value, [3.0, 4.0]), [-0.059999988, -0.079999984], 1e-12)


@means("optimizer.zero_grad(), loss.backward(), optimizer.step()")
def _(value, names):
    assert value is None
    close(names["w"], [[2.4, 3.2], [0.24, 0.32]])
    close(names["w"].grad, [[6.0, 8.0], [0.6, 0.8]])


@means("loss.backward()")
def _(value, names):
    close(value, 2.0 * names["w"].detach().numpy())


@means("OneCycleLR(optimizer, max_lr=0.1, total_steps=100)")
def _(value, names):
    del names
    # The start is max / 25, the peak at step 0.3 · 100 − 1, the end max / 25 / 10⁴.
    close([value(step) for step in (0, 29, 99)], [0.004, 0.1, 4e-7], 1e-12)
    close(value(14.5), (0.004 + 0.1) / 2, 1e-12)


@means("StepLR(optimizer, 30)")
def _(value, names):
    del names
    close([value(step) for step in (0, 29, 30, 59, 60)], [0.1, 0.1, 0.01, 0.01, 0.001], 1e-12)


@means("MultiStepLR(optimizer, [30, 80], gamma=0.1)")
def _(value, names):
    del names
    rates = [value(step) for step in (0, 29, 30, 79, 80, 999)]
    close(rates, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], 1e-12)


@means("ReduceLROnPlateau(optimizer)")
def _(value, names):
    model = names["model"]
    model.compile(eg.optimizers.SGD(1.0, weight_decay=None), "sparse_categorical_crossentropy")
    value.set_model(model)
    value.on_train_begin()
    rates = []
    # One step to begin with, ten without improvement are borne, the next one cuts.
    for epoch in range(13):
        value.on_epoch_end(epoch, {"val_loss": 1.0})
        rates.append(model.optimizer.learning_rate)
    close(rates, [1.0] * 11 + [0.1] * 2, 1e-12)


@means("with torch.no_grad(): ...")
def _(value, names):
    assert value is None
    assert not names["doubled"].requires_grad
    assert (names["w"] * 2.0).requires_grad


@means("model.train(), model.eval()")
def _(value, names):
    model, x = names["model"], names["X"]
    assert np.abs(value.detach().numpy() - model(x).detach().numpy()).max() > 0
    assert np.array_equal(model(x).detach().numpy(), model.predict(x))


@means("weight.requires_grad_(False)")
def _(value, names):
    assert value is None
    assert len(names["model"].trainable_weights) == 2
    assert not names["model"].get_layer("hidden").kernel.requires_grad


@means("sum(p.numel() for p in model.parameters())")
def _(value, names):
    assert value == 8 * 100 + 100 + 100 * 3 + 3
    del names


@means("copy.deepcopy(model)")
def _(value, names):
    model = names["model"]
    assert np.array_equal(value.predict(names["X"]), model.predict(names["X"]))
    value.fit(names["X"], names["y"], verbose=0)
    assert not np.array_equal(value.predict(names["X"]), model.predict(names["X"]))


@means('torch.save(model.state_dict(), "net.pt"), load_state_dict')
def _(value, names):
    assert value.matched == {name: name for name, _ in names["model"].named_weights()}
    other = eg.Sequential(
        [eg.Input((8,)), eg.layers.Dense(100, name="hidden"), eg.layers.Dense(3, name="outputs")]
    )
    other.load_weights("net.safetensors")
    assert np.array_equal(other.get_weights()[0], names["model"].get_weights()[0])


@means('model.load_state_dict(load_file("net.safetensors"))')
def _(value, names):
    del names
    assert value.transposed == ["hidden/kernel", "outputs/kernel"]
    assert not value.by_order


means("torch.manual_seed(42)")(seeded)


@means("torch.cat([a, b], dim=1)")
def _(value, names):
    close(value, np.tile(names["w"].detach().numpy(), (1, 2)))


@means("x.unbind(1)")
def _(value, names):
    for column, expected in zip(value, names["w"].detach().numpy().T, strict=True):
        close(column, expected)


@means("with torch.no_grad(): w -= 0.1 * w.grad")
def _(value, names):
    before = np.array([[3.0, 4.0], [0.3, 0.4]])
    close(value, before - 0.2 * before)
    assert value is names["w"]
    assert value.requires_grad


@means("values, places = x.max(dim=1)")
def _(value, names):
    del names
    close(value[0], [4.0, 0.4])
    assert value[1].tolist() == [1, 1]


@means("x.sort(dim=1, descending=True)")
def _(value, names):
    del names
    close(value, [[4.0, 3.0], [0.4, 0.3]])


@means("torch.split(x, 3)")
def _(value, names):
    assert [part.shape for part in value] == [(3, 8), (3, 8), (3, 8), (55, 8)]
    close(value[1], names["X"][3:6])


@means("logits[torch.arange(64), y]")
def _(value, names):
    close(value, names["logits"].numpy()[np.arange(64), names["y"]])


@means("x[x < 0] = 0")
def _(value, names):
    close(value, np.maximum(np.linspace(-2.0, 2.0, 9), 0.0))
    assert value is names["z"]


@means('torch.einsum("ij,kj->ik", x, x)')
def _(value, names):
    w = names["w"].detach().numpy()
    close(value, w @ w.T)


@means("(pred == y).float().mean()")
def _(value, names):
    close(value, np.mean(names["logits"].numpy().argmax(1) == names["y"]))


@means("x.std(dim=0)")
def _(value, names):
    close(value, names["w"].detach().numpy().std(0, ddof=1))


@means("np.square(x), np.mean(x) of arrays")
def _(value, names):
    w = names["w"].detach().numpy()
    close(value, w**2 + w.mean())
    assert value.requires_grad


@means("weight.register_hook(lambda g: g.clamp(-1, 1))")
def _(value, names):
    close(value, np.ones(names["w"].shape))


@means("torch.autograd.Function")
def _(value, names):
    del names

    class Identity(value):
        @staticmethod
        def forward(ctx, x):
            ctx.factor = 3.0
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.factor

    x = eg.ones((2,), requires_grad=True)
    Identity.apply(x).sum().backward()
    close(x.grad, [3.0, 3.0])


@means('F.gelu(x, approximate="tanh")')
def _(value, names):
    x = names["X"].astype("float64")
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    close(value, 0.5 * x * (1 + np.tanh(inner)), 1e-6)


@means("torch.set_num_threads(1)")
def _(value, names):
    assert value is None
    assert eg.get_num_threads() == 1
    del names


@means("torch.compile(step)")
def _(value, names):
    close(value, 2.0 * names["X"].sum(), 1e-4)
