//! The core of evengrad: tensors, tape, plans and kernels. It knows nothing of Python.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "owns the memory of tensors")]
pub mod buffer;
pub mod capture;
pub mod dtype;
pub mod error;
pub mod feed;
pub mod generator;
#[allow(unsafe_code, reason = "the host's way into tensor memory, under the engine's lock")]
pub mod host_access;
#[allow(
    unsafe_code,
    reason = "vector intrinsics and raw panels; each block states why it is sound"
)]
pub mod kernels;
#[allow(unsafe_code, reason = "turns operands into slices for kernels")]
pub mod launch;
pub mod layout;
pub mod ops;
pub mod optim;
#[allow(unsafe_code, reason = "maps and unmaps memory")]
mod pages;
#[allow(unsafe_code, reason = "shares the addresses of a plan's buffers among its workers")]
pub mod plan;
#[allow(unsafe_code, reason = "cuts slabs into the memory of buffers")]
mod pool;
#[allow(unsafe_code, reason = "loads and stores of vectors in arrays of fixed length")]
pub mod rng;
pub mod session;
pub mod tape;
#[allow(unsafe_code, reason = "fork handler and the engine that outlives it")]
pub mod team;
pub mod tensor;
pub mod testing;

pub use dtype::DType;
pub use error::{Error, HostError, Result};
pub use tensor::Tensor;

// The tests of the public interface name the crate as its users do. They are one program with those
// of the parts: on their own they would have the kernels of all instruction sets compiled again.
#[cfg(test)]
extern crate self as evengrad_core;
#[cfg(test)]
#[path = "../tests/mod.rs"]
mod public_interface;
