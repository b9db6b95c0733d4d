//! Shapes of `Tensor`: other sizes, other orders, parts by index.

use evengrad_core::ops::shape::Span;
use evengrad_core::{DType, Result, Tensor as CoreTensor};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyList, PySlice, PyTuple};

use std::sync::atomic::{AtomicIsize, Ordering};

use crate::Any;
use crate::native_call::run_tensor;
use crate::numpy as arrays;
use crate::tensor::Tensor;

/// Whole numbers from `f(2, 3)` or `f((2, 3))`.
pub(crate) fn integers(operation: &str, given: &Bound<'_, PyTuple>) -> PyResult<Vec<isize>> {
    let one;
    let all = if given.len() == 1 {
        one = given.get_item(0)?;
        if let Ok(number) = one.extract::<isize>() {
            return Ok(vec![number]);
        }
        &one
    } else {
        given.as_any()
    };
    all.extract::<Vec<isize>>().map_err(|_| {
        PyTypeError::new_err(format!("{operation}: expected whole numbers, got {all}"))
    })
}

/// Sizes from `n` or `(n, m, ...)`.
pub(crate) fn sizes(operation: &str, given: &Any<'_>) -> PyResult<Vec<usize>> {
    let numbers = match given.extract::<isize>() {
        Ok(one) => vec![one],
        Err(_) => given.extract::<Vec<isize>>().map_err(|_| {
            PyTypeError::new_err(format!(
                "{operation}: expected a shape, a whole number or a tuple of them, got {given}"
            ))
        })?,
    };
    not_negative(operation, &numbers)
}

fn not_negative(operation: &str, sizes: &[isize]) -> PyResult<Vec<usize>> {
    sizes
        .iter()
        .map(|&size| {
            usize::try_from(size).map_err(|_| {
                PyValueError::new_err(format!("{operation}: sizes cannot be negative, got {size}"))
            })
        })
        .collect()
}

/// What an index does with the next dimension.
enum Step {
    /// Keeps a part of it.
    Keep(Span),
    /// Takes one position and drops the dimension.
    Select(isize),
    /// Puts a new one of size 1 before it.
    New,
}

/// An index: parts of dimensions, or the numbers of rows.
enum Index {
    Steps(Vec<Step>),
    Rows(CoreTensor),
}

/// One bound of a slice; beyond 64 bits it means the far end.
fn bound(slice: &Bound<'_, PySlice>, name: &str) -> PyResult<Option<isize>> {
    let value = slice.getattr(name)?;
    if value.is_none() {
        return Ok(None);
    }
    match value.extract::<isize>() {
        Ok(position) => Ok(Some(position)),
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyOverflowError>(value.py()) => {
            Ok(Some(if value.lt(0)? { isize::MIN } else { isize::MAX }))
        }
        Err(_) => Err(PyTypeError::new_err(format!(
            "index: slices are cut at whole numbers, got {}",
            value.repr()?
        ))),
    }
}

fn step_of(item: &Any<'_>) -> PyResult<Step> {
    if item.is_none() {
        return Ok(Step::New);
    }
    if let Ok(slice) = item.cast::<PySlice>() {
        let step = bound(slice, "step")?.unwrap_or(1);
        if step == 0 {
            return Err(PyValueError::new_err("index: the step of a slice cannot be zero"));
        }
        // A step that goes beyond every end takes one element; isize::MIN has no opposite.
        let step = step.max(-isize::MAX);
        return Ok(Step::Keep(Span {
            start: bound(slice, "start")?,
            stop: bound(slice, "stop")?,
            step,
        }));
    }
    if !item.is_instance_of::<PyBool>()
        && let Ok(position) = item.extract::<isize>()
    {
        return Ok(Step::Select(position));
    }
    let kind = item.get_type().qualname()?;
    Err(PyIndexError::new_err(format!(
        "index: expected integers, slices, None and ..., or alone the numbers of rows (integers in a list, an \
         array or a tensor), got {kind}; for a mask use numpy.flatnonzero(mask)"
    )))
}

