//! Optimizers: a rule by name with its settings.

mod rules;

use evengrad_core::optim::Optimizer as CoreOptimizer;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::Any;
use crate::functions::{list, references};
use crate::names::choose;
use crate::native_call::run;
use crate::tensor::Tensor;

pub(crate) use rules::optimizer_settings;

/// An update rule with its settings, the number of its steps, and its slots for each parameter.
///
/// Parameters
/// ----------
/// rule : str
///     A name that `optimizer_settings` has.
/// settings : dict, optional
///     The rule's own, which `optimizer_settings` has with their defaults. All:
///     ``weight_decay``, and how it works, ``decay``: ``"decoupled"`` (if not given), ``"unscaled"`` or
///     ``"coupled"``;
///     ``gradient_accumulation_steps``; ``ema_momentum`` (without it no averages are kept) and
///     ``ema_overwrite_frequency``. Where libraries differ:
///     ``convention``, the one whose form the rule takes: ``"keras"`` (if not given), ``"torch"`` or ``"tf1"``.
///
/// Raises
/// ------
/// ValueError
///     If the rule or a setting is unknown.
/// TypeError
///     If a setting has the wrong type.
///
/// Examples
/// --------
/// >>> w = eg.tensor([1.0], requires_grad=True)
/// >>> sgd = eg._core.Optimizer("sgd", {"learning_rate": 0.5})
/// >>> sgd.apply([w], [eg.tensor([1.0])])
/// >>> w.tolist(), sgd.iterations
/// ([0.5], 1)
#[pyclass(frozen, weakref, module = "evengrad._core")]
pub(crate) struct Optimizer(CoreOptimizer);

impl Optimizer {
    pub(crate) fn core(&self) -> &CoreOptimizer {
        &self.0
    }
}

