//! Gradients of inputs, and Python inside the backward pass: hooks of tensors, functions whose gradients Python computes.
//!
//! The tape calls back between launches, when nobody waits for this thread with the engine's lock in hand; the way
//! back into Python is native_call.rs's.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use evengrad_core::tape::{self, Backward, Gradients, Hook, Hooks};
use evengrad_core::team::lock;
use evengrad_core::{Result, Tensor as CoreTensor};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::Any;
use crate::error::exception;
use crate::functions::{list, references};
use crate::native_call::{call_back, run, run_tensor};
use crate::operand::other_tensor;
use crate::tensor::Tensor;

/// ∂output/∂input for each of `inputs`, leaves or results, without touching any ``grad``.
///
/// Parameters
/// ----------
/// output : Tensor
///     What is differentiated.
/// inputs : sequence of Tensor
///     With respect to these.
/// gradient : Tensor or array, optional
///     Weights of the output's elements; may be left out (then 1) where it has one element.
/// retain_graph : bool
///     Keep the graph for another pass.
///
/// Returns
/// -------
/// list of Tensor or None
///     None for an input that the output does not depend on.
///
/// Raises
/// ------
/// RuntimeError
///     If the output requires no gradient, or its graph was freed by an earlier pass.
/// ValueError
///     If `gradient` is missing or has another shape.
///
/// Examples
/// --------
/// >>> x = eg.tensor(3.0, requires_grad=True)
/// >>> [slope] = eg._core.gradients(x * x, [x])
/// >>> slope.item()
/// 6.0
#[pyfunction]
#[pyo3(signature = (output, inputs, gradient=None, retain_graph=false))]
pub(crate) fn gradients(
    output: &Bound<'_, Tensor>,
    inputs: &Any<'_>,
    gradient: Option<&Any<'_>>,
    retain_graph: bool,
) -> PyResult<Vec<Option<Tensor>>> {
    let (py, output) = (output.py(), &output.get().0);
    let inputs = list("inputs", inputs)?;
    let gradient =
        gradient.map(|given| other_tensor("gradient", given, Some(output.dtype()))).transpose()?;
    let found =
        run(py, || tape::gradients(output, &references(&inputs), gradient.as_ref(), retain_graph))?;
    Ok(found.into_iter().map(|gradient| gradient.map(Tensor)).collect())
}

/// How often hooks of leaves have been added or removed: a captured step has those of its capture.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// A function of a gradient.
struct PythonHook(Py<PyAny>);

impl Hook for PythonHook {
    fn call(&self, gradient: &CoreTensor) -> Result<Option<CoreTensor>> {
        call_back(|py| {
            let answer = self.0.bind(py).call1((Tensor(gradient.clone()),))?;
            if answer.is_none() {
                return Ok(None);
            }
            let Ok(other) = answer.cast::<Tensor>() else {
                return Err(PyTypeError::new_err(format!(
                    "register_hook: expected the hook to return None or a tensor, got {}",
                    answer.get_type().qualname()?
                )));
            };
            Ok(Some(other.get().0.clone()))
        })
    }
}

/// What :meth:`Tensor.register_hook` returns: removes the hook again.
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct HookHandle {
    // Weak, so that a forgotten handle keeps no graph.
    hooks: Weak<Hooks>,
    number: u64,
    on_leaf: bool,
}

