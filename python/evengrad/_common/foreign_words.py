"""Words of other libraries, and what is said of them here.

Whoever knows Keras, PyTorch or scikit-learn writes their names first. The answer is the name here,
or what to do in its place.
"""

from __future__ import annotations

NO_IMAGES = (
    "evengrad has dense and recurrent layers; of images layers.Flatten() makes rows, and other "
    "libraries' networks give features"
)
NO_LOOKUP = (
    "evengrad.sklearn.TableEncoder learns categories of columns; for text, "
    "names, numbers = np.unique(column, return_inverse=True)"
)
NO_DEVICES = "evengrad computes on CPUs; leave it out"
# What stands for it here, or a sentence, by module and name.
NAMES: dict[str, dict[str, str]] = {
    "evengrad": {
        "DataLoader": "fit(x, y, batch_size=32) makes the batches, or takes an iterable of them",
        "Parameter": "here it is evengrad.tensor(values, requires_grad=True)",
        "float32": 'dtypes are strings, "float32"',
        "float64": 'dtypes are strings, "float64"',
        "function": "evengrad.compile",
        "jit": "evengrad.compile",
        "keras": "leave it out: layers, models and the rest are names of evengrad itself",
        "GradientTape": "loss.backward(), and the gradient is in .grad",
        "Module": "here it is evengrad.Model, or layers.Layer",
        "Variable": "here it is evengrad.tensor(values, requires_grad=True)",
        "cuda": NO_DEVICES,
        "device": NO_DEVICES,
        "from_numpy": "evengrad.tensor",
        "load": "evengrad.load_model",
        "manual_seed": "evengrad.utils.set_random_seed",
        "nn": "here it is evengrad.layers, losses and functional",
        "optim": "evengrad.optimizers",
        "save": "model.save(path)",
        "set_random_seed": "evengrad.utils.set_random_seed",
    },
    "evengrad.layers": {
        "BatchNorm": "layers.BatchNormalization",
        "BatchNorm1d": "layers.BatchNormalization",
        **dict.fromkeys(
            [f"{kind}{n}D" for kind in ("Conv", "MaxPooling", "AveragePooling") for n in (1, 2, 3)],
            NO_IMAGES,
        ),
        **dict.fromkeys([f"Conv{n}d" for n in (1, 2, 3)], NO_IMAGES),
        "InputLayer": "evengrad.Input",
        "IntegerLookup": NO_LOOKUP,
        "LayerNorm": "layers.LayerNormalization",
        "Linear": "here it is layers.Dense(units): the inputs are known from the data",
        "RNN": "here it is layers.SimpleRNN, LSTM or GRU",
        "Sequential": "evengrad.Sequential",
        "StringLookup": NO_LOOKUP,
    },
    "evengrad.losses": {
        "BCELoss": "losses.BinaryCrossentropy",
        "BCEWithLogitsLoss": "losses.BinaryCrossentropy(from_logits=True)",
        "CrossEntropyLoss": "losses.SparseCategoricalCrossentropy(from_logits=True)",
        "GaussianNLLLoss": "losses.GaussianNegativeLogLikelihood",
        "HuberLoss": "losses.Huber",
        "KLDivLoss": "losses.KLDivergence",
        "L1Loss": "losses.MeanAbsoluteError",
        "MSELoss": "losses.MeanSquaredError",
        "NLLLoss": "losses.SparseCategoricalCrossentropy",
        "PoissonNLLLoss": "losses.Poisson",
        "SmoothL1Loss": "losses.Huber",
    },
    "evengrad.optimizers": {
        "Adafactor": "take optimizers.Adam: what it needs in memory is little beside the data",
        "Ftrl": "take optimizers.Adagrad with regularizers.L1",
        "LBFGS": 'here it is evengrad.sklearn.DenseClassifier(solver="lbfgs")',
        "lr_scheduler": "optimizers.schedules",
    },
    "evengrad.functional": {
        "l1_loss": "losses.MeanAbsoluteError",
        "nll_loss": "take functional.cross_entropy of logits",
        "one_hot": "utils.to_categorical",
    },
    "evengrad.callbacks": {
        "LRFinder": "here it is model.find_learning_rate(x, y)",
        "WandbCallback": "write callbacks.LambdaCallback; the documentation has it whole",
    },
    "evengrad.utils": {
        "Sequence": "fit takes iterables of batches",
        "one_hot": "utils.to_categorical",
        "plot_model": "model.summary() prints what is connected to what",
        "normalize": "take layers.Normalization, which learns from the training data alone",
        "set_seed": "utils.set_random_seed",
    },
}
# Names of layers, by what is in them: what is said of them where there are none such.
LAYER_PARTS = {
    r"Conv|Pool|UpSampling|ZeroPadding|Cropping": NO_IMAGES,
    r"Attention|Transformer": "evengrad has no attention; for series it has recurrent layers",
}
# Attributes of layers, and of models: what stands for one here.
LAYER_NAMES: dict[str, str] = {
    "cpu": NO_DEVICES,
    "cuda": NO_DEVICES,
    "eval": "layers are called without training=True then; leave it out",
    "named_parameters": "here it is .named_weights",
    "parameters": "here it is .trainable_weights",
    "register_buffer": "in build, self.add_weight(..., trainable=False)",
    "register_parameter": "in build, self.add_weight(...)",
    "requires_grad_": "set .trainable",
    "state_dict": "here it is .get_weights(), and model.save_weights(path) writes a file",
    "load_state_dict": "here it is .set_weights(arrays), and model.load_weights(path) reads a file",
    "to": "layers are on the CPU, and made with dtype=",
    "train": "call with training=True; fit does so",
    "weight": "here it is .kernel, of shape (in, out)",
    "zero_grad": "optimizer.zero_grad(model), or optimizer.minimize, which needs none",
}
MODEL_NAMES: dict[str, str] = {
    "fit_generator": "here it is fit, which takes iterables of batches",
    "evaluate_generator": "here it is evaluate, which takes iterables of batches",
    "predict_generator": "here it is predict, which takes iterables of batches",
    "predict_classes": "here it is predict(x).argmax(-1)",
    "predict_proba": "here it is predict",
    "score": "here it is evaluate(x, y)",
}
# Names of methods and attributes of tensors: what stands for one here.
TENSOR_NAMES: dict[str, str] = {
    "assign": "here it is .copy_(values)",
    "cpu": NO_DEVICES,
    "cuda": NO_DEVICES,
    "data": "here it is .detach()",
    "dim": "here it is .ndim",
    "element_size": "here it is .itemsize",
    "int": "here it is .long()",
    "median": "take numpy.median(x.numpy())",
    "mm": "write x @ y",
    "bmm": "write x @ y",
    "matmul": "write x @ y",
    "nelement": "here it is .size",
    "numel": "here it is .size",
    "pow": "write x**y",
    "ravel": "here it is .flatten()",
    "scatter_": "take x[places] = values",
    "t": "here it is .T",
    "to": "tensors are on the CPU, and .astype(dtype) converts them",
    "topk": "take x.sort(descending=True)[..., :k]",
    "type": "here it is .astype(dtype)",
    "values": "here it is .numpy()",
    "where": "take evengrad.where(mask, x, y)",
}
FROM_THE_DATA = "the inputs are known from the data; leave it out, or begin with evengrad.Input"
ALWAYS_SO = "it is always so here; leave it out"
# Other names of arguments: what stands for one here, of which all must be there; or a sentence.
ARGUMENTS: dict[str, tuple[tuple[str, ...] | str, ...]] = {
    "W_constraint": (("kernel_constraint",),),
    "W_regularizer": (("kernel_regularizer",),),
    "affine": (("center", "scale"),),
    "b_regularizer": (("bias_regularizer",),),
    "batch_first": (ALWAYS_SO,),
    "batch_input_shape": (FROM_THE_DATA,),
    "beta1": (("beta_1",),),
    "beta2": (("beta_2",),),
    "betas": (("beta_1", "beta_2"),),
    "bias": (("use_bias",),),
    "clip_norm": (("clipnorm",),),
    "criterion": (("loss",),),
    "dropout_rate": (("rate",), ("dropout",)),
    "eps": (("epsilon",),),
    "hidden_size": (("units",),),
    "in_features": (FROM_THE_DATA,),
    "inplace": ("tensors are not changed in place; leave it out",),
    "input_dim": (("input_dim",), FROM_THE_DATA),
    "input_shape": (FROM_THE_DATA,),
    "input_size": (FROM_THE_DATA,),
    "keep_prob": (("rate",),),
    "loss_fn": (("loss",),),
    "lr": (("learning_rate",),),
    "max_iter": (("epochs",),),
    "n_epochs": (("epochs",),),
    "nb_epoch": (("epochs",),),
    "nonlinearity": (("activation",), ("nonlinearity",)),
    "normalized_shape": (FROM_THE_DATA,),
    "num_epochs": (("epochs",),),
    "num_features": (FROM_THE_DATA,),
    "num_layers": ("put one layer behind the other",),
    "out_features": (("units",),),
    "p": (("rate",),),
    "show_progress": (("verbose",),),
    "size_average": (("reduction",),),
    "track_running_stats": (ALWAYS_SO,),
}


def argument_here(name: str, valid: list[str]) -> str | None:
    """Return what is said of another library's argument, where these are valid; else None."""
    for meant in ARGUMENTS.get(name, ()):
        if isinstance(meant, str):
            return meant
        if all(one in valid for one in meant):
            return f"here it is {' and '.join(meant)}"
    return None
