"""How public things are made and called: for their gradients, and their way into a file and back.

A new item needs no entry where a guess fits: arguments of usual names, floats of usual shapes.
Where none does, the failure says which table here to add it to.
"""

import inspect
from dataclasses import dataclass

import numpy as np
from api_contract import Item
from layer_checks import assert_gradients

import evengrad as eg
from evengrad import layers
from evengrad.optimizers import schedules

RNG = np.random.default_rng(11)
# Far from the kinks of common functions, at 0, ±1, ±3 and 6, on every side of them.
BOTH_SIGNS = np.array([[-7.3, -2.4, -0.8], [-0.3, 0.2, 0.7], [1.6, 4.2, 8.1]])
POSITIVE = np.abs(BOTH_SIGNS) / 4.0
OTHER = np.array([[0.4, -1.7, 2.2], [0.9, 3.1, -0.6], [-2.8, 1.3, 0.5]])
PREDICTIONS = np.array([[0.3, 0.3, 0.4], [0.5, 0.2, 0.3], [0.2, 0.65, 0.15], [0.1, 0.8, 0.1]])
SHARES = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.6, 0.15, 0.25], [0.25, 0.5, 0.25]])
ONE_HOT = np.eye(3)[[2, 0, 1, 1]]
CLASSES = np.array([2, 0, 1, 1])
SIGNS = 2.0 * ONE_HOT - 1.0

# What arguments of a name usually are, where they have no default.
USUAL = {
    "units": 3,
    **dict.fromkeys(["specificity", "sensitivity", "precision", "recall"], 0.5),
    "factor": 0.25,
    "height_factor": 0.25,
    "width_factor": 0.25,
    "rate": 0.25,
    "stddev": 0.1,
    "scale": 0.5,
    "activation": "tanh",
    "learning_rate": 0.05,
    "initial_learning_rate": 0.1,
    "max_learning_rate": 0.1,
    "decay_steps": 4,
    "first_decay_steps": 4,
    "step_size": 2,
    "total_steps": 9,
    "decay_rate": 0.5,
    "boundaries": [2, 5],
}


@dataclass
class Trial:
    """Stands in for one of Optuna's, which takes a second to import."""

    number: int

    def report(self, value, step):
        """Take a figure."""

    def should_prune(self):
        """Have nothing pruned."""
        return False


