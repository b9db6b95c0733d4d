"""Ensembles: several trained models that answer together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.names import shown_object
from evengrad.models._fit_many import fit_many
from evengrad.models._loading import model_of
from evengrad.models._model import Model
from evengrad.models._plain_state import DESCRIPTION
from evengrad.saving import _safetensors
from evengrad.saving._errors import FileFormatError
from evengrad.saving._paths import file_path, path_to_write

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from evengrad.callbacks import History

    Array = np.ndarray[Any, Any]

# The name under which the header has the descriptions of all models, and its version.
KEY = "evengrad_ensemble"
VERSION = 1


class Ensemble:
    """Several models that answer together: the mean of what they put out, and how far they differ.

    Nets of the same kind that begin with other first values, and see their rows in another order,
    err in different places: their mean errs less, and where they disagree, none of them knows (deep
    ensembles). Over M models with outputs fₘ(x):

        mean(x) = Σₘ fₘ(x) / M    deviation(x) = √( Σₘ (fₘ(x) − mean(x))² / M )

    For classes let models end in probabilities: the mean of logits is another one.

    Parameters
    ----------
    models
        Models with outputs of the same shapes; two or more, to have a deviation.

    Attributes
    ----------
    models
        The models, as a list.

    Raises
    ------
    TypeError
        Something else than models.
    ValueError
        No models.

    References
    ----------
    Lakshminarayanan et al., *Simple and scalable predictive uncertainty estimation using deep
    ensembles*, 2017.

    Examples
    --------
    >>> def net(seed):
    ...     layers = [eg.Input((1,)), eg.layers.Dense(16, "tanh"), eg.layers.Dense(1)]
    ...     model = eg.Sequential(layers, seed=seed)
    ...     model.compile(eg.optimizers.Adam(0.05), "mse")
    ...     return model
    >>> x = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> ensemble = eg.Ensemble([net(seed) for seed in range(5)])
    >>> histories = ensemble.fit(x, np.sin(3 * x), epochs=100, verbose=0)
    >>> mean, deviation = ensemble.predict([[0.0], [3.0]], return_std=True)
    >>> bool(deviation[1] > 5 * deviation[0])  # far from all data
    True
    """

    def __init__(self, models: Iterable[Model]) -> None:
        self.models = list(models)
        if not self.models:
            raise ValueError("models: expected one model or more, got none")
        for place, model in enumerate(self.models):
            if not isinstance(model, Model):
                raise TypeError(f"models[{place}]: expected a Model, got {shown_object(model)}")

    def fit(self, x: Any, y: Any, **settings: Any) -> list[History]:
        """Train all models at once.

        Parameters
        ----------
        x, y
            Rows and targets, for all models or one each.
        **settings
            The other arguments of `evengrad.fit_many`.

        Returns
        -------
        list of History
            For each model the figures of every epoch.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As from `evengrad.fit_many`.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1)])
        >>> model.compile("sgd", loss="mse")
        >>> ensemble = eg.Ensemble([model])
        >>> len(ensemble.fit(np.zeros((4, 2)), np.zeros(4), epochs=2, verbose=0)[0].epoch)
        2
        """
        return fit_many(self.models, x, y, **settings)

    def predict(self, x: Any, return_std: bool = False, batch_size: int | None = None) -> Any:
        """Return the mean of the models' outputs, and how far they differ if that is asked for.

        Parameters
        ----------
        x
            Rows, as for `Model.predict`.
        return_std
            Whether the standard deviation over the models is returned too, divided by M.
        batch_size
            As for `Model.predict`.

        Returns
        -------
        array, or two
            The mean, and with `return_std` the deviation; of models with several outputs lists or
            dicts of them, as `Model.predict` returns.

        Raises
        ------
        ValueError
            The rows do not fit, or outputs of models have different shapes.

        Examples
        --------
        >>> models = [eg.Sequential([eg.Input((2,)), eg.layers.Dense(1)], seed=s) for s in (1, 2)]
        >>> mean, deviation = eg.Ensemble(models).predict(np.ones((3, 2)), return_std=True)
        >>> mean.shape, deviation.shape
        ((3, 1), (3, 1))
        """
        found: Any = None
        for place, model in enumerate(self.models):
            outputs = model.predict(x, batch_size=batch_size, verbose=0)
            if found is None:
                found = each_of(Moments, outputs)
            else:
                pairs = list(zip(flat(found), flat(outputs), strict=True))
                for moments, output in pairs:
                    moments.add(output, place)
        mean = each_of(Moments.mean_of, found)
        return (mean, each_of(Moments.deviation_of, found)) if return_std else mean

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all models to one file, with how they are trained.

        Parameters
        ----------
        path
            The file; by custom it ends in ``.safetensors``.

        Raises
        ------
        ValueError
            A model is not built, or has what a file cannot describe.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> models = [eg.Sequential([eg.Input((2,)), eg.layers.Dense(1)]) for _ in range(3)]
        >>> eg.Ensemble(models).save("nets.safetensors")
        >>> eg.Ensemble.load("nets.safetensors")
        <Ensemble of 3 models>
        """
        file = path_to_write(path, "ensemble.save")
        states = [model.__getstate__() for model in self.models]
        tensors = {
            f"{place}/{name}": array
            for place, state in enumerate(states)
            for name, array in state["tensors"].items()
        }
        described = {"version": VERSION, "models": [state[DESCRIPTION] for state in states]}
        _safetensors.write(file, tensors, {KEY: json.dumps(described)})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        custom_objects: Mapping[str, Any] | None = None,
        compile: bool = True,
    ) -> Ensemble:
        """Read an ensemble from a file of `save`.

        Parameters
        ----------
        path, custom_objects, compile
            As for `evengrad.load_model`.

        Returns
        -------
        Ensemble
            The models as they were saved.

        Raises
        ------
        FileFormatError
            The file is damaged, of a newer version, or no ensemble.
        ValueError
            The file names a class or function that neither this package nor `custom_objects` has.
        OSError
            The file cannot be read.

        Examples
        --------
        See `save`.
        """
        shown = file_path(path)
        tensors, metadata = _safetensors.read(path)
        texts = descriptions_in(shown, metadata)
        models = []
        for place, text in enumerate(texts):
            start = f"{place}/"
            own = {
                name.removeprefix(start): array
                for name, array in tensors.items()
                if name.startswith(start)
            }
            where = f"{shown}: model {place}"
            models.append(model_of(where, own, text, custom_objects or {}, compile=compile))
        return cls(models)

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self.models)} models>"


