//! NumPy arrays in and out.
//!
//! In: NumPy itself copies the user's array, whatever its strides, alignment, byte order or width, straight
//! into a new tensor's memory. The array is neither changed nor kept. Out: a read-only array over the
//! tensor's memory where nobody else can write there, else a copy.

use std::ptr;
use std::sync::Arc;

use evengrad_core::dtype::Element as CoreElement;
use evengrad_core::{DType, Error, Tensor as CoreTensor, host_access};
use numpy::ndarray::{ArrayD, ArrayViewD};
use numpy::npyffi::{self, NPY_ARRAY_WRITEABLE, NpyTypes, PY_ARRAY_API};
use numpy::{
    Element, PyArray, PyArrayDescr, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::IntoPyDict;

use crate::Any;
use crate::names::default_dtype;
use crate::native_call::run;
use crate::tensor::Tensor;

/// Below this a copy costs less than an owner for shared memory, and is independent of the tensor.
const SHARE_BYTES: usize = 16 << 10;

/// NumPy itself.
pub(crate) fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static NUMPY: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    Ok(NUMPY.get_or_try_init(py, || py.import("numpy").map(Bound::unbind))?.bind(py))
}

/// NumPy's dtype for ours.
pub(crate) fn descriptor(py: Python<'_>, dtype: DType) -> Bound<'_, PyArrayDescr> {
    match dtype {
        DType::Bool => PyArrayDescr::of::<bool>(py),
        DType::I64 => PyArrayDescr::of::<i64>(py),
        DType::F32 => PyArrayDescr::of::<f32>(py),
        DType::F64 => PyArrayDescr::of::<f64>(py),
    }
}

/// An array over a tensor's memory that holds a reference to `owner`, if there is one.
///
/// # Safety
/// The memory outlives the array (`owner` sees to it, or the array does not leave the caller), and nobody
/// writes it while the array reads, nor reads while the array writes.
unsafe fn over_memory<'py>(
    py: Python<'py>,
    tensor: &CoreTensor,
    flags: i32,
    owner: Option<Bound<'py, Tensor>>,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    let size = tensor.dtype().size();
    let mut dims: Vec<isize> = tensor.shape().iter().map(|&size| size as isize).collect();
    let mut strides: Vec<isize> =
        tensor.strides().iter().map(|&stride| stride * size as isize).collect();
    // SAFETY: the layout lies inside the buffer; NumPy copies sizes and steps and takes over the
    // reference to the dtype. Both calls report failure by a Python exception.
    unsafe {
        let first = tensor.buffer().pointer().add(tensor.layout().offset * size);
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            npyffi::get_type_object(py, NpyTypes::PyArray_Type),
            descriptor(py, tensor.dtype()).into_dtype_ptr(),
            dims.len() as i32,
            dims.as_mut_ptr(),
            strides.as_mut_ptr(),
            first.cast(),
            flags,
            ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, array)?.cast_into_unchecked();
        if let Some(owner) = owner {
            let outcome = PY_ARRAY_API.PyArray_SetBaseObject(
                py,
                PyUntypedArrayMethods::as_array_ptr(&array),
                owner.into_ptr(),
            );
            if outcome != 0 {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(array)
    }
}

/// The element type that NumPy's `dtype` is read as, or an error with the way out.
fn target(
    argument: &str,
    source: &Bound<'_, PyUntypedArray>,
    wanted: Option<DType>,
    listed: bool,
) -> PyResult<DType> {
    let descr = source.dtype();
    let (kind, size) = (descr.kind(), descr.itemsize());
    let natural = match (kind, size) {
        (b'b', _) => DType::Bool,
        (b'i' | b'u', _) => DType::I64,
        (b'f', 2 | 4 | 8) if listed => default_dtype(),
        (b'f', 8) => DType::F64,
        (b'f', 2 | 4) => DType::F32,
        _ => {
            let fix = match kind {
                b'O' => {
                    "rows of unequal length, None or mixed objects? give numbers of one type, for example with .astype(\"float32\")"
                }
                b'c' => "take its .real, .imag or numpy.abs of it",
                b'U' | b'S' | b'T' => {
                    "text: map categories to numbers, or convert digits with .astype(\"float32\")"
                }
                b'M' | b'm' => {
                    "times: subtract a start and divide by a unit, for example (t - t[0]) / numpy.timedelta64(1, \"s\")"
                }
                b'f' => "convert it with .astype(\"float64\")",
                _ => "convert it to numbers first",
            };
            return Err(PyTypeError::new_err(format!(
                "{argument}: expected booleans, integers or real numbers, got an array of dtype {descr} ({fix})"
            )));
        }
    };
    let wanted = wanted.unwrap_or(natural);
    if !wanted.is_float() && wanted != natural && !(wanted == DType::I64 && natural == DType::Bool)
    {
        let fix = if wanted == DType::I64 {
            "round them in NumPy first: numpy.rint(x).astype(\"int64\")"
        } else {
            "compare them, for example x != 0"
        };
        return Err(PyTypeError::new_err(format!(
            "{argument}: values of dtype {descr} do not all fit into {} ({fix})",
            wanted.name()
        )));
    }
    Ok(wanted)
}

/// Anything that NumPy makes an array of, as an array.
fn as_array<'py>(argument: &str, data: &Any<'py>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = data.py();
    if let Ok(array) = data.cast::<PyUntypedArray>() {
        // A subclass may mean more than its numbers; the only one in wide use that does is the masked array.
        if !array.is_exact_instance_of::<PyUntypedArray>() && array.hasattr(intern!(py, "mask"))? {
            return Err(PyTypeError::new_err(format!(
                "{argument}: a masked array would lose its mask; fill it first, for example with .filled(0.0)"
            )));
        }
        return Ok(array.clone());
    }
    let made = module(py)?.call_method1(intern!(py, "asarray"), (data,));
    match made {
        Ok(array) => Ok(array.cast_into::<PyUntypedArray>()?),
        // NumPy's word for lists of unequal length.
        Err(error) if error.is_instance_of::<PyValueError>(py) => Err(PyValueError::new_err(
            format!("{argument}: NumPy makes no array of it: {}", error.value(py)),
        )),
        Err(error) => Err(error),
    }
}

