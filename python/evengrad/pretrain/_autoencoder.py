"""Stacked autoencoders: each layer learns to code what the one below it puts out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from evengrad import _core, losses, regularizers
from evengrad._common.config import suggests_keywords
from evengrad._tensor import activations
from evengrad.layers import Dense, Layer
from evengrad.layers._activation import activated_alike
from evengrad.layers._dropout import Noise
from evengrad.layers._shared import SameShape
from evengrad.layers._symbolic import Input
from evengrad.metrics import MeanSquaredError
from evengrad.models._sequential import Sequential
from evengrad.pretrain._greedy import greedy, size_of
from evengrad.pretrain._settings import Settings
from evengrad.pretrain._work import anew, values_of

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.models._model import Model
    from evengrad.pretrain._chain import Span
    from evengrad.pretrain._greedy import Turn
    from evengrad.pretrain._report import Report, Stage


class TiedDense(Layer):
    """The way back through a dense layer: its kernel transposed, and a bias of its own."""

    def __init__(self, encoder: Dense, activation: Any) -> None:
        super().__init__(dtype=encoder.dtype)
        self.encoder = encoder
        self.activation = activation

    def build(self, input_shape: Any) -> None:
        """Make the bias."""
        del input_shape
        self.bias = self.add_weight("bias", (self.encoder.kernel.shape[0],), "zeros")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the code's shape with the encoder's inputs in the last place."""
        return (*input_shape[:-1], self.encoder.kernel.shape[0])

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return activation(code · kernelᵀ + bias)."""
        rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        output = _core.dense(rows, self.encoder.kernel.T, self.bias)
        output = output if rows is x else output.reshape(*x.shape[:-1], output.shape[-1])
        return activated_alike(self, self.activation, output)


class Code(SameShape):
    """The code as it is, with a penalty on it."""

    def __init__(self, activity_regularizer: Any) -> None:
        super().__init__()
        self.activity_regularizer = activity_regularizer

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return x."""
        return x


@dataclasses.dataclass
class Autoencoding:
    """How the autoencoder of each layer is made and trained."""

    settings: Settings
    loss: Any
    tied: bool
    decoder_activation: Any
    noise: Noise | None
    activity_regularizer: Any

    def check(self, chain: list[Layer], spans: list[Span]) -> None:
        """Nothing: any dense layer can be an encoder, with what stands behind it."""

    def train(self, layers: list[Layer], rows: Any, held: Any, turn: Turn) -> Stage:
        """Train layers as the encoder of rows, and return the figures."""
        encoder: Any = layers[0]
        activation = anew(self.decoder_activation)
        decoder: Any = (
            TiedDense(encoder, activation)
            if self.tied
            else Dense(size_of(rows), activation, dtype=encoder.dtype)
        )
        parts = [*layers, decoder]
        if self.activity_regularizer is not None:
            parts.insert(-1, Code(self.activity_regularizer))
        if self.noise is not None:
            parts.insert(0, anew(self.noise))
        shape = Input(rows.shape[1:], encoder.dtype)
        model = Sequential([shape, *parts], dtype=encoder.dtype, seed=turn.seed)
        error = MeanSquaredError(name="reconstruction_error")
        self.settings.compile(model, anew(self.loss), [error])
        pair = None if held is None else (held, held)
        figure = "reconstruction"
        stage = self.settings.train(model, rows, rows, name=turn.path, figure=figure, held=pair)
        kernel = encoder.kernel.T if self.tied else decoder.kernel
        return dataclasses.replace(
            stage, leftovers={"kernel": values_of(kernel), "bias": values_of(decoder.bias)}
        )


def check_noise(noise: Any) -> Noise | None:
    """Return the noise in front of each encoder, or raise an error."""
    if noise is None or isinstance(noise, Noise):
        return noise
    raise TypeError(
        "noise: expected a layer such as layers.Dropout(0.3) or layers.GaussianNoise(0.2), or "
        f"None, got {noise!r}"
    )


