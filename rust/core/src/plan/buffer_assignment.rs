//! Buffer assignment: results that nobody needs after the step share memory, by their liveness.
//!
//! The gradient of a weight is written by one launch and read by the update that follows it in its chain. A block of it
//! lives for as long as the block passes the chain, so a scratch area of one block for each worker, which stays in
//! cache, takes the place of an array as large as the weight.
//!
//! What lives from one phase to another lies in one arena, where it may take the place of what is no longer live by
//! then, if that saves much.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::cost_model::ARENA_PART;
use super::ir::{BufferMap, Chain, ScratchOperand, Strategy};
use crate::buffer::{ALIGNMENT, Buffer};
use crate::error::Result;
use crate::launch::{Access, Launch, Operand};

/// How a buffer is used, as far as it may be reassigned.
struct Use {
    chain: (usize, usize),
    /// Bytes of one work item of the chain, in each of so many rows.
    item_bytes: usize,
    rows: usize,
    origin: usize,
    operands: usize,
    /// Who holds the buffer, operands included.
    holders: usize,
    /// One chain alone uses it, block by block.
    fits_scratch: bool,
    /// From the phase that writes it to the last that reads it.
    live: RangeInclusive<usize>,
    /// What the first launch that uses it writes.
    extent: Range<usize>,
    /// Nothing is read that was not written before in the same step.
    fits_arena: bool,
}

/// Finds what is written and then read by nobody but the launches. The plan holds each buffer once for each strategy.
fn uses(strategy: &Strategy, strategies: usize) -> BufferMap<Use> {
    let mut uses: BufferMap<Use> = BufferMap::default();
    for (p, phase) in strategy.schedule.phases.iter().enumerate() {
        for (c, chain) in phase.chains.iter().enumerate() {
            let operands = chain.links.iter().flat_map(|link| {
                strategy.launches[link.launch].operands.iter().map(move |operand| (link, operand))
            });
            for (link, operand) in operands {
                let (item_bytes, rows) = match operand.access {
                    Access::Own { bytes } => (bytes * link.scale, 1),
                    Access::Columns { bytes, row } => {
                        (bytes * link.scale, operand.extent.len() / row)
                    }
                    Access::All | Access::Scattered => (0, 0),
                };
                let known = uses.entry(operand.key()).or_insert_with(|| Use {
                    chain: (p, c),
                    item_bytes,
                    rows,
                    origin: operand.origin,
                    operands: 0,
                    holders: Arc::strong_count(&operand.buffer),
                    // What is read before it is written holds something from before the step: a constant.
                    fits_scratch: item_bytes > 0 && operand.writes,
                    live: p..=p,
                    extent: operand.extent.clone(),
                    fits_arena: operand.writes
                        && rows * item_bytes * chain.items >= operand.extent.len(),
                });
                known.operands += 1;
                known.live = *known.live.start()..=p;
                known.fits_arena &= known.extent.start <= operand.extent.start
                    && operand.extent.end <= known.extent.end;
                known.fits_scratch &= known.chain == (p, c)
                    && (known.item_bytes, known.rows) == (item_bytes, rows)
                    && known.origin == operand.origin;
            }
        }
    }
    uses.retain(|_, known| known.holders == known.operands * strategies);
    uses
}

/// Gives what can have it a place in scratch or in the arena: sets each chain's scratch operands and size, and lets the
/// buffers go.
pub(super) fn assign_buffers(strategies: &mut [Strategy]) -> Result<()> {
    let nothing = Buffer::new(0)?;
    // All are looked at before the first lets go of anything.
    let count = strategies.len();
    let found: Vec<_> = strategies.iter().map(|strategy| uses(strategy, count)).collect();
    for (strategy, uses) in strategies.iter_mut().zip(found) {
        for chain in strategy.schedule.phases.iter_mut().flat_map(|phase| &mut phase.chains) {
            assign_scratch(&mut strategy.launches, chain, &uses, &nothing);
        }
        assign_arena(strategy, &uses)?;
    }
    Ok(())
}

