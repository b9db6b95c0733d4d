//! The Python extension module `evengrad._core`.

use pyo3::prelude::*;

/// The native half of evengrad: tensors, the tape and captured plans.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
