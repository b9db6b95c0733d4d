"""Models in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import os

    from evengrad.models._model import Model


class KeepsFiles:
    """What `Model` inherits to be written to files, and to take its variables from them."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model to one file: architecture, variables, and how training stands.

        The file is a safetensors file with a description in its header. It is written beside its
        place and moved there when it is complete: a crash leaves the old file or the new one.
        Models inside the model come back as such, and a layer that several places share is shared
        again.

        Parameters
        ----------
        path
            The file; by custom it ends in ``.safetensors``.

        Raises
        ------
        ValueError
            The model has not been built, a part of it cannot be described, or two variables have
            the same path.
        OSError
            The file cannot be written; an older one is untouched.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(2)])
        >>> model.save("net.safetensors")
        >>> same = eg.load_model("net.safetensors")
        >>> bool((same.predict(np.ones((1, 4))) == model.predict(np.ones((1, 4)))).all())
        True
        """
        from evengrad._saving._model_file import save_model

        save_model(cast("Model", self), path)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write all variables to a safetensors file, by their paths.

        Raises
        ------
        ValueError
            The model has not been built.
        OSError
            The file cannot be written; an older one is untouched.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(2)])
        >>> model.save_weights("weights.safetensors")
        >>> model.load_weights("weights.safetensors")
        """
        from evengrad._saving._model_file import save_weights

        save_weights(cast("Model", self), path)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take all variables from a file of `save_weights` or `save`.

        Raises
        ------
        FileFormatError
            The file is damaged.
        ValueError
            A variable is missing, unknown, or of another shape; nothing is changed.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)], seed=1)
        >>> model.save_weights("net.safetensors")
        >>> other = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)], seed=2)
        >>> other.load_weights("net.safetensors")
        >>> np.array_equal(other.get_weights()[0], model.get_weights()[0])
        True
        """
        from evengrad._saving._model_file import load_weights

        load_weights(cast("Model", self), path)
