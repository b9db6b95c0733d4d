//! Results that nobody needs after the step: they need no memory of their own.
//!
//! The gradient of a weight is written by one launch and read by the update that follows it in its chain. A block of it
//! lives for as long as the block passes the chain, so a scratch area of one block for each worker, which stays in cache,
//! takes the place of an array as large as the weight.
//!
//! What lives from one phase to another lies in one arena, where it may take the place of what is no longer needed by
//! then, if that saves much.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::execute::Way;
use super::schedule::{Chain, Schedule};
use crate::buffer::{ALIGNMENT, Buffer};
use crate::error::Result;
use crate::launch::{Access, Launch, Operand};

/// An operand that lies in scratch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    /// Which operand of its launch.
    pub(super) operand: usize,
    /// Bytes of one unit of the chain (in each row, where units are columns).
    pub(super) unit: usize,
    /// Where a block of it begins in the worker's scratch.
    pub(super) offset: usize,
}

/// How a buffer is used, as far as it may be moved.
struct Use {
    chain: (usize, usize),
    unit: usize,
    /// Rows that each have so many bytes for a unit.
    rows: usize,
    origin: usize,
    operands: usize,
    /// One chain alone uses it, block by block.
    movable: bool,
    /// From the phase that writes it to the last that reads it.
    phases: RangeInclusive<usize>,
    /// What the first launch that uses it writes.
    extent: Range<usize>,
    /// Nothing is read that was not written before in the same step.
    replaceable: bool,
}

/// Finds what is written and then read by nobody but the launches. The plan holds each buffer `ways` times.
fn uses(launches: &[Launch], schedule: &Schedule, ways: usize) -> HashMap<usize, Use> {
    let mut uses: HashMap<usize, Use> = HashMap::new();
    for (p, phase) in schedule.phases.iter().enumerate() {
        for (c, chain) in phase.chains.iter().enumerate() {
            for link in &chain.links {
                for operand in &launches[link.launch].operands {
                    let (unit, rows) = match operand.access {
                        Access::Own { bytes } => (bytes * link.scale, 1),
                        Access::Columns { bytes, row } => {
                            (bytes * link.scale, operand.extent.len() / row)
                        }
                        Access::All | Access::Scattered => (0, 0),
                    };
                    let known = uses.entry(operand.key()).or_insert(Use {
                        chain: (p, c),
                        unit,
                        rows,
                        origin: operand.origin,
                        operands: 0,
                        // What is read before it is written holds something from before the step: a constant.
                        movable: unit > 0 && operand.writes,
                        phases: p..=p,
                        extent: operand.extent.clone(),
                        replaceable: operand.writes
                            && rows * unit * chain.units >= operand.extent.len(),
                    });
                    known.operands += 1;
                    known.phases = *known.phases.start()..=p;
                    known.replaceable &= known.extent.start <= operand.extent.start
                        && operand.extent.end <= known.extent.end;
                    known.movable &= known.chain == (p, c)
                        && (known.unit, known.rows) == (unit, rows)
                        && known.origin == operand.origin;
                }
            }
        }
    }
    let holders = launches.iter().flat_map(|launch| &launch.operands);
    for operand in holders {
        if let Some(known) = uses.get_mut(&operand.key()) {
            let is_ours = Arc::strong_count(&operand.buffer) == known.operands * ways;
            known.movable &= is_ours;
            known.replaceable &= is_ours;
        }
    }
    uses
}

/// Moves what can be moved into scratch or into the arena: sets each chain's moved operands and scratch size, and lets the
/// memory go.
pub(super) fn move_temporaries(ways: &mut [Way]) -> Result<()> {
    let nothing = Buffer::new(0)?;
    // All are looked at before the first lets go of anything.
    let count = ways.len();
    let found: Vec<_> = ways.iter().map(|way| uses(&way.launches, &way.schedule, count)).collect();
    for (way, uses) in ways.iter_mut().zip(found) {
        for chain in way.schedule.phases.iter_mut().flat_map(|phase| &mut phase.chains) {
            move_chain(&mut way.launches, chain, &uses, &nothing);
        }
        move_to_arena(way, &uses)?;
    }
    Ok(())
}

/// The arena is made where it takes no more than this part of what it takes the place of.
const SAVING: f64 = 0.75;

