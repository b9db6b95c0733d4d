//! Updates that are measured as they are made: how far parameters go, where they start, and the gradients behind it.
//!
//! A parameter is cut into pieces that stay in a core's first cache ([`Cut`]): each is kept, updated and measured, one
//! after the other, and a launch joins what the pieces come to. The update is the same, bit by bit.

use super::Optimizer;
use super::launched::{Launched, operands_of, run_rule};
use crate::DType;
use crate::dtype::with_float;
use crate::error::Result;
use crate::kernels::observe::{Cut, PIECE, join_updates, measure_update};
use crate::kernels::update::{Arrays, Pieces, Rule};
use crate::launch::{Cost, Operand, Operands, launch};
use crate::ops::observe::check_into;
use crate::tensor::Tensor;

/// Numbers that are written of each parameter.
const NUMBERS: usize = 3;

/// Whose updates are measured, and where that is written.
#[derive(Clone)]
pub(super) struct Measured {
    parameters: Vec<Tensor>,
    into: Tensor,
}

impl Measured {
    /// The place of a parameter.
    fn place(&self, parameter: &Tensor) -> Option<usize> {
        self.parameters.iter().position(|known| known.id() == parameter.id())
    }

    /// Memory for what the pieces of a parameter come to, with its place; none where nobody asks for it.
    pub(super) fn parts(&self, parameter: &Tensor) -> Result<Option<(usize, Tensor)>> {
        let Some(place) = self.place(parameter) else { return Ok(None) };
        let cut = cut(parameter);
        Ok(Some((place, Tensor::empty(&[cut.items * cut.pieces, NUMBERS], DType::F64)?)))
    }

    /// Joins what the pieces come to.
    pub(super) fn join(&self, parts: &[(usize, Tensor)]) -> Result<()> {
        let mut operands: Operands = parts.iter().map(|(_, parts)| Operand::read(parts)).collect();
        let places: Vec<usize> = parts.iter().map(|(place, _)| *place).collect();
        let elements = parts.iter().map(|(_, parts)| parts.count()).sum();
        let out = operands.len();
        operands.push(Operand::write_scattered(&self.into));
        let cost = Cost::elementwise(elements, 2.0, 1, DType::F64);
        launch("measure_updates", places.len(), cost, operands, move |items, arguments| {
            for item in items {
                let (pieces, _) = arguments.all::<f64>(item).as_chunks::<NUMBERS>();
                let to = arguments.pointer::<f64>(out).wrapping_add(NUMBERS * places[item]);
                // SAFETY: the memory has so many numbers for each parameter, and each has a place of its own.
                #[allow(unsafe_code, reason = "places need not be in the order of the items")]
                unsafe {
                    to.cast::<[f64; NUMBERS]>().write(join_updates(pieces));
                }
            }
        })
    }
}

fn cut(parameter: &Tensor) -> Cut {
    let rows = parameter.shape().first().map_or(1, |&rows| rows.max(1));
    Cut::new(rows, parameter.count() / rows)
}

/// The launch of an update that writes what its pieces come to.
pub(super) fn launch_measured<R: Rule<SLOTS>, const SLOTS: usize>(
    name: &'static str,
    rule: R,
    of: &Launched<'_>,
    parts: &Tensor,
    cost: Cost,
) -> Result<()> {
    let Cut { items, each, pieces } = cut(of.parameter);
    let mut operands = operands_of(of, each);
    let out = operands.len();
    operands.push(Operand::write_own(parts, NUMBERS * pieces));
    with_float!(of.parameter.dtype(), name, T => launch(name, items, cost, operands,
    move |items, arguments| {
        let gradient = arguments.own::<T>(1, &items);
        let parameter = arguments.own_mut::<T>(2, &items);
        let slots: [*mut T; SLOTS] =
            std::array::from_fn(|i| arguments.own_mut::<T>(3 + i, &items).as_mut_ptr());
        let (parts, _) = arguments.own_mut::<f64>(out, &items).as_chunks_mut::<NUMBERS>();
        let mut before = [T::default(); PIECE];
        let starts = (0..items.len() * each).step_by(each);
        let starts = starts.flat_map(|item| (0..pieces).map(move |piece| (item, PIECE * piece)));
        for ((item, piece), to) in starts.zip(parts) {
            let (first, len) = (item + piece, (each - piece).min(PIECE));
            let (gradient, before) = (&gradient[first..first + len], &mut before[..len]);
            let parameter = &mut parameter[first..first + len];
            before.copy_from_slice(parameter);
            let arrays = Arrays::<T, SLOTS> {
                gradient: gradient.as_ptr(),
                parameter: parameter.as_mut_ptr(),
                slots: slots.map(|slot| slot.wrapping_add(first)),
            };
            run_rule(rule, arguments, arrays, Pieces::one(len));
            *to = measure_update(before, parameter, gradient);
        }
    }))
}

impl Optimizer {
    /// Has each step write of each of these parameters that it updates √Σ(after - before)², √Σ before² and √Σ gradient², of
    /// the gradient that the rule gets; until the next call.
    pub fn observe(&self, into: &Tensor, parameters: &[&Tensor]) -> Result<()> {
        check_into("observe", into, parameters.len(), NUMBERS)?;
        let parameters = parameters.iter().map(|&parameter| parameter.clone()).collect();
        self.0.lock().measured = Some(Measured { parameters, into: into.clone() });
        Ok(())
    }

    /// Has the steps to come write nothing any more.
    pub fn observe_nothing(&self) {
        self.0.lock().measured = None;
    }
}

#[cfg(test)]
mod tests;
