"""A diagnosis: what was found, the measures that it follows from, and how to apply a remedy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._diagnosis_table import as_html, as_text
from evengrad.health._examination import MEASURES
from evengrad.health._rules._measured import early, late, middle, series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evengrad.health._examination import Examination
    from evengrad.health._finding import Finding, Remedy, Treatment

# Gradients are what they were before the net learned; outputs, what they came to.
AT_FIRST = frozenset({"speed", "bias_gradient", "kernel_gradient"})
OF_STEPS = frozenset({"update_ratio"})


class Diagnosis:
    """What is wrong with a training, and the measures that say so; prints as a table.

    `Model.diagnose` makes it.

    Parameters
    ----------
    examination
        What was measured.
    findings
        What follows from it.
    treat
        Carries out the treatment of a remedy and returns the new model.

    Attributes
    ----------
    findings
        A tuple of `Finding`: root causes first, then what follows from them.
    layers
        By path, the measures of each layer by name. Gradients (``"speed"``, ``"bias_gradient"``,
        ``"kernel_gradient"``) are those at the beginning, ``"update_ratio"`` is the one in the
        middle of the steps, the others are those at the end. NaN where a layer has none.
    examination
        What was measured.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> diagnosis = model.diagnose(x, x[:, 0])
    >>> diagnosis.healthy, list(diagnosis.layers)
    (True, ['dense'])
    """

    def __init__(
        self,
        examination: Examination,
        findings: Iterable[Finding] = (),
        treat: Callable[[Treatment], Any] | None = None,
    ) -> None:
        self.examination = examination
        self.findings = tuple(findings)
        self.layers = _measures_of_layers(examination)
        self._treat = treat

    @property
    def healthy(self) -> bool:
        """Whether nothing was found, notes aside."""
        return all(finding.severity == "note" for finding in self.findings)

    def apply(self, remedy: Remedy | None = None) -> Any:
        """Return a compiled model with a remedy; the one that was diagnosed stays as it is.

        Parameters
        ----------
        remedy
            One of a finding of this diagnosis; by default the first that is automatic.

        Returns
        -------
        Model

        Raises
        ------
        ValueError
            There is no automatic remedy; only a person can do this one; the diagnosis was made
            without a model.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((3,)), eg.layers.Dense(1)], seed=1)
        >>> model.compile("adam", loss="mse")
        >>> x = 1000 * np.random.default_rng(0).normal(size=(64, 3))
        >>> diagnosis = model.diagnose(x, x[:, 0] / 1000)
        >>> diagnosis.apply().layers[0].name
        'normalization'
        """
        if remedy is None:
            remedies = [each for finding in self.findings for each in finding.remedies]
            remedy = next((each for each in remedies if each.automatic), None)
            if remedy is None:
                said = remedies[0].text if remedies else "the training is healthy"
                raise ValueError(f"remedy: there is none that can be applied automatically; {said}")
        if remedy.treatment is None:
            raise ValueError(f"remedy: only you can do that: {remedy.text}")
        if self._treat is None:
            raise ValueError(
                "remedy: expected a diagnosis with a model to apply it to, as model.diagnose(x, y) "
                "makes it"
            )
        return self._treat(remedy.treatment)

    def to_dict(self) -> dict[str, Any]:
        """Return findings, measures and facts as dicts and lists, which JSON can hold.

        What is no finite number is None. ``"because"`` is a place in the list of findings.

        Returns
        -------
        dict

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
        >>> model.compile("sgd", loss="mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 3))
        >>> model.diagnose(x, x[:, 0]).to_dict()["findings"]
        []
        """
        places = {id(finding): at for at, finding in enumerate(self.findings)}
        return {
            "findings": [_finding(finding, places) for finding in self.findings],
            "layers": _plain(self.layers),
            "facts": [_plain(vars(layer)) for layer in self.examination.layers],
            "training": _plain(vars(self.examination.training)),
            "data": None if self.examination.data is None else _plain(vars(self.examination.data)),
            "steps": _plain(self.examination.steps),
            "loss": _plain(self.examination.loss),
            "gradient_norm": _plain(self.examination.gradient_norm),
            "curves": _plain(self.examination.curves),
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw gradients and updates by layer, and the loss by step, with matplotlib.

        Parameters
        ----------
        ax
            Three axes to draw on; new ones by default.

        Returns
        -------
        list of Axes

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            Another number of axes.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
        >>> model.compile("sgd", loss="mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 3))
        >>> axes = model.diagnose(x, x[:, 0]).plot()
        >>> axes[0].get_ylabel()
        'gradient speed'
        """
        from evengrad.health._diagnosis_plot import draw

        return draw(self, ax)

    def __str__(self) -> str:
        return as_text(self.examination, self.layers, self.findings)

    def __repr__(self) -> str:
        said = "; ".join(str(finding).partition(":")[0] for finding in self.findings[:3])
        return f"<Diagnosis of {len(self.layers)} layers: {said or 'healthy'}>"

    def _repr_html_(self) -> str:
        return as_html(self.examination, self.layers, self.findings)


def _measures_of_layers(examination: Examination) -> dict[str, dict[str, float]]:
    values = {}
    for name in MEASURES:
        if name in AT_FIRST:
            values[name] = early(examination, name)
        elif name in OF_STEPS:
            values[name] = middle(series(examination, name))
        else:
            values[name] = late(examination, name)
    return {
        layer.path: {name: float(known[at]) for name, known in values.items()}
        for at, layer in enumerate(examination.layers)
    }


def _finding(finding: Finding, places: dict[int, int]) -> dict[str, Any]:
    row: dict[str, Any] = _plain(
        {
            name: value
            for name, value in vars(finding).items()
            if name not in ("because", "remedies")
        }
    )
    row["because"] = None if finding.because is None else places.get(id(finding.because))
    row["remedies"] = [
        {"text": remedy.text, "code": remedy.code, "automatic": remedy.automatic}
        for remedy in finding.remedies
    ]
    return row


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
