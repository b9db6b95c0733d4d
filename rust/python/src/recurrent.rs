//! Recurrences as a function of the module.

use evengrad_core::Tensor as CoreTensor;
use evengrad_core::ops::dense_steps::dense_steps as core_dense_steps;
use evengrad_core::ops::recurrent::{Cell, Recurrence, recurrent as core_recurrent};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::Any;
use crate::functions::{list, references};
use crate::native_call::run_tensor;
use crate::operand::other_tensor;
use crate::tensor::Tensor;

/// All steps of a recurrent layer, from inputs that have been multiplied with their kernel.
///
/// Parameters
/// ----------
/// cell : str
///     ``"simple"`` (tanh), ``"lstm"`` (gates i, f, g, o) or ``"gru"`` (gates z, r, g; reset after the product).
/// projected : Tensor
///     (rows, steps, gates * units).
/// kernel : Tensor
///     The recurrent kernel, (units, gates * units).
/// states : sequence of Tensor
///     The states before the first step, (rows, units) each: h, and c of an LSTM.
/// bias : Tensor, optional
///     (gates * units,): what a GRU adds to the recurrent product.
/// mask : Tensor, optional
///     (rows, units): what h is multiplied with before every recurrent product.
/// counts : Tensor, optional
///     (rows, steps), booleans: the steps that count. Over others the states stay as they are; all count if None.
///
/// Returns
/// -------
/// Tensor
///     The states after every step, (rows, steps, states * units).
///
/// Raises
/// ------
/// ValueError
///     If a shape does not fit, or the cell is unknown.
/// TypeError
///     If the dtypes differ.
///
/// Examples
/// --------
/// >>> x = eg.tensor([[[1.0], [0.0]]])
/// >>> states = eg._core.recurrent("simple", x, eg.tensor([[1.0]]), [eg.zeros((1, 1))])
/// >>> states.numpy().round(4).ravel().tolist() == np.tanh([1, np.tanh(1)]).astype("f4").round(4).tolist()
/// True
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "Python passes them by name")]
#[pyo3(signature = (cell, projected, kernel, states, bias=None, mask=None, counts=None))]
pub(crate) fn recurrent(
    py: Python<'_>,
    cell: &str,
    projected: &Any<'_>,
    kernel: &Bound<'_, Tensor>,
    states: &Any<'_>,
    bias: Option<&Bound<'_, Tensor>>,
    mask: Option<&Bound<'_, Tensor>>,
    counts: Option<&Bound<'_, Tensor>>,
) -> PyResult<Tensor> {
    let cell = match cell {
        "simple" => Cell::Simple,
        "lstm" => Cell::Lstm,
        "gru" => Cell::Gru,
        other => {
            return Err(PyValueError::new_err(format!(
                "cell: expected \"simple\", \"lstm\" or \"gru\", got \"{other}\""
            )));
        }
    };
    let projected = other_tensor("projected", projected, None)?;
    let states: Vec<CoreTensor> = list("states", states)?;
    let [bias, mask, counts] = [bias, mask, counts].map(|given| given.map(|t| &t.get().0));
    let kernel = &kernel.get().0;
    run_tensor(py, || {
        let first = references(&states);
        core_recurrent(&projected, Recurrence { cell, kernel, bias, first: &first, mask, counts })
    })
}

/// Weighted sums at the steps that count: x·kernel + bias; 0 before the first and behind the last one of a row.
///
/// Parameters
/// ----------
/// x : Tensor
///     (rows, steps, inputs).
/// kernel : Tensor
///     (inputs, units).
/// counts : Tensor
///     (rows, steps), booleans: the steps that count.
/// bias : Tensor, optional
///     (units,).
///
/// Returns
/// -------
/// Tensor
///     (rows, steps, units). The gradient that comes back must be 0 at steps that do not count.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit.
///
/// Examples
/// --------
/// >>> x, counts = eg.tensor([[[1.0], [2.0]]]), eg.tensor([[True, False]])
/// >>> eg._core.dense_steps(x, eg.tensor([[3.0]]), counts).tolist()
/// [[[3.0], [0.0]]]
#[pyfunction]
#[pyo3(signature = (x, kernel, counts, bias=None))]
pub(crate) fn dense_steps(
    py: Python<'_>,
    x: &Bound<'_, Tensor>,
    kernel: &Bound<'_, Tensor>,
    counts: &Bound<'_, Tensor>,
    bias: Option<&Bound<'_, Tensor>>,
) -> PyResult<Tensor> {
    let (x, kernel, counts) = (&x.get().0, &kernel.get().0, &counts.get().0);
    let bias = bias.map(|t| &t.get().0);
    run_tensor(py, || core_dense_steps(x, kernel, bias, counts))
}
