"""Weights from PyTorch and to it: random nets of every layer that both have, by real files.

`make interoperability` runs this with PyTorch, which `make test` does without.
"""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

torch = pytest.importorskip(
    "torch", reason="PyTorch has an environment of its own: make interoperability"
)
safetensors = pytest.importorskip("safetensors.torch", reason="make interoperability has it")

nn = torch.nn
# What keeps the rounding of outputs that hardly differ from growing without bounds.
SPREAD = 0.1
# Of the largest output.
TOLERANCE = {"float32": 3e-6, "float64": 1e-12}


class LastOf:
    """Makes a recurrent module return its last output, or all of them."""

    def forward(self, x):
        output = super().forward(x)[0]
        return output if self.sequences else output[:, -1]


class LSTM(LastOf, nn.LSTM):
    """One LSTM that can stand in a chain."""


class GRU(LastOf, nn.GRU):
    """One GRU that can stand in a chain."""


class RNN(LastOf, nn.RNN):
    """One plain recurrent module that can stand in a chain."""


class Maxout(nn.Linear):
    """The largest of several linear modules."""

    def forward(self, x):
        return super().forward(x).unflatten(-1, (2, -1)).amax(-2)


RECURRENT = {
    "lstm": (layers.LSTM, LSTM),
    "gru": (layers.GRU, GRU),
    "rnn": (layers.SimpleRNN, RNN),
}
ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "mish": nn.Mish,
}


def recurrent(name, inputs, units, *, sequences, bias):
    ours, theirs = RECURRENT[name]
    module = theirs(inputs, units, batch_first=True, bias=bias)
    module.sequences = sequences
    return ours(units, use_bias=bias, return_sequences=sequences), [module]


def dense(draw, inputs, units):
    """Return a dense layer with what may stand in it, and the modules that do the same."""
    activation = str(draw.choice([*ACTIVATIONS, "linear", "prelu"]))
    norm = str(draw.choice(["none", "before", "after"]))
    bias = bool(draw.integers(2))
    own = layers.PReLU(convention="torch") if activation == "prelu" else activation
    applied = {"prelu": nn.PReLU, "linear": None}.get(activation, ACTIVATIONS.get(activation))
    modules = [nn.Linear(inputs, units, bias=bias)] + ([applied()] if applied else [])
    normal = layers.BatchNormalization(convention="torch") if norm != "none" else None
    if norm != "none":
        modules.insert(1 if norm == "before" else len(modules), nn.BatchNorm1d(units))
    position = {"norm": normal, "norm_position": norm} if normal else {}
    return layers.Dense(units, own, use_bias=bias, **position), modules


def normalization(draw, width):
    kind = int(draw.integers(6))
    if kind == 5:
        return layers.Maxout(width), [Maxout(width, 2 * width)]
    if kind == 0:
        return layers.BatchNormalization(convention="torch"), [nn.BatchNorm1d(width)]
    if kind == 1:
        without = layers.BatchNormalization(convention="torch", scale=False, center=False)
        return without, [nn.BatchNorm1d(width, affine=False)]
    if kind == 2:
        return layers.LayerNormalization(SPREAD), [nn.LayerNorm(width, SPREAD)]
    if kind == 3:
        without = layers.LayerNormalization(SPREAD, center=False)
        return without, [nn.LayerNorm(width, SPREAD, bias=False)]
    return layers.PReLU(), [nn.PReLU(width)]


