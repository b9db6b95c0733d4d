//! Operations that are functions of the module: several tensors in, one out.

use evengrad_core::ops::dense::dense as core_dense;
use evengrad_core::ops::elementwise::{TABLE, by_name};
use evengrad_core::{DType, Result, Tensor as CoreTensor};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::Any;
use crate::names::{self, default_dtype};
use crate::native_call::{run, run_tensor};
use crate::operand::{Operand, other_tensor};
use crate::tensor::Tensor;

/// The core's tensors of a list of tensors.
pub(crate) fn list(argument: &str, given: &Any<'_>) -> PyResult<Vec<CoreTensor>> {
    let mut tensors = Vec::new();
    for item in given.try_iter()? {
        let item = item?;
        let tensor = item.cast::<Tensor>().map_err(|_| {
            let kind =
                item.get_type().qualname().map_or_else(|_| "an object".into(), |n| n.to_string());
            PyTypeError::new_err(format!(
                "{argument}: expected tensors, got {kind} at position {}",
                tensors.len()
            ))
        })?;
        tensors.push(tensor.get().0.clone());
    }
    Ok(tensors)
}

/// Borrowed tensors, as the core takes lists.
pub(crate) fn references(tensors: &[CoreTensor]) -> Vec<&CoreTensor> {
    tensors.iter().collect()
}

/// A tensor, a number or an array as an operand.
fn operand(argument: &str, given: &Any<'_>) -> PyResult<Operand> {
    match Operand::of(given)? {
        Some(operand) => Ok(operand),
        None => other_tensor(argument, given, None).map(Operand::Tensor),
    }
}

/// Two operands as tensors: a number takes the other's type, two numbers the default type.
fn pair(x: Operand, y: Operand, default: DType) -> Result<(CoreTensor, CoreTensor)> {
    let dtype = match (&x, &y) {
        (Operand::Tensor(tensor), _) | (_, Operand::Tensor(tensor)) => tensor.dtype(),
        _ => default,
    };
    Ok((x.tensor(dtype, default)?, y.tensor(dtype, default)?))
}

fn of_two(
    x: &Any<'_>,
    y: &Any<'_>,
    function: impl FnOnce(&CoreTensor, &CoreTensor) -> Result<CoreTensor> + Send,
) -> PyResult<Tensor> {
    let (left, right) = (operand("x", x)?, operand("y", y)?);
    let default = default_dtype();
    run_tensor(x.py(), move || {
        let (left, right) = pair(left, right, default)?;
        function(&left, &right)
    })
}

/// The larger of each pair; at a tie both get half of the gradient. NaN in either wins.
///
/// Parameters
/// ----------
/// x, y : Tensor, array or number
///     Shapes that broadcast.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not broadcast.
///
/// Examples
/// --------
/// >>> eg.maximum(eg.tensor([1.0, -2.0]), 0.0).tolist()
/// [1.0, 0.0]
#[pyfunction]
pub(crate) fn maximum(x: &Any<'_>, y: &Any<'_>) -> PyResult<Tensor> {
    of_two(x, y, CoreTensor::maximum)
}

/// The smaller of each pair; at a tie both get half of the gradient. NaN in either wins.
///
/// Parameters
/// ----------
/// x, y : Tensor, array or number
///     Shapes that broadcast.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not broadcast.
///
/// Examples
/// --------
/// >>> eg.minimum(eg.tensor([1.0, -2.0]), 0.0).tolist()
/// [0.0, -2.0]
#[pyfunction]
pub(crate) fn minimum(x: &Any<'_>, y: &Any<'_>) -> PyResult<Tensor> {
    of_two(x, y, CoreTensor::minimum)
}

/// x where positive, else slope·x; at zero the derivative is the slope, and that of the slope is 0.
///
/// Parameters
/// ----------
/// x, slope : Tensor, array or number
///     Shapes that broadcast. Both get gradients.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not broadcast.
///
/// Examples
/// --------
/// >>> eg._core.prelu(eg.tensor([[-1.0, -1.0], [2.0, 2.0]]), eg.tensor([0.25, 0.5])).tolist()
/// [[-0.25, -0.5], [2.0, 2.0]]
#[pyfunction]
pub(crate) fn prelu(x: &Any<'_>, slope: &Any<'_>) -> PyResult<Tensor> {
    of_two(x, slope, CoreTensor::prelu)
}

