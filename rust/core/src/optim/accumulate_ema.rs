//! Gradient accumulation and the moving average (EMA) of the parameters: what an optimizer does before and after its
//! rule.
//!
//! ```text
//! a ← keep·a + g/k     keep 0 in the first of k steps, 1 in the others; the rule sees a in the last of them
//! e ← e + (1−m)(θ−e)   after each update; e ← θ after the first
//! θ ← e                after every n-th update
//! ```
//! Each is the launch of an update rule whose scalars and gate the optimizer's step input writes.

use super::{Launched, Optimizer, launch_rule};
use crate::error::{Result, bail};
use crate::kernels::math::VectorMath;
use crate::kernels::update::{GATE, Rule, SCALARS, STEP_SCALARS};
use crate::tensor::Tensor;
use crate::{DType, host_access};

/// What surrounds the rule; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around {
    /// k: the rule runs once in so many steps, with the mean of their gradients. 0 and 1: in every step.
    pub accumulation: u64,
    /// The averages of the parameters, if they are kept.
    pub averaging: Option<Averaging>,
}

/// Moving averages of the parameters.
#[derive(Debug, Clone, Copy)]
pub struct Averaging {
    /// m, the weight of the old average.
    pub momentum: f64,
    /// n: the parameters become their averages after every n-th update; 0: never.
    pub overwrite_every: u64,
}

impl Around {
    /// True where the rule does not run in every step.
    pub fn gathers(&self) -> bool {
        self.accumulation > 1
    }

    pub(super) fn slot_names(&self) -> impl Iterator<Item = &'static str> {
        let accumulator = self.gathers().then_some("gradient_accumulator");
        accumulator.into_iter().chain(self.averaging.map(|_| "average"))
    }

    /// The slots that a parameter begins with: no gradients, and its present value for an average.
    pub(super) fn slots(&self, parameter: &Tensor) -> Result<Vec<Tensor>> {
        let mut slots = Vec::new();
        if self.gathers() {
            slots.push(Tensor::zeros(parameter.shape(), parameter.dtype())?);
        }
        if self.averaging.is_some() {
            let average = Tensor::empty(parameter.shape(), parameter.dtype())?;
            parameter.detach().copy_into(&average)?;
            slots.push(average);
        }
        Ok(slots)
    }
}

/// The scalars that the launches of this file read.
pub(super) struct Fixed {
    accumulate: Tensor,
    average: Tensor,
    overwrite: Tensor,
    /// 1 in a step with update, else 0.
    gate: Tensor,
}

impl Fixed {
    pub(super) fn new() -> Result<Self> {
        let scalars = || Tensor::zeros(&[STEP_SCALARS], DType::F64);
        Ok(Self {
            accumulate: scalars()?,
            average: scalars()?,
            overwrite: scalars()?,
            gate: Tensor::ones(&[], DType::F64)?,
        })
    }

    /// Writes the scalars of a step without update.
    pub(super) fn close(&self) {
        for scalars in [&self.average, &self.overwrite] {
            host_access::with_mut(scalars, |to: &mut [f64]| to[GATE] = 0.0);
        }
        host_access::with_mut(&self.gate, |to: &mut [f64]| to[0] = 0.0);
    }

    /// Writes the scalars of the update with this number, from 1.
    pub(super) fn open(&self, around: &Around, update: u64) {
        host_access::with_mut(&self.gate, |to: &mut [f64]| to[0] = 1.0);
        let Some(averaging) = around.averaging else { return };
        host_access::with_mut(&self.average, |to: &mut [f64]| {
            to[0] = if update == 1 { 1.0 } else { 1.0 - averaging.momentum };
            to[GATE] = 1.0;
        });
        let every = averaging.overwrite_every;
        let now = every != 0 && update.is_multiple_of(every);
        host_access::with_mut(&self.overwrite, |to: &mut [f64]| {
            to[GATE] = f64::from(u8::from(now));
        });
    }
}

/// How far the gathering of gradients has come.
#[derive(Default)]
pub(super) struct Gathered {
    /// Steps since the last update.
    steps: u64,
    /// The parameters that these steps had gradients for.
    parameters: Vec<usize>,
    /// A gradient was gathered, and the rule has not had its turn.
    waiting: bool,
}

impl Gathered {
    /// Goes on by a step and tells whether the rule runs in it.
    pub(super) fn advance(&mut self, around: &Around, fixed: &Fixed) -> bool {
        if !around.gathers() {
            return true;
        }
        self.steps += 1;
        host_access::with_mut(&fixed.accumulate, |to: &mut [f64]| {
            to[0] = if self.steps == 1 { 0.0 } else { 1.0 };
            to[1] = 1.0 / around.accumulation as f64;
            to[GATE] = 1.0;
        });
        let last = self.steps == around.accumulation;
        if last {
            self.steps = 0;
        }
        last
    }