/// The numbers of rows, where the index is a list, an array or a tensor.
fn rows_of(key: &Any<'_>) -> PyResult<Option<CoreTensor>> {
    let py = key.py();
    if let Ok(tensor) = key.cast::<Tensor>() {
        let rows = tensor.get().0.clone();
        if rows.dtype() != DType::I64 {
            return Err(PyIndexError::new_err(format!(
                "index: expected rows as int64, got a tensor of dtype {}; for a mask use numpy.flatnonzero(mask)",
                rows.dtype().name()
            )));
        }
        return Ok(Some(rows));
    }
    if let Ok(list) = key.cast::<PyList>()
        && list.is_empty()
    {
        // NumPy takes an empty list for numbers with a fraction.
        return crate::native_call::run(py, || CoreTensor::zeros(&[0], DType::I64)).map(Some);
    }
    let is_array = key.is_instance_of::<::numpy::PyUntypedArray>();
    if !(is_array || key.is_instance_of::<PyList>()) {
        return Ok(None);
    }
    let rows = arrays::read("index", key, None)?;
    if rows.dtype() != DType::I64 {
        return Err(PyIndexError::new_err(format!(
            "index: expected whole numbers of rows, got {}; for a mask use numpy.flatnonzero(mask)",
            rows.dtype().name()
        )));
    }
    Ok(Some(rows))
}

fn parse(key: &Any<'_>, ndim: usize) -> PyResult<Index> {
    if let Some(rows) = rows_of(key)? {
        return Ok(Index::Rows(rows));
    }
    let items: Vec<Any<'_>> = match key.cast::<PyTuple>() {
        Ok(tuple) => tuple.iter().collect(),
        Err(_) => vec![key.clone()],
    };
    let is_rest = |item: &Any<'_>| item.is_instance_of::<PyEllipsis>();
    let taken = items.iter().filter(|item| !item.is_none() && !is_rest(item)).count();
    if taken > ndim {
        return Err(PyIndexError::new_err(format!(
            "index: {taken} positions for a tensor with {ndim} dimensions"
        )));
    }
    let mut rest = Some(ndim - taken);
    let mut steps = Vec::with_capacity(items.len() + ndim);
    for item in &items {
        if is_rest(item) {
            let Some(count) = rest.take() else {
                return Err(PyIndexError::new_err("index: only one ... can be there"));
            };
            steps.extend((0..count).map(|_| Step::Keep(Span::ALL)));
        } else {
            steps.push(step_of(item)?);
        }
    }
    Ok(Index::Steps(steps))
}

fn apply(tensor: &CoreTensor, steps: &[Step]) -> Result<CoreTensor> {
    let spans: Vec<Span> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Keep(span) => Some(*span),
            Step::Select(_) => Some(Span::ALL),
            Step::New => None,
        })
        .collect();
    let only_kept = steps.iter().all(|step| matches!(step, Step::Keep(_)));
    let mut out = if only_kept || spans.iter().any(|span| *span != Span::ALL) {
        tensor.slice(&spans)?
    } else {
        tensor.clone()
    };
    let mut dim = 0;
    for step in steps {
        match step {
            Step::Keep(_) => dim += 1,
            Step::Select(position) => out = out.index(dim, *position)?,
            Step::New => {
                out = out.unsqueeze(dim)?;
                dim += 1;
            }
        }
    }
    Ok(out)
}

#[pymethods]
impl Tensor {
    /// The dimensions in reverse order, as a view.
    ///
    /// >>> eg.tensor([[1.0, 2.0], [3.0, 4.0]]).T.tolist()
    /// [[1.0, 3.0], [2.0, 4.0]]
    #[getter]
    #[pyo3(name = "T")]
    fn transposed(&self, py: Python<'_>) -> PyResult<Self> {
        let order: Vec<isize> = (0..self.0.ndim() as isize).rev().collect();
        run_tensor(py, || self.0.permute(&order))
    }

    fn __getitem__(&self, py: Python<'_>, key: &Any<'_>) -> PyResult<Self> {
        let index = parse(key, self.0.ndim())?;
        run_tensor(py, || match &index {
            Index::Rows(rows) => self.0.take_rows(rows),
            Index::Steps(steps) => apply(&self.0, steps),
        })
    }

    fn __iter__(slf: Bound<'_, Self>) -> PyResult<TensorIterator> {
        if slf.get().0.ndim() == 0 {
            return Err(PyTypeError::new_err(
                "a tensor without dimensions has nothing to iterate over",
            ));
        }
        Ok(TensorIterator { tensor: slf.get().0.clone(), next: AtomicIsize::new(0) })
    }

