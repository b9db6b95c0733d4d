//! Changing state inside a step: running sums of losses and metrics, moving statistics. Never on the tape.

use crate::error::{Result, bail};
use crate::kernels::map::Lanewise;
use crate::kernels::math::VectorMath;
use crate::layout::show;
use crate::ops::lanewise::map_into;
use crate::tensor::Tensor;

/// state + scale·value.
#[derive(Clone, Copy)]
struct AddScaled(f64);

impl Lanewise<2> for AddScaled {
    #[inline(always)]
    fn apply<V: VectorMath>(self, [state, value]: [V; 2]) -> V {
        V::constant(self.0).mul_add(value, state)
    }
}

fn check(operation: &str, state: &Tensor, value: &Tensor) -> Result<()> {
    if state.requires_grad() {
        bail!(State, "{operation}: state that is changed in place cannot require a gradient");
    }
    if state.shape() != value.shape() {
        let (expected, got) = (show(state.shape()), show(value.shape()));
        bail!(Shape, "{operation}: expected a value of shape {expected}, got {got}");
    }
    Ok(())
}

impl Tensor {
    /// `self += scale·value`, in place; a `float64` state may collect `float32` or integer values.
    pub fn accumulate(&self, value: &Self, scale: f64) -> Result<()> {
        check("accumulate", self, value)?;
        let value = value.detach().cast(self.dtype())?;
        map_into("accumulate", AddScaled(scale), [self, &value], self)
    }

    /// `self = value`, in place.
    pub fn assign(&self, value: &Self) -> Result<()> {
        check("assign", self, value)?;
        value.detach().cast(self.dtype())?.copy_into(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::{DType, Tensor};

    #[test]
    fn state_collects_values_of_other_types() {
        let sum = Tensor::zeros(&[2], DType::F64).expect("small");
        let value = Tensor::from_slice(&[0.5_f32, -2.0], &[2]).expect("small");
        sum.accumulate(&value, 1.0).expect("same shape");
        sum.accumulate(&value, 3.0).expect("same shape");
        assert_eq!(sum.to_vec::<f64>().expect("f64"), [2.0, -8.0]);
        sum.assign(&value).expect("same shape");
        assert_eq!(sum.to_vec::<f64>().expect("f64"), [0.5, -2.0]);
        let other = Tensor::zeros(&[3], DType::F64).expect("small");
        assert!(
            sum.accumulate(&other, 1.0).expect_err("shapes differ").to_string().contains("(2,)")
        );
    }
}
