"""Changes that put layers between others: dropout, shortcuts, standardized inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_float
from evengrad._common.config import name_of
from evengrad._tensor.grad_mode import no_grad
from evengrad.initializers import VarianceScaling
from evengrad.layers import AlphaDropout, Dense, Dropout, Embedding, Normalization, Residual
from evengrad.layers._dropout import Noise
from evengrad.layers._module import module_tree
from evengrad.models._anatomy import ACTIVATIONS, NORMALIZATIONS, has_kernel
from evengrad.models._layer_change import ByHandError, LayerChange
from evengrad.models._layer_changes import first_values, scale_for
from evengrad.models._network import chain_of, graph_of
from evengrad.models._selu_check import fronts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from evengrad.layers._layer import Layer
    from evengrad.models._anatomy import Anatomy
    from evengrad.models._layer_change import Named
    from evengrad.models._model import Model

    Array = np.ndarray[Any, Any]


OF_CODE = "reads what the code around it alone knows"
# What does not stand at the end of a block.
PASSED_OVER = (*ACTIVATIONS, *NORMALIZATIONS)


class AddDropout(LayerChange):
    """Dropout in front of the last layers with kernels."""

    rearranges = True
    missing = "no layer with a kernel makes the outputs"

    def __init__(self, anatomy: Anatomy, chosen: list[Layer], value: Any) -> None:
        super().__init__(anatomy, chosen, check_float(value, "treatment.value", low=0.0, high=1.0))

    def concerned(self) -> Iterable[Layer]:
        """Return the layers with kernels that make outputs."""
        heads = self.anatomy.heads
        return [one for one in self.anatomy.layers if id(one) in heads and has_kernel(one)]

    def refusal(self, layer: Layer) -> str | None:
        """Return that nobody knows what a layer reads, if so."""
        return None if self.anatomy.stands_in_chain(layer) else OF_CODE

    def touches(self, layer: Layer) -> bool:
        """Tell that no layer's arguments change."""
        del layer
        return False

    def changes(self, layer: Layer) -> bool:
        """Tell that no layer's arguments change."""
        del layer
        return False

    def along(self, layers: list[Layer], made: list[Layer], named: Named) -> list[Layer]:
        """Put dropout in front of the layers, in the place of what is there."""
        found: list[Layer] = []
        for old, new in zip(layers, made, strict=True):
            if id(old) in self.targets:
                self.count += 1
                if found and type(found[-1]) in (Dropout, AlphaDropout):
                    found.pop()
                before = layers[: layers.index(old)]
                selu = any(name_of(self.anatomy.activation(one)) == "selu" for one in before)
                found.append(named((AlphaDropout if selu else Dropout)(self.value)))
            found.append(new)
        return found


@dataclass
class Block:
    """Two layers with kernels in a chain, and what stands behind each: from `begin` to `end`."""

    begin: int
    second: int
    end: int


