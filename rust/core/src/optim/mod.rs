//! Optimizers: settings, step count and slots here; the arithmetic of each rule in a file of its own.
//!
//! A step computes the rule's scalars once in `f64` (powers of β included), writes them into fixed memory, and runs one
//! fused in-place launch for each parameter. Parameters with other learning rates or decays read scalars of their own.
//! Gradients may be gathered over several steps before the rule, parameters averaged after it (`accumulate_ema.rs`):
//! every step is then made of the same launches, and a gate among the scalars closes those of steps without update.

mod accumulate_ema;
mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod launched;
mod lion;
mod measured;
mod nadam;
mod rmsprop;
mod rule;
mod sgd;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use smallvec::SmallVec;

use crate::capture::{self, StepInput};
use crate::error::{Result, bail};
use crate::kernels::update::{GATE, SCALARS, STEP_SCALARS};
use crate::layout::show;
use crate::team::{self, lock};
use crate::tensor::Tensor;
use crate::{DType, host_access};

use launched::launch_rule;

pub use accumulate_ema::{Around, Averaging};
pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::{Adam, AmsGrad};
pub use adamax::Adamax;
pub use launched::{Launched, UpdateRule};
pub use lion::Lion;
pub use nadam::Nadam;
pub use rmsprop::RmsProp;
pub use rule::{Bounds, NamedRule, Setting};
pub use sgd::{Momentum, Sgd};

/// Every rule that has a name, as its file has it.
pub const RULES: &[NamedRule] = &[
    adam::RULE,
    sgd::RULE,
    adadelta::RULE,
    adagrad::RULE,
    adamax::RULE,
    lion::RULE,
    nadam::RULE,
    rmsprop::RULE,
];

/// Which library's form a rule follows where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// Keras 3.
    Keras,
    /// PyTorch.
    Torch,
    /// TensorFlow 1.
    Tf1,
}

/// How weights decay in the launch of the update, by λ, the setting `weight_decay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// θ ← θ − ηλθ before the update.
    Decoupled,
    /// θ ← θ − λθ before the update, whatever η is.
    Unscaled,
    /// g ← g + λθ, as from a penalty ½λ‖θ‖².
    Coupled,
}

