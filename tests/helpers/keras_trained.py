"""Optimizers that Keras and this library have, with state, and a step that both make."""

import numpy as np

OPTIMIZERS = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"learning_rate": 0.01, "epsilon": 1e-3}),
    "amsgrad": ("Adam", {"amsgrad": True, "clipnorm": 0.5}),
    "adamw": ("AdamW", {"weight_decay": 0.02}),
    "adamax": ("Adamax", {"beta_1": 0.8}),
    "nadam": ("Nadam", {}),
    "rmsprop": ("RMSprop", {}),
    "centered": ("RMSprop", {"momentum": 0.7, "centered": True, "rho": 0.8}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {"learning_rate": 1.0}),
    "lion": ("Lion", {}),
    "averaged": ("Adam", {"use_ema": True, "ema_momentum": 0.9}),
    "scheduled": ("SGD", {"momentum": 0.5}),
}
STEPS = 5


def net(k):
    L = k.layers
    frozen = L.Dense(4, "relu", name="frozen", trainable=False)
    layers = [k.Input((3,)), L.Dense(4, "tanh"), frozen, L.BatchNormalization()]
    return k.Sequential([*layers, L.Dense(2, "softmax", name="head")])


def optimizer(k, name):
    kind, arguments = OPTIMIZERS[name]
    if name == "scheduled":
        rate = k.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
        arguments = {**arguments, "learning_rate": rate}
    return getattr(k.optimizers, kind)(**arguments)


def gradients(shapes, step):
    draws = np.random.default_rng(step)
    return [draws.normal(size=shape) for shape in shapes]
