//! A row of the table of elementwise functions: where the function is offered, its parameters and their bounds.

use crate::dtype::DType;
use crate::error::{Result, bail};

/// Where a function of the table can be called from, each form with those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// From the core.
    Core,
    /// As a method of tensors in Python.
    Method,
    /// As a function of the Python package.
    Function,
    /// As an activation: in `activations` and `functional`, and by its name as a string.
    Activation,
    /// As an activation whose Python function takes more than the row has: it is written by hand.
    WrappedActivation,
}

/// The numbers that a parameter of a function may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// All.
    Any,
    /// Neither NaN nor infinite.
    Finite,
    /// Zero or more, and finite.
    NotNegative,
    /// More than zero, and finite.
    Positive,
}

/// [`Bounds`] as text that `concat!` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! interval {
    (Any) => {
        "[-inf, inf]"
    };
    (Finite) => {
        "(-inf, inf)"
    };
    (NotNegative) => {
        "[0, inf)"
    };
    (Positive) => {
        "(0, inf)"
    };
}

impl Bounds {
    /// The bounds as an interval.
    pub const fn interval(self) -> &'static str {
        match self {
            Self::Any => interval!(Any),
            Self::Finite => interval!(Finite),
            Self::NotNegative => interval!(NotNegative),
            Self::Positive => interval!(Positive),
        }
    }

    /// Refuses a parameter that is outside, or that rounds to something outside in the type it is computed with.
    pub(super) fn check(
        self,
        function: &str,
        parameter: &str,
        value: f64,
        dtype: DType,
    ) -> Result<()> {
        let rounded = if dtype == DType::F32 { f64::from(value as f32) } else { value };
        let inside = match self {
            Self::Any => true,
            Self::Finite => rounded.is_finite(),
            Self::NotNegative => value >= 0.0 && rounded.is_finite(),
            Self::Positive => rounded > 0.0 && rounded.is_finite(),
        };
        if !inside {
            let (dtype, expected) = (dtype.name(), self.interval());
            bail!(
                Value,
                "{function}: {parameter}: expected a {dtype} in {expected}, got {value:?}"
            );
        }
        Ok(())
    }
}

/// A parameter of a function, as its row has it.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub bounds: Bounds,
    /// What it is where it is not given.
    pub default: Option<f64>,
}

/// What a row of the table says beside the formulas.
#[derive(Debug)]
pub struct Row {
    /// The function's name.
    pub name: &'static str,
    /// Where it can be called from.
    pub form: Form,
    /// Its parameters, in order.
    pub parameters: &'static [Parameter],
    /// Arguments, parameters and values of the example, these to four digits.
    pub example: (&'static [f64], &'static [f64], &'static [f64]),
    /// Bounds of an interval to check the derivative in.
    pub domain: (f64, f64),
    /// Where the derivative jumps.
    pub kinks: &'static [f64],
}