/// 1 for each row of scores whose largest is the label's, else 0; rows with NaN give 0.
///
/// Of those that tie the first counts. It has no gradient.
///
/// Parameters
/// ----------
/// x : Tensor
///     (..., classes).
/// labels : Tensor or array
///     (...): class numbers, of any type.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit, or there are no classes.
///
/// Examples
/// --------
/// >>> scores = eg.tensor([[0.9, 0.1], [0.7, 0.3], [0.4, float("nan")]])
/// >>> eg._core.argmax_equals(scores, [0, 1, 0]).tolist()
/// [1.0, 0.0, 0.0]
#[pyfunction]
pub(crate) fn argmax_equals(py: Python<'_>, x: &Any<'_>, labels: &Any<'_>) -> PyResult<Tensor> {
    let x = other_tensor("x", x, None)?;
    let labels = other_tensor("labels", labels, None)?;
    run_tensor(py, || x.argmax_equals(&labels))
}

/// `x` where `mask` is true, else `y`.
///
/// Parameters
/// ----------
/// mask : Tensor or array
///     True for anything but zero. It gets no gradient.
/// x, y : Tensor, array or number
///     Shapes that broadcast with the mask's.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not broadcast.
///
/// Examples
/// --------
/// >>> x = eg.tensor([1.0, -2.0])
/// >>> eg.where(x > 0.0, x, 0.0).tolist()
/// [1.0, 0.0]
#[pyfunction]
#[pyo3(name = "where")]
pub(crate) fn choose(mask: &Any<'_>, x: &Any<'_>, y: &Any<'_>) -> PyResult<Tensor> {
    let mask = other_tensor("mask", mask, None)?;
    of_two(x, y, move |x, y| CoreTensor::select(&mask, x, y))
}

/// The matrix product by NumPy's rules: (m, k)·(k, n) gives (m, n).
///
/// Leading dimensions are broadcast; a tensor with one dimension counts as a row on the left and as a column
/// on the right. The same as ``x @ y``.
///
/// Parameters
/// ----------
/// x, y : Tensor or array
///     With at least one dimension each, and equal inner sizes.
///
/// Raises
/// ------
/// ValueError
///     If the inner sizes differ, or a leading size does not broadcast.
///
/// Examples
/// --------
/// >>> x = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
/// >>> eg.matmul(x, eg.tensor([1.0, -1.0])).tolist()
/// [-1.0, -1.0]
#[pyfunction]
pub(crate) fn matmul(x: &Any<'_>, y: &Any<'_>) -> PyResult<Tensor> {
    of_two(x, y, CoreTensor::matmul)
}

/// A dense layer: activation(x·kernel + bias), in one operation.
///
/// Parameters
/// ----------
/// x : Tensor
///     (rows, inputs).
/// kernel : Tensor
///     (inputs, units).
/// bias : Tensor, optional
///     (units,).
/// activation : str, optional
///     The name of an elementwise method of tensors, such as ``"relu"``; the identity if None.
/// alpha : float, optional
///     The parameter of an activation that has one; the default of its own function if None.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit, or the activation is unknown.
///
/// Examples
/// --------
/// >>> x, kernel = eg.tensor([[1.0, 2.0]]), eg.tensor([[1.0, -1.0], [1.0, -1.0]])
/// >>> eg._core.dense(x, kernel, eg.tensor([0.5, 0.5]), activation="relu").tolist()
/// [[3.5, 0.0]]
#[pyfunction]
#[pyo3(signature = (x, kernel, bias=None, activation=None, alpha=None))]
pub(crate) fn dense(
    x: &Any<'_>,
    kernel: &Any<'_>,
    bias: Option<&Any<'_>>,
    activation: Option<&str>,
    alpha: Option<f64>,
) -> PyResult<Tensor> {
    let (py, x) = (x.py(), other_tensor("x", x, None)?);
    let kernel = other_tensor("kernel", kernel, None)?;
    let bias = bias.map(|bias| other_tensor("bias", bias, None)).transpose()?;
    let function = match activation {
        None | Some("linear") => None,
        Some(name) => {
            let known = by_name(name, alpha.as_slice());
            Some(known.ok_or_else(|| {
                let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
                names::unknown("activation", name, &names)
            })?)
        }
    };
    run_tensor(py, || core_dense(&x, &kernel, bias.as_ref(), function))
}

