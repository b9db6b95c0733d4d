"""What models do with their layers: copies, what trains of them, others in their places."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from evengrad.layers._module import state_of
from evengrad.layers._placement import stand_alone
from evengrad.models._fold import fold
from evengrad.models._freezing import freeze, unfreeze
from evengrad.models._head_surgery import drop_top, insert, replace, with_head
from evengrad.models._network import Network, view_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from evengrad.layers import Layer
    from evengrad.models._model import Model


class Copies(Network):
    """The methods of models that copy them, freeze them, and change them in copies."""

    def clone(self) -> Self:
        """Return a copy with equal weights that shares nothing with this model.

        Settings of `compile`, the optimizer's state and random streams are copied too: trained on
        the same data, both stay equal. So a copy can be taken apart, its upper layers replaced and
        the rest trained further, while this model stays what it is. The copy of a model inside
        another one stands by itself.

        Returns
        -------
        Model
            Of the same class.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> twin = model.clone()
        >>> head = twin.pop()
        >>> twin.add(eg.layers.Dense(5))
        >>> model.output_shape, twin.output_shape
        ((None, 2), (None, 5))
        """
        twin = copy.deepcopy(self)
        if state_of(twin).adopted:
            stand_alone(twin)
        return twin

    def freeze(self, pattern: Any = None, *, until: Any = None) -> list[str]:
        """Freeze layers: training leaves their variables as they are.

        What lies below the lowest layer that trains takes no part in the way back, and frozen
        variables have no state in the optimizer, no decay and no constraint. Frozen batch
        normalization goes by its moving statistics, and leaves them as they are. Dropout and noise
        have no variables: freezing does not turn them off.

        Parameters
        ----------
        pattern
            A layer's name, or its path where it lies inside others (``"body/dense_1"``); a pattern
            such as ``"body/*"`` or ``"*norm*"``, which is compared with whole paths, a ``*`` with
            any part of them; a compiled regular expression, searched in paths; a layer; or a list
            of these. All layers if None.
        until
            One layer, likewise: it is frozen, and all that its input has passed through.

        Returns
        -------
        list of str
            The paths of the layers that are meant. What lies inside them is frozen with them.

        Raises
        ------
        ValueError
            A pattern matches no layer: the error lists those there are. Both arguments are given;
            the model is not built, so that layers have no names yet.
        TypeError
            An argument of another kind.

        Examples
        --------
        >>> hidden = [eg.layers.Dense(8, "relu", name=f"hidden{i}") for i in (1, 2, 3)]
        >>> model = eg.Sequential([eg.Input((4,)), *hidden, eg.layers.Dense(2, name="out")])
        >>> model.freeze(until="hidden2")
        ['hidden1', 'hidden2']
        >>> model.unfreeze("hidden2")
        ['hidden2']
        >>> [layer.name for layer in model.layers if layer.trainable]
        ['hidden2', 'hidden3', 'out']
        """
        return freeze(view_of(self).public, pattern, until)

    def unfreeze(
        self,
        pattern: Any = None,
        learning_rate: float | None = None,
        *,
        decay: float = 1.0,
        since: Any = None,
    ) -> list[str]:
        """Have layers train again; or say at which rate they train, whether they did or not.

        A layer that was never trained begins without momentum and averages; one that was, goes on
        with those that it had. Adam's corrections of a fresh average count the optimizer's updates:
        unfrozen late, a layer's first step is (1 − beta_1) / √(1 − beta_2) ≈ 3.2 rates long instead
        of one.

        Parameters
        ----------
        pattern
            As for `freeze`. All layers if None.
        learning_rate
            The rate of these layers from the next step on. It is kept as a multiple of the
            optimizer's rate as it stands now, in ``optimizer.groups``, so that schedules and
            callbacks hold for it too. None: what held before.
        decay
            In (0, 1]: of several layers, the last one has that rate, or else the optimizer's, and
            each one before it `decay` times the rate of the next.
        since
            One layer: it is unfrozen, and all that its input has not passed through.

        Returns
        -------
        list of str
            The paths of the layers that are meant.

        Raises
        ------
        ValueError
            As from `freeze`; a rate below 0 or a decay out of range; the optimizer's rate is 0.
        RuntimeError
            A rate, and the model is not compiled.

        Examples
        --------
        >>> hidden = [eg.layers.Dense(8, "relu", name=f"hidden{i}") for i in (1, 2)]
        >>> model = eg.Sequential([eg.Input((4,)), *hidden, eg.layers.Dense(2, name="out")])
        >>> model.compile(eg.optimizers.SGD(0.1), "mse")
        >>> model.freeze("hidden*")
        ['hidden1', 'hidden2']
        >>> model.unfreeze("hidden*", learning_rate=0.05, decay=0.5)
        ['hidden1', 'hidden2']
        >>> groups = model.optimizer.groups
        >>> [round(group.learning_rate_multiplier, 9) for group in groups]
        [0.25, 0.25, 0.5, 0.5]
        """
        view = view_of(self)
        optimizer = lambda: view.config().optimizer  # noqa: E731 - asked for only with a rate
        return unfreeze(view.public, pattern, learning_rate, decay, since, optimizer)

    def drop_top(self, n: int) -> Model:
        """Return a new model without the last layers, made of copies of the others.

        The first step of a transfer: what is left sees in data what the whole has learned to see,
        and `with_head` puts other layers on it. This model stays as it is, to the bit, and the new
        one shares nothing with it. Layers keep their names, values, random streams, and whether
        they are frozen; where this model is compiled, the new one is too, as far as its settings
        fit the new outputs, with the optimizer's state of the variables that are left.
        ``surgery_report`` of the new model tells all of that.

        In a graph with one output, layers are dropped along the way that it was made; one that
        joins several tensors is no place to go on from. A model inside the model is one layer.

        Parameters
        ----------
        n
            How many layers, 1 or more; one is left at least.

        Returns
        -------
        Model
            A `Sequential` for a chain, a graph for a graph.

        Raises
        ------
        ValueError
            More layers than there are; several outputs; a layer that joins several tensors; the
            model is not built, or its `call` is code.
        RuntimeError
            The optimizer's averages stand in the place of the weights.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> model.drop_top(1)
        Sequential([Input((4,)), Dense(3, activation='relu')])
        >>> model.output_shape
        (None, 2)
        """
        return drop_top(view_of(self).public, n)

    def with_head(self, *layers: Layer) -> Model:
        """Return a new model with further layers at its end, made of copies of these.

        For this model and what the new one keeps of it, see `drop_top`. The given layers are
        copied: those without values begin with values that follow from this model's seed, those
        that are built, as with another model's head, bring theirs.

        Parameters
        ----------
        layers
            The layers in order.

        Returns
        -------
        Model
            A `Sequential` for a chain, a graph for a graph.

        Raises
        ------
        ValueError
            No layer, the same one twice, or a name that is taken; an input that does not fit a
            layer, which is named with both shapes; several outputs; the model is not built, or its
            `call` is code.
        TypeError
            Something else than layers.
        RuntimeError
            The optimizer's averages stand in the place of the weights.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> model.drop_top(1).with_head(eg.layers.Dense(5, "softmax"))
        Sequential([Input((4,)), Dense(3, activation='relu'), Dense(5, activation='softmax')])
        """
        return with_head(view_of(self).public, layers)

    def insert(self, before: str | int | Layer, *layers: Layer) -> Model:
        """Return a new model with further layers in front of one of its layers.

        For this model and what the new one keeps of it, see `drop_top`; for the layers that are
        given, `with_head`. Where a graph uses the layer several times, each use comes after the
        new layers, which are shared as the layer is.

        Parameters
        ----------
        before
            The layer that they come in front of: its name, its path where it stands in a model
            inside the model, its position in `layers`, or the layer itself.
        layers
            The layers in order.

        Returns
        -------
        Model
            A `Sequential` for a chain, a graph for a graph.

        Raises
        ------
        ValueError
            No such layer; one that takes several inputs; one inside a layer that is no model, or
            one of code; what `with_head` raises.
        TypeError
            Something else than layers.
        RuntimeError
            The optimizer's averages stand in the place of the weights.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> model.insert("dense_1", eg.layers.Dropout(0.5))
        Sequential([Input((4,)), Dense(3, activation='relu'), Dropout(0.5), Dense(2)])
        """
        return insert(view_of(self).public, before, layers)

    def replace(self, name: str | int | Layer, layer: Layer) -> Model:
        """Return a new model with another layer in the place of one, wherever that is used.

        For this model and what the new one keeps of it, see `drop_top`; for the layer that is
        given, `with_head`. Without a name of its own it takes that of the old one, where both are
        of one class.

        Parameters
        ----------
        name
            The layer: its name, its path where it stands in a model inside the model, its position
            in `layers`, or the layer itself.
        layer
            What comes in its place.

        Returns
        -------
        Model
            A `Sequential` for a chain, a graph for a graph.

        Raises
        ------
        ValueError
            No such layer, one inside a layer that is no model, or one of code; what `with_head`
            raises.
        TypeError
            Something else than a layer.
        RuntimeError
            The optimizer's averages stand in the place of the weights.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu"), eg.layers.Dense(2)])
        >>> model.replace("dense", eg.layers.Maxout(3))
        Sequential([Input((4,)), Maxout(3), Dense(2)])
        """
        return replace(view_of(self).public, name, layer)

    def fold_batch_norm(self) -> Model:
        """Return a new model that gives the same outputs in inference without normalization.

        With s = γ / √(v + ε), a normalization of x · W + b is folded into W · diag(s) and
        (b − μ) ⊙ s + β; one that stands behind an activation is folded into the dense layer that
        follows, diag(s) · W and b + (β − μ ⊙ s) · W, or into all that follow, where a graph
        branches there. Dropout, noise and augmentation between the two are passed over, since they
        do nothing in inference, and so is `Flatten` on the way to the dense layer that follows.
        `predict_mc` does see where noise stands, and is another one for the new model.

        Chains and graphs inside the model are folded too, and body and projection of a `Residual`;
        chains inside are laid open. One without such a dense layer stays, frozen: at the end of the
        model, before another activation, before a sum, a branching graph inside or a layer of
        another kind. Inside layers and models whose `call` is code, all stays as it is.

        Returns
        -------
        Model
            A `Sequential` for a chain, a graph for a graph, with copies of all variables; it is not
            compiled.

        Raises
        ------
        ValueError
            The model is not built, or a subclass with a `call` of its own.

        Examples
        --------
        >>> norm = eg.layers.BatchNormalization()
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu", norm=norm)])
        >>> model.fold_batch_norm()
        Sequential([Input((4,)), Dense(3, activation='relu')])
        """
        return fold(view_of(self).public)
