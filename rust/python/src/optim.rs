//! Optimisers: a rule by name with its settings.

use evengrad_core::optim::{Adam, AmsGrad, Convention, Momentum, Optimizer as CoreOptimizer, Sgd};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::door::run;
use crate::functions::{list, references};
use crate::names::{choose, unknown};
use crate::tensor::Tensor;

const RULES: [&str; 2] = ["adam", "sgd"];
const CONVENTIONS: [(&str, Convention); 3] =
    [("keras", Convention::Keras), ("torch", Convention::Torch), ("tf1", Convention::Tf1)];

/// The settings as they were given, of which each is taken once; what is left is unknown.
struct Given<'py> {
    rule: &'static str,
    left: Bound<'py, PyDict>,
    taken: Vec<&'static str>,
}

impl<'py> Given<'py> {
    fn take(&mut self, name: &'static str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.taken.push(name);
        let value = self.left.get_item(name)?;
        if value.is_some() {
            self.left.del_item(name)?;
        }
        Ok(value)
    }

    fn number(&mut self, name: &'static str, default: f64) -> PyResult<f64> {
        match self.take(name)? {
            None => Ok(default),
            Some(value) => value.extract().map_err(|_| self.wrong(name, "a number", &value)),
        }
    }

    fn flag(&mut self, name: &'static str) -> PyResult<bool> {
        match self.take(name)? {
            None => Ok(false),
            Some(value) => value.extract().map_err(|_| self.wrong(name, "True or False", &value)),
        }
    }

    fn convention(&mut self) -> PyResult<Convention> {
        match self.take("convention")? {
            None => Ok(Convention::Keras),
            Some(value) => match value.cast::<PyString>() {
                Ok(name) => choose("convention", &name.to_string(), &CONVENTIONS),
                Err(_) => Err(self.wrong("convention", "a name", &value)),
            },
        }
    }

    fn wrong(&self, name: &str, expected: &str, value: &Bound<'_, PyAny>) -> PyErr {
        PyTypeError::new_err(format!("{}: {name}: expected {expected}, got {value}", self.rule))
    }

    /// An error if a setting came that the rule does not have.
    fn finish(self) -> PyResult<()> {
        match self.left.keys().iter().next() {
            None => Ok(()),
            Some(name) => {
                Err(unknown(&format!("{}: setting", self.rule), &name.to_string(), &self.taken))
            }
        }
    }
}

/// The rule of a name with its settings.
fn build(py: Python<'_>, rule: &str, settings: &Bound<'_, PyDict>) -> PyResult<CoreOptimizer> {
    let Some(rule) = RULES.into_iter().find(|known| *known == rule) else {
        return Err(unknown("rule", rule, &RULES));
    };
    let mut given = Given { rule, left: settings.copy()?, taken: Vec::new() };
    let convention = given.convention()?;
    if rule == "sgd" {
        let learning_rate = given.number("learning_rate", 0.01)?;
        let momentum = given.number("momentum", 0.0)?;
        let nesterov = given.flag("nesterov")?;
        given.finish()?;
        if momentum == 0.0 {
            return run(py, || CoreOptimizer::new(Sgd { learning_rate }));
        }
        let rule = Momentum { learning_rate, momentum, nesterov, convention };
        return run(py, || CoreOptimizer::new(rule));
    }
    let adam = Adam {
        learning_rate: given.number("learning_rate", 0.001)?,
        beta_1: given.number("beta_1", 0.9)?,
        beta_2: given.number("beta_2", 0.999)?,
        epsilon: given.number("epsilon", 1e-7)?,
        convention,
    };
    let amsgrad = given.flag("amsgrad")?;
    given.finish()?;
    if amsgrad {
        return run(py, || CoreOptimizer::new(AmsGrad(adam)));
    }
    run(py, || CoreOptimizer::new(adam))
}

/// An update rule with its settings, the number of its steps, and its slots for each parameter.
///
/// Parameters
/// ----------
/// rule : str
///     ``"sgd"`` or ``"adam"``.
/// settings : dict, optional
///     sgd: ``learning_rate`` (0.01), ``momentum`` (0), ``nesterov``. adam: ``learning_rate`` (0.001),
///     ``beta_1`` (0.9), ``beta_2`` (0.999), ``epsilon`` (1e-7), ``amsgrad``. Both: ``convention``, the
///     library whose form the rule takes where they differ: ``"keras"`` (if not given), ``"torch"`` or
///     ``"tf1"``.
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

#[pymethods]
impl Optimizer {
    #[new]
    #[pyo3(signature = (rule, settings=None))]
    fn new(py: Python<'_>, rule: &str, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        match settings {
            Some(settings) => build(py, rule, settings),
            None => build(py, rule, &PyDict::new(py)),
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
    fn apply(
        &self,
        py: Python<'_>,
        parameters: &Bound<'_, PyAny>,
        gradients: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let parameters = list("parameters", parameters)?;
        let gradients = list("gradients", gradients)?;
        run(py, || self.0.apply(&references(&parameters), &references(&gradients)))
    }

    /// Steps made so far. Assign to it to go on from a saved state.
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
        self.0.slot_names().to_vec()
    }

    /// What is kept for a parameter, in the order of :meth:`slot_names`; zeros before its first step.
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
