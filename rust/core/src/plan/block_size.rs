//! Cache blocking: how many work items of a chain are taken at a time.

use super::cost_model::{BLOCK_BYTES, PASSED_ON_BYTES, SECOND_LEVEL_BYTES};
use super::ir::{BufferMap, Chain};
use crate::launch::{Access, Launch};

/// Work items that are taken at a time: their own data should fit a core's cache, but be no less than what the block
/// reads of shared data (weights), or those would be fetched again and again for little.
pub(super) fn block_items(chain: &Chain, launches: &[Launch]) -> usize {
    if chain.links.len() == 1 {
        // Nothing comes after it that would find its data in the cache.
        return chain.items;
    }
    let mut even = false;
    // Bytes of an item, and the first and the last link that touches them.
    let mut own: BufferMap<(usize, usize, usize)> = BufferMap::default();
    let mut shared: BufferMap<usize> = BufferMap::default();
    for (position, link) in chain.links.iter().enumerate() {
        for operand in &launches[link.launch].operands {
            let bytes = match operand.access {
                Access::Own { bytes } => bytes * link.scale,
                Access::Columns { bytes, row } => {
                    even = true;
                    bytes * link.scale * (operand.extent.len() / row)
                }
                Access::All | Access::Scattered => {
                    shared.insert(operand.key(), operand.extent.len());
                    continue;
                }
            };
            let (most, _, last) = own.entry(operand.key()).or_insert((0, position, position));
            (*most, *last) = (bytes.max(*most), position);
        }
    }
    let passed_on = own.values().filter(|(_, first, last)| first < last);
    if passed_on.map(|(bytes, ..)| bytes).sum::<usize>() * chain.items <= PASSED_ON_BYTES {
        return chain.items;
    }
    let per_item: usize = own.values().map(|(bytes, ..)| bytes).sum::<usize>().max(1);
    let shared: usize = shared.values().sum();
    // What does not stay in the cache is fetched again for each block: then the blocks are so large that it is the
    // lesser part of what they move.
    let budget = if shared > SECOND_LEVEL_BYTES { 4 * shared } else { BLOCK_BYTES.max(shared) };
    let items = (budget / per_item).clamp(1, chain.items);
    // Products take two items of columns side by side.
    if even { items.next_multiple_of(2).min(chain.items) } else { items }
}