class AddShortcuts(LayerChange):
    """Pairs of hidden layers as residual blocks, x + W · f(x · V).

    W has no activation behind it, so that what blocks add has mean 0, and the gradient passes all
    of them with a factor of one. V begins with the deviation that preserves variance, over √L, and
    W with that of variance 1/L, for L blocks: then neither the signal nor the steps of training
    grow with the depth (Zhang, Dauphin and Ma, "Fixup initialization", 2019).
    """

    rearranges = True
    missing = "no two hidden Dense layers stand one behind the other"

    def __init__(self, anatomy: Anatomy, chosen: list[Layer], value: Any) -> None:
        super().__init__(anatomy, chosen, value)
        pairs = [(chain, self._blocks(chain)) for chain in anatomy.chains]
        # By the identity of the first layer, which stands in one chain alone.
        self.blocks = {id(chain[0]): blocks for chain, blocks in pairs if blocks}
        self.firsts = {id(chain[block.begin]) for chain, blocks in pairs for block in blocks}
        self.seconds = {id(chain[block.second]) for chain, blocks in pairs for block in blocks}
        if not self.blocks:
            self.targets = {}

    def concerned(self) -> Iterable[Layer]:
        """Return the hidden dense layers that have an activation."""
        return [
            one
            for one in self.anatomy.hidden()
            if type(one) is Dense and self.anatomy.activation(one) is not None
        ]

    def refusal(self, layer: Layer) -> str | None:
        """Return why a layer stays as it is: of another kind, in a block, or in code."""
        if type(layer) is not Dense:
            return "is no layers.Dense"
        if not self.anatomy.stands_in_chain(layer):
            return OF_CODE
        blocks = [one for one in self.anatomy.layers if isinstance(one, Residual)]
        within = any(one is layer for block in blocks for _, one in module_tree(block).layers)
        return "is part of a residual block" if within else None

    def _blocks(self, chain: list[Layer]) -> list[Block]:
        """Return the pairs in a chain; of an odd number of layers the first stays in front."""
        places = [place for place, layer in enumerate(chain) if id(layer) in self.targets]
        places = places[len(places) % 2 :]
        blocks = []
        for first, second in zip(places[::2], places[1::2], strict=True):
            end = second + 1
            while end < len(chain) and _stays_behind(chain[end]):
                end += 1
            if all(_stays_behind(layer) for layer in chain[first + 1 : second]):
                blocks.append(Block(first, second, end))
        return blocks

    def changed(self, layer: Any) -> dict[str, Any]:
        """Return the arguments of a block's first or second layer, or of one left over."""
        count = sum(map(len, self.blocks.values()))
        if id(layer) in self.seconds:
            values = first_values(self.anatomy, layer, VarianceScaling(1.0 / count, "fan_in"))
            return {**values, "activation": None, "norm": None, "use_bias": True}
        scale = scale_for(self.anatomy.activation(layer))
        # One that is left over keeps the signal as it is.
        scale /= count if id(layer) in self.firsts else 1
        return first_values(self.anatomy, layer, VarianceScaling(scale, "fan_in"))

    def along(self, layers: list[Layer], made: list[Layer], named: Named) -> list[Layer]:
        """Put blocks in the place of pairs."""
        found: list[Layer] = []
        done = 0
        for block in self.blocks.get(id(layers[0]), []):
            behind = zip(layers[block.second : block.end], made[block.second :], strict=False)
            ends = [new for old, new in behind if not isinstance(old, PASSED_OVER)]
            body = [*made[block.begin : block.second], *ends]
            found += [*made[done : block.begin], named(Residual(body))]
            done = block.end
        return [*found, *made[done:]]


def _stays_behind(layer: Layer) -> bool:
    return isinstance(layer, (*PASSED_OVER, Noise))


class ScaleInputs(LayerChange):
    """A layer in front that standardizes the inputs by the statistics of data."""

    rearranges = True
    missing = "no input holds numbers to be scaled"

    def __init__(self, model: Model, anatomy: Anatomy, xs: list[Array]) -> None:
        super().__init__(anatomy, [], None)
        if chain_of(model) is None and graph_of(model) is None:
            raise ByHandError(f"{model.path}: what reads its inputs is known to its call alone")
        if chain_of(model) is not None and len(xs) > 1:
            raise ByHandError(f"{model.path}: its first layer reads {len(xs)} inputs at once")
        self.xs = xs
        self.fronts = fronts_of(model)
        self.codes = [_reads_codes(model, place) for place in range(len(xs))]
        self.count = sum(not codes for codes in self.codes)

    def is_there(self, place: int) -> bool:
        """Tell whether the input passes a layer that standardizes it, adapted or not."""
        return any(isinstance(layer, Normalization) for layer in self.fronts[place])

    def front(self, place: int) -> Layer | None:
        """Return the layer, where there is none yet and the input holds no codes."""
        return None if self.codes[place] or self.is_there(place) else Normalization()

    def adapt(self, twin: Model) -> None:
        """Have the layers take the statistics of the data."""
        for x, front, codes in zip(self.xs, fronts_of(twin), self.codes, strict=True):
            values: Any = x
            for layer in [] if codes else front:
                if isinstance(layer, Normalization):
                    layer.adapt(values)
                    break
                with no_grad():
                    values = layer(values).numpy()


def _reads_codes(model: Model, place: int) -> bool:
    """Tell whether an input goes to layers that look numbers up."""
    graph, chain = graph_of(model), chain_of(model)
    if graph is None:
        return any(isinstance(layer, Embedding) for layer in (chain or [])[:1])
    symbol = graph.inputs[place]
    readers = [node.layer for node in graph.nodes if any(x is symbol for x in node.inputs)]
    return any(isinstance(layer, Embedding) for layer in readers)
