//! The rules by name, and the settings that each takes.

use evengrad_core::optim::{Around, Averaging, Convention, Decay, Optimizer, RULES, Setting};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::Any;
use crate::names::{choose, unknown};
use crate::native_call::run;

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
    fn take(&mut self, name: &'static str) -> PyResult<Option<Any<'py>>> {
        self.taken.push(name);
        let value = self.left.get_item(name)?;
        if value.is_some() {
            self.left.del_item(name)?;
        }
        Ok(value)
    }

    /// The value of one of the rule's own settings; a flag's is 0 or 1.
    fn setting(&mut self, setting: &Setting) -> PyResult<Option<f64>> {
        let Some(value) = self.take(setting.name)? else { return Ok(None) };
        let (number, expected) = match setting.bounds {
            Some(_) => (value.extract().ok(), "a number"),
            None => (value.extract().ok().map(|on: bool| f64::from(u8::from(on))), "True or False"),
        };
        number.map(Some).ok_or_else(|| self.wrong(setting.name, expected, &value))
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

    fn wrong(&self, name: &str, expected: &str, value: &Any<'_>) -> PyErr {
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
    let Some(rule) = RULES.iter().find(|known| known.name == rule) else {
        let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        return Err(unknown("rule", rule, &names));
    };
    let mut given = Given { rule: rule.name, left: settings.copy()?, taken: Vec::new() };
    let convention = given.convention()?;
    let values: Vec<Option<f64>> =
        rule.settings.iter().map(|setting| given.setting(setting)).collect::<PyResult<_>>()?;
    let decay = given.decay()?;
    let around = given.around()?;
    given.finish()?;
    run(py, || Optimizer::of(rule.make(&values, convention)?, decay, around))
}

/// The settings of every rule by name: where each may lie, as (open at 0, end, open at the end), None for a flag; and
/// what it is where it is not given, under each convention.
///
/// Examples
/// --------
/// >>> eg._core.optimizer_settings()["adam"]["epsilon"]
/// ((True, inf, True), {'keras': 1e-07, 'torch': 1e-08, 'tf1': 1e-08})
#[pyfunction]
pub(crate) fn optimizer_settings(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let rules = PyDict::new(py);
    for rule in RULES {
        let settings = PyDict::new(py);
        for setting in rule.settings {
            let defaults = PyDict::new(py);
            for (name, convention) in CONVENTIONS {
                let default = setting.default(convention);
                match setting.bounds {
                    Some(_) => defaults.set_item(name, default)?,
                    None => defaults.set_item(name, default == Some(1.0))?,
                }
            }
            let bounds =
                setting.bounds.map(|bounds| (bounds.open_low, bounds.high, bounds.open_high));
            settings.set_item(setting.name, (bounds, defaults))?;
        }
        rules.set_item(rule.name, settings)?;
    }
    Ok(rules)
}
