//! Adam (Kingma & Ba 2014) and AMSGrad (Reddi et al. 2018).
//!
//! ```text
//! m ← β₁m + (1−β₁)g        v ← β₂v + (1−β₂)g²        v' = v, or max(v', v) under AMSGrad
//! keras, tf1   θ ← θ − η √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v' + ε)
//! torch        θ ← θ − η / (1−β₁ᵗ) · m / (√v' / √(1−β₂ᵗ) + ε)
//! ```
//! The same ε means different things in the two forms; powers of β are taken in `f64`.

use super::rule::{BELOW_ONE, NOT_NEGATIVE, NamedRule, POSITIVE, Setting, named_fields, numbers};
use super::{Convention, Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS, flush};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "adam",
    settings: &[
        Setting::number("learning_rate", NOT_NEGATIVE, 0.001),
        Setting::number("beta_1", BELOW_ONE, 0.9),
        Setting::number("beta_2", BELOW_ONE, 0.999),
        Setting::numbers("epsilon", POSITIVE, [Some(1e-7), Some(1e-8), Some(1e-8)]),
        Setting::flag("amsgrad"),
    ],
    make: |given| {
        numbers!(given: learning_rate, beta_1, beta_2, epsilon);
        let rule = Adam { learning_rate, beta_1, beta_2, epsilon, convention: given.convention };
        Ok(if given.flag("amsgrad")? { Box::new(AmsGrad(rule)) } else { Box::new(rule) })
    },
};

/// Adam.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// η at the start.
    pub learning_rate: f64,
    /// β₁, the decay of the mean.
    pub beta_1: f64,
    /// β₂, the decay of the mean square.
    pub beta_2: f64,
    /// ε.
    pub epsilon: f64,
    /// Where ε stands.
    pub convention: Convention,
}

/// Adam with the largest mean square so far.
#[derive(Debug, Clone, Copy)]
pub struct AmsGrad(pub Adam);

/// s = (1−β₁, 1−β₂, step size, factor of √v, ε).
#[derive(Clone, Copy)]
struct AdamRule;

/// 1 − βᵗ without cancellation for β near 1.
pub(super) fn one_minus_power(beta: f64, step: u64) -> f64 {
    -(step as f64 * beta.ln()).exp_m1()
}

/// The moments' averages: x ← x + (1−β)(new − x).
#[inline(always)]
pub(super) fn moments<V: VectorMath>(s: &[V; SCALARS], g: V, m: &mut V, v: &mut V) {
    *m = flush((g - *m).mul_add(s[0], *m));
    *v = flush(g.mul_add(g, -*v).mul_add(s[1], *v));
}

#[inline(always)]
fn step<V: VectorMath>(s: &[V; SCALARS], w: V, m: V, v: V) -> V {
    let ratio = m / v.sqrt().mul_add(s[3], s[4]);
    ratio.neg_mul_add(s[2], w)
}

impl Rule<2> for AdamRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [m, v]: &mut [V; 2]) -> V {
        moments(s, g, m, v);
        step(s, w, *m, *v)
    }
}

#[derive(Clone, Copy)]
struct AmsGradRule;

impl Rule<3> for AmsGradRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [m, v, most]: &mut [V; 3]) -> V {
        moments(s, g, m, v);
        *most = V::select(most.lt(*v), *v, *most);
        step(s, w, *m, *most)
    }
}

impl UpdateRule for Adam {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &["mean", "mean_square"]
    }
    fn settings(&self) -> Settings {
        named_fields!(self: learning_rate, beta_1, beta_2, epsilon)
    }
    fn scalars(&self, step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let &[eta, beta_1, beta_2, epsilon] = settings else { return [f64::NAN; SCALARS] };
        let (bias_1, bias_2) = (one_minus_power(beta_1, step), one_minus_power(beta_2, step));
        let (size, factor) = match self.convention {
            Convention::Keras | Convention::Tf1 => (eta * bias_2.sqrt() / bias_1, 1.0),
            Convention::Torch => (eta / bias_1, 1.0 / bias_2.sqrt()),
        };
        [1.0 - beta_1, 1.0 - beta_2, size, factor, epsilon, 0.0, 0.0, 0.0]
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), AdamRule, of)
    }
}

impl UpdateRule for AmsGrad {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &["mean", "mean_square", "largest_mean_square"]
    }
    fn settings(&self) -> Settings {
        self.0.settings()
    }
    fn scalars(&self, step: u64, settings: &[f64], memory: &mut f64) -> [f64; SCALARS] {
        self.0.scalars(step, settings, memory)
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), AmsGradRule, of)
    }
}
