//! Reductions of `Tensor`: over all elements, or over some dimensions.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::Any;
use crate::native_call::run_tensor;
use crate::tensor::Tensor;

/// The dimensions to reduce: none given means all.
fn dimensions(dim: Option<&Any<'_>>) -> PyResult<Vec<isize>> {
    let Some(dim) = dim else { return Ok(Vec::new()) };
    if let Ok(one) = dim.extract::<isize>() {
        return Ok(vec![one]);
    }
    dim.extract::<Vec<isize>>().map_err(|_| {
        let kind = dim.get_type().qualname().map_or_else(|_| "an object".into(), |n| n.to_string());
        PyTypeError::new_err(format!("dim: expected an int or a tuple of ints, got {kind}"))
    })
}

/// A method for each reduction, with what its documentation says of it alone: what it does over dimensions, when it raises
/// what, and an example.
macro_rules! reductions {
    ($(
        $(#[doc = $doc:tt])+
        $name:ident dimensions to $verb:literal, raises $error:literal if $reason:literal,
            example $example:literal => $result:literal;
    )+) => { $(
        #[pymethods]
        impl Tensor {
            $(#[doc = $doc])+
            #[doc = concat!(
                "\nParameters\n----------\n",
                "dim : int or tuple of ints, optional\n    The dimensions to ", $verb, "; all if None.\n",
                "keepdim : bool\n    Keep the reduced dimensions, with size 1.\n",
                "\nRaises\n------\nIndexError\n    If there is no such dimension.\n",
                $error, "\n    If ", $reason, ".\n",
                "\nExamples\n--------\n>>> ", $example, "\n", $result
            )]
            #[pyo3(signature = (dim=None, keepdim=false))]
            fn $name(&self, py: Python<'_>, dim: Option<&Any<'_>>, keepdim: bool) -> PyResult<Self> {
                let dims = dimensions(dim)?;
                run_tensor(py, || self.0.$name(&dims, keepdim))
            }
        }
    )+ };
}

reductions! {
    /// Sum over dimensions: Σ x.
    sum dimensions to "sum over", raises "TypeError" if "the elements are not floating-point numbers",
        example "eg.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(dim=0).tolist()" => "[4.0, 6.0]";
    /// Mean over dimensions: Σ x / n; NaN over no elements.
    mean dimensions to "average over", raises "TypeError" if "the elements are not floating-point numbers",
        example "eg.tensor([[1.0, 2.0], [3.0, 4.0]]).mean(dim=1, keepdim=True).tolist()" => "[[1.5], [3.5]]";
    /// The largest element over dimensions; equal ones share the gradient, NaN wins.
    amax dimensions to "reduce", raises "ValueError" if "there is nothing to choose from",
        example "eg.tensor([[1.0, 2.0], [4.0, 3.0]]).amax(1).tolist()" => "[2.0, 4.0]";
    /// The smallest element over dimensions; equal ones share the gradient, NaN wins.
    amin dimensions to "reduce", raises "ValueError" if "there is nothing to choose from",
        example "eg.tensor([[1.0, 2.0], [4.0, 3.0]]).amin(1).tolist()" => "[1.0, 3.0]";
    /// The position of the first largest element over dimensions, as ``int64``; NaN counts as the largest.
    ///
    /// Over several dimensions positions are counted in their row-major order. Not differentiable.
    argmax dimensions to "reduce", raises "ValueError" if "there is nothing to choose from",
        example "eg.tensor([[1.0, 2.0], [4.0, 3.0]]).argmax(1).tolist()" => "[1, 0]";
    /// ln Σ eˣ over dimensions, without overflow; -inf over no elements.
    logsumexp dimensions to "reduce", raises "TypeError" if "the elements are not floating-point numbers",
        example "round(eg.tensor([1000.0, 1000.0]).logsumexp().item(), 3)" => "1000.693";
}

#[pymethods]
impl Tensor {
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
        dim: Option<&Any<'_>>,
        correction: f64,
        keepdim: bool,
    ) -> PyResult<Self> {
        let dims = dimensions(dim)?;
        run_tensor(py, || self.0.var(&dims, correction, keepdim))
    }
}
