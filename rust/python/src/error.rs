//! Exceptions: each kind of the core's error becomes the Python exception that a NumPy user expects, with the
//! core's own text.

use evengrad_core::Error;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::{PyErr, Python, create_exception};

create_exception!(
    evengrad,
    InternalError,
    PyRuntimeError,
    "A defect of evengrad itself, never of the code that calls it. Please report it with its text."
);

create_exception!(
    evengrad,
    CaptureError,
    PyRuntimeError,
    "Values of a tensor were read while a step was being captured; a replay could not read them again."
);

/// The Python exception for an error of the core. (A function: neither type is this crate's own, so `From`
/// cannot be implemented here.)
pub(crate) fn exception(error: Error) -> PyErr {
    match error {
        Error::Shape(text) | Error::Value(text) => PyValueError::new_err(text),
        Error::Type(text) => PyTypeError::new_err(text),
        Error::Index(text) => PyIndexError::new_err(text),
        Error::Memory(text) => PyMemoryError::new_err(text),
        Error::State(text) | Error::EmptyCapture(text) => PyRuntimeError::new_err(text),
        Error::Capture(text) => CaptureError::new_err(text),
        Error::Internal(text) => InternalError::new_err(text),
        Error::Host(error) => match error.get::<PyErr>() {
            Some(raised) => Python::attach(|py| raised.clone_ref(py)),
            None => InternalError::new_err(error.to_string()),
        },
    }
}
