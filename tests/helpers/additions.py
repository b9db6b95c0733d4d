"""One new thing of each kind, as edits of the sources: what CONTRIBUTING.md counts.

    python tests/helpers/additions.py DIRECTORY

makes all of these edits in a copy of the sources. Whether what they add is found, tested and typed
is for `tests/package/test_additions.py` and `tools/try_additions.sh` to say.
"""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """A new file; or with `after`, text that comes after the first place where that stands."""

    path: str
    text: str
    after: str | None = None

    def make(self, root):
        """Make the edit in the sources below a directory."""
        path = Path(root, self.path)
        if self.after is None:
            assert not path.exists()
            path.write_text(self.text, encoding="utf-8")
            return
        before, found, rest = path.read_text(encoding="utf-8").partition(self.after)
        assert found, f"{self.path} has no {self.after!r}"
        path.write_text(before + found + self.text, encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            file.write(rest)


ELEMENTWISE = [
    Edit(
        "rust/core/src/ops/elementwise.rs",
        """
    /// Apply a softer softsign.
    ///
    /// Elementwise: x / (width + |x|).
    Activation added_sign(
        x,
        /// How far it is bent.
        width: Positive = 2.0
    ) = {
        let x = bounded(x);
        x / (width + x.abs())
    }, from Input(x) => {
        let d = width + x.abs();
        width / (d * d)
    }, example [-1.0, 2.0], 3.0 => [-0.25, 0.4], kinks [0.0];""",
        after="elementwise! { $",
    ),
    Edit(
        "tests/helpers/activation_statements.py",
        """
    "added_sign": Statement(
        lambda x: eg.functional.added_sign(x, 1.5),
        lambda x: x / (3 * ONE / 2 + abs(x)),
        (-1, 1, 0, 0),
        4,
        (-1.0, -1 / 3),
        {0.0: 2 / 3},
        keeps_sign_of_zero=True,
    ),""",
        after="ACTIVATIONS = {",
    ),
]

STRUCTURED = [
    Edit(
        "rust/core/src/ops/added_energy.rs",
        """//! Half the square, of which the derivative is the argument: ½x².

use crate::error::Result;
use crate::tensor::Tensor;

impl Tensor {
    /// ½x², element by element.
    pub fn added_energy(&self) -> Result<Self> {
        self.square()?.mul(&Self::full(&[], 0.5, self.dtype())?)
    }
}
""",
    ),
    Edit("rust/core/src/ops/mod.rs", "pub mod added_energy;\n", after="\n\n"),
    Edit(
        "rust/core/tests/gradients.rs",
        """fn added_energy() {
    each_layout("added_energy", SMOOTH, true, |_| true, Tensor::added_energy);
}

#[test]
""",
        after="#[test]\n",
    ),
    Edit(
        "rust/python/src/functions.rs",
        """
/// Half the square, ½x².
///
/// Parameters
/// ----------
/// x : Tensor or array
///     Any shape.
///
/// Examples
/// --------
/// >>> eg.functional.added_energy([2.0, 4.0]).tolist()
/// [2.0, 8.0]
#[pyfunction]
pub(crate) fn added_energy(x: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let tensor = other_tensor("x", x, None)?;
    run_tensor(x.py(), || tensor.added_energy())
}
""",
        after="    of_two(x, y, CoreTensor::minimum)\n}\n",
    ),
    Edit(
        "rust/python/src/lib.rs",
        "added_energy, ",
        after="use crate::functions::{\n        accumulate, ",
    ),
    Edit(
        "python/evengrad/_core.pyi",
        "def added_energy(x: _TensorLike) -> Tensor: ...\n",
        after="def argmax_equals(x: _TensorLike, labels: _TensorLike) -> Tensor: ...\n",
    ),
    Edit("python/evengrad/functional.py", '    "added_energy",\n', after="__all__ = [\n"),
    Edit(
        "python/evengrad/functional.py",
        "from evengrad._core import added_energy\n",
        after="from evengrad._common.names import choose\n",
    ),
]

UPDATE_RULE = [
    Edit(
        "rust/core/src/optim/added.rs",
        """//! Steps of one size (Riedmiller and Braun 1993): θ ← θ − η·sign(g).

use super::rule::{NOT_NEGATIVE, NamedRule, Setting};
use super::{Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "added",
    settings: &[Setting::number("learning_rate", NOT_NEGATIVE, 0.002)],
    make: |given| Ok(Box::new(Added { learning_rate: given.number("learning_rate")? })),
};

/// Steps by the sign of the gradient.
#[derive(Debug, Clone, Copy)]
pub struct Added {
    /// η at the start.
    pub learning_rate: f64,
}

#[derive(Clone, Copy)]
struct AddedRule;

impl Rule<0> for AddedRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, _: &mut [V; 0]) -> V {
        let zero = g.eq(V::constant(0.0));
        V::select(zero, w, V::constant(1.0).copysign(g).neg_mul_add(s[0], w))
    }
}

impl UpdateRule for Added {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &[]
    }
    fn settings(&self) -> Settings {
        vec![("learning_rate", self.learning_rate)]
    }
    fn scalars(&self, _step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let mut s = [0.0; SCALARS];
        s[0] = settings[0];
        s
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), AddedRule, of)
    }
}
""",
    ),
    Edit("rust/core/src/optim/mod.rs", "mod added;\n", after="mod adamax;\n"),
    Edit(
        "rust/core/src/optim/mod.rs", "pub use added::Added;\n", after="pub use adamax::Adamax;\n"
    ),
    Edit("rust/core/src/optim/mod.rs", "    added::RULE,\n", after="&[NamedRule] = &[\n"),
    Edit(
        "python/evengrad/optimizers/_added.py",
        '''"""Steps by the sign of the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.optimizers._optimizer import Rule
from evengrad.optimizers._rules import takes_settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad.optimizers._shared import Shared


class Added(Rule):
    """Steps of one size: θ ← θ − η · sign(g).

    Parameters
    ----------
    learning_rate
        η, or a function of the number of steps made so far.
    weight_decay
        λ, or a function of the number of steps made so far; None for no decay.
    clipnorm, clipvalue, global_clipnorm
        At most one: bounds the norm of each gradient, each of its elements, the norm of all
        gradients together.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``.
    groups, use_ema, ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps
        As `Optimizer` says.

    Raises
    ------
    ValueError
        A value out of range; two ways of clipping.

    References
    ----------
    Riedmiller & Braun, "A direct adaptive method for faster backpropagation learning", 1993.

    Examples
    --------
    >>> w = eg.tensor([1.0], requires_grad=True)
    >>> eg.optimizers.Added(0.25).apply_gradients([(eg.tensor([3.0]), w)])
    >>> w.tolist()
    [0.75]
    """

    rule = "added"

    @takes_settings_of("added")
    def __init__(
        self,
        learning_rate: float | Callable[[int], float] | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(shared, learning_rate=learning_rate)
''',
    ),
    Edit(
        "python/evengrad/optimizers/__init__.py",
        "from evengrad.optimizers._added import Added as Added\n",
        after="from evengrad.optimizers._adamax import Adamax as Adamax\n",
    ),
    Edit(
        "tests/helpers/optimizer_statements.py",
        """
def added(_, rate=0.01):
    return lambda g, t: rate * np.sign(g)  # noqa: ARG005 - the signature of a rule

""",
        after="one step a function: (state, gradient, step, parameter) -> step\n\n",
    ),
    Edit(
        "tests/helpers/optimizer_statements.py", '    ("Added", added, {}),\n', after="RULES = [\n"
    ),
]


def of_python(family, name, source, after):
    """Return a new file with a class, and its export beside another's."""
    return [
        Edit(f"python/evengrad/{family}/_added.py", source),
        Edit(
            f"python/evengrad/{family}/__init__.py",
            f"from evengrad.{family}._added import {name} as {name}\n",
            after=after,
        ),
    ]


LAYER = of_python(
    "layers",
    "Added",
    '''"""Doubling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.layers._layer import Layer

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Added(Layer):
    """Double the input, of any shape: 2x.

    Examples
    --------
    >>> eg.layers.Added()([[1.0, 2.0]]).tolist()
    [[2.0, 4.0]]
    """

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return 2x."""
        return x + x
''',
    "from evengrad.layers._activation import Softmax as Softmax\n",
)
INITIALIZER = of_python(
    "initializers",
    "Added",
    '''"""Twos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad.initializers._initializer import Initializer

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Added(Initializer):
    """All two.

    Examples
    --------
    >>> eg.initializers.Added()((2,)).tolist()
    [2.0, 2.0]
    """

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Return twos."""
        del generator
        return _core.full(shape, 2.0, dtype=dtype)
''',
    "from evengrad._common.names import public_names as _public_names\n",
)
LOSS = of_python(
    "losses",
    "Added",
    '''"""The cubed difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.losses._functions import function_of
from evengrad.losses._loss import Loss

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Added(Loss):
    """The cube of the difference: \\|y − p\\|³, mean over all outputs and rows.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        An unknown reduction. From a call or `fit`: targets that are not finite, shapes that differ.

    Examples
    --------
    >>> eg.losses.Added()([[1.0], [2.0]], [[1.0], [4.0]]).item()
    4.0
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the cube of the difference."""
        return (y_pred - y_true.astype(y_pred.dtype)).abs() ** 3


added = function_of(Added, "[[1.0], [2.0]], [[1.0], [4.0]]", "[0.0, 8.0]")
'''.replace("\\|", "|"),
    "from evengrad._common.names import public_names as _public_names\n",
)
LOSS.append(
    Edit(
        "python/evengrad/losses/__init__.py",
        "from evengrad.losses._added import added as added\n",
        after="from evengrad.losses._added import Added as Added\n",
    )
)
METRIC = of_python(
    "metrics",
    "Added",
    '''"""The mean difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.metrics._metric import MeanMetric, same_shape

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Added(MeanMetric):
    """The mean of p − y over all outputs and rows.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ.

    Examples
    --------
    >>> eg.metrics.Added()([[1.0], [2.0]], [[1.0], [4.0]])
    1.0
    """

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return p − y."""
        return y_pred - same_shape(y_true, y_pred, self.name)
''',
    "from evengrad.metrics._accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy\n",
)
CALLBACK = of_python(
    "callbacks",
    "Added",
    '''"""Counting epochs."""

from __future__ import annotations

from evengrad.callbacks._callback import Callback, Logs


class Added(Callback):
    """Count the epochs.

    Attributes
    ----------
    count
        How many have ended.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    >>> model.compile("sgd", loss="mse")
    >>> counter = eg.callbacks.Added()
    >>> _ = model.fit(np.ones((8, 2)), np.ones(8), epochs=3, verbose=0, callbacks=[counter])
    >>> counter.count
    3
    """

    def __init__(self) -> None:
        self.count = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Count one more."""
        del epoch, logs
        self.count += 1
''',
    '"""Callbacks: code that takes part in `fit`, `evaluate` and `predict`."""\n\n',
)
# By the words of CONTRIBUTING.md.
ADDITIONS = {
    "an elementwise function": ELEMENTWISE,
    "a structured operation": STRUCTURED,
    "an optimizer": UPDATE_RULE,
    "a layer": LAYER,
    "an initializer": INITIALIZER,
    "a loss": LOSS,
    "a metric": METRIC,
    "a callback": CALLBACK,
}
# Those that need nothing built.
IN_PYTHON = ("a layer", "an initializer", "a loss", "a metric", "a callback")


def files_of(addition):
    """Return the files that an addition is written into by hand."""
    return sorted({edit.path for edit in ADDITIONS[addition]})


def make(root, additions=tuple(ADDITIONS)):
    """Make these additions to a copy of the sources."""
    for addition in additions:
        for edit in ADDITIONS[addition]:
            edit.make(root)


if __name__ == "__main__":
    make(sys.argv[1])
