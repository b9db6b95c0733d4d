//! The one native call path: releases the GIL, catches panics, turns errors into exceptions.
//!
//! Whatever allocates, computes, copies or waits in the core passes [`run`]: it lets other Python threads
//! work meanwhile, turns a panic into `InternalError` and an error of the core into its exception. The core
//! takes its own lock inside, when no Python lock is held, so that neither can wait for the other. Outside
//! this path stand only looks at a handle: its shape, its type, its flags.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use evengrad_core::team::{self, Team};
use evengrad_core::{Error, HostError, Result};
use pyo3::prelude::*;

use crate::error::exception;
use crate::tensor::Tensor;

/// Does native work with the interpreter released.
pub(crate) fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    // A panic leaves no broken state behind that later work could see: the core's locks forgive it, and the
    // tensors that were being written are lost with the error.
    py.detach(|| catch_unwind(AssertUnwindSafe(work))).unwrap_or_else(broken).map_err(exception)
}

/// Does native work of a few microseconds without releasing the interpreter, which would cost as much again; None where
/// another thread is at work, who may need the interpreter before it lets go.
pub(crate) fn run_brief<T>(work: impl FnOnce(&mut Team) -> Result<T>) -> Option<PyResult<T>> {
    let mut engine = team::try_engine()?;
    let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut engine)));
    Some(outcome.unwrap_or_else(broken).map_err(exception))
}

/// Native work whose result is a tensor.
pub(crate) fn run_tensor(
    py: Python<'_>,
    work: impl FnOnce() -> Result<evengrad_core::Tensor> + Send,
) -> PyResult<Tensor> {
    run(py, work).map(Tensor)
}

/// The way back: Python code that native work calls, such as a hook of the backward pass. Its exception passes the core
/// as it is. Only for work between launches: who holds the engine must not wait for the interpreter.
pub(crate) fn call_back<T>(work: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T> {
    Python::attach(work).map_err(|error| Error::Host(HostError::new(error)))
}

/// Logs what the core has for the user to hear.
pub(crate) fn tell_notices(py: Python<'_>) -> PyResult<()> {
    for text in team::take_notices() {
        let logger = py.import("logging")?.getattr("getLogger")?.call1(("evengrad",))?;
        logger.call_method1("warning", ("%s", text))?;
    }
    Ok(())
}

/// The error for a panic, with the panic's text.
#[cold]
fn broken<T>(panic: Box<dyn Any + Send>) -> Result<T> {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown");
    Err(Error::Internal(format!(
        "a defect of evengrad stopped this call: {text}. Please report it with the call that caused it"
    )))
}