@suggests_keywords
def stacked_autoencoder(
    model: Model,
    x: Any,
    *,
    layers: Any = None,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: Any = "adam",
    loss: Any = "mse",
    tied: bool = False,
    decoder_activation: Any = None,
    noise: Any = None,
    activity_regularizer: Any = None,
    validation_data: Any = None,
    validation_split: float = 0.0,
    callbacks: Any = None,
    verbose: Any = "auto",
    seed: int | None = None,
) -> Report:
    """Pre-train the hidden dense layers of a model without labels, one autoencoder at a time.

    Layer ℓ becomes the encoder h = f(x · W + b) of a net of two layers whose decoder
    x̂ = g(h · V + c) is to give back what came; x is what the trained layers below put out, and the
    decoder is thrown away. With `tied` V is Wᵀ. Afterwards train the whole model with `fit`.

    Whether it helps is a matter of the task: with many labels a good initializer does as well
    (Géron, "Hands-On Machine Learning", found 94.0 % with it and 94.9 % without, of 20 000 labels).

    A normalization, activation or dropout behind a dense layer is part of its encoder, and the
    normalization is trained along. Other layers in between, such as `Flatten`, are passed; layers
    with kernels that are not `Dense` compute what they compute now.

    Parameters
    ----------
    model
        A chain of layers, built or not. Only the dense layers and their normalizations change, each
        once its stage is finished: where an exception or Ctrl-C ends the call, the layers before
        it are pre-trained, and the others are as they were. Settings of `compile` stay, and the
        optimizer's state of what has changed is that of its beginning.
    x
        Rows, as for `Model.fit`, all of them in one array or the like. What a layer puts out for
        all of them is kept in memory while the next one is trained.
    layers
        Names of `Dense` layers, or the layers; by default all that train, but for the last layer
        with a kernel.
    epochs, batch_size, callbacks, verbose
        As for `Model.fit`, of each stage.
    optimizer
        A name or an optimizer, of which each stage gets its own.
    loss
        What compares x̂ and x; ``"binary_crossentropy"`` for inputs in [0, 1] with
        ``decoder_activation="sigmoid"``.
    tied
        Whether the decoder's kernel is the encoder's, transposed.
    decoder_activation
        g; none by default, as codes may be of any size.
    noise
        A layer that spoils the inputs, never the targets, such as ``layers.Dropout(0.3)`` or
        ``layers.GaussianNoise(0.2)``: a denoising autoencoder.
    activity_regularizer
        A penalty on the code, divided by the rows of a batch, as of a `Dense`: ``"l1"``, or
        `regularizers.KLSparsity`: a sparse autoencoder.
    validation_data
        Rows whose error is computed after each epoch; of a tuple, as `Model.fit` takes it, the
        first.
    validation_split
        Share of the rows, in [0, 1), that is held out instead; the same ones for all stages.
    seed
        What first values of decoders, noise and shuffling follow from; by default the model's.

    Returns
    -------
    Report
        A stage for each layer; its `leftovers` are the decoder's kernel and bias.

    Raises
    ------
    ValueError, TypeError
        A model that is no chain; no such layer, a frozen one, or one that is no `Dense`; data or
        arguments that do not fit. Nothing is changed.

    References
    ----------
    Bengio et al., "Greedy layer-wise training of deep networks", 2006; Vincent et al., "Stacked
    denoising autoencoders", 2010.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 3)) @ np.ones((3, 12))
    >>> hidden = [eg.layers.Dense(8, "elu"), eg.layers.Dense(4, "elu")]
    >>> model = eg.Sequential([*hidden, eg.layers.Dense(2, "softmax")], seed=1)
    >>> report = eg.pretrain.stacked_autoencoder(model, x, epochs=20, verbose=0)
    >>> [stage.name for stage in report.stages]
    ['dense', 'dense_1']
    >>> all(stage.losses[-1] < stage.losses[0] for stage in report.stages)
    True
    """
    work = Autoencoding(
        Settings(
            epochs, batch_size, optimizer, callbacks, verbose, validation_data, validation_split
        ),
        losses.get(loss),
        bool(tied),
        activations.get(decoder_activation),
        check_noise(noise),
        regularizers.get(activity_regularizer, "activity_regularizer"),
    )
    return greedy(model, x, layers, seed, work.settings, work.check).run(work.train)
