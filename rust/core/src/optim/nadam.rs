//! Nadam (Dozat 2016): Adam with Nesterov's look-ahead.
//!
//! ```text
//! m ← β₁m + (1−β₁)g      v ← β₂v + (1−β₂)g²
//! keras, torch   μ_t = β₁(1 − ½·0.96^{tψ})      P_t = μ_1 · … · μ_t
//!                m̄ = μ_{t+1}/(1−P_{t+1}) · m + (1−μ_t)/(1−P_t) · g
//!                θ ← θ − η m̄ / (√v / √(1−β₂ᵗ) + ε)
//! tf1            θ ← θ − η √(1−β₂ᵗ)/(1−β₁ᵗ) · (β₁m + (1−β₁)g) / (√v + ε)
//! ```
//! ψ is 1 in Keras and 0.004 in PyTorch. P is the rule's memory: it depends on every β₁ that was.

use super::adam::{moments, one_minus_power};
use super::rule::{BELOW_ONE, NOT_NEGATIVE, NamedRule, POSITIVE, Setting, named_fields, numbers};
use super::{Convention, Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "nadam",
    settings: &[
        Setting::numbers("learning_rate", NOT_NEGATIVE, [Some(0.001), Some(0.002), Some(0.001)]),
        Setting::number("beta_1", BELOW_ONE, 0.9),
        Setting::number("beta_2", BELOW_ONE, 0.999),
        Setting::numbers("epsilon", POSITIVE, [Some(1e-7), Some(1e-8), Some(1e-8)]),
        Setting::numbers("momentum_decay", NOT_NEGATIVE, [Some(1.0), Some(0.004), None]),
    ],
    make: |given| {
        numbers!(given: learning_rate, beta_1, beta_2, epsilon);
        let convention = given.convention;
        let momentum_decay = given.optional("momentum_decay").unwrap_or(0.0);
        Ok(Box::new(Nadam { learning_rate, beta_1, beta_2, epsilon, momentum_decay, convention }))
    },
};

/// Nadam.
#[derive(Debug, Clone, Copy)]
pub struct Nadam {
    /// η at the start.
    pub learning_rate: f64,
    /// β₁, the decay of the mean.
    pub beta_1: f64,
    /// β₂, the decay of the mean square.
    pub beta_2: f64,
    /// ε.
    pub epsilon: f64,
    /// ψ, how fast the momentum warms up; not used under tf1.
    pub momentum_decay: f64,
    /// Which form.
    pub convention: Convention,
}

impl Nadam {
    fn momentum(&self, step: u64, beta_1: f64) -> f64 {
        beta_1 * (1.0 - 0.5 * 0.96_f64.powf(step as f64 * self.momentum_decay))
    }
}

/// s = (1−β₁, 1−β₂, weight of m, factor of √v, ε, weight of g).
#[derive(Clone, Copy)]
struct NadamRule;

impl Rule<2> for NadamRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [m, v]: &mut [V; 2]) -> V {
        moments(s, g, m, v);
        let ahead = s[2].mul_add(*m, s[5] * g);
        w - ahead / v.sqrt().mul_add(s[3], s[4])
    }
}

impl UpdateRule for Nadam {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &["mean", "mean_square"]
    }
    fn settings(&self) -> Settings {
        named_fields!(self: learning_rate, beta_1, beta_2, epsilon)
    }
    fn memory_after(&self, steps: u64, settings: &[f64]) -> f64 {
        let mut product = 1.0;
        for step in 1..=steps {
            product *= self.momentum(step, settings[1]);
            if product == 0.0 {
                break;
            }
        }
        product
    }
    fn scalars(&self, step: u64, settings: &[f64], memory: &mut f64) -> [f64; SCALARS] {
        let &[eta, beta_1, beta_2, epsilon] = settings else { return [f64::NAN; SCALARS] };
        let bias_2 = one_minus_power(beta_2, step);
        let (of_mean, factor, of_gradient) = match self.convention {
            Convention::Keras | Convention::Torch => {
                let (now, next) = (self.momentum(step, beta_1), self.momentum(step + 1, beta_1));
                *memory *= now;
                let of_mean = eta * next / (1.0 - *memory * next);
                (of_mean, 1.0 / bias_2.sqrt(), eta * (1.0 - now) / (1.0 - *memory))
            }
            Convention::Tf1 => {
                let size = eta * bias_2.sqrt() / one_minus_power(beta_1, step);
                (size * beta_1, 1.0, size * (1.0 - beta_1))
            }
        };
        [1.0 - beta_1, 1.0 - beta_2, of_mean, factor, epsilon, of_gradient, 0.0, 0.0]
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), NadamRule, of)
    }
}
