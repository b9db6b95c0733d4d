"""Keras on TensorFlow in the race: `fit`.

Settings: ``default``; ``steps``, an epoch's steps in one call of TensorFlow; ``xla``, compiled by
XLA.
"""

from __future__ import annotations

import keras
import measure
import tensorflow as tf
from keras import layers
from workloads import MOMENTUM, Workload


class Fit:
    """`Model.fit`, without shuffling."""

    def __init__(self, workload: Workload, setting: str, threads: int) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        keras.utils.set_random_seed(0)
        self.x, self.y = measure.data(workload)
        self.batch = workload.batch
        chain = [keras.Input((workload.inputs,))]
        for units in workload.hidden:
            first_weights = keras.initializers.VarianceScaling(workload.gain, "fan_in")
            chain.append(layers.Dense(units, kernel_initializer=first_weights))
            if workload.batch_norm:
                chain.append(layers.BatchNormalization())
            chain.append(layers.Activation(workload.activation))
            if workload.dropout:
                chain.append(layers.Dropout(workload.dropout))
        self.model = keras.Sequential([*chain, layers.Dense(workload.classes)])
        if workload.optimizer == "adam":
            optimizer = keras.optimizers.Adam(workload.learning_rate)
        else:
            optimizer = keras.optimizers.SGD(workload.learning_rate, momentum=MOMENTUM)
        self.model.compile(
            optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=setting == "xla",
            steps_per_execution=workload.batches if setting == "steps" else 1,
        )

    def _fit(self, epochs: int) -> keras.callbacks.History:
        return self.model.fit(
            self.x, self.y, batch_size=self.batch, epochs=epochs, shuffle=False, verbose=0
        )

    def epochs(self, count: int) -> None:
        """Train."""
        self._fit(count)

    def watched_epoch(self) -> float:
        """Train for an epoch and return its mean loss."""
        return self._fit(1).history["loss"][0]


if __name__ == "__main__":
    measure.run(["keras", "tensorflow-cpu", "numpy"], {"training": Fit}, {})
