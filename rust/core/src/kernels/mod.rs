//! Vector and matrix kernels: plain loops over raw memory, for every instruction set.

pub mod map;
pub mod math;
pub mod reduce;
pub mod simd;