/// Moves what lives from one phase to another into one buffer, if enough of it shares places there.
fn assign_arena(strategy: &mut Strategy, uses: &BufferMap<Use>) -> Result<()> {
    let shared = uses.iter().filter(|(_, known)| known.fits_arena && !known.fits_scratch);
    let mut shared: Vec<_> = shared.collect();
    // In one order, whatever that of the table is: the large ones of a phase first.
    shared.sort_by_key(|(key, known)| (*known.live.start(), usize::MAX - known.extent.end, **key));
    let mut places = Places::default();
    let mut separate = 0;
    let mut offsets: BufferMap<usize> = BufferMap::default();
    for (key, known) in shared {
        let bytes = known.extent.end.next_multiple_of(ALIGNMENT);
        separate += bytes;
        offsets.insert(*key, places.find(known.live.clone(), bytes));
    }
    if places.end() as f64 > ARENA_PART * separate as f64 {
        return Ok(());
    }
    let arena = Buffer::new(places.end())?;
    for (launch, addresses) in strategy.launches.iter_mut().zip(&mut strategy.addresses) {
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

/// Where temporaries lie in a chain's scratch or in the arena: two that are never live at a time may share a place.
///
/// A block passes the links of a chain, and a step its phases, in order, so that a temporary is live from the one that
/// writes it to the last that reads it. Each gets the first gap that those live meanwhile leave.
#[derive(Default)]
struct Places {
    /// In the order of their first bytes.
    placed: Vec<Place>,
}

struct Place {
    live: RangeInclusive<usize>,
    bytes: Range<usize>,
}

impl Places {
    /// A place for so many bytes during these links or phases.
    fn find(&mut self, live: RangeInclusive<usize>, bytes: usize) -> usize {
        let overlaps =
            |place: &&Place| place.live.start() <= live.end() && live.start() <= place.live.end();
        let mut offset = 0;
        for taken in self.placed.iter().filter(overlaps) {
            if offset + bytes <= taken.bytes.start {
                break;
            }
            offset = offset.max(taken.bytes.end);
        }
        let at = self.placed.partition_point(|place| place.bytes.start < offset);
        self.placed.insert(at, Place { live, bytes: offset..offset + bytes });
        offset
    }

    /// Bytes of all places together.
    fn end(&self) -> usize {
        self.placed.iter().map(|place| place.bytes.end).max().unwrap_or(0)
    }
}

/// Moves what one chain alone uses into the scratch of the workers that run it.
fn assign_scratch(
    launches: &mut [Launch],
    chain: &mut Chain,
    uses: &BufferMap<Use>,
    nothing: &Arc<Buffer>,
) {
    let movable = |operand: &Operand| {
        let key = operand.key();
        uses.get(&key).filter(|known| known.fits_scratch).map(|known| (key, known))
    };
    let mut last: BufferMap<usize> = BufferMap::default();
    for (position, link) in chain.links.iter().enumerate() {
        for (key, _) in launches[link.launch].operands.iter().filter_map(movable) {
            last.insert(key, position);
        }
    }
    let mut places = Places::default();
    let mut offsets: BufferMap<usize> = BufferMap::default();
    for (position, link) in chain.links.iter_mut().enumerate() {
        for (index, operand) in launches[link.launch].operands.iter_mut().enumerate() {
            let Some((key, known)) = movable(operand) else { continue };
            let item_bytes = known.item_bytes;
            let offset = *offsets.entry(key).or_insert_with(|| {
                let bytes = (item_bytes * known.rows * chain.block).next_multiple_of(ALIGNMENT);
                places.find(position..=last[&key], bytes)
            });
            link.in_scratch.push(ScratchOperand { operand: index, item_bytes, offset });
            operand.buffer = Arc::clone(nothing);
            if let Access::Columns { row, .. } = &mut operand.access {
                // Scratch holds the columns of a block alone.
                *row = item_bytes * chain.block;
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
