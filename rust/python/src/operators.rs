//! Operators and indexing of `Tensor`.

use evengrad_core::ops::arithmetic::Comparison;
use evengrad_core::{DType, Result, Tensor as CoreTensor};
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::names::default_dtype;
use crate::native_call::run_tensor;
use crate::operand::Operand;
use crate::tensor::Tensor;

type Binary = fn(&CoreTensor, &CoreTensor) -> Result<CoreTensor>;

/// `function(this, other)`, or Python's `NotImplemented`, which asks the other object or raises TypeError.
fn binary<'py>(
    py: Python<'py>,
    this: &Tensor,
    other: &Bound<'py, PyAny>,
    function: Binary,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(operand) = Operand::of(other)? else {
        return Ok(py.NotImplemented().into_bound(py));
    };
    let this = &this.0;
    let outcome =
        run_tensor(py, move || function(this, &operand.tensor(this.dtype(), default_dtype())?))?;
    Ok(Bound::new(py, outcome)?.into_any())
}

#[pymethods]
impl Tensor {
    fn __add__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, CoreTensor::add)
    }

    fn __radd__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, |x, y| y.add(x))
    }

    fn __sub__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, CoreTensor::sub)
    }

    fn __rsub__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, |x, y| y.sub(x))
    }

    fn __mul__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, CoreTensor::mul)
    }

    fn __rmul__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, |x, y| y.mul(x))
    }

    fn __truediv__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, CoreTensor::div)
    }

    fn __rtruediv__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, |x, y| y.div(x))
    }

    fn __pow__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
        modulo: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if modulo.is_some() {
            return Err(PyTypeError::new_err("pow: tensors take no modulus"));
        }
        // A fixed exponent needs neither a tensor nor a gradient of its own.
        let exponent = match Operand::of(other)? {
            Some(Operand::Number(exponent)) => exponent,
            Some(Operand::Integer(exponent)) => exponent as f64,
            _ => return binary(py, self, other, CoreTensor::pow),
        };
        let outcome = run_tensor(py, || self.0.pow_scalar(exponent))?;
        Ok(Bound::new(py, outcome)?.into_any())
    }

    fn __rpow__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
        modulo: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if modulo.is_some() {
            return Err(PyTypeError::new_err("pow: tensors take no modulus"));
        }
        binary(py, self, other, |x, y| y.pow(x))
    }

    fn __matmul__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, CoreTensor::matmul)
    }

    fn __rmatmul__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        binary(py, self, other, |x, y| y.matmul(x))
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

    fn __richcmp__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(operand) = Operand::of(other)? else {
            return Ok(py.NotImplemented().into_bound(py));
        };
        let comparison = match op {
            CompareOp::Lt => Comparison::Less,
            CompareOp::Le => Comparison::LessEqual,
            CompareOp::Eq => Comparison::Equal,
            CompareOp::Ne => Comparison::NotEqual,
            CompareOp::Gt => Comparison::Greater,
            CompareOp::Ge => Comparison::GreaterEqual,
        };
        let outcome = run_tensor(py, || {
            // Integers are compared with fractions in the wider type, so that 2 is not 2.5.
            let other = operand.tensor(self.0.dtype(), DType::F64)?;
            self.0.compare(&other, comparison)
        })?;
        Ok(Bound::new(py, outcome)?.into_any())
    }
}
