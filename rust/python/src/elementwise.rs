//! Elementwise functions as methods of `Tensor` and as functions of the module, with their documentation: all of them made
//! from the core's table, row by row.
//!
//! Each applies to every element of a floating-point tensor, gives a tensor of the same shape and type, is
//! differentiable, and raises TypeError for integers and truth values.

use evengrad_core::ops::elementwise::{Form, TABLE};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::Any;
use crate::native_call::run_tensor;
use crate::operand::other_tensor;
use crate::tensor::Tensor;

/// The heading of a method's parameters, where it has any.
macro_rules! heading {
    () => {
        ""
    };
    ($($parameter:ident)+) => {
        "\nParameters\n----------\n"
    };
}

/// Numbers as they stand in a list.
macro_rules! list {
    () => {
        ""
    };
    ($first:literal $(, $next:literal)*) => {
        concat!($first $(, ", ", $next)*)
    };
}

/// The section about errors, where some number is refused.
macro_rules! raises {
    ($(Any $parameter:ident)*) => {
        ""
    };
    ($($bounds:ident $parameter:ident)+) => {
        concat!(
            "\nRaises\n------\nValueError\n",
            $("    `", stringify!($parameter), "` outside ", evengrad_core::interval!($bounds), ".\n"),+
        )
    };
}

/// The method of a row.
macro_rules! method {
    (Core $($row:tt)*) => {};
    ($form:ident [$($doc:tt)*] $name:ident($($(#[doc = $p_doc:tt])* $p:ident: $bounds:ident $(= $default:tt)?),*)
        [$($input:literal),+] [$($argument:literal),*] [$($output:literal),+]) => {
        #[pymethods]
        impl Tensor {
            $(#[doc = $doc])*
            #[doc = concat!(
                heading!($($p)*), $(stringify!($p), "\n", $("   ", $p_doc, "\n",)*)*
                raises!($($bounds $p)*),
                "\nExamples\n--------\n>>> eg.tensor([", list!($($input),+), "]).", stringify!($name), "(",
                list!($($argument),*), ").numpy().astype(float).round(4).tolist()\n",
                "[", list!($($output),+), "]"
            )]
            #[pyo3(signature = ($($p $(= $default)?),*))]
            fn $name(&self, py: Python<'_> $(, $p: f64)*) -> PyResult<Self> {
                run_tensor(py, || self.0.$name($($p),*))
            }
        }
    };
}

/// The function of a row, in a module of its own.
macro_rules! function {
    (Core $($row:tt)*) => {};
    (Method $($row:tt)*) => {};
    (WrappedActivation $($row:tt)*) => {};
    ($form:ident [$($doc:tt)*] $name:ident($($(#[doc = $p_doc:tt])* $p:ident: $bounds:ident $(= $default:tt)?),*)
        [$($input:literal),+] [$($argument:literal),*] [$($output:literal),+]) => {
        $(#[doc = $doc])*
        #[doc = concat!(
            "\nParameters\n----------\nx\n    A tensor, or what converts to one.\n",
            $(stringify!($p), "\n", $("   ", $p_doc, "\n",)*)*
            "\nReturns\n-------\nTensor\n    As `x` in shape and dtype.\n",
            raises!($($bounds $p)*),
            "\nExamples\n--------\n>>> eg.", stringify!($name), "([", list!($($input),+), "]", $(", ", $argument,)*
            ").numpy().astype(float).round(4).tolist()\n[", list!($($output),+), "]"
        )]
        #[pyfunction]
        #[pyo3(signature = (x $(, $p $(= $default)?)*))]
        pub(super) fn $name(x: &Any<'_> $(, $p: f64)*) -> PyResult<Tensor> {
            let tensor = other_tensor("x", x, None)?;
            run_tensor(x.py(), || tensor.$name($($p),*))
        }
    };
}

/// Adds the function of a row to a module.
macro_rules! add {
    ($module:ident Core $name:ident) => {};
    ($module:ident Method $name:ident) => {};
    ($module:ident WrappedActivation $name:ident) => {};
    ($module:ident $form:ident $name:ident) => {
        $module.add_function(wrap_pyfunction!(functions::$name, $module)?)?;
    };
}

macro_rules! bind {
    ($(
        $(#[doc = $doc:tt])*
        $form:ident $name:ident($($parameters:tt)*)
            example $input:tt $(, $argument:literal)* => $output:tt;
    )+) => {
        $(method! { $form [$($doc)*] $name($($parameters)*) $input [$($argument),*] $output })+

        mod functions {
            use super::{Any, PyResult, Tensor, other_tensor, pyfunction, run_tensor};
            $(function! { $form [$($doc)*] $name($($parameters)*) $input [$($argument),*] $output })+
        }

        /// Adds the functions to the extension module.
        pub(crate) fn add_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(add!(module $form $name);)+
            Ok(())
        }
    };
}

evengrad_core::for_each_elementwise!(bind);

/// Where each elementwise function is offered: ``"method"``, ``"function"``, ``"activation"``, or
/// ``"wrapped_activation"`` for an activation whose function is written by hand.
///
/// Examples
/// --------
/// >>> forms = eg._core.elementwise_forms()
/// >>> forms["reciprocal"], forms["exp"], forms["relu"]
/// ('method', 'function', 'activation')
#[pyfunction]
pub(crate) fn elementwise_forms(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let forms = PyDict::new(py);
    for row in TABLE {
        let form = match row.form {
            Form::Core => continue,
            Form::Method => "method",
            Form::Function => "function",
            Form::Activation => "activation",
            Form::WrappedActivation => "wrapped_activation",
        };
        forms.set_item(row.name, form)?;
    }
    Ok(forms)
}
