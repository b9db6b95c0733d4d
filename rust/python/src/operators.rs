//! Operators and indexing of `Tensor`.

use evengrad_core::ops::arithmetic::Comparison;
use evengrad_core::{DType, Result, Tensor as CoreTensor};
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::Any;
use crate::names::default_dtype;
use crate::native_call::run_tensor;
use crate::operand::Operand;
use crate::tensor::Tensor;

/// `function(this, other)`, or Python's `NotImplemented`, which asks the other object or raises TypeError; `float` is the
/// type that a fraction takes beside integers.
fn binary<'py>(
    this: &Tensor,
    other: &Any<'py>,
    float: DType,
    function: impl FnOnce(&CoreTensor, &CoreTensor) -> Result<CoreTensor> + Send,
) -> PyResult<Any<'py>> {
    let (py, this) = (other.py(), &this.0);
    let Some(operand) = Operand::of(other)? else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    let outcome = run_tensor(py, || function(this, &operand.tensor(this.dtype(), float)?))?;
    Ok(Bound::new(py, outcome)?.into_any())
}

fn without_modulus(modulo: Option<&Any<'_>>) -> PyResult<()> {
    match modulo {
        None => Ok(()),
        Some(_) => Err(PyTypeError::new_err("pow: tensors take no modulus")),
    }
}

#[pymethods]
impl Tensor {
    fn __add__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), CoreTensor::add)
    }

    fn __radd__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), |x, y| y.add(x))
    }

    fn __sub__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), CoreTensor::sub)
    }

    fn __rsub__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), |x, y| y.sub(x))
    }

    fn __mul__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), CoreTensor::mul)
    }

    fn __rmul__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), |x, y| y.mul(x))
    }

    fn __truediv__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), CoreTensor::div)
    }

    fn __rtruediv__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), |x, y| y.div(x))
    }

    fn __matmul__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), CoreTensor::matmul)
    }

    fn __rmatmul__<'py>(&self, other: &Any<'py>) -> PyResult<Any<'py>> {
        binary(self, other, default_dtype(), |x, y| y.matmul(x))
    }

    fn __pow__<'py>(&self, other: &Any<'py>, modulo: Option<&Any<'py>>) -> PyResult<Any<'py>> {
        without_modulus(modulo)?;
        // A fixed exponent needs neither a tensor nor a gradient of its own.
        let exponent = match Operand::of(other)? {
            Some(Operand::Number(exponent)) => exponent,
            Some(Operand::Integer(exponent)) => exponent as f64,
            _ => return binary(self, other, default_dtype(), CoreTensor::pow),
        };
        let outcome = run_tensor(other.py(), || self.0.pow_scalar(exponent))?;
        Ok(Bound::new(other.py(), outcome)?.into_any())
    }

    fn __rpow__<'py>(&self, other: &Any<'py>, modulo: Option<&Any<'py>>) -> PyResult<Any<'py>> {
        without_modulus(modulo)?;
        binary(self, other, default_dtype(), |x, y| y.pow(x))
    }

    fn __neg__(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.neg())
    }

    fn __pos__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __abs__(&self, py: Python<'_>) -> PyResult<Self> {
        run_tensor(py, || self.0.abs())
    }

    fn __richcmp__<'py>(&self, other: &Any<'py>, op: CompareOp) -> PyResult<Any<'py>> {
        let comparison = match op {
            CompareOp::Lt => Comparison::Less,
            CompareOp::Le => Comparison::LessEqual,
            CompareOp::Eq => Comparison::Equal,
            CompareOp::Ne => Comparison::NotEqual,
            CompareOp::Gt => Comparison::Greater,
            CompareOp::Ge => Comparison::GreaterEqual,
        };
        // Integers are compared with fractions in the wider type, so that 2 is not 2.5.
        binary(self, other, DType::F64, |this, other| this.compare(other, comparison))
    }
}
