//! Adamax (Kingma & Ba 2014, section 7.1).
//!
//! ```text
//! m ← β₁m + (1−β₁)g
//! keras, tf1   u ← max(β₂u, |g|)        θ ← θ − η/(1−β₁ᵗ) · m / (u + ε)
//! torch        u ← max(β₂u, |g| + ε)    θ ← θ − η/(1−β₁ᵗ) · m / u
//! ```

use super::adam::one_minus_power;
use super::rule::{BELOW_ONE, NOT_NEGATIVE, NamedRule, POSITIVE, Setting, named_fields, numbers};
use super::{Convention, Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS, flush};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "adamax",
    settings: &[
        Setting::numbers("learning_rate", NOT_NEGATIVE, [Some(0.001), Some(0.002), Some(0.001)]),
        Setting::number("beta_1", BELOW_ONE, 0.9),
        Setting::number("beta_2", BELOW_ONE, 0.999),
        Setting::numbers("epsilon", POSITIVE, [Some(1e-7), Some(1e-8), Some(1e-8)]),
    ],
    make: |given| {
        numbers!(given: learning_rate, beta_1, beta_2, epsilon);
        let convention = given.convention;
        Ok(Box::new(Adamax { learning_rate, beta_1, beta_2, epsilon, convention }))
    },
};

/// Adamax.
#[derive(Debug, Clone, Copy)]
pub struct Adamax {
    /// η at the start.
    pub learning_rate: f64,
    /// β₁, the decay of the mean.
    pub beta_1: f64,
    /// β₂, the decay of the maximum.
    pub beta_2: f64,
    /// ε.
    pub epsilon: f64,
    /// Where ε stands.
    pub convention: Convention,
}

/// s = (1−β₁, β₂, step size, ε inside the maximum, ε outside).
#[derive(Clone, Copy)]
struct AdamaxRule;

impl Rule<2> for AdamaxRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [m, u]: &mut [V; 2]) -> V {
        *m = flush((g - *m).mul_add(s[0], *m));
        *u = flush((s[1] * *u).max(g.abs() + s[3]));
        let ratio = *m / (*u + s[4]);
        ratio.neg_mul_add(s[2], w)
    }
}

impl UpdateRule for Adamax {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &["mean", "largest"]
    }
    fn settings(&self) -> Settings {
        named_fields!(self: learning_rate, beta_1, beta_2, epsilon)
    }
    fn scalars(&self, step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let &[eta, beta_1, beta_2, epsilon] = settings else { return [f64::NAN; SCALARS] };
        let size = eta / one_minus_power(beta_1, step);
        let (inside, outside) = match self.convention {
            Convention::Keras | Convention::Tf1 => (0.0, epsilon),
            Convention::Torch => (epsilon, 0.0),
        };
        [1.0 - beta_1, beta_2, size, inside, outside, 0.0, 0.0, 0.0]
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), AdamaxRule, of)
    }
}
