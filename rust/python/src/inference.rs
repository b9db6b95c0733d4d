//! A captured answer to rows of one shape, as a callable.

use evengrad_core::dtype::Element as CoreElement;
use evengrad_core::plan::Plan as CorePlan;
use evengrad_core::{Result, Tensor as CoreTensor, capture, tape, team};
use numpy::{Element, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::Any;
use crate::access::wait_for;
use crate::capture::Plan;
use crate::error::exception;
use crate::native_call::{run, run_brief};
use crate::numpy as arrays;
use crate::tensor::Tensor;

/// What a plan that was captured without a tape answers to inputs of the shape it was captured with.
///
/// :meth:`answer` gives the output in memory of its own; or None where it cannot stand in for the operations: another
/// shape, elements that are neither float32 nor float64, gaps between them, a tape or a capture that wants to record.
/// :meth:`answer_each` writes the outputs for rows of many such inputs.
///
/// Parameters
/// ----------
/// plan : Plan
///     The captured step.
/// input, output : Tensor
///     What it was captured with: floating-point tensors without gaps.
///
/// Raises
/// ------
/// ValueError
///     If a tensor has gaps.
/// TypeError
///     If a tensor is of another type.
///
/// Examples
/// --------
/// >>> x = eg.zeros((1, 2))
/// >>> with eg._core.Recording() as recording:
/// ...     y = x * 2.0
/// >>> inference = eg._core.Inference(recording.plan, x, y)
/// >>> with eg.no_grad():
/// ...     inference.answer(eg.tensor([[3.0, 4.0]])).tolist()
/// [[6.0, 8.0]]
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct Inference {
    plan: Py<Plan>,
    input: CoreTensor,
    output: CoreTensor,
    brief: bool,
}

impl Inference {
    fn fits(&self, x: &CoreTensor) -> bool {
        x.shape() == self.input.shape() && x.layout().is_contiguous() && x.dtype().is_float()
    }

    /// The answer to an array that can be read as it lies; None where it cannot.
    fn of_array<T: Element + CoreElement>(
        &self,
        py: Python<'_>,
        array: &Bound<'_, PyArrayDyn<T>>,
    ) -> PyResult<Option<Tensor>> {
        if array.shape() != self.input.shape() {
            return Ok(None);
        }
        // A slice of an array in Fortran's order would come in that order.
        if self.brief
            && array.is_c_contiguous()
            && let Ok(array) = array.try_readonly()
            && let Ok(elements) = array.as_slice()
            && let Some(answer) = run_brief(|engine| {
                self.whole(|plan| plan.answer(engine, &self.input, &self.output, elements))
            })
            && let Some(tensor) = answer?
        {
            return Ok(Some(Tensor(tensor)));
        }
        let copy = arrays::read("x", array.as_any(), None)?;
        self.of_tensor(py, &copy).map(Some)
    }

    fn of_tensor(&self, py: Python<'_>, x: &CoreTensor) -> PyResult<Tensor> {
        let work = |plan: &mut CorePlan, engine: &mut team::Team| {
            plan.answer_to(engine, &self.input, &self.output, x)
        };
        if self.brief
            && let Some(answer) = run_brief(|engine| self.whole(|plan| work(plan, engine)))
            && let Some(tensor) = answer?
        {
            return Ok(Tensor(tensor));
        }
        self.wait_whole(py, work).map(Tensor)
    }

    /// Has the plan work as soon as no other thread changes what it reads.
    fn wait_whole<T: Send>(
        &self,
        py: Python<'_>,
        mut work: impl FnMut(&mut CorePlan, &mut team::Team) -> Result<T> + Send,
    ) -> PyResult<T> {
        let mut access = None;
        loop {
            let outcome = run(py, || {
                let mut engine = team::engine();
                self.whole(|plan| work(plan, &mut engine))
            })?;
            if let Some(answer) = outcome {
                drop(access);
                return Ok(answer);
            }
            let request = run(py, || Ok(self.plan.get().with(|plan| plan.request())))?;
            wait_for(py, &request)?;
            access = Some(request);
        }
    }

    /// The answers to the inputs that lie one after the other in an array, written to another one; false where they are not
    /// of this type, without gaps, and of fitting sizes.
    fn answer_arrays<T: Element + CoreElement>(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyArrayDyn<T>>,
        out: &Bound<'_, PyArrayDyn<T>>,
    ) -> PyResult<bool> {
        let fits = [&self.input, &self.output].iter().all(|tensor| {
            tensor.dtype() == T::DTYPE && !tensor.shape().is_empty() && tensor.count() > 0
        });
        if !fits || !x.is_c_contiguous() || !out.is_c_contiguous() {
            return Ok(false);
        }
        let (rows, made) = (self.input.shape(), self.output.shape());
        let several = |shape: &[usize], one: &[usize]| {
            shape.len() == one.len()
                && shape[1..] == one[1..]
                && shape[0].is_multiple_of(one[0])
                && shape[0] / one[0] > 0
        };
        let is_whole = several(x.shape(), rows) && several(out.shape(), made);
        if !is_whole || x.shape()[0] / rows[0] != out.shape()[0] / made[0] {
            return Ok(false);
        }
        let (Ok(x), Ok(mut out)) = (x.try_readonly(), out.try_readwrite()) else {
            return Ok(false);
        };
        let (Ok(elements), Ok(answers)) = (x.as_slice(), out.as_slice_mut()) else {
            return Ok(false);
        };
        let tensors = (&self.input, &self.output);
        self.wait_whole(py, |plan, engine| plan.answer_each(engine, tensors, elements, answers))?;
        Ok(true)
    }

    /// Has the plan work with the engine in hand; None where another thread changes what it reads.
    fn whole<T>(&self, work: impl FnOnce(&mut CorePlan) -> Result<T>) -> Result<Option<T>> {
        let plan = self.plan.get();
        plan.with(|plan| if plan.is_barred() { Ok(None) } else { work(plan).map(Some) })
    }
}

#[pymethods]
impl Inference {
    #[new]
    fn new(
        py: Python<'_>,
        plan: Py<Plan>,
        input: &Bound<'_, Tensor>,
        output: &Bound<'_, Tensor>,
    ) -> PyResult<Self> {
        let (input, output) = (input.get().0.clone(), output.get().0.clone());
        for (what, tensor) in [("input", &input), ("output", &output)] {
            tensor.dtype().require_float("Inference").map_err(exception)?;
            if !tensor.layout().is_contiguous() {
                return Err(PyValueError::new_err(format!(
                    "Inference: expected an {what} without gaps between its elements; use .clone()"
                )));
            }
        }
        let brief = run(py, || Ok(plan.get().with(|plan| plan.is_small())))?;
        Ok(Self { plan, input, output, brief })
    }

    /// Return the output for an input, or None where the operations themselves must be asked.
    ///
    /// Parameters
    /// ----------
    /// x : Tensor or numpy.ndarray
    ///     The input.
    #[pyo3(signature = (x, /))]
    fn answer(&self, py: Python<'_>, x: &Any<'_>) -> PyResult<Option<Tensor>> {
        if tape::records() || capture::is_open() {
            return Ok(None);
        }
        if let Ok(tensor) = x.cast::<Tensor>() {
            let tensor = &tensor.get().0;
            return if self.fits(tensor) { self.of_tensor(py, tensor).map(Some) } else { Ok(None) };
        }
        if !x.is_exact_instance_of::<PyUntypedArray>() {
            return Ok(None);
        }
        if let Ok(array) = x.cast::<PyArrayDyn<f32>>() {
            return self.of_array(py, array);
        }
        match x.cast::<PyArrayDyn<f64>>() {
            Ok(array) => self.of_array(py, array),
            Err(_) => Ok(None),
        }
    }

    /// Write the outputs for the rows of as many inputs as there are; return whether the array can be read and written as
    /// it lies.
    ///
    /// Parameters
    /// ----------
    /// x : numpy.ndarray
    ///     The rows, a multiple of the input's, in the input's dtype.
    /// out : numpy.ndarray
    ///     Gets as many of the output's, in the output's dtype.
    #[pyo3(signature = (x, out, /))]
    fn answer_each(&self, py: Python<'_>, x: &Any<'_>, out: &Any<'_>) -> PyResult<bool> {
        if tape::records() || capture::is_open() {
            return Ok(false);
        }
        if let (Ok(x), Ok(out)) = (x.cast::<PyArrayDyn<f32>>(), out.cast::<PyArrayDyn<f32>>()) {
            return self.answer_arrays(py, x, out);
        }
        match (x.cast::<PyArrayDyn<f64>>(), out.cast::<PyArrayDyn<f64>>()) {
            (Ok(x), Ok(out)) => self.answer_arrays(py, x, out),
            _ => Ok(false),
        }
    }
}
