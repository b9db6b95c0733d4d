"""Long short-term memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from evengrad import _core
from evengrad._common.checks import check_int
from evengrad._common.config import beyond, name_of
from evengrad._common.names import choose
from evengrad._tensor import activations
from evengrad.initializers import GlorotUniform, Initializer, Ones, Orthogonal, RandomUniform, Zeros
from evengrad.layers._recurrent import Recurrent
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._common.choices import Choice
    from evengrad._core import Tensor


class _SumOfTwo(Initializer):
    """The sum of PyTorch's two biases, each even over ±bound."""

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Draw."""
        one, other = (generator.uniform(shape, -self.bound, self.bound, dtype) for _ in range(2))
        return one + other


class _ForgetOne(Initializer):
    """The bias of an LSTM: 1 at the forget gates, elsewhere as another initializer has it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(
        self, shape: Any, dtype: Any = None, *, seed: int | None = None, path: str = ""
    ) -> Tensor:
        """Return biases in the order of the gates: i, f, c, o."""
        units = shape[0] // LSTM.gates
        if isinstance(self.inner, Initializer):
            rest = self.inner((3 * units,), dtype, seed=seed, path=path)
        else:
            rest = _core.tensor(self.inner((3 * units,), dtype), dtype=dtype)
        return _core.cat([rest[:units], Ones()((units,), dtype), rest[units:]])


