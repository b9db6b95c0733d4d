//! What a core's cache will have lost by the time it is needed, asked for while products run before that.
//!
//! Deep nets touch more than their core's cache holds with every layer, and read it in pieces too short for the hardware to
//! find out and fetch ahead.
//!
//! A worker's tasks are followed on paper: which blocks of memory they touch, and which of these its second-level cache
//! still holds. What is missing, the nearest product before it asks for, if no barrier stands between them.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use super::program::Task;
use super::schedule::SECOND_LEVEL_BYTES;
use crate::kernels::gemm::{Piece, room};
use crate::launch::{Access, Launch};

/// Bytes that are in the cache or not as a whole.
const BLOCK: usize = 4096;
/// How many of these the cache keeps: code, stacks and what nobody counts here take the rest.
const BLOCKS: usize = SECOND_LEVEL_BYTES / BLOCK / 4 * 3;

/// The blocks that were touched last.
#[derive(Default)]
struct Cache {
    /// When each block in the cache was touched last.
    touched: HashMap<usize, usize>,
    /// Blocks in the order of their touches; of several for one block, the last counts.
    order: VecDeque<(usize, usize)>,
    now: usize,
}

impl Cache {
    /// Takes note of a touch; true where the block was not there.
    fn misses(&mut self, block: usize) -> bool {
        self.now += 1;
        self.order.push_back((block, self.now));
        let missing = self.touched.insert(block, self.now).is_none();
        while self.touched.len() > BLOCKS
            && let Some((oldest, time)) = self.order.pop_front()
        {
            if self.touched.get(&oldest) == Some(&time) {
                self.touched.remove(&oldest);
            }
        }
        missing
    }

    /// The parts of these bytes that were not there.
    fn missing(&mut self, bytes: Range<usize>) -> Vec<Range<usize>> {
        let mut missing: Vec<Range<usize>> = Vec::new();
        for block in bytes.start / BLOCK..bytes.end.div_ceil(BLOCK) {
            let part = bytes.start.max(block * BLOCK)..bytes.end.min((block + 1) * BLOCK);
            if !self.misses(block) {
                continue;
            }
            match missing.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ => missing.push(part),
            }
        }
        missing
    }
}

/// The addresses that some units of a launch touch, as far as they are known beforehand.
fn touched<'a>(
    launch: &'a Launch,
    units: &'a Range<usize>,
    addresses: &'a [*mut u8],
) -> impl Iterator<Item = Range<usize>> + 'a {
    launch.operands.iter().zip(addresses).filter_map(move |(operand, address)| {
        let origin = address.addr();
        match operand.access {
            Access::Own { bytes } => {
                let at = |unit: usize| origin.wrapping_add(unit * bytes);
                Some(at(units.start)..at(units.end))
            }
            // Some rows of a data set, for example, nobody knows which.
            Access::All if operand.extent.len() as f64 > launch.cost.bytes => None,
            Access::All => {
                let start = origin.wrapping_sub(operand.origin);
                Some(start + operand.extent.start..start + operand.extent.end)
            }
            Access::Columns { .. } | Access::Scattered => None,
        }
    })
}

/// Floating-point operations of what takes long enough to ask meanwhile.
const LONG: f64 = 50e3;
/// Operations for each byte of what leaves the memory time: a product.
const BUSY: f64 = 5.0;