/// Tensors one after the other along a dimension; their other sizes are equal.
///
/// Parameters
/// ----------
/// tensors : sequence of Tensor
///     At least one.
/// dim : int
///     The dimension to join along.
///
/// Raises
/// ------
/// ValueError
///     If there is no tensor, or the other sizes differ.
/// IndexError
///     If there is no such dimension.
///
/// Examples
/// --------
/// >>> eg.cat([eg.tensor([1.0]), eg.tensor([2.0, 3.0])]).tolist()
/// [1.0, 2.0, 3.0]
#[pyfunction]
#[pyo3(signature = (tensors, dim=0))]
pub(crate) fn cat(py: Python<'_>, tensors: &Any<'_>, dim: isize) -> PyResult<Tensor> {
    let tensors = list("cat", tensors)?;
    run_tensor(py, || CoreTensor::cat(&references(&tensors), dim))
}

/// Tensors of one shape side by side along a new dimension.
///
/// Parameters
/// ----------
/// tensors : sequence of Tensor
///     At least one.
/// dim : int
///     The place of the new dimension.
///
/// Raises
/// ------
/// ValueError
///     If there is no tensor, or the shapes differ.
/// IndexError
///     If there is no such place.
///
/// Examples
/// --------
/// >>> eg.stack([eg.tensor([1.0, 2.0]), eg.tensor([3.0, 4.0])], dim=1).tolist()
/// [[1.0, 3.0], [2.0, 4.0]]
#[pyfunction]
#[pyo3(signature = (tensors, dim=0))]
pub(crate) fn stack(py: Python<'_>, tensors: &Any<'_>, dim: isize) -> PyResult<Tensor> {
    let tensors = list("stack", tensors)?;
    run_tensor(py, || CoreTensor::stack(&references(&tensors), dim))
}

/// The parts of a tensor along a dimension, without that dimension: the opposite of :func:`stack`.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     With at least one dimension.
/// dim : int
///     The dimension to take apart.
///
/// Returns
/// -------
/// tuple of Tensor
///     Views, one for each position.
///
/// Raises
/// ------
/// IndexError
///     If there is no such dimension.
///
/// Examples
/// --------
/// >>> [part.tolist() for part in eg.unbind(eg.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)]
/// [[1.0, 3.0], [2.0, 4.0]]
#[pyfunction]
#[pyo3(signature = (x, dim=0))]
pub(crate) fn unbind<'py>(x: &Any<'py>, dim: isize) -> PyResult<Bound<'py, PyTuple>> {
    let py = x.py();
    let x = other_tensor("x", x, None)?;
    let parts = run(py, || x.unbind(dim))?;
    PyTuple::new(py, parts.into_iter().map(Tensor))
}

/// The rows of `x` (along dimension 0) whose numbers `indices` holds.
///
/// Parameters
/// ----------
/// x : Tensor
///     With at least one dimension.
/// indices : Tensor or array of int
///     Of any shape; negative numbers count from the end. The result has the shape
///     ``indices.shape + x.shape[1:]``.
///
/// Raises
/// ------
/// IndexError
///     If there is no such row.
///
/// Examples
/// --------
/// >>> eg.take(eg.tensor([[1.0], [2.0], [3.0]]), [2, 0]).tolist()
/// [[3.0], [1.0]]
#[pyfunction]
pub(crate) fn take(py: Python<'_>, x: &Any<'_>, indices: &Any<'_>) -> PyResult<Tensor> {
    let x = other_tensor("x", x, None)?;
    let indices = other_tensor("indices", indices, Some(DType::I64))?;
    run_tensor(py, || x.take_rows(&indices))
}

/// state += scale·value, in place and off the tape: how a step keeps sums that outlive it.
///
/// Parameters
/// ----------
/// state : Tensor
///     Requires no gradient. A ``float64`` state may collect ``float32`` values.
/// value : Tensor
///     Of the state's shape.
/// scale : float
///     The factor.
///
/// Raises
/// ------
/// ValueError
///     If the shapes differ.
/// RuntimeError
///     If the state requires a gradient.
///
/// Examples
/// --------
/// >>> total = eg.zeros((), dtype="float64")
/// >>> eg._core.accumulate(total, eg.tensor(1.5), scale=2.0)
/// >>> total.item()
/// 3.0
#[pyfunction]
#[pyo3(signature = (state, value, scale=1.0))]
pub(crate) fn accumulate(state: &Bound<'_, Tensor>, value: &Any<'_>, scale: f64) -> PyResult<()> {
    let (py, state) = (state.py(), &state.get().0);
    let value = match Operand::of(value)? {
        Some(operand) => operand,
        None => Operand::Tensor(other_tensor("value", value, Some(state.dtype()))?),
    };
    let default = default_dtype();
    run(py, move || state.accumulate(&value.tensor(state.dtype(), default)?, scale))
}
