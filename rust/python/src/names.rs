//! Options that are given as text, with help for the mistyped ones.

use std::sync::atomic::{AtomicU8, Ordering};

use evengrad_core::DType;
use numpy::PyArrayDescr;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::Any;

/// Steps of one letter (inserted, removed, replaced) from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The known name that is nearest to a mistyped one, if it is near enough to be meant.
fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let found = known.iter().min_by_key(|other| distance(&lower, other))?;
    let near = distance(&lower, found) <= 1 + name.chars().count().min(found.chars().count()) / 3;
    // A short or a long form, such as `cat` or `boolean`, is meant as the form that is known.
    let same_start = |other: &&&str| other.starts_with(&lower) || lower.starts_with(**other);
    if near {
        Some(found)
    } else {
        known.iter().filter(|_| lower.len() > 1).find(same_start).copied()
    }
}

/// The error for an unknown name: what came, what there is, and the one that was probably meant.
pub(crate) fn unknown(argument: &str, name: &str, known: &[&str]) -> PyErr {
    let all = known.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let hint =
        closest(name, known).map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
    PyValueError::new_err(format!("{argument}: expected one of {all}, got \"{name}\"{hint}"))
}

/// The value that belongs to a name.
pub(crate) fn choose<T: Copy>(argument: &str, name: &str, known: &[(&str, T)]) -> PyResult<T> {
    known.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        unknown(argument, name, &names)
    })
}

const DTYPES: [(&str, DType); 4] = [
    ("float32", DType::F32),
    ("float64", DType::F64),
    ("int64", DType::I64),
    ("bool", DType::Bool),
];

/// An element type from its name, or from whatever NumPy takes for one (`numpy.float32`, `float`, a dtype).
pub(crate) fn dtype(given: &Any<'_>) -> PyResult<DType> {
    if let Ok(name) = given.extract::<String>() {
        return choose("dtype", &name, &DTYPES);
    }
    let described = PyArrayDescr::new(given.py(), given).map_err(|_| {
        let text = given.repr().map_or_else(|_| "an object".into(), |text| text.to_string());
        PyTypeError::new_err(format!(
            "dtype: expected \"float32\", \"float64\", \"int64\", \"bool\" or NumPy's dtype for one of \
             them, got {text}"
        ))
    })?;
    choose("dtype", &described.str()?.to_string(), &DTYPES)
}

/// The element type asked for, or the default.
pub(crate) fn dtype_or_default(given: Option<&Any<'_>>) -> PyResult<DType> {
    given.map_or_else(|| Ok(default_dtype()), dtype)
}

/// 1 where the default is `float64`.
static DEFAULT_IS_DOUBLE: AtomicU8 = AtomicU8::new(0);

/// The type of numbers that come without one.
pub(crate) fn default_dtype() -> DType {
    if DEFAULT_IS_DOUBLE.load(Ordering::Relaxed) == 0 { DType::F32 } else { DType::F64 }
}

/// Replaces the default element type; only floating-point types can be it.
pub(crate) fn set_default(dtype: DType) -> PyResult<()> {
    dtype.require_float("set_default_dtype").map_err(crate::error::exception)?;
    DEFAULT_IS_DOUBLE.store(u8::from(dtype == DType::F64), Ordering::Relaxed);
    Ok(())
}
