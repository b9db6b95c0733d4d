//! What may stand on the other side of an operator.

use evengrad_core::{DType, Result, Tensor as CoreTensor};
use numpy::PyUntypedArray;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt};

use crate::Any;
use crate::numpy as arrays;
use crate::tensor::Tensor;

/// An operand before native work begins.
pub(crate) enum Operand {
    /// A tensor.
    Tensor(CoreTensor),
    /// A number, which takes the type of the tensor that it meets.
    Number(f64),
    /// An integer, exact where it meets integers.
    Integer(i64),
    /// A truth value.
    Truth(bool),
}

impl Operand {
    /// Looks at a Python object; None where it is nothing that tensors have operators with.
    pub(crate) fn of(given: &Any<'_>) -> PyResult<Option<Self>> {
        if let Ok(tensor) = given.cast::<Tensor>() {
            return Ok(Some(Self::Tensor(tensor.get().0.clone())));
        }
        if let Ok(number) = given.cast::<PyFloat>() {
            return Ok(Some(Self::Number(number.value())));
        }
        if let Ok(truth) = given.cast::<PyBool>() {
            return Ok(Some(Self::Truth(truth.is_true())));
        }
        if given.is_instance_of::<PyInt>() {
            return Self::integer(given).map(Some);
        }
        if given.is_instance_of::<PyUntypedArray>() {
            return arrays::read("operand", given, None).map(|tensor| Some(Self::Tensor(tensor)));
        }
        Self::numpy_scalar(given)
    }

    fn integer(given: &Any<'_>) -> PyResult<Self> {
        match given.extract::<i64>() {
            Ok(integer) => Ok(Self::Integer(integer)),
            // Beyond 64 bits it can only meet floating-point numbers.
            Err(_) => given.extract().map(Self::Number),
        }
    }

    /// NumPy's scalars are as weak as Python's: `float32_tensor * numpy.float64(2)` stays `float32`.
    fn numpy_scalar(given: &Any<'_>) -> PyResult<Option<Self>> {
        let generic = arrays::scalar_type(given.py())?;
        if !given.is_instance(generic)? {
            return Ok(None);
        }
        let item = given.call_method0("item")?;
        if item.is_instance_of::<PyFloat>() || item.is_instance_of::<PyInt>() {
            return Self::of(&item);
        }
        Ok(None)
    }

    /// The operand as a tensor that meets one of type `partner`; `float` is the type of a number with a
    /// fraction that meets integers.
    pub(crate) fn tensor(self, partner: DType, float: DType) -> Result<CoreTensor> {
        match self {
            Self::Tensor(tensor) => Ok(tensor),
            Self::Number(number) if partner.is_float() => constant(number, partner),
            Self::Number(number) => constant(number, float),
            Self::Integer(integer) if partner.is_float() => constant(integer as f64, partner),
            Self::Integer(integer) => CoreTensor::from_slice(&[integer], &[]),
            Self::Truth(truth) => constant(f64::from(u8::from(truth)), partner),
        }
    }
}

/// A tensor without dimensions, written by the host: no launch, so that a captured step does not repeat it.
pub(crate) fn constant(value: f64, dtype: DType) -> Result<CoreTensor> {
    match dtype {
        DType::F32 => CoreTensor::from_slice(&[value as f32], &[]),
        DType::F64 => CoreTensor::from_slice(&[value], &[]),
        DType::I64 => CoreTensor::from_slice(&[value as i64], &[]),
        DType::Bool => CoreTensor::from_slice(&[u8::from(value != 0.0)], &[]),
    }
}

/// An argument that is a tensor, or anything that NumPy makes an array of, then of type `dtype` if one is given.
pub(crate) fn other_tensor(
    argument: &str,
    given: &Any<'_>,
    dtype: Option<DType>,
) -> PyResult<CoreTensor> {
    match given.cast::<Tensor>() {
        Ok(tensor) => Ok(tensor.get().0.clone()),
        Err(_) => arrays::read(argument, given, dtype),
    }
}
