//! Lion (Chen et al. 2023).
//!
//! ```text
//! θ ← θ − η · sign(β₁m + (1−β₁)g)      m ← β₂m + (1−β₂)g
//! ```

use super::rule::{BELOW_ONE, NOT_NEGATIVE, NamedRule, Setting, named_fields, numbers};
use super::{Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS, flush};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "lion",
    settings: &[
        Setting::number("learning_rate", NOT_NEGATIVE, 0.0001),
        Setting::number("beta_1", BELOW_ONE, 0.9),
        Setting::number("beta_2", BELOW_ONE, 0.99),
    ],
    make: |given| {
        numbers!(given: learning_rate, beta_1, beta_2);
        Ok(Box::new(Lion { learning_rate, beta_1, beta_2 }))
    },
};

/// Lion.
#[derive(Debug, Clone, Copy)]
pub struct Lion {
    /// η at the start.
    pub learning_rate: f64,
    /// β₁, the weight of the mean in the step.
    pub beta_1: f64,
    /// β₂, the decay of the mean.
    pub beta_2: f64,
}

/// s = (η, β₁, 1−β₁, β₂, 1−β₂).
#[derive(Clone, Copy)]
struct LionRule;

/// 1, −1, 0 for a zero of either sign, and NaN for NaN, which must not pass for a direction.
#[inline(always)]
fn sign<V: VectorMath>(x: V) -> V {
    let zero_or_nan = V::mask_or(x.eq(V::constant(0.0)), x.is_nan());
    V::select(zero_or_nan, x, V::constant(1.0).copysign(x))
}

impl Rule<1> for LionRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [m]: &mut [V; 1]) -> V {
        // Products and sum are rounded apart: at a tie the sign is that of the plain formula.
        let direction = sign(s[1] * *m + s[2] * g);
        *m = flush(s[3] * *m + s[4] * g);
        direction.neg_mul_add(s[0], w)
    }
}

impl UpdateRule for Lion {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &["mean"]
    }
    fn settings(&self) -> Settings {
        named_fields!(self: learning_rate, beta_1, beta_2)
    }
    fn scalars(&self, _step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let &[eta, beta_1, beta_2] = settings else { return [f64::NAN; SCALARS] };
        [eta, beta_1, 1.0 - beta_1, beta_2, 1.0 - beta_2, 0.0, 0.0, 0.0]
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), LionRule, of)
    }
}
