//! Reductions of `Tensor`: over all elements, or over some dimensions.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::native_call::run_tensor;
use crate::tensor::Tensor;

/// The dimensions to reduce: none given means all.
fn dimensions(dim: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<isize>> {
    let Some(dim) = dim else { return Ok(Vec::new()) };
    if let Ok(one) = dim.extract::<isize>() {
        return Ok(vec![one]);
    }
    dim.extract::<Vec<isize>>().map_err(|_| {
        let kind = dim.get_type().qualname().map_or_else(|_| "an object".into(), |n| n.to_string());
        PyTypeError::new_err(format!("dim: expected an int or a tuple of ints, got {kind}"))
    })
}

#[pymethods]
impl Tensor {
    /// Sum over dimensions: Σ x.
    ///
    /// Parameters
    /// ----------
    /// dim : int or tuple of ints, optional
    ///     The dimensions to sum over; all if None.
    /// keepdim : bool
    ///     Keep the reduced dimensions, with size 1.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    /// TypeError
    ///     If the elements are not floating-point numbers.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(dim=0).tolist()
    /// [4.0, 6.0]
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn sum(&self, py: Python<'_>, dim: Option<&Bound<'_, PyAny>>, keepdim: bool) -> PyResult<Self> {
        let dims = dimensions(dim)?;
        run_tensor(py, || self.0.sum(&dims, keepdim))
    }

    /// Mean over dimensions: Σ x / n; NaN over no elements.
    ///
    /// Parameters
    /// ----------
    /// dim : int or tuple of ints, optional
    ///     The dimensions to average over; all if None.
    /// keepdim : bool
    ///     Keep the reduced dimensions, with size 1.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    /// TypeError
    ///     If the elements are not floating-point numbers.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[1.0, 2.0], [3.0, 4.0]]).mean(dim=1, keepdim=True).tolist()
    /// [[1.5], [3.5]]
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn mean(
        &self,
        py: Python<'_>,
        dim: Option<&Bound<'_, PyAny>>,
        keepdim: bool,
    ) -> PyResult<Self> {
        let dims = dimensions(dim)?;
        run_tensor(py, || self.0.mean(&dims, keepdim))
    }

    /// Variance over dimensions: Σ (x - mean)² / (n - correction).
    ///
    /// Parameters
    /// ----------
    /// dim : int or tuple of ints, optional
    ///     The dimensions to reduce; all if None.
    /// correction : float
    ///     1 for the unbiased estimate of a sample's population, 0 for the sample's own variance.
    /// keepdim : bool
    ///     Keep the reduced dimensions, with size 1.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    /// TypeError
    ///     If the elements are not floating-point numbers.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([1.0, 2.0, 3.0]).var().item()
    /// 1.0
    #[pyo3(signature = (dim=None, correction=1.0, keepdim=false))]
    fn var(
        &self,
        py: Python<'_>,
        dim: Option<&Bound<'_, PyAny>>,
        correction: f64,
        keepdim: bool,
    ) -> PyResult<Self> {
        let dims = dimensions(dim)?;
        run_tensor(py, || self.0.var(&dims, correction, keepdim))
    }

    /// The largest element over dimensions; equal ones share the gradient, NaN wins.
    ///
    /// Parameters
    /// ----------
    /// dim : int or tuple of ints, optional
    ///     The dimensions to reduce; all if None.
    /// keepdim : bool
    ///     Keep the reduced dimensions, with size 1.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    /// ValueError
    ///     If there is nothing to choose from.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[1.0, 2.0], [4.0, 3.0]]).amax(1).tolist()
    /// [2.0, 4.0]
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn amax(
        &self,
        py: Python<'_>,
        dim: Option<&Bound<'_, PyAny>>,
        keepdim: bool,
    ) -> PyResult<Self> {
        let dims = dimensions(dim)?;
        run_tensor(py, || self.0.amax(&dims, keepdim))
    }

    /// The smallest element over dimensions; equal ones share the gradient, NaN wins.
    ///
    /// Parameters
    /// ----------
    /// dim : int or tuple of ints, optional
    ///     The dimensions to reduce; all if None.
    /// keepdim : bool
    ///     Keep the reduced dimensions, with size 1.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    /// ValueError
    ///     If there is nothing to choose from.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[1.0, 2.0], [4.0, 3.0]]).amin(1).tolist()
    /// [1.0, 3.0]
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn amin(
        &self,
        py: Python<'_>,
        dim: Option<&Bound<'_, PyAny>>,
        keepdim: bool,
    ) -> PyResult<Self> {
        let dims = dimensions(dim)?;
        run_tensor(py, || self.0.amin(&dims, keepdim))
    }

    /// The position of the first largest element over dimensions, as ``int64``; NaN counts as the largest.
    ///
    /// Over several dimensions positions are counted in their row-major order. Not differentiable.
    ///
    /// Parameters
    /// ----------
    /// dim : int or tuple of ints, optional
    ///     The dimensions to reduce; all if None.
    /// keepdim : bool
    ///     Keep the reduced dimensions, with size 1.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    /// ValueError
    ///     If there is nothing to choose from.
    ///
    /// Examples
    /// --------
    /// >>> eg.tensor([[1.0, 2.0], [4.0, 3.0]]).argmax(1).tolist()
    /// [1, 0]
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn argmax(
        &self,
        py: Python<'_>,
        dim: Option<&Bound<'_, PyAny>>,
        keepdim: bool,
    ) -> PyResult<Self> {
        let dims = dimensions(dim)?;
        run_tensor(py, || self.0.argmax(&dims, keepdim))
    }

    /// ln Σ eˣ over dimensions, without overflow; -inf over no elements.
    ///
    /// Parameters
    /// ----------
    /// dim : int or tuple of ints, optional
    ///     The dimensions to reduce; all if None.
    /// keepdim : bool
    ///     Keep the reduced dimensions, with size 1.
    ///
    /// Raises
    /// ------
    /// IndexError
    ///     If there is no such dimension.
    /// TypeError
    ///     If the elements are not floating-point numbers.
    ///
    /// Examples
    /// --------
    /// >>> round(eg.tensor([1000.0, 1000.0]).logsumexp().item(), 3)
    /// 1000.693
    #[pyo3(signature = (dim=None, keepdim=false))]
    fn logsumexp(
        &self,
        py: Python<'_>,
        dim: Option<&Bound<'_, PyAny>>,
        keepdim: bool,
    ) -> PyResult<Self> {
        let dims = dimensions(dim)?;
        run_tensor(py, || self.0.logsumexp(&dims, keepdim))
    }
}
