//! Results that only the next launches of the same chain read: they need no memory of their own.
//!
//! The gradient of a weight is written by one launch and read by the update that follows it in its chain. A block of it
//! lives for as long as the block passes the chain, so a scratch area of one block for each worker, which stays in cache,
//! takes the place of an array as large as the weight.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::schedule::{Chain, Schedule};
use crate::buffer::{ALIGNMENT, Buffer};
use crate::error::Result;
use crate::launch::{Access, Launch, Operand};

/// An operand that lies in scratch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    /// Which operand of its launch.
    pub(super) operand: usize,
    /// Bytes of one unit of the chain.
    pub(super) unit: usize,
    /// Where a block of it begins in the worker's scratch.
    pub(super) offset: usize,
}

fn key(operand: &Operand) -> usize {
    Arc::as_ptr(&operand.buffer) as usize
}

/// How a buffer is used, as far as it may be moved.
struct Use {
    chain: (usize, usize),
    unit: usize,
    origin: usize,
    operands: usize,
    movable: bool,
}

/// Finds the buffers that nobody outside the plan holds and one chain alone writes and then uses, block by block.
fn uses(launches: &[Launch], schedule: &Schedule) -> HashMap<usize, Use> {
    let mut uses: HashMap<usize, Use> = HashMap::new();
    for (p, phase) in schedule.phases.iter().enumerate() {
        for (c, chain) in phase.chains.iter().enumerate() {
            for link in &chain.links {
                for operand in &launches[link.launch].operands {
                    let unit = match operand.access {
                        Access::Own { bytes } => bytes * link.scale,
                        Access::All | Access::Scattered => 0,
                    };
                    let known = uses.entry(key(operand)).or_insert(Use {
                        chain: (p, c),
                        unit,
                        origin: operand.origin,
                        operands: 0,
                        // What is read before it is written holds something from before the step: a constant.
                        movable: unit > 0 && operand.writes,
                    });
                    known.operands += 1;
                    known.movable &= known.chain == (p, c)
                        && known.unit == unit
                        && known.origin == operand.origin;
                }
            }
        }
    }
    let holders = launches.iter().flat_map(|launch| &launch.operands);
    for operand in holders {
        if let Some(known) = uses.get_mut(&key(operand)) {
            known.movable &= Arc::strong_count(&operand.buffer) == known.operands;
        }
    }
    uses
}

/// Moves what can be moved into scratch: sets each chain's moved operands and scratch size, and lets the memory go.
pub(super) fn move_to_scratch(launches: &mut [Launch], schedule: &mut Schedule) -> Result<()> {
    let uses = uses(launches, schedule);
    let nothing = Buffer::new(0)?;
    for chain in schedule.phases.iter_mut().flat_map(|phase| &mut phase.chains) {
        move_chain(launches, chain, &uses, &nothing);
    }
    Ok(())
}

/// Where temporaries lie in a chain's scratch: two that are never needed at a time may share a place.
///
/// A block passes the links in order, so that a temporary is needed from the link that writes it to the last that reads
/// it. Each gets the first gap that those needed meanwhile leave.
#[derive(Default)]
struct Places {
    placed: Vec<Place>,
}

struct Place {
    links: RangeInclusive<usize>,
    bytes: Range<usize>,
}

impl Places {
    /// A place for so many bytes during these links.
    fn find(&mut self, links: RangeInclusive<usize>, bytes: usize) -> usize {
        let mut taken: Vec<_> = self
            .placed
            .iter()
            .filter(|place| {
                place.links.start() <= links.end() && links.start() <= place.links.end()
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
        self.placed.push(Place { links, bytes: offset..offset + bytes });
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
        let key = key(operand);
        uses.get(&key).filter(|known| known.movable).map(|known| (key, known.unit))
    };
    let mut last: HashMap<usize, usize> = HashMap::new();
    for (position, link) in chain.links.iter().enumerate() {
        for (key, _) in launches[link.launch].operands.iter().filter_map(movable) {
            last.insert(key, position);
        }
    }
    let mut places = Places::default();
    let mut offsets: HashMap<usize, usize> = HashMap::new();
    for (position, link) in chain.links.iter_mut().enumerate() {
        for (index, operand) in launches[link.launch].operands.iter_mut().enumerate() {
            let Some((key, unit)) = movable(operand) else { continue };
            let offset = *offsets.entry(key).or_insert_with(|| {
                let bytes = (unit * chain.block).next_multiple_of(ALIGNMENT);
                places.find(position..=last[&key], bytes)
            });
            link.moved.push(Moved { operand: index, unit, offset });
            operand.buffer = Arc::clone(nothing);
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
