//! The core of evengrad: tensors, tape, plans and kernels. It knows nothing of Python.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "vector intrinsics and raw panels; each block states why it is sound")]
pub mod kernels;