#[pymethods]
impl HookHandle {
    /// Remove the hook; nothing happens where it is gone already.
    fn remove(&self) {
        let removed = self.hooks.upgrade().is_some_and(|hooks| hooks.remove(self.number));
        if removed && self.on_leaf {
            CHANGES.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How often hooks of leaves were added and removed so far.
///
/// Examples
/// --------
/// >>> before = eg._core.hook_changes()
/// >>> handle = eg.tensor(1.0, requires_grad=True).register_hook(print)
/// >>> eg._core.hook_changes() - before
/// 1
#[pyfunction]
pub(crate) fn hook_changes() -> u64 {
    CHANGES.load(Ordering::Relaxed)
}

#[pymethods]
impl Tensor {
    /// Have a function called with this tensor's gradient in each backward pass.
    ///
    /// It runs when the gradient is complete, before a leaf's is added to ``grad``, in :meth:`backward`,
    /// ``autograd.grad`` and ``optimizer.minimize`` alike, and off the tape. Hooks run in the order of registration.
    /// What a hook raises ends the pass: no ``grad`` and no parameter changes. Within a captured step the function
    /// runs once; what it computes with tensors is a part of every replay, and reading values is an error there.
    ///
    /// The hooks of a result go with its graph, those of a leaf stay until they are removed. A hook keeps alive
    /// what it refers to.
    ///
    /// Parameters
    /// ----------
    /// hook : function
    ///     Takes the gradient, which it must not change in place. Returns None, or a tensor of the same shape and
    ///     type for the pass to go on with.
    ///
    /// Returns
    /// -------
    /// HookHandle
    ///     ``handle.remove()`` takes the hook away.
    ///
    /// Raises
    /// ------
    /// RuntimeError
    ///     If this tensor requires no gradient.
    /// TypeError
    ///     If `hook` cannot be called; from a pass: it returned something else.
    /// ValueError
    ///     From a pass: what it returned has another shape or type.
    ///
    /// Examples
    /// --------
    /// >>> x = eg.tensor([1.0, 2.0], requires_grad=True)
    /// >>> handle = x.register_hook(lambda gradient: gradient.clamp(-3.0, 3.0))
    /// >>> (x * x).sum().backward()
    /// >>> x.grad.tolist()
    /// [2.0, 3.0]
    /// >>> handle.remove()
    fn register_hook(&self, hook: &Any<'_>) -> PyResult<HookHandle> {
        if !hook.is_callable() {
            return Err(PyTypeError::new_err(format!(
                "register_hook: expected a function of a gradient, got {}",
                hook.repr()?
            )));
        }
        let hooks = self.0.hooks().map_err(exception)?;
        let number = hooks.add(Arc::new(PythonHook(hook.clone().unbind())));
        let on_leaf = self.0.is_leaf();
        if on_leaf {
            CHANGES.fetch_add(1, Ordering::Relaxed);
        }
        Ok(HookHandle { hooks: Arc::downgrade(hooks), number, on_leaf })
    }
}

/// A tensor kept for the backward pass, off the tape. It refuses to be used after its memory was written again.
#[pyclass(frozen, module = "evengrad._core")]
pub(crate) struct Saved(tape::Saved);

#[pymethods]
impl Saved {
    #[new]
    fn new(py: Python<'_>, tensor: &Bound<'_, Tensor>) -> PyResult<Self> {
        let tensor = &tensor.get().0;
        run(py, || Ok(tape::Saved::new(tensor))).map(Self)
    }

    /// The kept tensor; RuntimeError where it was changed in place meanwhile.
    fn get(&self) -> PyResult<Tensor> {
        self.0.get().map(|tensor| Tensor(tensor.clone())).map_err(exception)
    }
}

/// A function whose gradients Python computes.
struct PythonRule(Py<PyAny>);

impl Backward for PythonRule {
    fn backward(&self, grad: &CoreTensor, _needs: &[bool]) -> Result<Gradients> {
        call_back(|py| {
            let found = self.0.bind(py).call1((Tensor(grad.clone()),))?;
            let found: Vec<Option<Bound<'_, Tensor>>> = found.extract()?;
            Ok(found.into_iter().map(|tensor| tensor.map(|t| t.get().0.detach())).collect())
        })
    }
}

/// A name for as long as the process lives: there are no more of them than functions in the program's text.
fn lasting(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = lock(&NAMES);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let lasting: &'static str = Box::leak(name.into());
    names.insert(lasting);
    lasting
}

/// A tensor with the values of `output`, as if an operation had made it of `inputs`: `backward` takes its gradient and
/// returns those of the inputs, None for what has none. What `autograd.Function` is made of.
///
/// Parameters
/// ----------
/// name : str
///     What ``grad_fn`` is called.
/// output : Tensor
///     The values.
/// inputs : sequence of Tensor
///     What they were computed from.
/// backward : function
///     From the gradient to a list with a gradient, of the input's shape and type, or None for each input.
///
/// Examples
/// --------
/// >>> x = eg.tensor(3.0, requires_grad=True)
/// >>> y = eg._core.record("double", x.detach() * 2.0, [x], lambda gradient: [gradient * 2.0])
/// >>> y.backward()
/// >>> y.grad_fn, x.grad.item()
/// ('double', 2.0)
#[pyfunction]
pub(crate) fn record(
    name: &str,
    output: &Bound<'_, Tensor>,
    inputs: &Any<'_>,
    backward: Py<PyAny>,
) -> PyResult<Tensor> {
    let (py, output) = (output.py(), &output.get().0);
    let inputs = list("inputs", inputs)?;
    let (name, rule) = (lasting(name), PythonRule(backward));
    run_tensor(py, || Ok(tape::record(name, output, &references(&inputs), rule)))
}