# The arguments of things that are made otherwise; each call makes them anew.
ARGUMENTS = {
    "layers.Embedding": lambda: {"input_dim": 5, "output_dim": 3},
    "layers.CategoryEncoding": lambda: {"num_tokens": 5},
    "layers.Discretization": lambda: {"bin_boundaries": [-0.5, 0.0, 0.5]},
    "layers.Dot": lambda: {"axes": 1},
    "layers.Lambda": lambda: {"function": eg.exp},
    "layers.Operation": lambda: {"method": "sum", "arguments": [1]},
    "layers.Permute": lambda: {"dims": [2, 1]},
    "layers.SpectralNormalization": lambda: {"layer": layers.Dense(3)},
    "layers.Reshape": lambda: {"target_shape": (3, 1)},
    "layers.Bidirectional": lambda: {"layer": layers.GRU(2)},
    "layers.RepeatVector": lambda: {"n": 3},
    "layers.TimeDistributed": lambda: {"layer": layers.Dense(3, "tanh")},
    "layers.Residual": lambda: {"body": [layers.Dense(4, "tanh"), layers.Dense(3)]},
    "layers.Normalization": lambda: {"mean": [0.5, 0.0, 1.0], "variance": [1.0, 2.0, 0.25]},
    "metrics.EpochMetric": lambda: {"function": eg.losses.mean_squared_error, "max_rows": 64},
    "metrics.MeanMetricWrapper": lambda: {"fn": eg.losses.mean_squared_error},
    "optimizers.schedules.Join": lambda: {
        "schedules": [0.1, schedules.PowerDecay(0.1, 3)],
        "boundaries": [2],
    },
    "optimizers.schedules.OneCycleMomentum": lambda: {"cycle": schedules.OneCycle(0.1, 9)},
    "optimizers.schedules.PiecewiseConstantDecay": lambda: {
        "boundaries": [2, 5],
        "values": [0.3, 0.2, 0.1],
    },
    "optimizers.schedules.Scaled": lambda: {
        "schedule": schedules.PowerDecay(0.1, 3),
        "factor": 0.5,
    },
    "optimizers.ParameterGroup": lambda: {"names": ["bias", "gamma"]},
    "callbacks.BackupAndRestore": lambda: {"backup_dir": "backup"},
    "callbacks.CSVLogger": lambda: {"filename": "log.csv"},
    "callbacks.JSONLogger": lambda: {"path": "log.jsonl"},
    "callbacks.OptunaPruning": lambda: {"trial": Trial(3)},
    "callbacks.ModelCheckpoint": lambda: {"filepath": "net.safetensors"},
    "callbacks.LearningRateScheduler": lambda: {"schedule": schedules.PowerDecay(0.1, 3)},
    "Model": lambda: dict(zip(("inputs", "outputs"), drawn(layers.Dense(2)), strict=True)),
    "Sequential": lambda: {"layers": [eg.Input((3,)), layers.Dense(2, "elu")], "seed": 1},
}
# Inputs of layers for which none of `INPUT_GUESSES` is right.
INPUTS = {
    "layers.CategoryEncoding": [np.array([[0, 4, 2], [1, 1, 3]])],
    "layers.Discretization": [np.array([[0, 4, 2], [1, 1, -3]])],
    "layers.Embedding": [np.array([[0, 4, 2], [1, 1, 3]])],
}
INPUT_GUESSES = (
    [RNG.normal(size=(4, 3))],
    [RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))],
    [RNG.normal(size=(2, 4, 3))],
)
# Targets of losses whose predictions are rows of shares, where shares are wrong for targets too.
TARGETS = {
    "losses.SparseCategoricalCrossentropy": CLASSES,
    "losses.CategoricalHinge": ONE_HOT,
    "losses.Hinge": SIGNS,
    "losses.SquaredHinge": SIGNS,
    "losses.GaussianNegativeLogLikelihood": SHARES[:, :2],
}
# Predictions of losses that take none as wide as others do.
OTHER_PREDICTIONS = {
    "losses.GaussianNegativeLogLikelihood": np.concatenate([PREDICTIONS, -SHARES[:, :1]], 1),
}
TARGET_GUESSES = (SHARES, ONE_HOT, CLASSES)


def dropped(x):
    """Drop the same elements in every call."""
    eg.utils.set_random_seed(5)
    return eg.functional.dropout(x, 0.4)


