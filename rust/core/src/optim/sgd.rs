//! Gradient descent, with momentum and Nesterov's look-ahead.
//!
//! ```text
//! plain       θ ← θ − ηg
//! keras       m ← βm − ηg;   θ ← θ + m          Nesterov: θ ← θ + βm − ηg
//! torch, tf1  a ← βa + g;    θ ← θ − ηa         Nesterov: θ ← θ − η(g + βa)
//! dampened    a ← βa + (1−d)g, but a ← g in the first step
//! ```
//! Both momentum forms agree while η is constant and differ once it changes.

use super::rule::{BELOW_ONE, NOT_NEGATIVE, NamedRule, Setting, UP_TO_ONE, named_fields};
use super::{Convention, Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS, flush};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "sgd",
    settings: &[
        Setting::numbers("learning_rate", NOT_NEGATIVE, [Some(0.01), Some(0.001), None]),
        Setting::number("momentum", BELOW_ONE, 0.0),
        Setting::flag("nesterov"),
        Setting::number("dampening", UP_TO_ONE, 0.0),
    ],
    make: |given| {
        let learning_rate = given.number("learning_rate")?;
        let momentum = given.number("momentum")?;
        if momentum == 0.0 {
            return Ok(Box::new(Sgd { learning_rate }));
        }
        Ok(Box::new(Momentum {
            learning_rate,
            momentum,
            dampening: given.number("dampening")?,
            nesterov: given.flag("nesterov")?,
            convention: given.convention,
        }))
    },
};

/// Plain gradient descent.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// η at the start.
    pub learning_rate: f64,
}

/// Gradient descent with momentum.
#[derive(Debug, Clone, Copy)]
pub struct Momentum {
    /// η at the start.
    pub learning_rate: f64,
    /// β at the start.
    pub momentum: f64,
    /// d: the share of every gradient but the first that stays out of the buffer.
    pub dampening: f64,
    /// Looks ahead (Nesterov).
    pub nesterov: bool,
    /// Keras puts η inside the buffer, the others outside.
    pub convention: Convention,
}

#[derive(Clone, Copy)]
struct PlainRule;

impl Rule<0> for PlainRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, _: &mut [V; 0]) -> V {
        g.neg_mul_add(s[0], w)
    }
}

/// With s = (inside, β, outside, look-ahead weight of the buffer, look-ahead weight of g):
/// m ← βm + inside·g; θ ← θ + outside·(s₃·m + s₄·g). Both conventions and Nesterov are values of s.
#[derive(Clone, Copy)]
struct MomentumRule;

impl Rule<1> for MomentumRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [m]: &mut [V; 1]) -> V {
        *m = flush(s[0].mul_add(g, s[1] * *m));
        let step = s[3].mul_add(*m, s[4] * g);
        s[2].mul_add(step, w)
    }
}

impl UpdateRule for Sgd {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &[]
    }
    fn settings(&self) -> Settings {
        vec![("learning_rate", self.learning_rate)]
    }
    fn scalars(&self, _step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let mut s = [0.0; SCALARS];
        s[0] = settings[0];
        s
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), PlainRule, of)
    }
}

impl UpdateRule for Momentum {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &["momentum"]
    }
    fn settings(&self) -> Settings {
        named_fields!(self: learning_rate, momentum)
    }
    fn scalars(&self, step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let (eta, beta) = (settings[0], settings[1]);
        let taken = if step == 1 { 1.0 } else { 1.0 - self.dampening };
        let (inside, outside) = match self.convention {
            Convention::Keras => (-eta * taken, 1.0),
            Convention::Torch | Convention::Tf1 => (taken, -eta),
        };
        let (of_buffer, of_gradient) = if self.nesterov { (beta, inside) } else { (1.0, 0.0) };
        [inside, beta, outside, of_buffer, of_gradient, 0.0, 0.0, 0.0]
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), MomentumRule, of)
    }
}
