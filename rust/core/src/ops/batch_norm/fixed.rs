//! Functions of a feature's fixed statistics.

use crate::error::Result;
use crate::kernels::map::Lanewise;
use crate::kernels::math::VectorMath;
use crate::ops::lanewise::map;
use crate::tensor::Tensor;

/// 1/√(variance + ε).
#[derive(Clone, Copy)]
pub(super) struct Inverse(pub(super) f64);

impl Lanewise<1> for Inverse {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [variance]: [V; 1]) -> V {
        V::constant(1.0) / (variance + V::constant(self.0)).sqrt()
    }
}

/// x·y.
#[derive(Clone, Copy)]
pub(super) struct Product;

impl Lanewise<2> for Product {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [x, y]: [V; 2]) -> V {
        x * y
    }
}

/// ∂y·γ·r, where statistics are constants.
pub(super) fn product(grad: &Tensor, scale: &Tensor) -> Result<Tensor> {
    map("batch_norm", Product, [grad, scale])
}