PLACES = np.array([[2, 0, -1], [1, 1, 0], [0, 2, 2]])
MASK = np.array([[True, False, True], [False, True, False], [True, True, False]])
# Operations that take more than float tensors: a function of float tensors, and those.
CALLS = {
    "cat": (lambda x, y: eg.cat([x, y], 1), [BOTH_SIGNS, OTHER]),
    "stack": (lambda x, y: eg.stack([x, y]), [BOTH_SIGNS, OTHER]),
    "unbind": (lambda x: eg.cat(eg.unbind(x, 1)[1:]), [BOTH_SIGNS]),
    "take": (lambda x: eg.take(x, [2, 0, 2]), [BOTH_SIGNS]),
    "where": (lambda x, y: eg.where(MASK, x, y), [BOTH_SIGNS, OTHER]),
    "clamp": (lambda x: eg.clamp(x, -1.5, 3.0), [BOTH_SIGNS]),
    "clip": (lambda x: eg.clip(x, -1.5, None), [BOTH_SIGNS]),
    "concat": (lambda x, y: eg.concatenate([x, y], 1), [BOTH_SIGNS, OTHER]),
    "split": (lambda x: eg.cat(eg.split(x, [1, 2], 1)[1:]), [BOTH_SIGNS]),
    "chunk": (lambda x: eg.chunk(x, 2)[1] * eg.chunk(x, 2)[0][:1], [BOTH_SIGNS]),
    "repeat": (lambda x: eg.repeat(x, 3, 1), [BOTH_SIGNS]),
    "reshape": (lambda x: eg.reshape(x, (9, 1)), [BOTH_SIGNS]),
    "broadcast_to": (lambda x: eg.broadcast_to(x, (2, 3, 3)), [BOTH_SIGNS]),
    "expand_dims": (lambda x: eg.expand_dims(x, (0, -1)), [BOTH_SIGNS]),
    "unsqueeze": (lambda x: eg.unsqueeze(x, 1), [BOTH_SIGNS]),
    "permute": (lambda x: eg.permute(x, (1, 0)), [BOTH_SIGNS]),
    "swapaxes": (lambda x: eg.swapaxes(x, 0, 1), [BOTH_SIGNS]),
    "moveaxis": (lambda x: eg.moveaxis(x, 0, 1), [BOTH_SIGNS]),
    "einsum": (lambda x, y: eg.einsum("ij,kj->ki", x, y), [BOTH_SIGNS, OTHER]),
    "masked_fill": (lambda x: eg.masked_fill(x, MASK, 0.5), [BOTH_SIGNS]),
    "gather": (lambda x: eg.gather(x, 1, PLACES), [BOTH_SIGNS]),
    "take_along_axis": (lambda x: eg.take_along_axis(x, PLACES, 1), [BOTH_SIGNS]),
    "cumprod": (lambda x: eg.cumprod(x, 1), [BOTH_SIGNS]),
    "functional.cross_entropy": (lambda x: eg.functional.cross_entropy(x, CLASSES), [PREDICTIONS]),
    "functional.binary_cross_entropy_with_logits": (
        lambda x: eg.functional.binary_cross_entropy_with_logits(x, MASK * 1.0),
        [BOTH_SIGNS],
    ),
    "functional.batch_norm": (
        lambda x, w, b: eg.functional.batch_norm(x, None, None, w, b, training=True),
        [BOTH_SIGNS, OTHER[0], OTHER[1]],
    ),
    "functional.layer_norm": (
        lambda x, w, b: eg.functional.layer_norm(x, 3, w, b),
        [BOTH_SIGNS, OTHER[0], OTHER[1]],
    ),
    "functional.dropout": (dropped, [BOTH_SIGNS]),
    "Tensor.clip": (lambda x: x.clip(max=3.0), [BOTH_SIGNS]),
    "Tensor.split": (lambda x: eg.cat(x.split([1, 2], 1)[1:]), [BOTH_SIGNS]),
    "Tensor.chunk": (lambda x: x.chunk(2)[1] * x.chunk(2)[0][:1], [BOTH_SIGNS]),
    "Tensor.repeat": (lambda x: x.repeat(3, 1), [BOTH_SIGNS]),
    "Tensor.view": (lambda x: x.view(9, 1), [BOTH_SIGNS]),
    "Tensor.swapaxes": (lambda x: x.swapaxes(0, 1), [BOTH_SIGNS]),
    "Tensor.masked_fill": (lambda x: x.masked_fill(MASK, 0.5), [BOTH_SIGNS]),
    "Tensor.gather": (lambda x: x.gather(1, PLACES), [BOTH_SIGNS]),
    "Tensor.cumprod": (lambda x: x.cumprod(1), [BOTH_SIGNS]),
    **{
        f"Tensor.__i{name}__": (
            lambda x, y, name=name: getattr(x * 1.0, f"__i{name}__")(y),
            [POSITIVE, OTHER],
        )
        for name in ("add", "mul", "pow", "sub", "truediv")
    },
    "Tensor.__mod__": (lambda x: x % 1.9, [BOTH_SIGNS]),
    "Tensor.__rmod__": (lambda x: 9.05 % x, [BOTH_SIGNS]),
    "Tensor.clamp": (lambda x: x.clamp(-1.5, 3.0), [BOTH_SIGNS]),
    "Tensor.reshape": (lambda x: x.reshape(9, 1), [BOTH_SIGNS]),
    "Tensor.transpose": (lambda x: x.transpose(0, 1), [BOTH_SIGNS]),
    "Tensor.permute": (lambda x: x.permute(1, 0), [BOTH_SIGNS]),
    "Tensor.unsqueeze": (lambda x: x.unsqueeze(1), [BOTH_SIGNS]),
    "Tensor.expand": (lambda x: x.unsqueeze(0).expand(2, 3, 3), [BOTH_SIGNS]),
    "Tensor.unbind": (lambda x: eg.cat(x.unbind(-1)[1:]), [BOTH_SIGNS]),
    "Tensor.astype": (lambda x: x.astype("float64"), [BOTH_SIGNS]),
    "Tensor.T": (lambda x: x.T, [BOTH_SIGNS]),
    "Tensor.__getitem__": (lambda x: x[1:, 2], [BOTH_SIGNS]),
}

