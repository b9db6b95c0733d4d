"""How many of a model's weights are zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evengrad._common.names import printable
from evengrad._tensor.masked import masked
from evengrad.layers._module import access_to, module_tree
from evengrad.layers._variables import KERNEL_DIMENSIONS
from evengrad.models._network import check_built

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers._module import ModuleTree
    from evengrad.models._model import Model


@dataclass(frozen=True)
class LayerSparsity:
    """The kernels of one layer, or of a whole model.

    Attributes
    ----------
    weights
        How many there are.
    zeros
        How many of them are 0.
    pruned
        How many stay 0 in training, as `Model.prune` has chosen.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3)], seed=1)
    >>> model.prune(0.5).layers["dense"]
    LayerSparsity(weights=12, zeros=6, pruned=6)
    """

    weights: int
    zeros: int
    pruned: int

    @property
    def share(self) -> float:
        """The share of zeros; 0 where there are no kernels."""
        return self.zeros / self.weights if self.weights else 0.0


@dataclass(frozen=True)
class Sparsity:
    """What `Model.sparsity` and `Model.prune` return: zeros among the kernels; prints as a table.

    Attributes
    ----------
    whole
        Of all kernels together, a `LayerSparsity`.
    layers
        By the paths of layers with kernels.

    Examples
    --------
    >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3), eg.layers.Dense(2)], seed=1)
    >>> print(model.prune(0.5, scope="layer"))
             weights  zeros   share  pruned
    dense         12      6   50.0%       6
    dense_1        6      3   50.0%       3
    whole         18      9   50.0%       9
    """

    whole: LayerSparsity
    layers: dict[str, LayerSparsity]

    @property
    def share(self) -> float:
        """The share of zeros among all kernels."""
        return self.whole.share

    @property
    def by_layer(self) -> dict[str, float]:
        """The share of zeros of each layer, by its path."""
        return {path: one.share for path, one in self.layers.items()}

    def __str__(self) -> str:
        rows = {**{printable(path): one for path, one in self.layers.items()}, "whole": self.whole}
        width = max(map(len, rows))
        digits = max(7, len(f"{self.whole.weights:,}"))

        def line(path: str, weights: str, zeros: str, share: str, pruned: str) -> str:
            counts = (f"{weights:>{digits}}", f"{zeros:>{digits}}", f"{share:>6}")
            return "  ".join([f"{path:{width}}", *counts, f"{pruned:>{digits}}"])

        lines = [line("", "weights", "zeros", "share", "pruned")]
        lines += [
            line(path, f"{x.weights:,}", f"{x.zeros:,}", f"{x.share:.1%}", f"{x.pruned:,}")
            for path, x in rows.items()
        ]
        return "\n".join(lines)


def kernels_of(tree: ModuleTree) -> list[tuple[str, Tensor]]:
    """Return the variables that multiply inputs, with their paths, each once."""
    found = {
        id(weight.tensor): (path, weight.tensor)
        for path, weight in tree.weights
        if weight.trainable and weight.decays and weight.tensor.ndim >= KERNEL_DIMENSIONS
    }
    return list(found.values())


def sparsity_of(model: Model) -> Sparsity:
    """Return how many weights are zero; see `Model.sparsity`."""
    check_built(model, "sparsity")
    layers: dict[str, LayerSparsity] = {}
    with access_to(model):
        for path, tensor in kernels_of(module_tree(model)):
            kept = masked.of(tensor)
            found = LayerSparsity(
                tensor.size,
                tensor.size - int(np.count_nonzero(tensor.detach().numpy())),
                0 if kept is None else tensor.size - int(np.count_nonzero(kept.numpy())),
            )
            layer = path.rpartition("/")[0]
            layers[layer] = total([layers[layer], found]) if layer in layers else found
    return Sparsity(total(list(layers.values())), layers)


def total(parts: list[LayerSparsity]) -> LayerSparsity:
    """Return the sum of some figures."""
    return LayerSparsity(
        sum(one.weights for one in parts),
        sum(one.zeros for one in parts),
        sum(one.pruned for one in parts),
    )