    pub(super) fn take_turn(&mut self, name: &str) -> Result<()> {
        if !std::mem::take(&mut self.waiting) {
            bail!(State, "{name}: gradients are accumulated; pass them to `accumulate` first");
        }
        Ok(())
    }
}

/// s = (keep, share). What was there may be anything where it is not kept.
#[derive(Clone, Copy)]
struct AccumulateRule;

impl Rule<0> for AccumulateRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], sum: V, g: V, _: &mut [V; 0]) -> V {
        let zero = V::constant(0.0);
        g.mul_add(s[1], V::select(zero.lt(s[0]), sum, zero))
    }
}

/// s = (1−m). The gradient is the parameter.
#[derive(Clone, Copy)]
struct AverageRule;

impl Rule<0> for AverageRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, s: &[V; SCALARS], e: V, w: V, _: &mut [V; 0]) -> V {
        let moved = (w - e).mul_add(s[0], e);
        // Exactly the parameter after the first update, whatever rounding would say.
        V::select(s[0].lt(V::constant(1.0)), moved, w)
    }
}

/// The gradient is the average.
#[derive(Clone, Copy)]
struct OverwriteRule;

impl Rule<0> for OverwriteRule {
    #[inline(always)]
    fn update<V: VectorMath>(self, _: &[V; SCALARS], _: V, e: V, _: &mut [V; 0]) -> V {
        e
    }
}

/// The tensors of a rule without state.
fn unslotted<'a>(scalars: &'a Tensor, parameter: &'a Tensor, gradient: &'a Tensor) -> Launched<'a> {
    Launched { scalars, parameter, gradient, slots: &[], parts: None }
}

impl Optimizer {
    /// Steps since the last update, where gradients are accumulated.
    pub fn accumulated(&self) -> u64 {
        self.0.lock().gathered.steps
    }

    /// Restores the number of steps since the last update.
    pub fn set_accumulated(&self, steps: u64) -> Result<()> {
        if steps >= self.0.around.accumulation.max(1) {
            let (name, most) = (self.name(), self.0.around.accumulation.max(1));
            bail!(Value, "{name}: expected fewer than {most} accumulated steps, got {steps}");
        }
        self.0.lock().gathered = Gathered { steps, ..Gathered::default() };
        Ok(())
    }

    /// One element: 1 in a step with update, else 0. Fixed memory that replays rewrite.
    pub fn gate(&self) -> &Tensor {
        &self.0.fixed.gate
    }

    /// Takes in the gradients of a step and returns what [`Optimizer::apply`] is to be given: their means over the
    /// steps since the last update, complete in the last of them.
    ///
    /// Everything is checked before anything changes.
    pub fn accumulate(&self, parameters: &[&Tensor], gradients: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.check(parameters, gradients)?;
        if !self.0.around.gathers() {
            bail!(State, "{}: made without accumulation of gradients", self.name());
        }
        let own = self.0.rule.slot_names().len();
        let mut work = Vec::with_capacity(parameters.len());
        for (parameter, gradient) in parameters.iter().zip(gradients) {
            work.push((self.slots(parameter)?[own].clone(), gradient.packed()?));
        }
        let ids: Vec<usize> = parameters.iter().map(|parameter| parameter.id()).collect();
        {
            let gathered = &mut self.0.lock().gathered;
            if gathered.steps > 0 && !gathered.parameters.is_empty() && gathered.parameters != ids {
                bail!(
                    Value,
                    "{}: expected gradients of the same parameters in all of the {} steps that make an update",
                    self.name(),
                    self.0.around.accumulation
                );
            }
            gathered.parameters = ids;
            gathered.waiting = true;
        }
        self.begin_step()?;
        for (sum, gradient) in &work {
            let scalars = &self.0.fixed.accumulate;
            launch_rule("accumulate", AccumulateRule, &unslotted(scalars, sum, gradient))?;
        }
        Ok(work.into_iter().map(|(sum, _)| sum).collect())
    }

    /// After the update, and after constraints: takes the parameters into their averages, and where it is time, makes
    /// them their averages.
    pub fn average(&self, parameters: &[&Tensor]) -> Result<()> {
        let Some(averaging) = self.0.around.averaging else {
            bail!(State, "{}: made without averages of the parameters", self.name());
        };
        for parameter in parameters {
            let Some(average) = self.slots(parameter)?.pop() else { continue };
            let value = parameter.detach();
            let scalars = &self.0.fixed.average;
            launch_rule("average", AverageRule, &unslotted(scalars, &average, &value))?;
            if averaging.overwrite_every != 0 {
                let scalars = &self.0.fixed.overwrite;
                launch_rule("overwrite", OverwriteRule, &unslotted(scalars, parameter, &average))?;
            }
        }
        Ok(())
    }
}
