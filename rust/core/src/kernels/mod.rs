//! Vector and matrix kernels: plain loops over raw memory, for every instruction set.

pub mod simd;
