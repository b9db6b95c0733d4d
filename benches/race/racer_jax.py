"""JAX with optax in the race: compiled steps, and single rows.

Settings: ``jit``, one compiled step a call; ``scan``, a whole epoch of steps a call. Arrays lie on
the device before the clock starts, and a step reuses the memory of its arguments.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import measure
import numpy as np
import optax
from workloads import MOMENTUM, Workload

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "sigmoid": jax.nn.sigmoid,
}
# Batch normalization: the share that the running statistics keep at each step, and what is added to
# the variance.
KEPT = 0.9
SMALL = 1e-5


def first_parameters(workload: Workload, seed: int) -> list[dict[str, jax.Array]]:
    """Return the parameters of each layer."""
    parameters = []
    keys = jax.random.split(jax.random.key(seed), len(workload.pairs))
    for key, (inputs, outputs) in zip(keys, workload.pairs, strict=True):
        scale = (workload.gain / inputs) ** 0.5
        layer = {
            "kernel": jax.random.normal(key, (inputs, outputs)) * scale,
            "bias": jnp.zeros(outputs),
        }
        if workload.batch_norm and len(parameters) < len(workload.hidden):
            layer |= {"gamma": jnp.ones(outputs), "beta": jnp.zeros(outputs)}
        parameters.append(layer)
    return parameters


def first_statistics(workload: Workload) -> list[tuple[jax.Array, jax.Array]]:
    """Return running mean and variance of each normalized layer."""
    if not workload.batch_norm:
        return []
    return [(jnp.zeros(units), jnp.ones(units)) for units in workload.hidden]


def forward(
    workload: Workload,
    parameters: list[dict[str, jax.Array]],
    statistics: list[tuple[jax.Array, jax.Array]],
    x: jax.Array,
    key: jax.Array | None,
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """Return logits and running statistics; without a key the network does not train."""
    renewed = []
    for number, layer in enumerate(parameters[:-1]):
        x = x @ layer["kernel"] + layer["bias"]
        if workload.batch_norm:
            mean, variance = statistics[number]
            if key is not None:
                now_mean, now_variance = x.mean(0), x.var(0)
                renewed.append(
                    (
                        mean * KEPT + now_mean * (1 - KEPT),
                        variance * KEPT + now_variance * (1 - KEPT),
                    )
                )
                mean, variance = now_mean, now_variance
            x = (x - mean) * jax.lax.rsqrt(variance + SMALL) * layer["gamma"] + layer["beta"]
        x = ACTIVATIONS[workload.activation](x)
        if workload.dropout and key is not None:
            key, mask_key = jax.random.split(key)
            mask = jax.random.bernoulli(mask_key, 1 - workload.dropout, x.shape)
            x = jnp.where(mask, x / (1 - workload.dropout), 0)
    last = parameters[-1]
    return x @ last["kernel"] + last["bias"], renewed


class Steps:
    """Compiled training steps; what changes from step to step is `self.carry`."""

    def __init__(self, workload: Workload, setting: str, _: int) -> None:
        if workload.optimizer == "adam":
            rule = optax.adam(workload.learning_rate)
        else:
            rule = optax.sgd(workload.learning_rate, momentum=MOMENTUM)

        def loss(parameters: Any, statistics: Any, x: Any, y: Any, key: Any) -> Any:
            logits, renewed = forward(workload, parameters, statistics, x, key)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), renewed

        def step(carry: Any, batch: Any) -> Any:
            parameters, state, statistics, key = carry
            key, step_key = jax.random.split(key)
            (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(
                parameters, statistics, *batch, step_key
            )
            updates, state = rule.update(gradients, state, parameters)
            return (optax.apply_updates(parameters, updates), state, statistics, key), value

        parameters = first_parameters(workload, seed=0)
        # The quickest generator that JAX has; dropout draws from it.
        key = jax.random.key(1, impl="unsafe_rbg")
        self.carry = (parameters, rule.init(parameters), first_statistics(workload), key)
        x, y = measure.data(workload)
        x = x.reshape(workload.batches, workload.batch, -1)
        y = y.astype(np.int32).reshape(workload.batches, -1)
        if setting == "scan":
            epoch = (jnp.asarray(x), jnp.asarray(y))
            scan = jax.jit(
                lambda carry, batches: jax.lax.scan(step, carry, batches), donate_argnums=0
            )
            self.calls = [(scan, epoch)]
        else:
            call = jax.jit(step, donate_argnums=0)
            self.calls = [
                (call, (jnp.asarray(rows), jnp.asarray(labels)))
                for rows, labels in zip(x, y, strict=True)
            ]

    def _epoch(self) -> list[jax.Array]:
        losses = []
        for call, batch in self.calls:
            self.carry, loss = call(self.carry, batch)
            losses.append(loss)
        return losses

    def epochs(self, count: int) -> None:
        """Train."""
        for _ in range(count):
            losses = self._epoch()
        jax.block_until_ready((self.carry, losses))

    def watched_epoch(self) -> float:
        """Train for an epoch and return its mean loss."""
        return float(np.mean([np.mean(loss) for loss in self._epoch()]))


def answerer(workload: Workload, _: str, __: int) -> measure.Answerer:
    """Return the compiled model as a function of one row."""
    parameters = first_parameters(workload, seed=0)
    statistics = first_statistics(workload)
    # Parameters are constants of the compiled function: a call then passes the row alone.
    compiled = jax.jit(lambda x: forward(workload, parameters, statistics, x, None)[0])
    x, _ = measure.data(workload)
    return measure.Answerer(
        lambda row: compiled(row).block_until_ready(), [jnp.asarray(x[:1]), jnp.asarray(x[1:2])]
    )


if __name__ == "__main__":
    measure.run(["jax", "optax", "numpy"], {"training": Steps}, {"one-row": answerer})
