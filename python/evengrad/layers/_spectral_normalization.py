"""Kernels whose largest singular value is 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core, initializers
from evengrad._common.checks import check_int
from evengrad._common.names import shown_object
from evengrad._tensor.grad_mode import no_grad
from evengrad.layers._layer import Layer, build_for
from evengrad.layers._module import state_of
from evengrad.layers._shared import Shared, takes_shared
from evengrad.layers._unit_normalization import unit

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor

# What layers call the variable that is divided.
KERNELS = ("kernel", "embeddings")


class SpectralNormalization(Layer):
    """Run a layer with its kernel divided by its largest singular value: W / σ(W).

    The map from input to output then stretches no distance by more than 1, up to the activation.
    σ = v W uᵀ is found by power iteration, from a vector u that is kept from step to step:
    v = u Wᵀ / ‖u Wᵀ‖, u = v W / ‖v W‖. Gradients pass through W in both places, not through u and
    v.

    Parameters
    ----------
    layer
        The layer, which has a `kernel` or `embeddings`, such as `Dense`.
    power_iterations
        How many iterations each step of training makes, 1 or more. In inference u stays as it is.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    TypeError
        No layer.
    ValueError
        From a call: the layer has no kernel.

    Notes
    -----
    Input and output (rows, ...), those of the layer. The variable `vector_u`, (1, units), is not
    trainable, and saved. The kernel itself is what the optimizer trains, and stays undivided, as in
    PyTorch; Keras writes W / σ into it in each step, and calls the same function.

    References
    ----------
    Miyato, Kataoka, Koyama and Yoshida, "Spectral normalization for generative adversarial
    networks", 2018.

    Examples
    --------
    >>> dense = eg.layers.Dense(2, kernel_initializer=eg.initializers.Identity(3.0))
    >>> layer = eg.layers.SpectralNormalization(dense)
    >>> layer([[1.0, 2.0]], training=True).numpy().round(4).tolist()
    [[1.0, 2.0]]
    """

    vector_u: Tensor

    @takes_shared
    def __init__(self, layer: Layer, power_iterations: int = 1, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: expected a layer, got {shown_object(layer)}")
        self.layer = layer
        self.power_iterations = check_int(power_iterations, "power_iterations", at_least=1)

    def build(self, input_shape: Any) -> None:
        """Build the layer, and make the vector."""
        build_for(self.layer, input_shape)
        found = [name for name in KERNELS if getattr(self.layer, name, None) is not None]
        if not found:
            raise self._story(
                f"a layer with {' or '.join(KERNELS)}",
                type(self.layer).__name__,
                "wrap the layers that multiply by one, such as Dense",
            )
        first = initializers.TruncatedNormal(stddev=0.02)
        size = self._kernel()[1].shape[-1]
        self.vector_u = self.add_weight("vector_u", (1, size), first, trainable=False)

    def _kernel(self) -> tuple[str, Tensor]:
        """Return the name and the variable of the kernel."""
        weights = {weight.name: weight.tensor for weight in state_of(self.layer).weights}
        name = next(name for name in KERNELS if name in weights)
        return name, weights[name]

    def call(self, x: Tensor, training: bool = False) -> Any:
        """Return what the layer makes of x with the divided kernel."""
        name, kernel = self._kernel()
        matrix = kernel.reshape(-1, kernel.shape[-1])
        with no_grad():
            u = self.vector_u.detach()
            v = unit(u @ matrix.T, [1])
            for iteration in range(self.power_iterations if training else 0):
                v = unit(u @ matrix.T, [1]) if iteration else v
                u = unit(v @ matrix, [1])
            if training:
                self.vector_u.copy_(u)
        largest = ((v @ matrix) * u).sum()
        # Of a kernel of zeros nothing is to be divided.
        divided = kernel / _core.where(largest == 0.0, 1.0, largest)
        # One thread at a time, for the layer finds the kernel among its attributes.
        with _core.Access([self._state], writes=True):
            vars(self.layer)[name] = divided
            try:
                return self.layer(x)
            finally:
                vars(self.layer)[name] = kernel

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the layer's output shape."""
        return self.layer.compute_output_shape(input_shape)
