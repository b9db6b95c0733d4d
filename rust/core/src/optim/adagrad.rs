//! AdaGrad (Duchi, Hazan & Singer 2011).
//!
//! ```text
//! s ← s + g²
//! keras   θ ← θ − ηg / √(s + ε)
//! torch   θ ← θ − η/(1 + (t−1)d) · g / (√s + ε)
//! tf1     θ ← θ − ηg / √s
//! ```

use super::rule::{NOT_NEGATIVE, NamedRule, POSITIVE, Setting, named_fields, numbers};
use super::{Convention, Launched, Settings, UpdateRule, launch_rule};
use crate::error::Result;
use crate::kernels::math::VectorMath;
use crate::kernels::update::{Rule, SCALARS};

/// The rule by its name, with what its settings may be and are where they are not given.
pub(super) const RULE: NamedRule = NamedRule {
    name: "adagrad",
    settings: &[
        Setting::numbers("learning_rate", NOT_NEGATIVE, [Some(0.001), Some(0.01), Some(0.001)]),
        Setting::numbers(
            "initial_accumulator_value",
            NOT_NEGATIVE,
            [Some(0.1), Some(0.0), Some(0.1)],
        ),
        Setting::numbers("epsilon", POSITIVE, [Some(1e-7), Some(1e-10), Some(0.0)]),
        Setting::number("lr_decay", NOT_NEGATIVE, 0.0),
    ],
    make: |given| {
        numbers!(given: learning_rate, initial_accumulator_value, epsilon, lr_decay);
        let convention = given.convention;
        Ok(Box::new(Adagrad {
            learning_rate,
            initial_accumulator_value,
            epsilon,
            lr_decay,
            convention,
        }))
    },
};

/// AdaGrad.
#[derive(Debug, Clone, Copy)]
pub struct Adagrad {
    /// η at the start.
    pub learning_rate: f64,
    /// Where s starts.
    pub initial_accumulator_value: f64,
    /// ε; not used under tf1.
    pub epsilon: f64,
    /// d, by which η falls; 0 but under torch.
    pub lr_decay: f64,
    /// Where ε stands.
    pub convention: Convention,
}

/// s = (η, ε inside the root, ε outside).
#[derive(Clone, Copy)]
struct AdagradRule;

impl Rule<1> for AdagradRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], w: V, g: V, [sum]: &mut [V; 1]) -> V {
        *sum = g.mul_add(g, *sum);
        let ratio = g / ((*sum + s[1]).sqrt() + s[2]);
        ratio.neg_mul_add(s[0], w)
    }
}

impl UpdateRule for Adagrad {
    fn name(&self) -> &'static str {
        RULE.name
    }
    fn slot_names(&self) -> &'static [&'static str] {
        &["sum_of_squares"]
    }
    fn slot_start(&self, _slot: usize) -> f64 {
        self.initial_accumulator_value
    }
    fn settings(&self) -> Settings {
        named_fields!(self: learning_rate, epsilon)
    }
    fn scalars(&self, step: u64, settings: &[f64], _memory: &mut f64) -> [f64; SCALARS] {
        let &[eta, epsilon] = settings else { return [f64::NAN; SCALARS] };
        let eta = eta / (1.0 + (step - 1) as f64 * self.lr_decay);
        let (inside, outside) = match self.convention {
            Convention::Keras => (epsilon, 0.0),
            Convention::Torch => (0.0, epsilon),
            Convention::Tf1 => (0.0, 0.0),
        };
        [eta, inside, outside, 0.0, 0.0, 0.0, 0.0, 0.0]
    }
    fn launch(&self, of: &Launched<'_>) -> Result<()> {
        launch_rule(self.name(), AdagradRule, of)
    }
}
