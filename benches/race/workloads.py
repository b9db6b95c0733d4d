"""The workloads of the race: the same networks, batches and optimizers for every library."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

# A step of as many floating-point operations takes from half a second on; an epoch of such steps
# has fewer of them, so that whole epochs can be timed.
HEAVY_STEP = 1e11


@dataclass(frozen=True)
class Workload:
    """A classifier, and how it is trained.

    Hidden layers are dense, then batch normalization, activation and dropout where the workload has
    them; the last layer is dense, and the loss is the cross-entropy of its softmax.
    """

    name: str
    why: str
    inputs: int
    hidden: tuple[int, ...]
    classes: int
    batch: int
    activation: str = "relu"
    optimizer: str = "adam"
    batch_norm: bool = False
    dropout: float = 0.0
    table: int | None = None
    """Rows of the data, where whole batches need not divide them."""

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Inputs and outputs of every dense layer."""
        return list(pairwise((self.inputs, *self.hidden, self.classes)))

    @property
    def step_flops(self) -> int:
        """Floating-point operations in the matrix products of one training step.

        Each layer has the product forward and the one for the gradient of its weights; each but the
        first also one for the gradient of its input.
        """
        products = [2 * self.batch * inputs * outputs for inputs, outputs in self.pairs]
        return 3 * sum(products) - products[0]

    @property
    def gain(self) -> float:
        """Variance of a hidden layer's first weights times the number of its inputs.

        He's, but LeCun's for SELU, whose signal grows without bounds under He's.
        """
        return 1.0 if self.activation == "selu" else 2.0

    @property
    def rows(self) -> int:
        """Rows in an epoch."""
        whole = 32 if self.step_flops < HEAVY_STEP else 4
        return self.table or whole * self.batch

    @property
    def batches(self) -> int:
        """Batches in an epoch, the last of which may be smaller."""
        return -(-self.rows // self.batch)

    @property
    def learning_rate(self) -> float:
        """The optimizer's step size, small enough for the deepest of these nets."""
        return 1e-4 if self.optimizer == "adam" else 1e-3


# Momentum of the optimizer of that name.
MOMENTUM = 0.9

WORKLOADS = [
    Workload("tabular", "small tables: the overhead of a step decides", 30, (64, 32), 2, 32),
    Workload(
        "mnist",
        "the first deep net of many courses",
        784,
        (300, 100),
        10,
        50,
        activation="elu",
        optimizer="momentum",
    ),
    Workload(
        "mnist-bn",
        "the same with batch normalization",
        784,
        (300, 100),
        10,
        200,
        activation="elu",
        optimizer="momentum",
        batch_norm=True,
    ),
    Workload(
        "five-by-100",
        "narrow layers, small batches, dropout",
        784,
        (100,) * 5,
        5,
        20,
        activation="elu",
        dropout=0.5,
    ),
    Workload(
        "deep-20",
        "twenty layers with batch normalization on small colour pictures",
        3072,
        (100,) * 20,
        10,
        128,
        activation="elu",
        batch_norm=True,
    ),
    Workload(
        "selu-100",
        "a hundred layers that normalize themselves",
        784,
        (100,) * 100,
        10,
        128,
        activation="selu",
        optimizer="momentum",
    ),
    Workload("wide", "matrix products decide", 784, (2048, 2048), 10, 512),
    Workload("huge", "close to the machine's peak", 4096, (4096,) * 3, 1000, 1024),
]
# What is trained for one epoch only, where making the model and preparing the training decide.
FRESH = [
    Workload("small", "scikit-learn's default net on a small table", 30, (100,), 2, 32, table=1000),
    Workload(
        "small-100",
        "a hundred narrow layers on the same table",
        30,
        (32,) * 100,
        2,
        32,
        activation="selu",
        table=1000,
    ),
]
BY_NAME = {workload.name: workload for workload in (*WORKLOADS, *FRESH)}