/// Moves what lives from one phase to another into one buffer, if enough of it shares places there.
fn move_to_arena(way: &mut Way, uses: &HashMap<usize, Use>) -> Result<()> {
    let shared = uses.iter().filter(|(_, known)| known.replaceable && !known.movable);
    let mut shared: Vec<_> = shared.collect();
    // In one order, whatever that of the table is: the large ones of a phase first.
    shared
        .sort_by_key(|(key, known)| (*known.phases.start(), usize::MAX - known.extent.end, **key));
    let mut places = Places::default();
    let mut separate = 0;
    let mut offsets: HashMap<usize, usize> = HashMap::new();
    for (key, known) in shared {
        let bytes = known.extent.end.next_multiple_of(ALIGNMENT);
        separate += bytes;
        offsets.insert(*key, places.find(known.phases.clone(), bytes));
    }
    if places.end() as f64 > SAVING * separate as f64 {
        return Ok(());
    }
    let arena = Buffer::new(places.end())?;
    for (launch, addresses) in way.launches.iter_mut().zip(&mut way.addresses) {
        for (operand, address) in launch.operands.iter_mut().zip(addresses) {
            let Some(offset) = offsets.get(&operand.key()) else { continue };
            operand.buffer = Arc::clone(&arena);
            operand.origin += offset;
            operand.extent = operand.extent.start + offset..operand.extent.end + offset;
            *address = arena.pointer().wrapping_add(operand.origin);
        }
    }
    Ok(())
}

/// Where temporaries lie in a chain's scratch or in the arena: two that are never needed at a time may share a place.
///
/// A block passes the links of a chain, and a step its phases, in order, so that a temporary is needed from the one that
/// writes it to the last that reads it. Each gets the first gap that those needed meanwhile leave.
#[derive(Default)]
struct Places {
    placed: Vec<Place>,
}

struct Place {
    needed: RangeInclusive<usize>,
    bytes: Range<usize>,
}

impl Places {
    /// A place for so many bytes during these links or phases.
    fn find(&mut self, needed: RangeInclusive<usize>, bytes: usize) -> usize {
        let mut taken: Vec<_> = self
            .placed
            .iter()
            .filter(|place| {
                place.needed.start() <= needed.end() && needed.start() <= place.needed.end()
            })
            .map(|place| place.bytes.clone())
            .collect();
        taken.sort_unstable_by_key(|taken| taken.start);
        let mut offset = 0;
        for taken in taken {
            if offset + bytes <= taken.start {
                break;
            }
            offset = offset.max(taken.end);
        }
        self.placed.push(Place { needed, bytes: offset..offset + bytes });
        offset
    }

    /// Bytes of all places together.
    fn end(&self) -> usize {
        self.placed.iter().map(|place| place.bytes.end).max().unwrap_or(0)
    }
}

fn move_chain(
    launches: &mut [Launch],
    chain: &mut Chain,
    uses: &HashMap<usize, Use>,
    nothing: &Arc<Buffer>,
) {
    let movable = |operand: &Operand| {
        let key = operand.key();
        uses.get(&key).filter(|known| known.movable).map(|known| (key, known.unit, known.rows))
    };
    let mut last: HashMap<usize, usize> = HashMap::new();
    for (position, link) in chain.links.iter().enumerate() {
        for (key, ..) in launches[link.launch].operands.iter().filter_map(movable) {
            last.insert(key, position);
        }
    }
    let mut places = Places::default();
    let mut offsets: HashMap<usize, usize> = HashMap::new();
    for (position, link) in chain.links.iter_mut().enumerate() {
        for (index, operand) in launches[link.launch].operands.iter_mut().enumerate() {
            let Some((key, unit, rows)) = movable(operand) else { continue };
            let offset = *offsets.entry(key).or_insert_with(|| {
                let bytes = (unit * rows * chain.block).next_multiple_of(ALIGNMENT);
                places.find(position..=last[&key], bytes)
            });
            link.moved.push(Moved { operand: index, unit, offset });
            operand.buffer = Arc::clone(nothing);
            if let Access::Columns { row, .. } = &mut operand.access {
                // Scratch holds the columns of a block alone.
                *row = unit * chain.block;
            }
        }
    }
    chain.scratch = places.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporaries_share_a_place_unless_both_are_needed() {
        let mut places = Places::default();
        assert_eq!(places.find(0..=2, 128), 0);
        // Needed while the first still is, in its last link too.
        assert_eq!(places.find(2..=4, 64), 128);
        // After the first: in its place, and what is left of it after that.
        assert_eq!(places.find(3..=5, 64), 0);
        assert_eq!(places.find(4..=4, 64), 64);
        // The gap of 64 is too small while the second is needed.
        assert_eq!(places.find(4..=6, 192), 192);
        assert_eq!(places.find(7..=8, 384), 0);
        assert_eq!(places.end(), 384);
    }
}
