//! The rules by name, and the settings that each takes.

use evengrad_core::optim::{
    Adadelta, Adagrad, Adam, Adamax, AmsGrad, Around, Averaging, Convention, Decay, Lion, Momentum,
    Nadam, Optimizer, RmsProp, Sgd, UpdateRule,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::door::run;
use crate::names::{choose, unknown};

const RULES: [&str; 8] =
    ["adam", "sgd", "adadelta", "adagrad", "adamax", "lion", "nadam", "rmsprop"];
const CONVENTIONS: [(&str, Convention); 3] =
    [("keras", Convention::Keras), ("torch", Convention::Torch), ("tf1", Convention::Tf1)];
const DECAYS: [(&str, Decay); 3] =
    [("decoupled", Decay::Decoupled), ("unscaled", Decay::Unscaled), ("coupled", Decay::Coupled)];

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

    /// How weights decay, and by how much; none without `weight_decay`.
    fn decay(&mut self) -> PyResult<Option<(Decay, f64)>> {
        let kind = match self.take("decay")? {
            None => Decay::Decoupled,
            Some(value) => match value.cast::<PyString>() {
                Ok(name) => choose("decay", &name.to_string(), &DECAYS)?,
                Err(_) => return Err(self.wrong("decay", "a name", &value)),
            },
        };
        match self.take("weight_decay")? {
            None => Ok(None),
            Some(value) => match value.extract() {
                Ok(lambda) => Ok(Some((kind, lambda))),
                Err(_) => Err(self.wrong("weight_decay", "a number", &value)),
            },
        }
    }

    /// The optimiser, once every setting has been taken.
    fn make(mut self, py: Python<'_>, rule: impl UpdateRule) -> PyResult<Optimizer> {
        let decay = self.decay()?;
        let around = self.around()?;
        self.finish()?;
        run(py, || Optimizer::with(rule, decay, around))
    }

    fn count(&mut self, name: &'static str) -> PyResult<u64> {
        match self.take(name)? {
            None => Ok(0),
            Some(value) => value.extract().map_err(|_| self.wrong(name, "a count", &value)),
        }
    }

    /// What surrounds the rule.
    fn around(&mut self) -> PyResult<Around> {
        let accumulation = self.count("gradient_accumulation_steps")?;
        let overwrite_every = self.count("ema_overwrite_frequency")?;
        let averaging = match self.take("ema_momentum")? {
            None => None,
            Some(value) => match value.extract() {
                Ok(momentum) => Some(Averaging { momentum, overwrite_every }),
                Err(_) => return Err(self.wrong("ema_momentum", "a number", &value)),
            },
        };
        Ok(Around { accumulation, averaging })
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
pub(super) fn build(
    py: Python<'_>,
    rule: &str,
    settings: &Bound<'_, PyDict>,
) -> PyResult<Optimizer> {
    let Some(rule) = RULES.into_iter().find(|known| *known == rule) else {
        return Err(unknown("rule", rule, &RULES));
    };
    let mut given = Given { rule, left: settings.copy()?, taken: Vec::new() };
    match rule {
        "sgd" => sgd(py, given),
        "adadelta" => {
            // All libraries have the one form.
            given.convention()?;
            let rule = Adadelta {
                learning_rate: given.number("learning_rate", 0.001)?,
                rho: given.number("rho", 0.95)?,
                epsilon: given.number("epsilon", 1e-7)?,
            };
            given.make(py, rule)
        }
        "adagrad" => {
            let rule = Adagrad {
                learning_rate: given.number("learning_rate", 0.001)?,
                initial_accumulator_value: given.number("initial_accumulator_value", 0.1)?,
                epsilon: given.number("epsilon", 1e-7)?,
                lr_decay: given.number("lr_decay", 0.0)?,
                convention: given.convention()?,
            };
            given.make(py, rule)
        }
        "adamax" => {
            let rule = Adamax {
                learning_rate: given.number("learning_rate", 0.001)?,
                beta_1: given.number("beta_1", 0.9)?,
                beta_2: given.number("beta_2", 0.999)?,
                epsilon: given.number("epsilon", 1e-7)?,
                convention: given.convention()?,
            };
            given.make(py, rule)
        }
        "lion" => {
            given.convention()?;
            let rule = Lion {
                learning_rate: given.number("learning_rate", 0.0001)?,
                beta_1: given.number("beta_1", 0.9)?,
                beta_2: given.number("beta_2", 0.99)?,
            };
            given.make(py, rule)
        }
        "nadam" => {
            let rule = Nadam {
                learning_rate: given.number("learning_rate", 0.001)?,
                beta_1: given.number("beta_1", 0.9)?,
                beta_2: given.number("beta_2", 0.999)?,
                epsilon: given.number("epsilon", 1e-7)?,
                momentum_decay: given.number("momentum_decay", 1.0)?,
                convention: given.convention()?,
            };
            given.make(py, rule)
        }
        "rmsprop" => {
            let rule = RmsProp {
                learning_rate: given.number("learning_rate", 0.001)?,
                rho: given.number("rho", 0.9)?,
                momentum: given.number("momentum", 0.0)?,
                epsilon: given.number("epsilon", 1e-7)?,
                centered: given.flag("centered")?,
                convention: given.convention()?,
            };
            given.make(py, rule)
        }
        _ => adam(py, given),
    }
}

fn sgd(py: Python<'_>, mut given: Given<'_>) -> PyResult<Optimizer> {
    let learning_rate = given.number("learning_rate", 0.01)?;
    let momentum = given.number("momentum", 0.0)?;
    let dampening = given.number("dampening", 0.0)?;
    let nesterov = given.flag("nesterov")?;
    let convention = given.convention()?;
    if momentum == 0.0 {
        return given.make(py, Sgd { learning_rate });
    }
    given.make(py, Momentum { learning_rate, momentum, dampening, nesterov, convention })
}

fn adam(py: Python<'_>, mut given: Given<'_>) -> PyResult<Optimizer> {
    let rule = Adam {
        learning_rate: given.number("learning_rate", 0.001)?,
        beta_1: given.number("beta_1", 0.9)?,
        beta_2: given.number("beta_2", 0.999)?,
        epsilon: given.number("epsilon", 1e-7)?,
        convention: given.convention()?,
    };
    if given.flag("amsgrad")? {
        return given.make(py, AmsGrad(rule));
    }
    given.make(py, rule)
}