MADE = (
    *("eye", "full_like", "linspace", "ones_like", "rand", "randint", "randn", "randperm"),
    "zeros_like",
)
MAKES_A_LEAF = "makes a leaf of values"
READS_VALUES = "leaves the tape: it gives values to Python"
MANAGES = "manages gradients or memory, and computes nothing"
GIVES_ADVICE = "makes a model, or says how to make one"
A_STEP = "a step function"
IN_PLACE = "changes a tensor in place, off the tape"
TRUTHS = ("all", "any", "isfinite", "isinf", "isnan")
COUNTS = "its result is a truth or a number of a place"
# Functions among the operations that have no gradient: the reason.
NOT_DIFFERENTIABLE = {
    **dict.fromkeys(["arange", "full", "ones", "tensor", "zeros", *MADE], MAKES_A_LEAF),
    **dict.fromkeys(["get_default_dtype", "get_num_threads", "set_default_dtype"], "a setting"),
    **dict.fromkeys(["set_num_threads", "build_info", "show_versions"], "of the process"),
    **{
        f"{module}.get": "finds an object by its name"
        for module in (
            "activations",
            "constraints",
            "initializers",
            "losses",
            "metrics",
            "optimizers",
            "regularizers",
        )
    },
    "metrics.from_sklearn": "makes a metric",
    **{
        f"metrics.{name}_accuracy": "its result is a truth"
        for name in ("binary", "categorical", "top_k_categorical")
    },
    "metrics.sparse_categorical_accuracy": "its result is a truth",
    "metrics.sparse_top_k_categorical_accuracy": "its result is a truth",
    **dict.fromkeys(["activations.suggest", "initializers.for_activation"], GIVES_ADVICE),
    **dict.fromkeys(["models.funnel", "models.funnel_widths", "models.guideline"], GIVES_ADVICE),
    "models.clone_model": "makes a model of another",
    "layers.SpectralNormalization": "each call in training moves its vector; test_keras_layers.py",
    "constraints.serialize": "describes an object, in all modules",
    "models.model_from_json": "makes a model of its description",
    **{
        f"{module}.deserialize": "makes an object of its description"
        for module in (
            *("constraints", "initializers", "layers", "losses", "metrics", "optimizers"),
            *("optimizers.schedules", "regularizers"),
        )
    },
    "utils.register_keras_serializable": "enters a name",
    **{
        f"pretrain.{name}": "trains models, or makes what they are trained on"
        for name in ("contrastive", "pair_batches", "pairs", "rbm", "stacked_autoencoder")
    },
    **dict.fromkeys(["autograd.grad", "autograd.gradcheck"], "walks the tape"),
    **dict.fromkeys(
        ["utils.register_threadpoolctl", "utils.set_cache_memory", "utils.set_random_seed"],
        "of the process",
    ),
    "optimizers.layerwise_decay": "makes groups of parameters",
    "utils.to_categorical": "makes an array of classes",
    "utils.pad_sequences": "makes an array of sequences",
    "utils.timeseries_dataset": "makes windows of an array",
    "Input": "begins a graph of layers, which holds no values",
    "accumulate": "adds to state in place, off the tape, by its documentation",
    "compile": "takes a function; test_compile.py compares its gradients",
    "load_model": "reads a file",
    "sklearn.load": "reads a file",
    "distributed.init": "looks at the processes there are",
    "sklearn.side_by_side": "a context",
    **{f"zoo.{name}": "reads and writes files" for name in ("folder", "list", "load", "save")},
    "replay": "reads a file",
    "fit_many": "trains models",
    **{f"Tensor.{name}": READS_VALUES for name in ("numpy", "item", "tolist", "detach")},
    **{f"Tensor.{name}": MANAGES for name in ("backward", "copy_", "retain_grad", "zero_grad")},
    "Tensor.requires_grad_": MANAGES,
    "Tensor.register_hook": MANAGES,
    **{f"{of}arg{kind}": COUNTS for of in ("", "Tensor.") for kind in ("max", "min", "sort")},
    **dict.fromkeys([f"{of}{kind}" for of in ("", "Tensor.") for kind in TRUTHS], COUNTS),
    **{f"logical_{kind}": COUNTS for kind in ("and", "not", "or", "xor")},
    **{f"{of}{kind}": A_STEP for of in ("", "Tensor.") for kind in ("ceil", "floor", "round")},
    **{f"Tensor.{kind}": "gives no floats" for kind in ("bool", "long")},
    "Tensor.float": "gives float32, too coarse for differences",
    **{
        f"Tensor.{kind}_": IN_PLACE
        for kind in ("add", "clamp", "div", "fill", "mul", "sub", "zero")
    },
    **{
        f"Tensor.__{name}__": COUNTS
        for name in ("and", "rand", "or", "ror", "xor", "rxor", "invert", "contains", "index")
    },
    **{f"Tensor.__{name}__": A_STEP for name in ("floordiv", "rfloordiv")},
    **{f"Tensor.__{name}__": READS_VALUES for name in ("format", "round")},
    "Tensor.__setitem__": IN_PLACE,
    "Tensor.__getattr__": "raises an error",
    **{f"Tensor.__array_{name}__": "is NumPy's way in" for name in ("function", "ufunc")},
    "sort": "its order is found outside of captured steps; test_words.py checks its gradient",
    "Tensor.sort": "as above",
    **{f"Tensor.__{name}__": COUNTS for name in ("eq", "ne", "lt", "le", "gt", "ge", "bool")},
    **{f"Tensor.__{name}__": READS_VALUES for name in ("array", "dlpack", "float", "int")},
    "Tensor.__array_namespace__": "names a module",
    **{f"Tensor.__{name}__": COUNTS for name in ("dlpack_device", "len", "hash", "repr")},
    "Tensor.__iter__": "yields what indexing yields",
}
# Families whose gradients nobody takes: the reason.
WITHOUT_GRADIENT = {
    "bases": "subclasses compute",
    "callbacks": "run between steps",
    "class": "no operation",
    "constraints": "applied between steps, off the tape",
    "errors": "no operation",
    "initializers": "make leaves",
    "metrics": "count, off the tape",
    "models": "made of layers",
    "optimizers": "update in place, off the tape",
    "schedules": "functions of a number of steps",
    "tensor property": "no operation; Tensor.T is checked all the same",
}


