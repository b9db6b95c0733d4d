//! RMSProp (Tieleman & Hinton 2012), plain or centred (Graves 2013), with momentum or without.
//!
//! ```text
//! s ← ρs + (1−ρ)g²      centred: a ← ρa + (1−ρ)g, and s − a² in place of s below
//! keras, tf1   u = g / √(s + ε)       momentum: b ← μb + ηu;  θ ← θ − b
//! torch        u = g / (√s + ε)       momentum: b ← μb + u;   θ ← θ − ηb
//! ```
//! Without momentum θ ← θ − ηu. Under tf1 s starts at 1.

use super::rule::{BELOW_ONE, NOT_NEGATIVE, NamedRule, POSITIVE, Setting, named_fields, numbers};
use super::{Convention, Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS, flush};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "rmsprop",
    settings: &[
        Setting::numbers("learning_rate", NOT_NEGATIVE, [Some(0.001), Some(0.01), Some(0.001)]),
        Setting::numbers("rho", BELOW_ONE, [Some(0.9), Some(0.99), Some(0.9)]),
        Setting::number("momentum", BELOW_ONE, 0.0),
        Setting::numbers("epsilon", POSITIVE, [Some(1e-7), Some(1e-8), Some(1e-10)]),
        Setting::flag("centered"),
    ],
    make: |given| {
        numbers!(given: learning_rate, rho, momentum, epsilon);
        let convention = given.convention;
        let centered = given.flag("centered")?;
        Ok(Box::new(RmsProp { learning_rate, rho, momentum, epsilon, centered, convention }))
    },
};

/// RMSProp.
#[derive(Debug, Clone, Copy)]
pub struct RmsProp {
    /// η at the start.
    pub learning_rate: f64,
    /// ρ, the decay of the averages.
    pub rho: f64,
    /// μ; 0 where there is no momentum buffer.
    pub momentum: f64,
    /// ε.
    pub epsilon: f64,
    /// Subtracts the squared mean of the gradients.
    pub centered: bool,
    /// Where ε and η stand.
    pub convention: Convention,
}

/// s = (1−ρ, ε inside the root, ε outside, inside, μ, outside, η).
#[derive(Clone, Copy)]
struct RmsPropRule;

/// x ← x + (1−ρ)(new − x).
#[inline(always)]
fn average<V: VectorMath>(s: &[V; SCALARS], new: V, x: &mut V) {
    *x = flush((new - *x).mul_add(s[0], *x));
}

#[inline(always)]
fn ratio<V: VectorMath>(s: &[V; SCALARS], g: V, spread: V) -> V {
    g / ((spread + s[1]).sqrt() + s[2])
}

/// u with the plain mean square.
#[inline(always)]
fn plain<V: VectorMath>(s: &[V; SCALARS], g: V, square: &mut V) -> V {
    average(s, g * g, square);
    ratio(s, g, *square)
}

/// u with the variance, which rounding must not make negative.
#[inline(always)]
fn centered<V: VectorMath>(s: &[V; SCALARS], g: V, square: &mut V, mean: &mut V) -> V {
    average(s, g * g, square);
    average(s, g, mean);
    ratio(s, g, mean.neg_mul_add(*mean, *square).max(V::constant(0.0)))
}

#[inline(always)]
fn with_momentum<V: VectorMath>(s: &[V; SCALARS], w: V, u: V, b: &mut V) -> V {
    *b = flush(s[3].mul_add(u, s[4] * *b));
    b.neg_mul_add(s[5], w)
}

impl Rule<1> for RmsPropRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [square]: &mut [V; 1]) -> V {
        plain(s, g, square).neg_mul_add(s[6], w)
    }
}

impl Rule<3> for RmsPropRule {
    #[inline(always)]
    fn update<V: VectorMath>(
        self,
        s: &[V; SCALARS],
        w: V,
        g: V,
        [square, mean, b]: &mut [V; 3],
    ) -> V {
        let u = centered(s, g, square, mean);
        with_momentum(s, w, u, b)
    }
}

/// Two slots may be either pair.
#[derive(Clone, Copy)]
struct CenteredRule;

impl Rule<2> for CenteredRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [square, mean]: &mut [V; 2]) -> V {
        centered(s, g, square, mean).neg_mul_add(s[6], w)
    }
}

#[derive(Clone, Copy)]
struct MomentumRule;

impl Rule<2> for MomentumRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [square, b]: &mut [V; 2]) -> V {
        let u = plain(s, g, square);
        with_momentum(s, w, u, b)
    }
}

impl RmsProp {
    fn has_momentum(&self) -> bool {
        self.momentum != 0.0
    }
}

impl UpdateRule for RmsProp {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        match (self.centered, self.has_momentum()) {
            (false, false) => &["mean_square"],
            (false, true) => &["mean_square", "momentum"],
            (true, false) => &["mean_square", "mean"],
            (true, true) => &["mean_square", "mean", "momentum"],
        }
    }
    fn slot_start(&self, slot: usize) -> f64 {
        if slot == 0 && self.convention == Convention::Tf1 { 1.0 } else { 0.0 }
    }
    fn settings(&self) -> Settings {
        named_fields!(self: learning_rate, rho, momentum, epsilon)
    }
    fn scalars(&self, _step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let &[eta, rho, momentum, epsilon] = settings else { return [f64::NAN; SCALARS] };
        let rate = 1.0 - rho;
        match self.convention {
            Convention::Keras | Convention::Tf1 => {
                [rate, epsilon, 0.0, eta, momentum, 1.0, eta, 0.0]
            }
            Convention::Torch => [rate, 0.0, epsilon, 1.0, momentum, eta, eta, 0.0],
        }
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        match (self.centered, self.has_momentum()) {
            (false, false) => launch_rule::<_, 1>(self.name(), RmsPropRule, of),
            (false, true) => launch_rule(self.name(), MomentumRule, of),
            (true, false) => launch_rule(self.name(), CenteredRule, of),
            (true, true) => launch_rule::<_, 3>(self.name(), RmsPropRule, of),
        }
    }
}
