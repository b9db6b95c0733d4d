"""Reading estimators from files: what reads them is imported by whoever does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from evengrad.sklearn._file import Saved


def load(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> Saved:
    """Read a fitted estimator from a file of its method `save`.

    Files hold names, numbers and text, never code; their checksums are compared.

    Parameters
    ----------
    path
        The file.
    custom_objects
        Your own estimators, layers and functions by name, as for `evengrad.load_model`.

    Returns
    -------
    estimator
        As it was saved: it predicts the same, and `partial_fit` goes on as if it had not been
        saved.

    Raises
    ------
    FileFormatError
        The file is damaged, of a newer version, or holds no estimator.
    ValueError
        The file names a class or function that neither this package nor `custom_objects` has.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> from evengrad.sklearn import DenseRegressor, load
    >>> x = np.linspace(0, 1, 20)[:, None]
    >>> net = DenseRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0)
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     net = net.fit(x, x.ravel())
    >>> net.save("net.safetensors")
    >>> bool((load("net.safetensors").predict(x) == net.predict(x)).all())
    True
    """
    from evengrad.sklearn._file_reading import read

    return read(path, custom_objects)
