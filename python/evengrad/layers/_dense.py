"""The fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core, constraints, initializers, regularizers
from evengrad._common.checks import check_int
from evengrad._common.config import beyond, by_convention, name_of
from evengrad._common.names import choose
from evengrad._tensor import activations
from evengrad.layers._activation import activated_alike
from evengrad.layers._call_context import call_context
from evengrad.layers._layer import Layer, build_for
from evengrad.layers._shared import Shared, takes_shared
from evengrad.layers._symbolic import row_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad._common.choices import Choice
    from evengrad._core import Tensor

# The core's names of activations that it computes within the layer's own pass over memory, by the
# function's identity: all but those that look at more than one number.
FUSED = {
    id(function): None if name == "linear" else function.__name__
    for name, function in activations.offered().items()
    if name not in ("softmax", "log_softmax")
}
# What a convention sets where nothing is passed; PyTorch's is even over ±1/√in, and so is its bias.
FIRST_KERNELS = {
    "keras": initializers.GlorotUniform(),
    "torch": initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
    "tf1": initializers.GlorotUniform(),
}
FIRST_BIASES = {"keras": initializers.Zeros(), "torch": None, "tf1": initializers.Zeros()}


class Affine(Layer):
    """Base of the layers of weighted sums of the inputs; a subclass takes their arguments."""

    units: int
    use_bias: bool
    kernel: Tensor
    kernel_initializer: Callable[..., Any]
    kernel_regularizer: Callable[..., Any] | None
    kernel_constraint: Callable[..., Any] | None
    bias: Tensor | None
    # None: an even law whose bounds follow from the input.
    bias_initializer: Any
    bias_regularizer: Callable[..., Any] | None
    bias_constraint: Callable[..., Any] | None
    supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        # `Maxout` has several sums for each output.
        inputs, sums = input_shape[-1], self.units * getattr(self, "pieces", 1)
        self.kernel = self.add_weight(
            "kernel",
            (inputs, sums),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            bound = 1.0 / max(1, inputs) ** 0.5
            self.bias = self.add_weight(
                "bias",
                (sums,),
                self.bias_initializer or initializers.RandomUniform(-bound, bound),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape with `units` in the last place."""
        return (*input_shape[:-1], self.units)

    def multiply_adds(self, input_shape: Any) -> int:
        """Return the inputs times the sums, for every vector of a row."""
        return row_size(input_shape) * self.units * getattr(self, "pieces", 1)

    def _check_input(self, shape: Any) -> None:
        self._check_features(shape, self.kernel.shape[0] if self._state.built else None)