class Moments:
    """Mean and spread of arrays that come one after the other, by Welford's recurrence."""

    def __init__(self, first: Array) -> None:
        self.count, self.dtype = 1, first.dtype
        self.mean = first.astype(np.float64)
        self.spread = np.zeros_like(self.mean)

    def add(self, array: Array, place: int) -> None:
        """Take in another array, the output of the model of that place."""
        if array.shape != self.mean.shape:
            raise ValueError(
                f"models[{place}]: expected outputs of shape {self.mean.shape} as of models[0], "
                f"got {array.shape}"
            )
        self.count += 1
        away = array - self.mean
        self.mean += away / self.count
        self.spread += away * (array - self.mean)

    def mean_of(self) -> Array:
        """Return the mean, as the arrays came."""
        return self.mean.astype(self.dtype)

    def deviation_of(self) -> Array:
        """Return the standard deviation, as the arrays came."""
        deviation: Array = np.sqrt(self.spread / self.count).astype(self.dtype)
        return deviation


def each_of(function: Any, outputs: Any) -> Any:
    """Return outputs, one, a list or a dict, with a function of each in its place."""
    if isinstance(outputs, dict):
        return {name: function(one) for name, one in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        return [function(one) for one in outputs]
    return function(outputs)


def flat(outputs: Any) -> list[Any]:
    """Return outputs as a list."""
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def descriptions_in(shown: str, metadata: Mapping[str, str]) -> list[str]:
    """Return the descriptions of the models of a file, or raise a FileFormatError."""
    if KEY not in metadata:
        raise FileFormatError(
            f"{shown}: holds no ensemble; a single model is read by evengrad.load_model"
        )
    try:
        described = json.loads(metadata[KEY])
        version, texts = described["version"], described["models"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{shown}: the description is damaged: {error}") from error
    if isinstance(version, int) and version > VERSION:
        raise FileFormatError(
            f"{shown}: of version {version}, and this evengrad reads up to {VERSION}; update it"
        )
    if not texts or not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise FileFormatError(f"{shown}: the description is damaged: no list of models")
    return texts