def random_net(seed, dtype):
    """Return a chain of ours and one of PyTorch's modules, of the same structure, and an input."""
    draw = np.random.default_rng(seed)
    ours, theirs = [], []

    def add(pair):
        ours.append(pair[0])
        theirs.extend(pair[1])

    steps, width = int(draw.integers(2, 6)), int(draw.integers(2, 6))
    kind = int(draw.integers(3))
    if kind == 0:
        many, shape = int(draw.integers(5, 9)), (steps,)
        x = draw.integers(0, many, (7, steps))
        add((layers.Embedding(many, width), [nn.Embedding(many, width)]))
    else:
        shape = (steps, width) if kind == 1 else (width,)
        x = draw.normal(size=(7, *shape)).astype(dtype)
    if kind < 2:
        for last in (False, True):
            units = int(draw.integers(2, 6))
            name = str(draw.choice([*RECURRENT]))
            bias = bool(draw.integers(2))
            add(recurrent(name, width, units, sequences=not last, bias=bias))
            width = units
    for _ in range(int(draw.integers(2, 5))):
        units = int(draw.integers(2, 6))
        one, modules = dense(draw, width, units)
        width = units
        other, more = normalization(draw, width)
        if draw.integers(3):
            add((one, modules))
            add((other, more))
        else:
            add((eg.Sequential([one, other]), [nn.Sequential(*modules, *more)]))
        add((layers.Dropout(0.5), [nn.Dropout(0.5)]))
    model = eg.Sequential([eg.Input(shape, dtype=dtype), *ours], dtype=dtype, seed=seed)
    module = nn.Sequential(*theirs).to(getattr(torch, dtype)).eval()
    return model, module, x


def shake(model, module, seed):
    """Give all vectors of both numbers that differ from those with which they begin."""
    draw = np.random.default_rng(seed)

    def drawn(name, old):
        if old.ndim > 1:
            return old
        factors = name.endswith(("gamma", "variance", "running_var", ".weight"))
        return draw.uniform(0.5, 1.5, old.shape) if factors else draw.normal(0, 0.3, old.shape)

    named = model.named_weights()
    model.set_weights([drawn(name, w.detach().numpy()) for name, w in named])
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(drawn(name, tensor.numpy())))


def outputs(model, module, x):
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    return model.predict(x, verbose=0), theirs


def assert_same(model, module, x, dtype):
    ours, theirs = outputs(model, module, x)
    assert np.isfinite(theirs).all()
    assert np.abs(ours - theirs).max() <= TOLERANCE[dtype] * np.abs(theirs).max()


