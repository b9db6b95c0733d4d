"""evengrad in the race: `fit`, fits of new models, an eager loop, and single rows."""

from __future__ import annotations

import measure
import numpy as np
from workloads import MOMENTUM, Workload

import evengrad as eg
from evengrad import functional, initializers, layers, optimizers


def network(workload: Workload) -> eg.Sequential:
    """Return the network, not compiled."""
    normalization = getattr(layers, "BatchNormalization", None)
    if workload.batch_norm and normalization is None:
        raise measure.Unsuitable("evengrad.layers has no BatchNormalization")
    chain = [eg.Input((workload.inputs,))]
    for units in workload.hidden:
        first_weights = initializers.VarianceScaling(workload.gain, "fan_in")
        if workload.batch_norm:
            chain += [
                layers.Dense(units, kernel_initializer=first_weights),
                normalization(),
                layers.Activation(workload.activation),
            ]
        else:
            chain.append(layers.Dense(units, workload.activation, kernel_initializer=first_weights))
        if workload.dropout:
            chain.append(layers.Dropout(workload.dropout))
    chain.append(layers.Dense(workload.classes))
    return eg.Sequential(chain, seed=0)


def optimizer(workload: Workload) -> optimizers.Optimizer:
    """Return the optimizer."""
    if workload.optimizer == "adam":
        return optimizers.Adam(workload.learning_rate)
    return optimizers.SGD(workload.learning_rate, momentum=MOMENTUM)


class Fit:
    """`Model.fit` as users call it, shuffling included."""

    def __init__(self, workload: Workload, _: str, threads: int) -> None:
        eg.set_num_threads(threads)
        self.x, self.y = measure.data(workload)
        self.batch = workload.batch
        self.model = network(workload)
        self.model.compile(optimizer(workload), "sparse_categorical_crossentropy")

    def _fit(self, epochs: int) -> eg.callbacks.History:
        return self.model.fit(self.x, self.y, batch_size=self.batch, epochs=epochs, verbose=0)

    def epochs(self, count: int) -> None:
        """Train."""
        self._fit(count)

    def watched_epoch(self) -> float:
        """Train for an epoch and return its mean loss."""
        return self._fit(1).history["loss"][0]


class FreshFits:
    """A new model for each `fit`: made, compiled and trained."""

    def __init__(self, workload: Workload, _: str, threads: int) -> None:
        eg.set_num_threads(threads)
        self.workload = workload
        self.x, self.y = measure.data(workload)

    def fit(self, epochs: int) -> list[float]:
        """Train a new model and return its losses."""
        model = network(self.workload)
        model.compile(optimizer(self.workload), "sparse_categorical_crossentropy")
        batch = self.workload.batch
        history = model.fit(self.x, self.y, batch_size=batch, epochs=epochs, verbose=0)
        return history.history["loss"]


class EagerLoop:
    """A loop in Python, each operation run as it is met, as in PyTorch without `compile`."""

    def __init__(self, workload: Workload, _: str, threads: int) -> None:
        eg.set_num_threads(threads)
        x, y = measure.data(workload)
        starts = range(0, len(x), workload.batch)
        self.batches = [
            (eg.tensor(x[start:][: workload.batch]), eg.tensor(y[start:][: workload.batch]))
            for start in starts
        ]
        self.model = network(workload)
        self.parameters = self.model.trainable_weights
        self.optimizer = optimizer(workload)

    def _step(self, x: eg.Tensor, y: eg.Tensor) -> eg.Tensor:
        loss = functional.cross_entropy(self.model(x, training=True), y)
        self.optimizer.minimize(loss, self.parameters)
        return loss

    def epochs(self, count: int) -> None:
        """Train."""
        for _ in range(count):
            for x, y in self.batches:
                self._step(x, y)

    def watched_epoch(self) -> float:
        """Train for an epoch and return its mean loss."""
        return float(np.mean([self._step(x, y).item() for x, y in self.batches]))


def answerer(workload: Workload, setting: str, threads: int) -> measure.Answerer:
    """Return the model as a function of one row: a tensor or a NumPy array, as `setting` says."""
    eg.set_num_threads(threads)
    x, _ = measure.data(workload)
    rows = [x[:1], x[1:2]]
    if setting == "tensor":
        rows = [eg.tensor(row) for row in rows]
    return measure.Answerer(
        network(workload), rows, lambda answer: answer.numpy(), context=eg.no_grad()
    )


if __name__ == "__main__":
    measure.run(
        ["evengrad", "numpy"],
        {"training": Fit, "eager-loop": EagerLoop},
        {"one-row": answerer},
        {"fresh-fit": FreshFits},
    )
