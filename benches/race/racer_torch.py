"""PyTorch in the race: fused optimizers, eager and compiled, and single rows.

Settings: ``eager``; ``compile``, model and loss compiled; ``compile-all``, the optimizer too, whose
form for lists of tensors is the one that the compiler fuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import measure
import numpy as np
import torch
from torch import nn
from workloads import MOMENTUM, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "selu": nn.SELU, "sigmoid": nn.Sigmoid}


def network(workload: Workload) -> nn.Sequential:
    """Return the network."""
    chain: list[nn.Module] = []
    for inputs, outputs in workload.pairs[:-1]:
        dense = nn.Linear(inputs, outputs)
        nn.init.normal_(dense.weight, std=(workload.gain / inputs) ** 0.5)
        nn.init.zeros_(dense.bias)
        chain.append(dense)
        if workload.batch_norm:
            chain.append(nn.BatchNorm1d(outputs))
        chain.append(ACTIVATIONS[workload.activation]())
        if workload.dropout:
            chain.append(nn.Dropout(workload.dropout))
    return nn.Sequential(*chain, nn.Linear(*workload.pairs[-1]))


def optimizer(
    workload: Workload, model: nn.Module, *, implementation: str
) -> torch.optim.Optimizer:
    """Return the optimizer; `implementation` is ``"fused"`` or ``"foreach"``."""
    chosen = {implementation: True}
    if workload.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=workload.learning_rate, **chosen)
    return torch.optim.SGD(
        model.parameters(), lr=workload.learning_rate, momentum=MOMENTUM, **chosen
    )


class Loop:
    """The usual loop over batches that lie ready as tensors."""

    def __init__(self, workload: Workload, setting: str, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        x, y = map(torch.from_numpy, measure.data(workload))
        self.batches = list(zip(x.split(workload.batch), y.split(workload.batch), strict=True))
        model = network(workload)
        loss = nn.CrossEntropyLoss()
        whole = setting == "compile-all"
        self.optimizer = optimizer(workload, model, implementation="foreach" if whole else "fused")

        def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return loss(model(x), y)

        self.forward: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = (
            forward if setting == "eager" else torch.compile(forward)
        )
        self.update = torch.compile(self.optimizer.step) if whole else self.optimizer.step

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = self.forward(x, y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.update()
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
    """Return the model as a function of one row."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = network(workload).eval()
    x = torch.from_numpy(measure.data(workload)[0])
    return measure.Answerer(
        model if setting == "eager" else torch.compile(model),
        [x[:1].clone(), x[1:2].clone()],
        context=torch.inference_mode(),
    )


if __name__ == "__main__":
    measure.run(["torch", "numpy"], {"training": Loop, "eager-loop": Loop}, {"one-row": answerer})
