//! Functions that make tensors, and settings of the whole library.

use evengrad_core::kernels::simd::isa;
use evengrad_core::{Tensor as CoreTensor, tape, team};
use numpy::PyUntypedArray;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::Any;
use crate::error::exception;
use crate::native_call::{run, tell_notices};
use crate::shapes::sizes;
use crate::tensor::Tensor;
use crate::{names, numpy as arrays};

fn finish(tensor: CoreTensor, requires_grad: bool) -> PyResult<Tensor> {
    if requires_grad {
        tensor.set_requires_grad(true).map_err(exception)?;
    }
    Ok(Tensor(tensor))
}

/// Make a tensor of numbers, lists of numbers, an array, or anything that NumPy makes an array of.
///
/// The values are copied: the source is neither changed nor kept.
///
/// Parameters
/// ----------
/// data : array_like or Tensor
///     Booleans, integers or real numbers. A tensor is copied without its place on the tape.
/// dtype : str or NumPy dtype, optional
///     ``"float32"``, ``"float64"``, ``"int64"`` or ``"bool"``. By default numbers with a fraction in lists
///     take the default type (see :func:`set_default_dtype`), arrays of ``float64`` and ``float32`` keep
///     theirs, ``float16`` becomes ``float32``, integers become ``int64``.
/// requires_grad : bool
///     Whether backward passes compute its gradient.
///
/// Raises
/// ------
/// TypeError
///     If the data holds anything but numbers, or numbers that `dtype` cannot hold.
/// ValueError
///     If rows have unequal lengths, or the dtype is unknown.
///
/// Examples
/// --------
/// >>> eg.tensor([[1.0, 2.0], [3.0, 4.0]])
/// tensor([[1., 2.],
///         [3., 4.]], shape=(2, 2), dtype=float32)
#[pyfunction]
#[pyo3(signature = (data, dtype=None, requires_grad=false))]
pub(crate) fn tensor(
    data: &Any<'_>,
    dtype: Option<&Any<'_>>,
    requires_grad: bool,
) -> PyResult<Tensor> {
    let dtype = dtype.map(names::dtype).transpose()?;
    let made = match data.cast::<Tensor>() {
        Ok(source) => {
            let source = &source.get().0;
            run(data.py(), || copied(&source.detach().cast(dtype.unwrap_or(source.dtype()))?))?
        }
        Err(_) => arrays::read("tensor", data, dtype)?,
    };
    finish(made, requires_grad)
}

/// The same values in memory of their own, off the tape.
pub(crate) fn copied(source: &CoreTensor) -> evengrad_core::Result<CoreTensor> {
    let copy = CoreTensor::empty(source.shape(), source.dtype())?;
    source.copy_into(&copy)?;
    Ok(copy)
}

/// Make a tensor of zeros.
///
/// Parameters
/// ----------
/// shape : int or tuple of ints
///     Sizes of the dimensions.
/// dtype : str or NumPy dtype, optional
///     The default type if None.
/// requires_grad : bool
///     Whether backward passes compute its gradient.
///
/// Raises
/// ------
/// ValueError
///     If a size is negative, or the dtype unknown.
/// MemoryError
///     If there is not enough memory.
///
/// Examples
/// --------
/// >>> eg.zeros((2, 3)).shape
/// (2, 3)
#[pyfunction]
#[pyo3(signature = (shape, dtype=None, requires_grad=false))]
pub(crate) fn zeros(
    shape: &Any<'_>,
    dtype: Option<&Any<'_>>,
    requires_grad: bool,
) -> PyResult<Tensor> {
    filled("zeros", shape, 0.0, dtype, requires_grad)
}

/// Make a tensor of ones.
///
/// Parameters
/// ----------
/// shape : int or tuple of ints
///     Sizes of the dimensions.
/// dtype : str or NumPy dtype, optional
///     The default type if None.
/// requires_grad : bool
///     Whether backward passes compute its gradient.
///
/// Raises
/// ------
/// ValueError
///     If a size is negative, or the dtype unknown.
/// MemoryError
///     If there is not enough memory.
///
/// Examples
/// --------
/// >>> eg.ones(2, dtype="float64").tolist()
/// [1.0, 1.0]
#[pyfunction]
#[pyo3(signature = (shape, dtype=None, requires_grad=false))]
pub(crate) fn ones(
    shape: &Any<'_>,
    dtype: Option<&Any<'_>>,
    requires_grad: bool,
) -> PyResult<Tensor> {
    filled("ones", shape, 1.0, dtype, requires_grad)
}