/// The settings of an optimizer that may change from step to step, by name.
pub type Settings = Vec<(&'static str, f64)>;

struct Slots {
    /// Keeps the parameter alive, so that its address stays its own.
    _parameter: Tensor,
    /// The rule's, then those of [`Around`].
    values: Vec<Tensor>,
    /// Which of the groups it belongs to.
    group: usize,
}

/// Parameters whose learning rate and decay are multiples of the settings.
struct Group {
    learning_rate: f64,
    weight_decay: f64,
    /// What the launches of a step read; rewritten before each step.
    scalars: Tensor,
}

struct State {
    iterations: u64,
    memory: f64,
    settings: Settings,
    queues: HashMap<&'static str, VecDeque<f64>>,
    slots: HashMap<usize, Slots>,
    /// The first is that of all parameters that were put into no other.
    groups: Vec<Group>,
    gathered: accumulate_ema::Gathered,
    measured: Option<measured::Measured>,
}

struct Inner {
    rule: Box<dyn UpdateRule>,
    /// With it, λ is the last setting.
    decay: Option<Decay>,
    around: Around,
    /// What the launches of `around` read.
    fixed: accumulate_ema::Fixed,
    state: Mutex<State>,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl StepInput for Inner {
    fn advance(&self) -> Result<()> {
        let _quiet = team::quiet();
        let mut state = self.lock();
        let updates = state.gathered.advance(&self.around, &self.fixed);
        if !updates {
            self.fixed.close();
            for group in &state.groups {
                host_access::with_mut(&group.scalars, |to: &mut [f64]| to[GATE] = 0.0);
            }
            return Ok(());
        }
        state.iterations += 1;
        self.fixed.open(&self.around, state.iterations);
        let State { iterations, memory, settings, queues, groups, .. } = &mut *state;
        for (name, value) in settings.iter_mut() {
            if let Some(next) = queues.get_mut(name).and_then(VecDeque::pop_front) {
                *value = next;
            }
        }
        let mut values: SmallVec<[f64; 8]> = settings.iter().map(|(_, value)| *value).collect();
        let lambda = self.decay.and_then(|_| values.pop()).unwrap_or(0.0);
        let (before, rate) = (*memory, values[0]);
        for group in groups {
            // The rule's number goes one step on, however many groups there are.
            *memory = before;
            let (eta, lambda) = (rate * group.learning_rate, lambda * group.weight_decay);
            values[0] = eta;
            let scalars = self.rule.scalars(*iterations, &values, memory);
            let (decoupled, coupled) = match self.decay {
                None => (0.0, 0.0),
                Some(Decay::Decoupled) => (eta * lambda, 0.0),
                Some(Decay::Unscaled) => (lambda, 0.0),
                Some(Decay::Coupled) => (0.0, lambda),
            };
            host_access::with_mut(&group.scalars, |to: &mut [f64]| {
                to[..SCALARS].copy_from_slice(&scalars);
                to[SCALARS..].copy_from_slice(&[decoupled, coupled, 1.0]);
            });
        }
        Ok(())
    }
}

/// An update rule with its step count, settings and slots. Cloning shares it.
#[derive(Clone)]
pub struct Optimizer(Arc<Inner>);

impl Optimizer {
    /// An optimizer that has made no step yet.
    pub fn new(rule: impl UpdateRule) -> Result<Self> {
        Self::with(rule, None, Around::default())
    }

    /// The same with weights that decay by λ, which is a setting from then on, and with work around the rule.
    pub fn with(
        rule: impl UpdateRule,
        decay: Option<(Decay, f64)>,
        around: Around,
    ) -> Result<Self> {
        Self::of(Box::new(rule), decay, around)
    }

    /// The same with a rule that was chosen by its name.
    pub fn of(
        rule: Box<dyn UpdateRule>,
        decay: Option<(Decay, f64)>,
        around: Around,
    ) -> Result<Self> {
        let mut settings = rule.settings();
        settings.extend(decay.map(|(_, lambda)| ("weight_decay", lambda)));
        let all = Group {
            learning_rate: 1.0,
            weight_decay: 1.0,
            scalars: Tensor::zeros(&[STEP_SCALARS], DType::F64)?,
        };
        Ok(Self(Arc::new(Inner {
            rule,
            decay: decay.map(|(decay, _)| decay),
            around,
            fixed: accumulate_ema::Fixed::new()?,
            state: Mutex::new(State {
                iterations: 0,
                memory: 1.0,
                settings,
                queues: HashMap::new(),
                slots: HashMap::new(),
                groups: vec![all],
                gathered: accumulate_ema::Gathered::default(),
                measured: None,
            }),
        })))
    }

    /// The rule's name.
    pub fn name(&self) -> &'static str {
        self.0.rule.name()
    }

    /// Steps made so far.
    pub fn iterations(&self) -> u64 {
        self.0.lock().iterations
    }

    /// The rate of the latest step, or of the next one where it was set since.
    pub fn learning_rate(&self) -> f64 {
        self.0.lock().settings.first().map_or(f64::NAN, |(_, rate)| *rate)
    }

    /// Sets the number of steps made so far, as when a saved state is restored; the rule's memory becomes what it
    /// would be had its settings always been the present ones.
    pub fn set_iterations(&self, iterations: u64) {
        let mut state = self.0.lock();
        let values: Vec<f64> = state.settings.iter().map(|(_, value)| *value).collect();
        state.iterations = iterations;
        state.memory = self.0.rule.memory_after(iterations, &values);
    }

    /// The one number that the rule keeps from step to step.
    pub fn memory(&self) -> f64 {
        self.0.lock().memory
    }

    /// Restores the number that the rule keeps; after [`Optimizer::set_iterations`].
    pub fn set_memory(&self, memory: f64) {
        self.0.lock().memory = memory;
    }

    /// The settings and their present values.
    pub fn settings(&self) -> Settings {
        self.0.lock().settings.clone()
    }

    fn setting_name(&self, name: &str) -> Result<&'static str> {
        let settings = self.settings();
        if let Some((known, _)) = settings.iter().find(|(known, _)| *known == name) {
            return Ok(known);
        }
        let known: Vec<&str> = settings.iter().map(|(known, _)| *known).collect();
        bail!(Value, "{}: no setting `{name}`; there are {}", self.name(), known.join(", "));
    }

    /// Sets a setting for the steps to come.
    pub fn set(&self, name: &str, value: f64) -> Result<()> {
        let name = self.setting_name(name)?;
        for (known, slot) in &mut self.0.lock().settings {
            if *known == name {
                *slot = value;
            }
        }
        Ok(())
    }

    /// Gives a setting one value for each of the coming steps; after the last one it keeps that value. An earlier queue
    /// is replaced.
    pub fn queue(&self, name: &str, values: &[f64]) -> Result<()> {
        let name = self.setting_name(name)?;
        self.0.lock().queues.insert(name, values.iter().copied().collect());
        Ok(())
    }

    /// Names of the state kept for each parameter.
    pub fn slot_names(&self) -> Vec<&'static str> {
        let mut names = self.0.rule.slot_names().to_vec();
        names.extend(self.0.around.slot_names());
        names
    }

    /// The state of a parameter, made where there is none yet.
    pub fn slots(&self, parameter: &Tensor) -> Result<Vec<Tensor>> {
        parameter.dtype().require_float(self.name())?;
        if let Some(slots) = self.0.lock().slots.get(&parameter.id()) {
            return Ok(slots.values.clone());
        }
        // The state's lock is not held here: filling the slots takes the engine, which comes first.
        // Made outside any capture: a replay must go on with them, not clear them again.
        let values = capture::paused(|| {
            let mut values = Vec::new();
            for slot in 0..self.0.rule.slot_names().len() {
                let start = self.0.rule.slot_start(slot);
                values.push(Tensor::full(parameter.shape(), start, parameter.dtype())?);
            }
            values.extend(self.0.around.slots(parameter)?);
            Ok(values)
        })?;
        let made = Slots { _parameter: parameter.clone(), values, group: 0 };
        let mut state = self.0.lock();
        Ok(state.slots.entry(parameter.id()).or_insert(made).values.clone())
    }

    /// Has a parameter's learning rate and decay be these multiples of the settings in the steps to come.
    pub fn scale(&self, parameter: &Tensor, learning_rate: f64, weight_decay: f64) -> Result<()> {
        self.slots(parameter)?;
        let scalars = capture::paused(|| Tensor::zeros(&[STEP_SCALARS], DType::F64))?;
        let mut state = self.0.lock();
        let known = state.groups.iter().position(|group| {
            group.learning_rate == learning_rate && group.weight_decay == weight_decay
        });
        let group = known.unwrap_or(state.groups.len());
        if known.is_none() {
            state.groups.push(Group { learning_rate, weight_decay, scalars });
        }
        if let Some(slots) = state.slots.get_mut(&parameter.id()) {
            slots.group = group;
        }
        Ok(())
    }

    /// Checks that parameters and gradients fit each other.
    fn check(&self, parameters: &[&Tensor], gradients: &[&Tensor]) -> Result<()> {
        if parameters.len() != gradients.len() {
            let (name, m, n) = (self.name(), parameters.len(), gradients.len());
            bail!(Value, "{name}: {m} parameters came with {n} gradients");
        }
        for (i, (parameter, gradient)) in parameters.iter().zip(gradients).enumerate() {
            if parameter.shape() != gradient.shape() || parameter.dtype() != gradient.dtype() {
                bail!(
                    Shape,
                    "{}: parameter {i} is {} of shape {}, its gradient {} of shape {}",
                    self.name(),
                    parameter.dtype().name(),
                    show(parameter.shape()),
                    gradient.dtype().name(),
                    show(gradient.shape())
                );
            }
            if !parameter.is_leaf() || !parameter.layout().is_contiguous() {
                let name = self.name();
                bail!(
                    Value,
                    "{name}: parameter {i} is not a leaf tensor; only leaves can be updated"
                );
            }
        }
        Ok(())
    }

    /// Goes on to the next step, now and before each replay of the step that is being captured.
    fn begin_step(&self) -> Result<()> {
        capture::advance(self.0.clone())
    }

    /// One step: `iterations` rises by one and each parameter is updated from its gradient, in place.
    ///
    /// Shapes are checked and slots are made before anything changes.
    pub fn apply(&self, parameters: &[&Tensor], gradients: &[&Tensor]) -> Result<()> {
        self.check(parameters, gradients)?;
        let mut work = Vec::with_capacity(parameters.len());
        for (parameter, gradient) in parameters.iter().zip(gradients) {
            work.push((self.slots(parameter)?, gradient.packed()?));
        }
        if self.0.around.gathers() {
            self.0.lock().gathered.take_turn(self.name())?;
        } else {
            self.begin_step()?;
        }
        let own = self.0.rule.slot_names().len();
        let measured = self.0.lock().measured.clone();
        let mut pieces = Vec::new();
        for (parameter, (slots, gradient)) in parameters.iter().zip(&work) {
            let scalars = {
                let state = self.0.lock();
                let group = state.slots.get(&parameter.id()).map_or(0, |slots| slots.group);
                state.groups[group].scalars.clone()
            };
            let asked = measured.as_ref().map(|of| of.parts(parameter)).transpose()?.flatten();
            let (scalars, slots) = (&scalars, &slots[..own]);
            let parts = asked.as_ref().map(|(_, parts)| parts);
            self.0.rule.launch(&Launched { scalars, parameter, gradient, slots, parts })?;
            pieces.extend(asked);
        }
        match measured {
            Some(measured) if !pieces.is_empty() => measured.join(&pieces),
            _ => Ok(()),
        }
    }
}
