//! The rules by name, and the settings that each takes.

use evengrad_core::optim::{Around, Averaging, Convention, Decay, Optimizer, RULES, Setting};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

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
    fn take<T: FromPyObjectOwned<'py>>(
        &mut self,
        name: &'static str,
        expected: &str,
    ) -> PyResult<Option<T>> {
        self.taken.push(name);
        let Some(value) = self.left.get_item(name)? else { return Ok(None) };
        self.left.del_item(name)?;
        let wrong = |_| format!("{}: {name}: expected {expected}, got {value}", self.rule);
        value.extract().map(Some).map_err(wrong).map_err(PyTypeError::new_err)
    }

    /// The value of one of the rule's own settings; a flag's is 0 or 1.
    fn setting(&mut self, setting: &Setting) -> PyResult<Option<f64>> {
        if setting.bounds.is_some() {
            return self.take(setting.name, "a number");
        }
        let on: Option<bool> = self.take(setting.name, "True or False")?;
        Ok(on.map(|on| f64::from(u8::from(on))))
    }

    fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        known: &[(&str, T)],
        default: T,
    ) -> PyResult<T> {
        match self.take::<Bound<'_, PyString>>(name, "a name")? {
            None => Ok(default),
            Some(chosen) => choose(name, &chosen.to_string(), known),
        }
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
    let convention = given.choice("convention", &CONVENTIONS, Convention::Keras)?;
    let values: Vec<Option<f64>> =
        rule.settings.iter().map(|setting| given.setting(setting)).collect::<PyResult<_>>()?;
    let decay = given.choice("decay", &DECAYS, Decay::Decoupled)?;
    let decay = given.take("weight_decay", "a number")?.map(|lambda| (decay, lambda));
    let accumulation = given.take("gradient_accumulation_steps", "a count")?.unwrap_or(0);
    let overwrite_every = given.take("ema_overwrite_frequency", "a count")?.unwrap_or(0);
    let momentum = given.take("ema_momentum", "a number")?;
    let averaging = momentum.map(|momentum| Averaging { momentum, overwrite_every });
    let around = Around { accumulation, averaging };
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