/// Make a tensor with one value everywhere.
///
/// Parameters
/// ----------
/// shape : int or tuple of ints
///     Sizes of the dimensions.
/// value : float
///     The value, rounded to the dtype.
/// dtype : str or NumPy dtype, optional
///     The default type if None.
/// requires_grad : bool
///     Whether backward passes compute its gradient.
///
/// Raises
/// ------
/// ValueError
///     If a size is negative, or the dtype unknown.
/// MemoryError
///     If there is not enough memory.
///
/// Examples
/// --------
/// >>> eg.full(2, 0.5).tolist()
/// [0.5, 0.5]
#[pyfunction]
#[pyo3(signature = (shape, value, dtype=None, requires_grad=false))]
pub(crate) fn full(
    shape: &Any<'_>,
    value: f64,
    dtype: Option<&Any<'_>>,
    requires_grad: bool,
) -> PyResult<Tensor> {
    filled("full", shape, value, dtype, requires_grad)
}

fn filled(
    operation: &str,
    shape: &Any<'_>,
    value: f64,
    dtype: Option<&Any<'_>>,
    requires_grad: bool,
) -> PyResult<Tensor> {
    let (sizes, dtype) = (sizes(operation, shape)?, names::dtype_or_default(dtype)?);
    finish(run(shape.py(), || CoreTensor::full(&sizes, value, dtype))?, requires_grad)
}

/// Make the evenly spaced numbers start, start + step, ... below stop, as NumPy's ``arange`` does.
///
/// Parameters
/// ----------
/// start : number
///     The first number, or, given alone, the end of a range from 0.
/// stop : number, optional
///     The end, which is left out.
/// step : number
///     The distance.
/// dtype : str or NumPy dtype, optional
///     By default ``int64`` for integers, else the default type.
///
/// Raises
/// ------
/// ValueError
///     If the dtype is unknown.
/// ZeroDivisionError
///     If the step is zero.
///
/// Examples
/// --------
/// >>> eg.arange(3).tolist()
/// [0, 1, 2]
/// >>> eg.arange(0.0, 1.0, 0.5).tolist()
/// [0.0, 0.5]
#[pyfunction]
#[pyo3(signature = (start, stop=None, step=None, dtype=None))]
pub(crate) fn arange(
    py: Python<'_>,
    start: &Any<'_>,
    stop: Option<&Any<'_>>,
    step: Option<&Any<'_>>,
    dtype: Option<&Any<'_>>,
) -> PyResult<Tensor> {
    let arange = arrays::module(py)?.getattr(intern!(py, "arange"))?;
    let range = match (stop, step) {
        (Some(stop), Some(step)) => arange.call1((start, stop, step))?,
        (Some(stop), None) => arange.call1((start, stop))?,
        (None, Some(step)) => arange.call1((0, start, step))?,
        (None, None) => arange.call1((start,))?,
    };
    let range = range.cast_into::<PyUntypedArray>()?;
    // Not an array of the user's, but numbers that he gave: they take the default type.
    let dtype = match dtype {
        Some(dtype) => Some(names::dtype(dtype)?),
        None if arrays::is_fraction(&range) => Some(names::default_dtype()),
        None => None,
    };
    arrays::read("arange", &range, dtype).map(Tensor)
}

/// Set the type that numbers with a fraction take where nothing else says one.
///
/// Parameters
/// ----------
/// dtype : str or NumPy dtype
///     ``"float32"`` (as it is at first) or ``"float64"``.
///
/// Raises
/// ------
/// TypeError
///     If it is not a floating-point type.
/// ValueError
///     If it is unknown.
///
/// Examples
/// --------
/// >>> eg.set_default_dtype("float64")
/// >>> eg.tensor([1.0]).dtype
/// 'float64'
/// >>> eg.set_default_dtype("float32")
#[pyfunction]
pub(crate) fn set_default_dtype(dtype: &Any<'_>) -> PyResult<()> {
    names::set_default(names::dtype(dtype)?)
}

