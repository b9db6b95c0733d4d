//! Adadelta (Zeiler 2012).
//!
//! ```text
//! s ← ρs + (1−ρ)g²      Δ = √(d + ε) / √(s + ε) · g      d ← ρd + (1−ρ)Δ²      θ ← θ − ηΔ
//! ```

use super::rule::{BELOW_ONE, NOT_NEGATIVE, NamedRule, POSITIVE, Setting, named_fields, numbers};
use super::{Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS, flush};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "adadelta",
    settings: &[
        Setting::numbers("learning_rate", NOT_NEGATIVE, [Some(0.001), Some(1.0), Some(0.001)]),
        Setting::numbers("rho", BELOW_ONE, [Some(0.95), Some(0.9), Some(0.95)]),
        Setting::numbers("epsilon", POSITIVE, [Some(1e-7), Some(1e-6), Some(1e-8)]),
    ],
    make: |given| {
        numbers!(given: learning_rate, rho, epsilon);
        Ok(Box::new(Adadelta { learning_rate, rho, epsilon }))
    },
};

/// Adadelta.
#[derive(Debug, Clone, Copy)]
pub struct Adadelta {
    /// η at the start.
    pub learning_rate: f64,
    /// ρ, the decay of the averages.
    pub rho: f64,
    /// ε.
    pub epsilon: f64,
}

/// s = (η, 1−ρ, ε).
#[derive(Clone, Copy)]
struct AdadeltaRule;

impl Rule<2> for AdadeltaRule {
    #[inline(always)]
    fn update<V: VectorMath>(
        self,
        s: &[V; SCALARS],
        w: V,
        g: V,
        [square, moved]: &mut [V; 2],
    ) -> V {
        *square = flush(g.mul_add(g, -*square).mul_add(s[1], *square));
        let step = (*moved + s[2]).sqrt() / (*square + s[2]).sqrt() * g;
        *moved = flush(step.mul_add(step, -*moved).mul_add(s[1], *moved));
        step.neg_mul_add(s[0], w)
    }
}

impl UpdateRule for Adadelta {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &["mean_square", "mean_square_step"]
    }
    fn settings(&self) -> Settings {
        named_fields!(self: learning_rate, rho, epsilon)
    }
    fn scalars(&self, _step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let &[eta, rho, epsilon] = settings else { return [f64::NAN; SCALARS] };
        [eta, 1.0 - rho, epsilon, 0.0, 0.0, 0.0, 0.0, 0.0]
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), AdadeltaRule, of)
    }
}
