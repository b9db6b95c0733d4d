//! Vector and matrix kernels: plain loops over raw memory, for every instruction set.

pub mod batch_norm;
mod caches;
mod classes;
pub mod color;
pub mod copy;
pub mod cross_entropy;
pub mod decisions;
pub mod dropout;
pub mod extrema;
pub mod gather;
pub mod gemm;
pub mod layer_norm;
pub mod loss;
pub mod map;
pub mod math;
pub mod observe;
pub mod ranking;
pub mod recurrent;
pub mod reduce;
mod rows;
mod scratch;
pub mod simd;
pub mod softmax;
pub mod update;
pub mod warp;