/// The type that numbers with a fraction take where nothing else says one.
///
/// Examples
/// --------
/// >>> eg.get_default_dtype()
/// 'float32'
#[pyfunction]
pub(crate) fn get_default_dtype() -> &'static str {
    names::default_dtype().name()
}

/// Set how many threads native work may use from now on. Results do not depend on it.
///
/// Until it is called, the number is that of ``EVENGRAD_NUM_THREADS``, but no more than the processors that this process
/// may use; without that variable, it is the least of those processors, ``RAYON_NUM_THREADS`` and ``OMP_NUM_THREADS``.
/// Each `fit`, `evaluate` and `predict` reads them again, and so does :func:`get_num_threads`. Where the system refuses to
/// start so many threads, there are fewer.
///
/// Parameters
/// ----------
/// count : int
///     From 1 on.
///
/// Raises
/// ------
/// ValueError
///     If the count is zero, negative or absurd.
///
/// Examples
/// --------
/// >>> before = eg.get_num_threads()
/// >>> eg.set_num_threads(1)
/// >>> eg.get_num_threads()
/// 1
/// >>> eg.set_num_threads(before)
#[pyfunction]
pub(crate) fn set_num_threads(py: Python<'_>, count: &Any<'_>) -> PyResult<()> {
    let Ok(number) = count.extract::<i64>() else {
        return Err(PyTypeError::new_err(format!(
            "set_num_threads: expected a whole number of threads, got {}",
            count.repr()?
        )));
    };
    // The core's error for zero serves for less, too.
    run(py, || team::set_threads(usize::try_from(number).unwrap_or(0)))
}

/// How many threads the next call may use, the caller's included; see :func:`set_num_threads`.
///
/// Examples
/// --------
/// >>> eg.get_num_threads() >= 1
/// True
#[pyfunction]
pub(crate) fn get_num_threads(py: Python<'_>) -> PyResult<usize> {
    // Python changes variables of the environment with its lock held, as it is here.
    team::read_environment();
    tell_notices(py)?;
    Ok(team::threads())
}

/// Bound the number of threads from outside, whatever else is set; the number there would be without, or more, lifts the
/// bound.
///
/// Examples
/// --------
/// >>> free = eg.get_num_threads()
/// >>> eg._core.limit_num_threads(1)
/// >>> eg.get_num_threads()
/// 1
/// >>> eg._core.limit_num_threads(free)
/// >>> eg.get_num_threads() == free
/// True
#[pyfunction]
pub(crate) fn limit_num_threads(count: usize) {
    team::limit_threads(count);
}

/// What this build is and what it runs on, for reports.
///
/// Returns
/// -------
/// dict
///     ``version``; ``profile``, ``"release"`` or ``"debug"``; ``target``, the platform; ``isa``, the vector
///     instructions in use; ``threads``.
///
/// Examples
/// --------
/// >>> sorted(eg.build_info())
/// ['isa', 'profile', 'target', 'threads', 'version']
#[pyfunction]
pub(crate) fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let threads = get_num_threads(py)?;
    let isa = run(py, || Ok(isa().name()))?;
    let info = PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    info.set_item("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))?;
    info.set_item("isa", isa)?;
    info.set_item("threads", threads)?;
    Ok(info)
}

/// Switch recording on the tape on or off for this thread.
///
/// Parameters
/// ----------
/// flag : bool
///     Whether operations on tensors that require a gradient are recorded from now on.
///
/// Returns
/// -------
/// bool
///     Whether they were so far.
///
/// Examples
/// --------
/// >>> x = eg.tensor(3.0, requires_grad=True)
/// >>> before = eg._core.set_recording(False)
/// >>> (x * x).requires_grad, eg._core.set_recording(before)
/// (False, False)
#[pyfunction]
pub(crate) fn set_recording(flag: bool) -> bool {
    tape::set_recording(flag)
}

/// True while operations of this thread on tensors that require a gradient are recorded.
///
/// Examples
/// --------
/// >>> with eg.no_grad():
/// ...     eg._core.is_recording()
/// False
#[pyfunction]
pub(crate) fn is_recording() -> bool {
    tape::records()
}
