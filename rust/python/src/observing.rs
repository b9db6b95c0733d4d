//! What is measured of tensors while they train, as functions of the module. All of it writes into memory that is given,
//! and has no gradient.

use evengrad_core::Tensor as CoreTensor;
use evengrad_core::ops::observe::{self, Observed};
use pyo3::prelude::*;

use crate::Any;
use crate::functions::{list, references};
use crate::native_call::run;
use crate::tensor::Tensor;

type Given<'a, 'py> = &'a Bound<'py, Tensor>;

/// A tensor to look at: its bounds, and memory that counts which of its units lived.
type Row<'py> = (Bound<'py, Tensor>, f64, f64, Option<Bound<'py, Tensor>>);

/// Write what tensors look like, nine numbers of each.
///
/// - mean, std = √Σ(x - mean)²/n and root mean square = √Σx²/n of the n finite elements,
/// - shares: not finite, outside (x ≤ low or x ≥ high), columns that are outside in every row,
/// - row spread = √(mean over columns of the variance over rows), over the root mean square,
/// - unit spread = std over columns of their means, over the root mean square,
/// - rows.
///
/// Spreads of nothing but zeros are 0; what nothing finite is there for is NaN. One call for all
/// layers of a net costs a step less than one call for each.
///
/// Parameters
/// ----------
/// into : Tensor
///     Gets nine numbers for each tensor: ``float64`` without gaps.
/// tensors : list of (Tensor, float, float, Tensor or None)
///     What to look at, (..., units); ``low`` and ``high``, of which an infinite one bounds nothing; and
///     (units,), ``float64``, which gets 1 more for each column that is not outside in every row.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit, bounds are in the wrong order, or two count in the same memory.
/// TypeError
///     If a tensor is of another type.
///
/// Examples
/// --------
/// >>> into, lived = eg.zeros(9, dtype="float64"), eg.zeros(2, dtype="float64")
/// >>> x = eg.tensor([[0.0, 1.0], [0.0, 3.0]])
/// >>> eg._core.observe_all(into, [(x, 0.0, float("inf"), lived)])
/// >>> into[:6].numpy().round(2).tolist(), lived.tolist()
/// ([1.0, 1.22, 1.58, 0.0, 0.5, 0.5], [0.0, 1.0])
#[pyfunction]
pub(crate) fn observe_all(into: Given<'_, '_>, tensors: Vec<Row<'_>>) -> PyResult<()> {
    let tensor = |given: Given<'_, '_>| given.get().0.clone();
    let given: Vec<(CoreTensor, f64, f64, Option<CoreTensor>)> = tensors
        .iter()
        .map(|(x, low, high, lived)| (tensor(x), *low, *high, lived.as_ref().map(tensor)))
        .collect();
    let (py, into) = (into.py(), tensor(into));
    run(py, || {
        let observed = given.iter().map(|(x, low, high, lived)| {
            let (low, high) = (*low, *high);
            Observed { x, low, high, lived: lived.as_ref() }
        });
        observe::observe_all(&into, &observed.collect::<Vec<_>>())
    })
}

/// Write the Frobenius norms √Σx² of tensors; squares neither overflow nor vanish.
///
/// Parameters
/// ----------
/// into : Tensor
///     Gets a number for each tensor: ``float64`` without gaps.
/// tensors : list of Tensor
///     What to look at, of any shape.
///
/// Raises
/// ------
/// ValueError
///     If their number does not fit.
/// TypeError
///     If a tensor is of another type.
///
/// Examples
/// --------
/// >>> into = eg.zeros(2, dtype="float64")
/// >>> eg._core.observe_norms(into, [eg.tensor([3.0, 4.0]), eg.tensor([[3e-30], [4e-30]])])
/// >>> [f"{norm:.3g}" for norm in into.tolist()]
/// ['5', '5e-30']
#[pyfunction]
pub(crate) fn observe_norms(into: Given<'_, '_>, tensors: &Any<'_>) -> PyResult<()> {
    let tensors = list("tensors", tensors)?;
    let (py, into) = (into.py(), into.get().0.clone());
    run(py, || observe::observe_norms(&into, &references(&tensors)))
}