    /// The same elements, in row-major order, with other sizes.
    ///
    /// A view where strides allow it, else a copy. One size may be -1 and follows from the others.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the sizes do not have as many elements.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([1.0, 2.0, 3.0, 4.0]).reshape(2, -1).shape
    /// (2, 2)
    #[pyo3(signature = (*shape))]
    fn reshape(&self, py: Python<'_>, shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let sizes = integers("reshape", shape)?;
        run_tensor(py, || self.0.reshape(&sizes))
    }

    /// Two dimensions exchanged, as a view.
    ///
    /// Parameters
    /// ----------
    /// dim0, dim1
    ///     The dimensions; negative ones count from the end.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[[1.0], [2.0]]]).transpose(0, -1).shape
    /// (1, 2, 1)
    fn transpose(&self, py: Python<'_>, dim0: isize, dim1: isize) -> PyResult<Self> {
        run_tensor(py, || self.0.transpose(dim0, dim1))
    }

    /// The dimensions in another order, as a view.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If `dims` does not name each dimension once.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[[1.0, 2.0]]]).permute(2, 0, 1).shape
    /// (2, 1, 1)
    #[pyo3(signature = (*dims))]
    fn permute(&self, py: Python<'_>, dims: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let dims = integers("permute", dims)?;
        run_tensor(py, || self.0.permute(&dims))
    }

    /// The dimensions from `start_dim` on merged into one.
    ///
    /// Parameters
    /// ----------
    /// start_dim
    ///     The first of the dimensions; a negative one counts from the end.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]).flatten(1).shape
    /// (2, 2)
    #[pyo3(signature = (start_dim=0))]
    fn flatten(&self, py: Python<'_>, start_dim: isize) -> PyResult<Self> {
        run_tensor(py, || self.0.flatten(start_dim))
    }

    /// A view without a dimension of size 1, or without all of them; a dimension of another size stays.
    ///
    /// Parameters
    /// ----------
    /// dim
    ///     The dimension; a negative one counts from the end. None for all of size 1.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[[1.0, 2.0]]]).squeeze().shape
    /// (2,)
    #[pyo3(signature = (dim=None))]
    fn squeeze(&self, py: Python<'_>, dim: Option<isize>) -> PyResult<Self> {
        run_tensor(py, || self.0.squeeze(dim))
    }

    /// A view with a new dimension of size 1 before `dim`.
    ///
    /// Parameters
    /// ----------
    /// dim
    ///     The place of the new dimension; a negative one counts from the new end.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such place.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([1.0, 2.0]).unsqueeze(-1).shape
    /// (2, 1)
    fn unsqueeze(&self, py: Python<'_>, dim: isize) -> PyResult<Self> {
        run_tensor(py, || self.0.unsqueeze(dim))
    }

    /// The parts along a dimension, as views without it.
    ///
    /// Parameters
    /// ----------
    /// dim : int
    ///     The dimension to take apart.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    ///
    /// Examples
    /// --------
    /// >>> first, second = eg.tensor([[1.0, 2.0], [3.0, 4.0]]).unbind()
    /// >>> second.tolist()
    /// [3.0, 4.0]
    #[pyo3(signature = (dim=0))]
    fn unbind<'py>(slf: &Bound<'py, Self>, dim: isize) -> PyResult<Bound<'py, PyTuple>> {
        crate::functions::unbind(slf.as_any(), dim)
    }

    /// A view in which dimensions of size 1, and new ones in front, are repeated.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If this tensor's shape does not broadcast to `shape`.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([1.0, 2.0]).expand(2, 2).tolist()
    /// [[1.0, 2.0], [1.0, 2.0]]
    #[pyo3(signature = (*shape))]
    fn expand(&self, py: Python<'_>, shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let sizes = not_negative("expand", &integers("expand", shape)?)?;
        run_tensor(py, || self.0.expand(&sizes))
    }
}

/// Goes over the rows of a tensor.
#[pyclass(frozen, module = "evengrad._core")]
pub(crate) struct TensorIterator {
    tensor: CoreTensor,
    next: AtomicIsize,
}

#[pymethods]
impl TensorIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Tensor>> {
        let row = self.next.fetch_add(1, Ordering::Relaxed);
        if row as usize >= self.tensor.shape()[0] {
            // Stays at the end however often it is asked.
            self.next.store(isize::MAX, Ordering::Relaxed);
            return Ok(None);
        }
        run_tensor(py, || self.tensor.index(0, row)).map(Some)
    }

    fn __length_hint__(&self) -> usize {
        let row = self.next.load(Ordering::Relaxed).max(0) as usize;
        self.tensor.shape()[0].saturating_sub(row)
    }
}
