//! Vector and matrix kernels: plain loops over raw memory, for every instruction set.

pub mod gather;
pub mod gemm;
pub mod map;
pub mod math;
pub mod reduce;
pub mod simd;
pub mod update;