class Dense(Affine):
    """Every output is a weighted sum of all inputs: activation(x · kernel + bias).

    With `norm` it is activation(norm(x · kernel)), or norm(activation(x · kernel + bias)).

    Parameters
    ----------
    units
        The number of outputs.
    activation
        A name from `evengrad.activations`, a function of a tensor, or a layer such as `LeakyReLU`;
        None is none.
    use_bias
        Whether there is a bias; by default yes, except directly before a `norm`, which would take
        it out again.
    kernel_initializer, bias_initializer
        A name from `evengrad.initializers`, an initializer, or a function of shape and dtype. The
        kernel's may be ``"auto"``: what `initializers.for_activation` pairs with `activation`, not
        with an activation layer that follows. Default ``"glorot_uniform"`` and ``"zeros"``; under
        ``"torch"`` both are even over ±1/√in.
    kernel_regularizer, bias_regularizer
        A name from `evengrad.regularizers`, a regularizer, or a function of the variable: a penalty
        that is added to the loss.
    activity_regularizer
        The same on the layer's output, divided by the rows of the batch.
    kernel_constraint, bias_constraint
        A name from `evengrad.constraints`, a constraint, or a function of the variable: what it
        becomes after every update.
    norm
        A layer that normalizes, such as `BatchNormalization`, or None.
    norm_position
        ``"before"`` the activation or ``"after"`` it.
    convention
        ``"keras"``, ``"torch"``, or ``"tf1"``, which is as ``"keras"``: whose first values are the
        default.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `units` below 1; an unknown name. From a call: the last dimension differs from the one that
        the layer was built for; the activation changes the shape.
    TypeError
        From a call: the activation is no function of tensors.

    Notes
    -----
    Input (..., in), kernel (in, units), bias (units,), output (..., units).

    Examples
    --------
    >>> layer = eg.layers.Dense(2, "relu", kernel_initializer="ones")
    >>> layer([[1.0, -3.0], [2.0, 4.0]]).tolist()
    [[0.0, 0.0], [6.0, 6.0]]
    >>> layer
    Dense(2, activation='relu', kernel_initializer=Ones())
    >>> eg.layers.Dense(2, "relu", norm=eg.layers.BatchNormalization(momentum=0.9))
    Dense(2, activation='relu', norm=BatchNormalization(momentum=0.9))
    """

    @takes_shared
    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool | None = None,
        kernel_initializer: Choice | None = None,
        bias_initializer: Choice | None = None,
        kernel_regularizer: Choice | None = None,
        bias_regularizer: Choice | None = None,
        activity_regularizer: Choice | None = None,
        kernel_constraint: Choice | None = None,
        bias_constraint: Choice | None = None,
        *,
        norm: Layer | None = None,
        norm_position: str = "before",
        convention: str = "keras",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.units = check_int(units, "units", at_least=1)
        self.activation = activations.get(activation)
        if norm is not None and not isinstance(norm, Layer):
            raise TypeError(
                f"norm: expected a layer such as layers.BatchNormalization(), or None, got {norm!r}"
            )
        self.norm = norm
        self.norm_position = choose(norm_position, ("before", "after"), "norm_position")
        for part in (norm, self.activation):
            if isinstance(part, Layer) and not self.trainable:
                part.trainable = False
        self.use_bias = self._has_bias_by_default() if use_bias is None else bool(use_bias)
        self.convention = choose(convention, tuple(FIRST_KERNELS), "convention")
        kernel = by_convention(kernel_initializer, self.convention, **FIRST_KERNELS)
        if isinstance(kernel, str) and kernel == "auto":
            kernel = initializers.for_activation(self.activation)
        self.kernel_initializer = initializers.get(kernel, "kernel_initializer")
        bias = by_convention(bias_initializer, self.convention, **FIRST_BIASES)
        # None: an even law whose bounds follow from the input.
        self.bias_initializer = bias and initializers.get(bias, "bias_initializer")
        penalty = regularizers.get
        self.kernel_regularizer = penalty(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = penalty(bias_regularizer, "bias_regularizer")
        self.activity_regularizer = penalty(activity_regularizer, "activity_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, "kernel_constraint")
        self.bias_constraint = constraints.get(bias_constraint, "bias_constraint")

    def _has_bias_by_default(self) -> bool:
        return self.norm is None or self.norm_position == "after"

    def _shown(self) -> dict[str, Any]:
        default = {
            "kernel_initializer": FIRST_KERNELS[self.convention],
            "bias_initializer": FIRST_BIASES[self.convention],
        }
        shown = beyond(super()._shown(), default)
        if self.use_bias is self._has_bias_by_default():
            shown.pop("use_bias", None)
        return shown

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias, and build the layer that normalizes."""
        super().build(input_shape)
        for part in (self.norm, self.activation):
            if isinstance(part, Layer):
                build_for(part, (*input_shape[:-1], self.units))

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return activation(x · kernel + bias), normalized where there is a `norm`."""
        norm, activation = self.norm, self.activation
        if norm is not None and self.norm_position == "before":
            return activated_alike(self, activation, norm(self._weighted(x, None)))
        if call_context.observing is not None:
            # In two launches, with the same bits.
            output = activated_alike(self, activation, self._weighted(x, None))
        elif id(activation) in FUSED and x.ndim == 2:
            output = _core.dense(x, self.kernel, self.bias, activation=FUSED[id(activation)])
        elif id(activation) in FUSED:
            output = self._weighted(x, FUSED[id(activation)])
        else:
            output = activated_alike(self, activation, self._weighted(x, None))
        return output if norm is None else norm(output)

    def call_without_activation(self, x: Tensor) -> Tensor:
        """Return x · kernel + bias, normalized where a `norm` stands before the activation."""
        if self.norm is not None and self.norm_position == "after":
            return super().call_without_activation(x)
        output = self._weighted(x, None)
        if self.norm is not None:
            output = self.norm(output)
        if call_context.observing is not None:
            call_context.observing(self, output)
        return output

    def _weighted(self, x: Tensor, activation: str | None) -> Tensor:
        if x.ndim == 2:
            return _core.dense(x, self.kernel, self.bias, activation=activation)
        vectors = x.reshape(-1, x.shape[-1])
        output = _core.dense(vectors, self.kernel, self.bias, activation=activation)
        return output.reshape(*x.shape[:-1], self.units)

    @property
    def final_activation(self) -> str | None:
        """The name of the activation that the layer ends in."""
        if self.norm is not None and self.norm_position == "after":
            return None
        name = name_of(self.activation)
        # A loss that took the activation over would leave no output to penalize.
        return name if self.activity_regularizer is None or name == "linear" else None
