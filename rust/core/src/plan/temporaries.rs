//! Results that only the next launches of the same chain read: they need no memory of their own.
//!
//! The gradient of a weight is written by one launch and read by the update that follows it in its chain. A block of it
//! lives for as long as the block passes the chain, so a scratch area of one block for each worker, which stays in cache,
//! takes the place of an array as large as the weight.

use std::collections::HashMap;
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

fn move_chain(
    launches: &mut [Launch],
    chain: &mut Chain,
    uses: &HashMap<usize, Use>,
    nothing: &Arc<Buffer>,
) {
    let mut offsets: HashMap<usize, usize> = HashMap::new();
    for link in &mut chain.links {
        for (index, operand) in launches[link.launch].operands.iter_mut().enumerate() {
            let key = key(operand);
            let Some(known) = uses.get(&key).filter(|known| known.movable) else { continue };
            let offset = *offsets.entry(key).or_insert_with(|| {
                let offset = chain.scratch;
                chain.scratch += (known.unit * chain.block).next_multiple_of(ALIGNMENT);
                offset
            });
            link.moved.push(Moved { operand: index, unit: known.unit, offset });
            operand.buffer = Arc::clone(nothing);
        }
    }
}