/// A new tensor with the values of an array or of anything that NumPy makes one of. Numbers in lists take the
/// default floating-point type, arrays keep theirs.
pub(crate) fn read(argument: &str, data: &Any<'_>, dtype: Option<DType>) -> PyResult<CoreTensor> {
    let py = data.py();
    let source = as_array(argument, data)?;
    let listed = !data.is(&source) && !data.hasattr(intern!(py, "__array__"))?;
    let dtype = target(argument, &source, dtype, listed)?;
    if dtype == DType::I64 && source.dtype().kind() == b'u' && source.dtype().itemsize() == 8 {
        // Without a start, `max` would not work on an empty array.
        let from_zero = [("initial", 0)].into_py_dict(py)?;
        let largest = source.call_method(intern!(py, "max"), (), Some(&from_zero))?;
        if largest.gt(i64::MAX)? {
            return Err(PyValueError::new_err(format!(
                "{argument}: {largest} (dtype uint64) is larger than int64 can hold"
            )));
        }
    }
    let shape = source.shape();
    let tensor = run(py, || CoreTensor::empty(shape, dtype))?;
    // SAFETY: the memory is new and known to nobody else, and the array over it ends with this function.
    let outcome = unsafe {
        let to = over_memory(py, &tensor, NPY_ARRAY_WRITEABLE, None)?;
        let (to, from) = (
            PyUntypedArrayMethods::as_array_ptr(&to),
            PyUntypedArrayMethods::as_array_ptr(&source),
        );
        PY_ARRAY_API.PyArray_CopyInto(py, to, from)
    };
    if outcome != 0 {
        return Err(PyErr::fetch(py));
    }
    Ok(tensor)
}

/// True where nothing but this tensor leads to its memory and nobody will write there: no plan, tape, view or
/// optimizer holds it, no gradient step changes it, and it was written once, when it was made.
pub(crate) fn may_share(tensor: &CoreTensor) -> bool {
    let trained = tensor.is_leaf() && tensor.requires_grad();
    !trained && Arc::strong_count(tensor.buffer()) == 1 && tensor.buffer().version() <= 1
}

/// A copy that belongs to the caller.
pub(crate) fn copy_out<'py>(
    py: Python<'py>,
    tensor: &CoreTensor,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    fn hand_over<T: Element>(py: Python<'_>, values: ArrayD<T>) -> Bound<'_, PyUntypedArray> {
        PyArray::from_owned_array(py, values).as_untyped().clone()
    }
    fn copied<T: CoreElement>(py: Python<'_>, tensor: &CoreTensor) -> PyResult<ArrayD<T>> {
        run(py, || {
            let values = host_access::with(tensor, |view: ArrayViewD<'_, T>| {
                if let Some(row_major) = view.as_slice() {
                    return row_major.to_vec();
                }
                // Row by row: one by one, each element's place is worked out anew.
                let mut values = Vec::with_capacity(view.len());
                view.iter().for_each(|&value| values.push(value));
                values
            });
            ArrayD::from_shape_vec(tensor.shape(), values)
                .map_err(|error| Error::Internal(format!("numpy: {error}")))
        })
    }
    Ok(match tensor.dtype() {
        // The core's truth values are bytes.
        DType::Bool => hand_over(py, copied::<u8>(py, tensor)?.mapv(|byte| byte != 0)),
        DType::I64 => hand_over(py, copied::<i64>(py, tensor)?),
        DType::F32 => hand_over(py, copied::<f32>(py, tensor)?),
        DType::F64 => hand_over(py, copied::<f64>(py, tensor)?),
    })
}

/// A read-only array: the tensor's own memory where that is safe and worth it, else a copy.
pub(crate) fn view_out<'py>(tensor: &Bound<'py, Tensor>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = tensor.py();
    let inner = &tensor.get().0;
    if inner.count() * inner.dtype().size() >= SHARE_BYTES && may_share(inner) {
        return share_out(tensor);
    }
    let array = copy_out(py, inner)?;
    array.call_method1(intern!(py, "setflags"), (false,))?;
    Ok(array)
}

/// A read-only array over the tensor's memory, whatever its size; the caller asked [`may_share`].
pub(crate) fn share_out<'py>(tensor: &Bound<'py, Tensor>) -> PyResult<Bound<'py, PyUntypedArray>> {
    // SAFETY: the array keeps the Python tensor, which keeps the memory; `may_share` says that nobody
    // writes there but by an in-place call on this very tensor.
    unsafe { over_memory(tensor.py(), &tensor.get().0, 0, Some(tensor.clone())) }
}

/// The base class of NumPy's scalars.
pub(crate) fn scalar_type(py: Python<'_>) -> PyResult<&Any<'_>> {
    static GENERIC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class =
        GENERIC.get_or_try_init(py, || module(py)?.getattr("generic").map(Bound::unbind))?;
    Ok(class.bind(py))
}

/// True for an array of numbers with a fraction.
pub(crate) fn is_fraction(array: &Bound<'_, PyUntypedArray>) -> bool {
    array.dtype().kind() == b'f'
}