/// Distributes what the tasks of one worker, stretch by stretch, are to ask for.
pub(super) fn distribute(launches: &[Launch], stretches: &mut [&mut [Task]]) {
    let mut cache = Cache::default();
    // The first round finds out what the cache holds when a step begins.
    for round in 0..2 {
        for tasks in stretches.iter_mut() {
            // The latest product, and bytes that it may still ask for.
            let mut product: Option<(usize, usize)> = None;
            for at in 0..tasks.len() {
                let Task::Run { launch, units, addresses, .. } = &tasks[at] else { continue };
                let launch = &launches[*launch];
                let missing: Vec<_> = touched(launch, units, addresses)
                    .flat_map(|bytes| cache.missing(bytes))
                    .collect();
                let share = units.len() as f64 / launch.units as f64;
                let is_product = launch.cost.flops > BUSY * launch.cost.bytes
                    && share * launch.cost.flops > LONG;
                if round == 1
                    && let Some((at, left)) = &mut product
                    && let Task::Run { later, .. } = &mut tasks[*at]
                {
                    // All or nothing: where a part is there already, hardware that looks ahead takes no notice of the rest.
                    let total: usize = missing.iter().map(Range::len).sum();
                    if total <= *left {
                        *left -= total;
                        later.extend(missing.into_iter().map(|bytes| Piece {
                            from: core::ptr::without_provenance(bytes.start),
                            bytes: bytes.len(),
                        }));
                    }
                }
                if is_product {
                    product = Some((at, room(share * launch.cost.flops)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::{Arguments, Cost, Operand};
    use crate::{DType, Tensor};

    #[test]
    fn the_cache_forgets_what_was_not_touched_for_longest() {
        let mut cache = Cache::default();
        let mut missing = |bytes: Range<usize>| {
            let ranges = cache.missing(bytes);
            (ranges.first().map_or(0, |range| range.start), ranges.iter().map(Range::len).sum())
        };
        let all = BLOCKS * BLOCK;
        assert_eq!(missing(0..all), (0, all));
        assert_eq!(missing(0..all), (0, 0));
        // A new block takes the place of the second: the first has just been touched again.
        assert_eq!(missing(5..6), (0, 0));
        assert_eq!(missing(all..all + 1), (all, 1));
        assert_eq!(missing(0..3 * BLOCK), (BLOCK, 2 * BLOCK));
    }

    /// A launch of one unit that reads some tensors, and a task that runs it.
    fn launch(name: &'static str, flops: f64, reads: &[&Tensor]) -> Launch {
        Launch {
            name,
            units: 1,
            cost: Cost { flops, bytes: reads.iter().map(|x| 4.0 * x.count() as f64).sum() },
            operands: reads.iter().map(|x| Operand::read_own(x, x.count())).collect(),
            kernel: std::sync::Arc::new(|_: Range<usize>, _: &Arguments<'_>| {}),
            by_columns: None,
        }
    }

    #[test]
    fn a_product_asks_for_what_the_next_tasks_have_lost() {
        let tensor = |count| Tensor::zeros(&[count], DType::F32).expect("small");
        // The third fills the whole cache; the fourth is more than the second product has time for.
        let (small, other, filler, large) =
            (tensor(1000), tensor(2000), tensor(BLOCKS * BLOCK / 4), tensor(200_000));
        let launches = [
            launch("product", 2e6, &[&small]),
            launch("update", 1.0, &[&other]),
            launch("update", 1.0, &[&small]),
            launch("product", 1e6, &[&small]),
            launch("update", 1.0, &[&large]),
            launch("pass", 1.0, &[&filler]),
        ];
        let tasks = || -> Vec<Task> {
            let task = |(launch, of): (usize, &Launch)| Task::Run {
                launch,
                units: 0..1,
                addresses: crate::launch::pointers(&of.operands),
                later: Vec::new(),
            };
            launches.iter().enumerate().map(task).collect()
        };
        let asked = |tasks: &[Task]| -> Vec<Vec<(usize, usize)>> {
            let of = |task: &Task| match task {
                Task::Run { later, .. } => {
                    later.iter().map(|piece| (piece.from.addr(), piece.bytes)).collect()
                }
                Task::Publish(_) => unreachable!("none was made"),
            };
            tasks.iter().map(of).collect()
        };
        let mut whole = tasks();
        distribute(&launches, &mut [&mut whole]);
        let found = asked(&whole);
        // In pieces, where two tensors share a block.
        let start = other.buffer().pointer().addr();
        assert!(
            found[0].iter().all(|(from, bytes)| *from >= start && from + bytes <= start + 8000)
        );
        assert!(found[0].iter().map(|(_, bytes)| bytes).sum::<usize>() > 8000 - BLOCK);
        assert!(found[1..].iter().all(Vec::is_empty), "{found:?}");
        // Behind a barrier it may be others that touch it.
        let (mut first, mut second) = (tasks(), tasks());
        let (first, second) = (&mut first[..1], &mut second[1..]);
        distribute(&launches, &mut [&mut *first, &mut *second]);
        assert!(asked(first)[0].is_empty());
    }
}