#[pymethods]
impl Optimizer {
    #[new]
    #[pyo3(signature = (rule, settings=None))]
    fn new(py: Python<'_>, rule: &str, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        match settings {
            Some(settings) => rules::build(py, rule, settings),
            None => rules::build(py, rule, &PyDict::new(py)),
        }
        .map(Self)
    }

    /// The rule's name.
    #[getter]
    fn rule(&self) -> &'static str {
        self.0.name()
    }

    /// Make one step: ``iterations`` rises by one, and each parameter is updated in place.
    ///
    /// Everything is checked before anything changes.
    ///
    /// Parameters
    /// ----------
    /// parameters : sequence of Tensor
    ///     Leaves.
    /// gradients : sequence of Tensor
    ///     As many, of the same shapes and types.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If they do not fit each other.
    ///
    /// Examples
    /// --------
    /// >>> w = eg.tensor([1.0], requires_grad=True)
    /// >>> sgd = eg._core.Optimizer("sgd", {"learning_rate": 0.25})
    /// >>> sgd.apply([w], [eg.tensor([2.0])])
    /// >>> w.tolist()
    /// [0.5]
    fn apply(&self, py: Python<'_>, parameters: &Any<'_>, gradients: &Any<'_>) -> PyResult<()> {
        let parameters = list("parameters", parameters)?;
        let gradients = list("gradients", gradients)?;
        run(py, || self.0.apply(&references(&parameters), &references(&gradients)))
    }

    /// Have each step write, of each of these parameters that it updates, √Σ(after - before)², √Σ before² and √Σ gradient²,
    /// of the gradient that it is given. The update is the same, bit by bit.
    ///
    /// Parameters
    /// ----------
    /// into : Tensor, optional
    ///     Gets three numbers for each parameter: ``float64`` without gaps. Without it, steps write nothing any more.
    /// parameters : sequence of Tensor, optional
    ///     Whose updates are measured.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If their number does not fit.
    /// TypeError
    ///     If the memory is of another type.
    ///
    /// Examples
    /// --------
    /// >>> w, into = eg.tensor([[3.0, 4.0]], requires_grad=True), eg.zeros(3, dtype="float64")
    /// >>> sgd = eg._core.Optimizer("sgd", {"learning_rate": 0.5})
    /// >>> sgd.observe(into, [w])
    /// >>> sgd.apply([w], [eg.tensor([[0.0, 2.0]])])
    /// >>> into.tolist(), w.tolist()
    /// ([1.0, 5.0, 2.0], [[3.0, 3.0]])
    #[pyo3(signature = (into=None, parameters=None))]
    fn observe(
        &self,
        py: Python<'_>,
        into: Option<&Bound<'_, Tensor>>,
        parameters: Option<&Any<'_>>,
    ) -> PyResult<()> {
        let parameters =
            parameters.map_or_else(|| Ok(Vec::new()), |all| list("parameters", all))?;
        let into = into.map(|into| into.get().0.clone());
        run(py, || {
            if let Some(into) = &into {
                return self.0.observe(into, &references(&parameters));
            }
            self.0.observe_nothing();
            Ok(())
        })
    }

    /// Take in the gradients of a step; only with ``gradient_accumulation_steps``.
    ///
    /// Parameters
    /// ----------
    /// parameters, gradients : sequence of Tensor
    ///     As for :meth:`apply`.
    ///
    /// Returns
    /// -------
    /// list of Tensor
    ///     What :meth:`apply` is to be given in this step: the gradients' means since the last update, which
    ///     it uses in the last of the steps alone.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If they do not fit each other; if the parameters differ from those of the steps before.
    ///
    /// Examples
    /// --------
    /// >>> w = eg.tensor([1.0], requires_grad=True)
    /// >>> sgd = eg._core.Optimizer("sgd", {"learning_rate": 0.5, "gradient_accumulation_steps": 2})
    /// >>> for slope in (1.0, 3.0):
    /// ...     sgd.apply([w], sgd.accumulate([w], [eg.tensor([slope])]))
    /// ...     print(w.tolist(), sgd.iterations, sgd.accumulated)
    /// [1.0] 0 1
    /// [0.0] 1 0
    fn accumulate(&self, parameters: &Any<'_>, gradients: &Any<'_>) -> PyResult<Vec<Tensor>> {
        let py = parameters.py();
        let parameters = list("parameters", parameters)?;
        let gradients = list("gradients", gradients)?;
        let means =
            run(py, || self.0.accumulate(&references(&parameters), &references(&gradients)))?;
        Ok(means.into_iter().map(Tensor).collect())
    }

    /// Take parameters into their averages, after :meth:`apply`; only with ``ema_momentum``.
    ///
    /// Examples
    /// --------
    /// >>> w = eg.tensor([1.0], requires_grad=True)
    /// >>> sgd = eg._core.Optimizer("sgd", {"learning_rate": 1.0, "ema_momentum": 0.75})
    /// >>> for _ in range(2):
    /// ...     sgd.apply([w], [eg.tensor([1.0])])
    /// ...     sgd.average([w])
    /// >>> w.tolist(), sgd.slots(w)[-1].tolist()
    /// ([-1.0], [-0.25])
    fn average(&self, py: Python<'_>, parameters: &Any<'_>) -> PyResult<()> {
        let parameters = list("parameters", parameters)?;
        run(py, || self.0.average(&references(&parameters)))
    }

    /// Have a parameter's learning rate and weight decay be multiples of the settings from now on.
    ///
    /// Examples
    /// --------
    /// >>> w = eg.tensor([1.0], requires_grad=True)
    /// >>> sgd = eg._core.Optimizer("sgd", {"learning_rate": 1.0})
    /// >>> sgd.scale(w, 0.25, 1.0)
    /// >>> sgd.apply([w], [eg.tensor([1.0])])
    /// >>> w.tolist()
    /// [0.75]
    fn scale(
        &self,
        parameter: &Bound<'_, Tensor>,
        learning_rate: f64,
        weight_decay: f64,
    ) -> PyResult<()> {
        let (py, parameter) = (parameter.py(), &parameter.get().0);
        run(py, || self.0.scale(parameter, learning_rate, weight_decay))
    }

    /// One element: 1 in a step that updates, else 0. The tensor stays, replays write it anew.
    #[getter]
    fn gate(&self) -> Tensor {
        Tensor(self.0.gate().clone())
    }

    /// Steps since the last update; with ``gradient_accumulation_steps``. Assign to it to go on from a saved
    /// state.
    #[getter]
    fn accumulated(&self, py: Python<'_>) -> PyResult<u64> {
        run(py, || Ok(self.0.accumulated()))
    }

    #[setter]
    fn set_accumulated(&self, py: Python<'_>, steps: u64) -> PyResult<()> {
        run(py, || self.0.set_accumulated(steps))
    }

    /// Steps made so far, by updates. Assign to it to go on from a saved state; ``memory`` follows.
    #[getter]
    fn iterations(&self, py: Python<'_>) -> PyResult<u64> {
        run(py, || Ok(self.0.iterations()))
    }

    #[setter]
    fn set_iterations(&self, py: Python<'_>, iterations: u64) -> PyResult<()> {
        run(py, || {
            self.0.set_iterations(iterations);
            Ok(())
        })
    }

    /// The one number that the rule keeps from step to step, 1 where it keeps none. To restore a saved state
    /// exactly, assign to it after ``iterations``.
    #[getter]
    fn memory(&self, py: Python<'_>) -> PyResult<f64> {
        run(py, || Ok(self.0.memory()))
    }

    #[setter]
    fn set_memory(&self, py: Python<'_>, memory: f64) -> PyResult<()> {
        run(py, || {
            self.0.set_memory(memory);
            Ok(())
        })
    }

    /// The present value of a setting.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the rule has no such setting.
    ///
    /// Examples
    /// --------
    /// >>> eg._core.Optimizer("adam").get("beta_1")
    /// 0.9
    fn get(&self, py: Python<'_>, name: &str) -> PyResult<f64> {
        let settings = run(py, || Ok(self.0.settings()))?;
        choose(self.0.name(), name, &settings)
    }

    /// Set a setting for the steps to come.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the rule has no such setting.
    ///
    /// Examples
    /// --------
    /// >>> adam = eg._core.Optimizer("adam")
    /// >>> adam.set("learning_rate", 0.5)
    /// >>> adam.get("learning_rate")
    /// 0.5
    fn set(&self, py: Python<'_>, name: &str, value: f64) -> PyResult<()> {
        self.get(py, name)?;
        run(py, || self.0.set(name, value))
    }

    /// Give a setting one value for each of the coming steps, as a schedule does; after the last one it keeps
    /// that value. An earlier queue is replaced.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     If the rule has no such setting.
    ///
    /// Examples
    /// --------
    /// >>> w, slope = eg.tensor([1.0], requires_grad=True), eg.tensor([1.0])
    /// >>> sgd = eg._core.Optimizer("sgd")
    /// >>> sgd.queue("learning_rate", [0.5, 0.25])
    /// >>> sgd.apply([w], [slope])
    /// >>> sgd.apply([w], [slope])
    /// >>> w.tolist(), sgd.get("learning_rate")
    /// ([0.25], 0.25)
    fn queue(&self, py: Python<'_>, name: &str, values: Vec<f64>) -> PyResult<()> {
        self.get(py, name)?;
        run(py, || self.0.queue(name, &values))
    }

    /// The names of what is kept for each parameter.
    ///
    /// Examples
    /// --------
    /// >>> eg._core.Optimizer("adam").slot_names()
    /// ['mean', 'mean_square']
    fn slot_names(&self) -> Vec<&'static str> {
        self.0.slot_names()
    }

    /// What is kept for a parameter, in the order of :meth:`slot_names`; before its first step, what the rule
    /// starts with.
    ///
    /// They are the tensors themselves: writing to them with ``copy_`` restores a saved state.
    ///
    /// Examples
    /// --------
    /// >>> w = eg.tensor([1.0], requires_grad=True)
    /// >>> [slot.tolist() for slot in eg._core.Optimizer("adam").slots(w)]
    /// [[0.0], [0.0]]
    fn slots(&self, py: Python<'_>, parameter: &Bound<'_, Tensor>) -> PyResult<Vec<Tensor>> {
        let parameter = &parameter.get().0;
        let slots = run(py, || self.0.slots(parameter))?;
        Ok(slots.into_iter().map(Tensor).collect())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (settings, iterations) = run(py, || Ok((self.0.settings(), self.0.iterations())))?;
        let settings: Vec<String> =
            settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let name = self.0.name();
        Ok(format!("Optimizer({name}, {}, iterations={iterations})", settings.join(", ")))
    }
}
