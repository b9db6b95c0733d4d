//! Optimizers by name: the settings of each update rule, their bounds, and their defaults under each convention.

use super::{Convention, UpdateRule};
use crate::error::{Result, bail};

/// An interval of finite numbers that begins at 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Whether 0 is outside.
    pub open_low: bool,
    /// The end.
    pub high: f64,
    /// Whether the end is outside.
    pub open_high: bool,
}

/// \[0, ∞).
pub(super) const NOT_NEGATIVE: Bounds =
    Bounds { open_low: false, high: f64::INFINITY, open_high: true };
/// (0, ∞).
pub(super) const POSITIVE: Bounds = Bounds { open_low: true, ..NOT_NEGATIVE };
/// \[0, 1): the rates at which averages decay.
pub(super) const BELOW_ONE: Bounds = Bounds { high: 1.0, ..NOT_NEGATIVE };
/// \[0, 1].
pub(super) const UP_TO_ONE: Bounds = Bounds { open_high: false, ..BELOW_ONE };

/// A setting of a rule.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it may be; `None` for a flag, whose value is 0 or 1.
    pub bounds: Option<Bounds>,
    /// What it is where it is not given, under keras, torch and tf1; `None` where it must be given, or is not there.
    pub defaults: [Option<f64>; 3],
}

impl Setting {
    /// A number whose default all conventions share.
    pub(super) const fn number(name: &'static str, bounds: Bounds, default: f64) -> Self {
        Self::numbers(name, bounds, [Some(default); 3])
    }

    /// A number with a default for each of keras, torch and tf1.
    pub(super) const fn numbers(
        name: &'static str,
        bounds: Bounds,
        defaults: [Option<f64>; 3],
    ) -> Self {
        Self { name, bounds: Some(bounds), defaults }
    }

    /// Something that is off where it is not asked for.
    pub(super) const fn flag(name: &'static str) -> Self {
        Self { name, bounds: None, defaults: [Some(0.0); 3] }
    }

    /// What it is where it is not given.
    pub const fn default(&self, convention: Convention) -> Option<f64> {
        self.defaults[convention as usize]
    }
}

/// A rule that can be made from its name and settings.
pub struct NamedRule {
    /// Its name.
    pub name: &'static str,
    /// Its settings; the learning rate comes first.
    pub settings: &'static [Setting],
    /// Makes it.
    pub(super) make: fn(&Given<'_>) -> Result<Box<dyn UpdateRule>>,
}

/// The settings of one optimizer, by name.
pub(super) struct Given<'a> {
    rule: &'a NamedRule,
    values: Vec<Option<f64>>,
    pub(super) convention: Convention,
}

impl NamedRule {
    /// The rule with these values in the order of its settings; those that are `None` have their defaults.
    pub fn make(
        &self,
        values: &[Option<f64>],
        convention: Convention,
    ) -> Result<Box<dyn UpdateRule>> {
        let of = |(setting, value): (&Setting, &Option<f64>)| value.or(setting.default(convention));
        let values = self.settings.iter().zip(values).map(of).collect();
        (self.make)(&Given { rule: self, values, convention })
    }
}

impl Given<'_> {
    /// A number, if it was given or has a default.
    pub(super) fn optional(&self, name: &str) -> Option<f64> {
        let at = self.rule.settings.iter().position(|setting| setting.name == name)?;
        self.values.get(at).copied().flatten()
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<f64> {
        match self.optional(name) {
            Some(value) => Ok(value),
            None => bail!(Value, "{}: {name}: expected a number, got none", self.rule.name),
        }
    }

    /// A flag.
    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.number(name)? != 0.0)
    }
}

/// Numbers of a [`Given`] in variables of their names.
macro_rules! numbers {
    ($given:ident: $($name:ident),+) => {
        $(let $name = $given.number(stringify!($name))?;)+
    };
}
pub(super) use numbers;

/// Fields of a rule as [`super::Settings`] of their names.
macro_rules! named_fields {
    ($rule:ident: $($name:ident),+) => {
        vec![$((stringify!($name), $rule.$name)),+]
    };
}
pub(super) use named_fields;