class ContractError(AssertionError):
    """The contract cannot be checked, or is broken; the message says what to add."""


def drawn(layer, inputs=INPUT_GUESSES[0]):
    """Return the symbolic inputs and outputs of one use of a layer."""
    symbols = [eg.Input(x.shape[1:], layer.dtype) for x in inputs]
    return symbols, layer(symbols if len(symbols) > 1 else symbols[0])


def made(item, **changes):
    """Return an object of a public class, with usual arguments but for some."""
    if item.name in ARGUMENTS:
        return item.thing(**{**ARGUMENTS[item.name](), **changes})
    required = [
        p.name
        for p in inspect.signature(item.thing).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    unknown = [name for name in required if name not in USUAL]
    if unknown:
        raise ContractError(
            f"{item}: add its arguments {unknown} to ARGUMENTS in tests/helpers/api_examples.py"
        )
    return item.thing(**{**{name: USUAL[name] for name in required}, **changes})


def first_that_works(item, guesses, attempt, table):
    """Return the first guess that raises nothing, or tell which table to add the item to."""
    errors = [failure(attempt, guess) for guess in guesses]
    for guess, error in zip(guesses, errors, strict=True):
        if error is None:
            return guess
    raise ContractError(
        f"{item}: no guess at its inputs works; add it to {table} in "
        f"tests/helpers/api_examples.py. Tried: {'; '.join(errors)}"
    )


def failure(attempt, guess):
    """Return what went wrong in an attempt; None for nothing."""
    try:
        attempt(guess)
    except (
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
        IndexError,
        AssertionError,
    ) as error:
        return f"{type(error).__name__}: {error}"
    return None


# ---- gradients


def check_gradient(item):
    """Compare an item's gradients with central differences in float64."""
    if item.family == "layers":
        check_layer_gradients(item)
        return
    if item.family == "losses":
        loss = made(item)
        targets = targets_of(item, loss)
        eg.autograd.gradcheck(lambda p: loss(targets, p), [predictions_for(item)])
        return
    function, point = call_of(item)
    try:
        eg.autograd.gradcheck(function, point)
    except (TypeError, RuntimeError) as error:
        raise ContractError(
            f"{item}: has no gradient ({error}). If it is none to be differentiated, say why in "
            "NOT_DIFFERENTIABLE; if its inputs were the wrong ones, add it to CALLS; both are in "
            "tests/helpers/api_examples.py"
        ) from error


def call_of(item):
    """Return a function of tensors, and the point at which to differentiate it."""
    if item.name in CALLS:
        return CALLS[item.name]
    if item.family == "loss function":
        of_class = Item(f"losses.{item.thing.of_class.__name__}", item.thing.of_class, "losses")
        targets = targets_of(of_class, made(of_class))
        return lambda p: item.thing(targets, p), [predictions_for(of_class)]
    if item.family == "regularizers":
        return made(item), [BOTH_SIGNS]
    function = item.thing
    if item.family.startswith("tensor"):
        name = item.name.partition(".")[2]

        def function(x, *others):
            return getattr(x, name)(*others)

    points = [[BOTH_SIGNS], [POSITIVE], [BOTH_SIGNS, OTHER], [POSITIVE, np.abs(OTHER)]]

    def attempt(point):
        value = function(*[eg.tensor(x) for x in point])
        if value is NotImplemented or not isinstance(value, eg.Tensor):
            raise TypeError(f"it returned {value!r}")
        if not np.isfinite(value.numpy()).all():
            raise ValueError("the value is not finite")

    return function, first_that_works(item, points, attempt, "CALLS, or NOT_DIFFERENTIABLE,")


def inputs_of(item):
    """Return arrays that a layer takes."""
    given = [INPUTS[item.name]] if item.name in INPUTS else INPUT_GUESSES
    return first_that_works(item, given, lambda x: run(made(item, dtype="float64"), x), "INPUTS")


def run(layer, inputs, training=False):
    return layer(inputs if len(inputs) > 1 else inputs[0], training=training)


def check_layer_gradients(item):
    """Check inputs and variables, with and without noise and statistics of the batch."""
    inputs = inputs_of(item)
    for training in (False, True):
        layer = made(item, dtype="float64")
        run(layer, inputs)
        if inputs[0].dtype.kind != "f":
            check_variables(layer, inputs, training)
            continue
        assert_gradients(layer, *inputs, training=training)


def check_variables(layer, inputs, training):
    """Check the gradients of the variables alone: the inputs are no floats."""
    for weight in layer.trainable_weights:
        values = weight.detach().numpy().copy()

        def moved(x, weight=weight):
            # In the variable's place, with the tape: a difference is taken along its values.
            weight.copy_(x.detach().numpy())
            return run(layer, inputs, training=training)

        output = run(layer, inputs, training=training)
        factors = RNG.normal(size=output.shape)
        (gradient,) = eg.autograd.grad((output * factors).sum(), weight)
        direction, step = RNG.normal(size=values.shape), 1e-6
        sides = [
            (moved(eg.tensor(values + sign * step * direction)).detach().numpy() * factors).sum()
            for sign in (1, -1)
        ]
        numeric = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose((gradient.numpy() * direction).sum(), numeric, rtol=1e-6)
        weight.copy_(values)


def predictions_for(item):
    """Return predictions that a loss takes: rows of shares, if it has no others."""
    return OTHER_PREDICTIONS.get(item.name, PREDICTIONS)


def targets_of(item, loss):
    """Return targets for these predictions."""
    guesses = [TARGETS[item.name]] if item.name in TARGETS else TARGET_GUESSES
    return first_that_works(item, guesses, lambda y: loss(y, predictions_for(item)), "TARGETS")
