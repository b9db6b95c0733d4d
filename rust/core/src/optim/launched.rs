//! An update as it is launched: a rule, the tensors of one parameter, and how its elements are cut into items.

use smallvec::{SmallVec, smallvec};

use super::Settings;
use super::measured::launch_measured;
use crate::dtype::{Float, with_float};
use crate::error::Result;
use crate::kernels::update::{Arrays, GATE, Pieces, Rule, SCALARS, STEP_SCALARS, update};
use crate::launch::{Access, Arguments, ByColumns, Cost, Operand, Operands, launch_either};
use crate::tensor::Tensor;

/// A rule as an optimizer sees it.
pub trait UpdateRule: Send + Sync + 'static {
    /// The rule's name.
    fn name(&self) -> &'static str;
    /// Names of the state kept for each parameter.
    fn slot_names(&self) -> &'static [&'static str];
    /// The values that a slot starts with.
    fn slot_start(&self, _slot: usize) -> f64 {
        0.0
    }
    /// The settings with their starting values; the learning rate comes first.
    fn settings(&self) -> Settings;
    /// The one number that the rule keeps from step to step, as it stands after so many steps with these settings.
    fn memory_after(&self, _steps: u64, _settings: &[f64]) -> f64 {
        1.0
    }
    /// What the arithmetic needs in step `step` (from 1), given the settings of that step in order.
    fn scalars(&self, step: u64, settings: &[f64], memory: &mut f64) -> [f64; SCALARS];
    /// Launches the update of one parameter.
    fn launch(&self, of: &Launched<'_>) -> Result<()>;
}

/// The tensors of an update.
#[derive(Clone, Copy)]
pub struct Launched<'a> {
    /// What the rule has computed for the step, the decay and the gate.
    pub(super) scalars: &'a Tensor,
    pub(super) parameter: &'a Tensor,
    pub(super) gradient: &'a Tensor,
    /// The rule's, for the parameter.
    pub(super) slots: &'a [Tensor],
    /// Gets what the update comes to, where somebody watches.
    pub(super) parts: Option<&'a Tensor>,
}

/// The launch behind [`UpdateRule::launch`]: operands in the order scalars, gradient, parameter, slots.
pub(super) fn launch_rule<R: Rule<SLOTS>, const SLOTS: usize>(
    name: &'static str,
    rule: R,
    of: &Launched<'_>,
) -> Result<()> {
    let Launched { parameter, gradient, .. } = *of;
    let dtype = parameter.dtype();
    let n = parameter.count();
    let cost = Cost::elementwise(n, 12.0, 3 + 2 * SLOTS, dtype);
    if let Some(parts) = of.parts {
        return launch_measured(name, rule, of, parts, cost);
    }
    let operands = operands_of(of, 1);
    let columns = parameter.shape().last().copied().unwrap_or(0);
    let rows = n.checked_div(columns).unwrap_or(0);
    with_float!(dtype, name, T => launch_either(name, n, cost, operands,
    move |elements, arguments| {
        let at = elements.start;
        let arrays = Arrays::<T, SLOTS> {
            gradient: arguments.pointer::<T>(1).wrapping_add(at),
            parameter: arguments.pointer::<T>(2).wrapping_add(at),
            slots: std::array::from_fn(|i| arguments.pointer::<T>(3 + i).wrapping_add(at)),
        };
        run_rule(rule, arguments, arrays, Pieces::one(elements.len()));
    },
    || ByColumns::new(access_by_columns(parameter, gradient, SLOTS)?,
    move |units, arguments| {
        let (gradient, gradient_row) = arguments.columns(1, &units);
        let (parameter, row) = arguments.columns(2, &units);
        let slots = std::array::from_fn(|i| arguments.columns(3 + i, &units).0);
        let len = ByColumns::range::<T>(&units, columns).len();
        let arrays = Arrays::<T, SLOTS> { gradient, parameter, slots };
        run_rule(rule, arguments, arrays, Pieces { rows, len, row, gradient_row });
    })))
}

/// The operands of an update, of which an item has so many elements.
pub(super) fn operands_of(of: &Launched<'_>, each: usize) -> Operands {
    let mut operands: Operands = smallvec![
        Operand::read(of.scalars),
        Operand::read_own(of.gradient, each),
        Operand::write_own(of.parameter, each)
    ];
    operands.extend(of.slots.iter().map(|slot| Operand::write_own(slot, each)));
    operands
}

fn access_by_columns(
    parameter: &Tensor,
    gradient: &Tensor,
    slots: usize,
) -> Option<SmallVec<[Access; 4]>> {
    let mut access = smallvec![Access::All, ByColumns::access(gradient)?];
    access.extend(std::iter::repeat_n(ByColumns::access(parameter)?, 1 + slots));
    Some(access)
}

/// The update of some elements of a parameter, unless the step's gate is closed.
pub(super) fn run_rule<R: Rule<SLOTS>, T: Float, const SLOTS: usize>(
    rule: R,
    arguments: &Arguments<'_>,
    arrays: Arrays<T, SLOTS>,
    pieces: Pieces,
) {
    let mut scalars = [0.0; STEP_SCALARS];
    scalars.copy_from_slice(arguments.all::<f64>(0));
    if scalars[GATE] != 0.0 {
        // SAFETY: the operands are distinct tensors, of whose elements the units own these.
        #[allow(unsafe_code, reason = "the one call of the update kernel")]
        unsafe {
            update(rule, &scalars, arrays, pieces);
        }
    }
}
