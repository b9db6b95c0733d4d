//! The Python extension module `evengrad._core`: conversion, errors and signals around the core. No
//! arithmetic here, and all native work takes one path, `native_call`.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "comments on bound items are Python docstrings, where brackets are lists and shapes"
)]
#![allow(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    reason = "docstrings follow numpydoc: names stand without backticks, and examples show lists of text"
)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands values over: the receiver of a method that returns itself, extracted lists"
)]

use pyo3::prelude::*;

mod access;
mod autograd;
mod capture;
mod creation;
mod dlpack;
mod elementwise;
mod error;
mod functions;
mod images;
mod inference;
mod losses;
mod metrics;
mod names;
mod native_call;
mod normalization;
mod numpy;
mod observing;
mod operand;
mod operators;
mod optim;
mod random;
mod recurrent;
mod reductions;
mod session;
mod shapes;
mod side_by_side;
mod tensor;

/// Any object of Python.
type Any<'py> = pyo3::Bound<'py, pyo3::PyAny>;

/// The native half of evengrad: tensors, the tape and captured plans.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::access::{Access, versions};
    #[pymodule_export]
    use crate::autograd::{HookHandle, Saved, gradients, hook_changes, record};
    #[pymodule_export]
    use crate::capture::{Feed, Plan, Recording, is_capturing, schedule};
    #[pymodule_export]
    use crate::creation::{
        arange, build_info, full, get_default_dtype, get_num_threads, is_recording,
        limit_num_threads, ones, set_default_dtype, set_num_threads, set_recording, tensor, zeros,
    };
    #[pymodule_export]
    use crate::elementwise::elementwise_forms;
    #[pymodule_export]
    use crate::error::{CaptureError, InternalError};
    #[pymodule_export]
    use crate::functions::{
        accumulate, argmax_equals, cat, choose, dense, matmul, maximum, minimum, prelu, stack,
        take, unbind,
    };
    #[pymodule_export]
    use crate::images::{
        affine_transform, change_color, erase, flip_images, random_affine, random_boxes,
    };
    #[pymodule_export]
    use crate::inference::Inference;
    #[pymodule_export]
    use crate::losses::{
        binary_cross_entropy_with_logits, cross_entropy, log_softmax, mse_loss, softmax,
    };
    #[pymodule_export]
    use crate::metrics::{areas_under_curve, collect_scores, count_confusion, count_decisions};
    #[pymodule_export]
    use crate::normalization::{batch_norm, layer_norm};
    #[pymodule_export]
    use crate::observing::{observe_all, observe_norms};
    #[pymodule_export]
    use crate::optim::{Optimizer, optimizer_settings};
    #[pymodule_export]
    use crate::random::{Generator, derive_stream, dropout, swap_noise};
    #[pymodule_export]
    use crate::recurrent::{dense_steps, recurrent};
    #[pymodule_export]
    use crate::session::{Epochs, Seconds, Session, Steps};
    #[pymodule_export]
    use crate::side_by_side::run_side_by_side;
    #[pymodule_export]
    use crate::tensor::Tensor;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // The numpy crate looks up NumPy's functions when the first is used, in code of Python's, and
        // panics if Ctrl-C falls there. It falls into an import now, which passes it on.
        let py = module.py();
        let version = py.import("numpy")?.getattr("__version__")?;
        py.import("numpy.lib")?.getattr("NumpyVersion")?.call1((version,))?;
        ::numpy::npyffi::is_numpy_2(py);
        // While nobody changes a variable, as calls that release the interpreter could not know.
        evengrad_core::team::read_environment();
        evengrad_core::plan::read_trace_variable();
        crate::elementwise::add_functions(module)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