SAVES = {
    "net.pt": torch.save,
    "net.ckpt": lambda state, path: torch.save({"state_dict": state, "epoch": 3}, path),
    "net.safetensors": safetensors.save_file,
    "net.npz": lambda state, path: np.savez(path, **{k: v.numpy() for k, v in state.items()}),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("seed", range(24))
def test_random_nets_of_torch_are_loaded(tmp_path, seed, dtype):
    model, module, x = random_net(seed, dtype)
    shake(model, module, seed)
    name = list(SAVES)[seed % len(SAVES)]
    SAVES[name](module.state_dict(), tmp_path / name)
    report = model.load_weights(tmp_path / name)
    assert not report.missing
    assert not report.unexpected
    assert_same(model, module, x, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("seed", range(24))
def test_random_nets_are_loaded_by_torch(tmp_path, seed, dtype):
    model, module, x = random_net(seed, dtype)
    shake(model, module, seed)
    path = tmp_path / ("net.npz" if seed % 2 else "net.safetensors")
    model.save_weights(path, layout="torch")
    state = safetensors.load_file(path) if path.suffix == ".safetensors" else numpy_state(path)
    module.load_state_dict(state)
    assert_same(model, module, x, dtype)
    # And back.
    other = model.clone()
    other.set_weights([np.zeros_like(w) for w in other.get_weights()])
    other.load_weights(path)
    assert_same(other, module, x, dtype)


def numpy_state(path):
    return {name: torch.from_numpy(array) for name, array in np.load(path).items()}


class Named(nn.Module):
    """A module with attributes, one of them a module of its own."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4, num_layers=2, batch_first=True)
        self.head = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class OwnNamed(eg.Model):
    """The same, of our layers."""

    def __init__(self):
        super().__init__()
        self.rnn = layers.LSTM(4, return_sequences=True)
        self.rnn_1 = layers.LSTM(4)
        self.head = eg.Sequential([layers.Dense(4, "tanh", name="0"), layers.Dense(2, name="2")])

    def call(self, x, training=False):
        return self.head(self.rnn_1(self.rnn(x)), training=training)


@pytest.mark.parametrize(
    "wrapped",
    [lambda module: module, nn.DataParallel, torch.compile, lambda m: nn.ModuleDict({"model": m})],
)
def test_names_of_attributes_pair_whatever_wraps_the_module(tmp_path, wrapped):
    module = Named()
    torch.save(wrapped(module).state_dict(), tmp_path / "net.pt")
    model = OwnNamed()
    x = np.random.default_rng(1).normal(size=(5, 6, 3)).astype("float32")
    model.predict(x, verbose=0)
    report = model.load_weights(tmp_path / "net.pt")
    assert not report.by_order
    assert "rnn_1/bias" in report.reshaped
    assert_same(model, module, x, "float32")


def test_numbers_of_half_the_size_are_exact(tmp_path):
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).to(torch.bfloat16)
    model = eg.Sequential([eg.Input((3,)), layers.Dense(4), layers.Dense(2)])
    torch.save(module.state_dict(), tmp_path / "net.pt")
    safetensors.save_file(module.state_dict(), tmp_path / "net.safetensors")
    for name in ("net.pt", "net.safetensors"):
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        model.load_weights(tmp_path / name)
        wanted = module[0].weight.detach().float().numpy().T
        np.testing.assert_array_equal(model.get_weights()[0], wanted)


def test_tied_and_sliced_tensors(tmp_path):
    whole = torch.randn(40)
    state = {"0.weight": whole[4:16].view(3, 4).t(), "0.bias": whole[20:28:2]}
    torch.save(state, tmp_path / "net.pt")
    model = eg.Sequential([eg.Input((3,)), layers.Dense(4)])
    model.load_weights(tmp_path / "net.pt")
    np.testing.assert_array_equal(model.get_weights()[0], state["0.weight"].numpy().T)
    np.testing.assert_array_equal(model.get_weights()[1], state["0.bias"].numpy())


def test_slopes_of_sequences_are_those_of_the_steps(tmp_path):
    # PyTorch's slopes lie along the first dimension behind the rows.
    module = nn.Sequential(nn.Linear(3, 4), nn.PReLU(5)).eval()
    model = eg.Sequential(
        [eg.Input((5, 3)), layers.Dense(4), layers.PReLU("random_uniform", shared_axes=[2])]
    )
    x = np.random.default_rng(1).normal(size=(7, 5, 3)).astype("float32")
    model.save_weights(tmp_path / "net.npz", layout="torch")
    module.load_state_dict(numpy_state(tmp_path / "net.npz"))
    assert_same(model, module, x, "float32")
    torch.save(module.state_dict(), tmp_path / "net.pt")
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    model.load_weights(tmp_path / "net.pt")
    assert_same(model, module, x, "float32")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_checkpoints_in_the_old_format_are_refused(tmp_path):
    path = tmp_path / "net.pt"
    state = nn.Linear(2, 2).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=False)
    model = eg.Sequential([eg.Input((2,)), layers.Dense(2)])
    with pytest.raises(eg.FileFormatError, match=r"the format of PyTorch before 1\.6"):
        model.load_weights(path)
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(eg.FileFormatError, match=r"something else than tensors: torch\.nn"):
        model.load_weights(path)
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    with pytest.raises(eg.FileFormatError, match="is a TorchScript archive"):
        model.load_weights(path)


def test_files_without_checksums(tmp_path):
    module = nn.Linear(3, 2)
    torch.serialization.set_crc32_options(compute_crc32=False)
    try:
        torch.save(module.state_dict(), tmp_path / "net.pt")
    finally:
        torch.serialization.set_crc32_options(compute_crc32=True)
    model = eg.Sequential([eg.Input((3,)), layers.Dense(2)])
    model.load_weights(tmp_path / "net.pt")
    np.testing.assert_array_equal(model.get_weights()[1], module.bias.detach().numpy())


def test_the_reset_before_the_product_has_no_counterpart(tmp_path):
    model = eg.Sequential([eg.Input((5, 3)), layers.GRU(4, reset_after=False)])
    with pytest.raises(ValueError, match="resets after the product"):
        model.save_weights(tmp_path / "net.npz", layout="torch")
    torch.save(nn.Sequential(nn.GRU(3, 4)).state_dict(), tmp_path / "net.pt")
    with pytest.raises(eg.FileFormatError, match="resets after the product"):
        model.load_weights(tmp_path / "net.pt", mapping={"0": "gru"})