class LSTM(Recurrent):
    """Long short-term memory: a layer with a state that gates write, keep and read.

    ```text
    i, f, o = σ(x · W + h · U + b)        write, keep, read
    g       = tanh(x · W + h · U + b)     what to write
    c ← f ⊙ c + i ⊙ g                     h ← o ⊙ tanh(c)
    ```

    Along c the gradient is only multiplied by f, so that what an early step wrote can be learned
    much later.

    Parameters
    ----------
    units
        The number of outputs.
    activation
        A name from `evengrad.activations`, or a function of a tensor, for g and c; None is none.
    recurrent_activation
        The same for the gates.
    use_bias
        Whether there is a bias.
    kernel_initializer, recurrent_initializer, bias_initializer
        A name from `evengrad.initializers`, an initializer, or a function of shape and dtype, for
        the kernel of the inputs, that of the outputs before, and the bias. Default
        ``"glorot_uniform"``, ``"orthogonal"`` and ``"zeros"``; under ``"torch"`` all are even over
        ±1/√units, the bias as the sum of two such.
    unit_forget_bias
        Whether the bias of the forget gate f begins at 1, so that the state is kept at first.
        Default yes; no under ``"torch"``.
    kernel_regularizer, recurrent_regularizer, bias_regularizer
        A name from `evengrad.regularizers`, a regularizer, or a function of the variable.
    activity_regularizer
        The same on the layer's output, divided by the rows of the batch.
    kernel_constraint, recurrent_constraint, bias_constraint
        A name from `evengrad.constraints`, a constraint, or a function of the variable.
    dropout
        The share of the input features that is zeroed in training, in [0, 1); one mask for all
        steps of a row.
    recurrent_dropout
        The same for the outputs on their way to the next step's recurrent product, in [0, 1).
    return_sequences
        Whether all outputs are returned, or the last alone.
    return_state
        Whether the last states are returned after the output, as a list.
    go_backwards
        Whether the steps are taken from the last to the first; outputs are in that order, too.
    stateful
        Whether the next batch begins with the states after this one, row by row, until
        `reset_states`; all batches must have as many rows then. The states are variables that do
        not train, made with the first batch.
    unroll
        Taken for Keras' sake: it changes nothing, as captured steps are fast by themselves.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``: whose first values are the default. PyTorch has two
        biases, which begin and add up as this one does, but each of which takes the gradient, so
        that their sum moves twice as far in a step of gradient descent. TensorFlow 1 adds the 1 of
        the forget gate in every step and does not store it; here it is part of the bias.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `units` below 1, a rate out of bounds, an unknown name. From a call: an input that is not
        (rows, steps, features), or has other features than the layer was built for.

    Notes
    -----
    Input (rows, steps, features), or ``[input, h, c]`` with first states (rows, units), which are 0
    otherwise. Kernel (features, 4 · units), recurrent kernel (units, 4 · units), bias (4 · units,),
    each with the gates in Keras' order i, f, g, o. PyTorch has them in the same order, transposed,
    and two biases whose sum is this one. Output (rows, units), or (rows, steps, units); with
    `return_state` the list [output, h, c].

    With tanh and the sigmoid all steps are one operation; others go step by step, which takes
    several times as long.

    Under a mask, as `Masking` and `Embedding` make it or as the argument ``mask`` of a call, the
    state is carried over masked steps, and their output is the one before. So a padded row has the
    output of the row alone, to the bit.

    Any number of steps will do, another one in each call. In a model, leave it open with
    ``Input((None, features))``; else the model is built for one number.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers, Schmidhuber and Cummins,
    "Learning to forget", 2000; Jozefowicz et al., "An empirical exploration of recurrent network
    architectures", 2015 (the forget bias of 1); Gal and Ghahramani, "A theoretically grounded
    application of dropout in recurrent neural networks", 2016.

    Examples
    --------
    >>> layer = eg.layers.LSTM(3, return_sequences=True)
    >>> layer(np.zeros((2, 5, 4))).shape, layer.count_params()
    ((2, 5, 3), 96)
    >>> layer.bias.tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """

    gates = 4
    states = 2

    @takes_shared
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Choice | None = None,
        recurrent_initializer: Choice | None = None,
        bias_initializer: Choice | None = None,
        unit_forget_bias: bool | None = None,
        kernel_regularizer: Choice | None = None,
        recurrent_regularizer: Choice | None = None,
        bias_regularizer: Choice | None = None,
        activity_regularizer: Choice | None = None,
        kernel_constraint: Choice | None = None,
        recurrent_constraint: Choice | None = None,
        bias_constraint: Choice | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        *,
        convention: str = "keras",
        **shared: Unpack[Shared],
    ) -> None:
        self.convention = choose(convention, ("keras", "torch", "tf1"), "convention")
        default = self._default(check_int(units, "units", at_least=1))

        def chosen(given: Any, argument: str) -> Any:
            return default[argument] if given is None else given

        super().__init__(
            units,
            activation,
            use_bias,
            chosen(kernel_initializer, "kernel_initializer"),
            chosen(recurrent_initializer, "recurrent_initializer"),
            chosen(bias_initializer, "bias_initializer"),
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
            **shared,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(chosen(unit_forget_bias, "unit_forget_bias"))

    def _default(self, units: int) -> dict[str, Any]:
        """Return what the convention sets where nothing is passed."""
        if self.convention == "torch":
            bound = 1.0 / units**0.5
            return {
                "kernel_initializer": RandomUniform(-bound, bound),
                "recurrent_initializer": RandomUniform(-bound, bound),
                "bias_initializer": _SumOfTwo(bound),
                "unit_forget_bias": False,
            }
        return {
            "kernel_initializer": GlorotUniform(),
            "recurrent_initializer": Orthogonal(),
            "bias_initializer": Zeros(),
            "unit_forget_bias": True,
        }

    def _shown(self) -> dict[str, Any]:
        return beyond(super()._shown(), self._default(self.units))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as they stand now."""
        config = super().get_config()
        if isinstance(self.bias_initializer, _SumOfTwo):
            # It has no name: the convention brings it back.
            config["bias_initializer"] = None
        return config

    def first_bias(self) -> Any:
        """Return the initializer of the bias."""
        return _ForgetOne(self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    def fused_cell(self) -> Literal["lstm"] | None:
        """Return the core's name, where the activations are tanh and the sigmoid."""
        names = name_of(self.activation), name_of(self.recurrent_activation)
        return "lstm" if names == ("tanh", "sigmoid") else None

    def step(self, projected: Tensor, states: list[Tensor], mask: Tensor | None) -> list[Tensor]:
        """Return h and c after a step."""
        h, c = states
        z = projected + self._recurrent(h, mask)
        write, keep, read = (self.recurrent_activation(self._gate(z, i)) for i in (0, 1, 3))
        c = keep * c + write * self.activation(self._gate(z, 2))
        return [read * self.activation(c), c]
