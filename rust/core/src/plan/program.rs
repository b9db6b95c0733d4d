//! What each worker does in a step, worked out beforehand: shares of equal cost, block after block.
//!
//! Costs are estimates at first. Workers take the time of what they do, and the shares are cut again by that: estimates
//! know nothing of what lies in which cache. Shares change no bits.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use smallvec::SmallVec;

use super::ahead;
use super::exchange::{Exchange, Publish, Take, Traffic};
use super::execute::Way;
use super::schedule::{Chain, Link};
use crate::buffer::Buffer;
use crate::kernels::gemm::Piece;
use crate::launch::{Arguments, Launch};

/// Consecutive units of one chain.
#[derive(Debug, Clone, Copy)]
struct Item {
    chain: usize,
    start: usize,
    stop: usize,
}

/// A piece of work, ready to run.
pub(super) enum Task {
    /// Some units of one launch.
    Run {
        launch: usize,
        units: Range<usize>,
        /// Where its operands lie.
        addresses: Addresses,
        /// What it asks for.
        later: Vec<Piece>,
    },
    /// What has been written goes to the copies of other workers.
    Publish(Publish),
}

pub(super) type Addresses = SmallVec<[*mut u8; 8]>;

/// What a worker does of one chain.
struct Part {
    chain: usize,
    /// Where its tasks end among those of the share.
    end: usize,
    /// The least nanoseconds that it has taken; the most there are before it ran.
    quickest: AtomicU64,
}

/// What one worker does in a phase.
#[derive(Default)]
struct Share {
    /// What it takes over from others first.
    takes: Vec<Take>,
    tasks: Vec<Task>,
    parts: Vec<Part>,
}

/// What lies between two barriers: a phase, and small ones after it.
struct Stretch {
    phase: usize,
    shares: Vec<Share>,
    /// Phases that are worth no barrier of their own: whoever comes last to the barrier does them, while the others wait.
    last: Vec<Task>,
}

/// Nanoseconds of each chain on one thread, by phases.
pub(super) type Costs = Vec<Vec<f64>>;

/// What is done in a step. Everything that does not change from step to step is worked out here, once.
pub(super) struct Program {
    stretches: Vec<Stretch>,
    width: usize,
    costs: Costs,
}

// SAFETY: the addresses point into buffers that the plan's launches and its executor keep alive, and are used under the
// engine's lock, by the one worker whose tasks they are.
unsafe impl Send for Program {}
// SAFETY: as above.
unsafe impl Sync for Program {}

/// Cuts a phase's work into equal shares by cost: a part of every chain that is large, and a run of the others.
fn cut(chains: &[Chain], costs: &[f64], width: usize) -> Vec<Vec<Item>> {
    let total: f64 = costs.iter().sum();
    let is_large = |index: usize| {
        costs[index] * LARGE * width as f64 >= total && chains[index].units >= 4 * width
    };
    let (large, others): (Vec<usize>, Vec<usize>) =
        (0..chains.len()).partition(|&index| is_large(index));
    let mut shares = vec![Vec::new(); width];
    for index in large {
        cut_run(chains, costs, &[index], 0.0, &mut shares);
    }
    cut_run(chains, costs, &others, WHOLE_NANOSECONDS, &mut shares);
    shares
}

/// A chain is large if it takes one part in so many of what falls to a worker.
const LARGE: f64 = 2.0;

/// One chain among several that takes less is not cut: each part of it costs some tens of nanoseconds more.
const WHOLE_NANOSECONDS: f64 = 400.0;

/// Cuts some chains into equal shares, each of which is a run of items. Chains that take less than `whole` stay whole.
fn cut_run(chains: &[Chain], costs: &[f64], run: &[usize], whole: f64, shares: &mut [Vec<Item>]) {
    let total: f64 = run.iter().map(|&index| costs[index]).sum();
    let width = shares.len();
    let mut before = 0.0;
    for &index in run {
        let units = chains[index].units;
        let unit = costs[index] / units as f64;
        // The unit at which worker w's share of the run begins, within this chain.
        let border = |worker: usize| {
            let cost = total * worker as f64 / width as f64 - before;
            if costs[index] < whole {
                return if cost < costs[index] / 2.0 { 0 } else { units };
            }
            // Down where it is half of one: the last unit of all is often a part of one.
            (cost / unit - 0.5).ceil().clamp(0.0, units as f64) as usize
        };
        for (worker, share) in shares.iter_mut().enumerate() {
            let start = if worker == 0 { 0 } else { border(worker) };
            let stop = if worker + 1 == width { units } else { border(worker + 1) };
            if start < stop {
                share.push(Item { chain: index, start, stop });
            }
        }
        before += costs[index];
    }
}

/// The blocks of an item. The last two share what is left evenly, so that none is a sliver.
fn blocks(item: Item, block: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = item.start;
    std::iter::from_fn(move || {
        let left = item.stop - start;
        let size = if left <= block {
            left
        } else if left < 2 * block {
            left.div_ceil(2)
        } else {
            block
        };
        start += size;
        (size > 0).then_some(start - size..start)
    })
}

fn perform(launches: &[Launch], tasks: &[Task]) {
    for task in tasks {
        match task {
            Task::Run { launch, units, addresses, later } => {
                let launch = &launches[*launch];
                let arguments = Arguments::new(addresses, &launch.operands).before(later);
                launch.kernel.run(units.clone(), &arguments);
            }
            Task::Publish(written) => written.perform(),
        }
    }
}

/// Where a share is done.
struct Spot<'a> {
    way: &'a Way,
    exchange: &'a Exchange,
    scratch: &'a Buffer,
    /// The phase, and which worker; `None` for whoever comes last.
    phase: usize,
    worker: Option<usize>,
}

impl Spot<'_> {
    /// Where the operands of a link lie for a block.
    fn addresses(&self, link: &Link, block: &Range<usize>) -> Addresses {
        let mut addresses = self.way.addresses[link.launch].clone();
        if let Some(worker) = self.worker {
            let operands = &self.way.launches[link.launch].operands;
            for (address, operand) in addresses.iter_mut().zip(operands) {
                *address = self.exchange.find(operand, self.phase, worker).unwrap_or(*address);
            }
        }
        for moved in &link.moved {
            // Kernels count from unit 0, of which scratch holds only this block.
            addresses[moved.operand] = self
                .scratch
                .pointer()
                .wrapping_add(moved.offset)
                .wrapping_sub(block.start * moved.unit);
        }
        addresses
    }

    /// Block after block of a worker's items, each through its whole chain; and what others see of it.
    fn share(&self, items: &[Item]) -> (Share, Traffic) {
        let chains = &self.way.schedule.phases[self.phase].chains;
        let launches = &self.way.launches;
        let (mut share, mut traffic) = (Share::default(), Traffic::default());
        for &item in items {
            let chain = &chains[item.chain];
            for block in blocks(item, chain.block) {
                share.tasks.extend(chain.links.iter().map(|link| Task::Run {
                    launch: link.launch,
                    units: block.start * link.scale..block.end * link.scale,
                    addresses: self.addresses(link, &block),
                    later: Vec::new(),
                }));
                let written = self.exchange.written(launches, chain, &block);
                let publish = written.iter().map(|&block| self.exchange.publish(block));
                share.tasks.extend(publish.map(Task::Publish));
                traffic.written.extend(written);
            }
            traffic.read.extend(self.exchange.reads(launches, chain, self.phase));
            let (end, quickest) = (share.tasks.len(), AtomicU64::new(u64::MAX));
            share.parts.push(Part { chain: item.chain, end, quickest });
        }
        (share, traffic)
    }
}

impl Share {
    /// Does all tasks and takes the time of each part.
    fn perform_timed(&self, launches: &[Launch]) {
        let (mut start, mut before) = (0, Instant::now());
        for part in &self.parts {
            perform(launches, &self.tasks[start..part.end]);
            let now = Instant::now();
            let nanoseconds = (now - before).as_nanos() as u64;
            // Nobody else writes it.
            if nanoseconds < part.quickest.load(Ordering::Relaxed) {
                part.quickest.store(nanoseconds, Ordering::Relaxed);
            }
            (start, before) = (part.end, now);
        }
    }

    /// Nanoseconds of all parts at their quickest; `None` where one did not run yet.
    fn nanoseconds(&self) -> Option<f64> {
        let times = self.parts.iter().map(|part| part.quickest.load(Ordering::Relaxed));
        times.map(|time| (time < u64::MAX).then_some(time as f64)).sum()
    }
}

impl Program {
    /// For so many workers, each with a scratch of its own.
    pub(super) fn new(
        way: &Way,
        width: usize,
        costs: Costs,
        scratch: &[Arc<Buffer>],
        exchange: &Exchange,
    ) -> Self {
        let mut stretches: Vec<Stretch> = Vec::new();
        // What each worker writes and reads for others in a stretch, and whoever comes last behind them.
        let mut traffic: Vec<Vec<Traffic>> = Vec::new();
        for (phase, costs) in costs.iter().enumerate() {
            let chains = &way.schedule.phases[phase].chains;
            let spot = |worker: usize| Spot {
                way,
                exchange,
                scratch: &scratch[worker],
                phase,
                worker: Some(worker),
            };
            if way.schedule.is_attached(phase)
                && let Some((before, traffic)) = stretches.last_mut().zip(traffic.last_mut())
            {
                // The others wait, so that the first worker's scratch is free.
                let whoever = Spot { worker: None, ..spot(0) };
                let (share, seen) = whoever.share(&cut(chains, costs, 1)[0]);
                before.last.extend(share.tasks);
                traffic[width].written.extend(seen.written);
                continue;
            }
            let shares = cut(chains, costs, width);
            let shares = shares.iter().enumerate().map(|(worker, items)| spot(worker).share(items));
            let (shares, mut seen): (Vec<_>, Vec<_>) = shares.unzip();
            seen.push(Traffic::default());
            traffic.push(seen);
            stretches.push(Stretch { phase, shares, last: Vec::new() });
        }
        for worker in 0..width {
            let takes = exchange.takes(&traffic, worker);
            for (stretch, takes) in stretches.iter_mut().zip(takes) {
                stretch.shares[worker].takes = takes;
            }
        }
        if way.looks_ahead {
            for worker in 0..width {
                let shares = stretches.iter_mut().map(|stretch| &mut stretch.shares[worker]);
                let mut tasks: Vec<_> = shares.map(|share| &mut share.tasks[..]).collect();
                ahead::distribute(&way.launches, &mut tasks);
            }
        }
        Self { stretches, width, costs }
    }

    /// How many stretches there are.
    pub(super) fn len(&self) -> usize {
        self.stretches.len()
    }

    /// Does a worker's share of a stretch, and takes the time of its parts if asked to.
    pub(super) fn perform(&self, launches: &[Launch], stretch: usize, worker: usize, timed: bool) {
        let share = &self.stretches[stretch].shares[worker];
        share.takes.iter().for_each(Take::perform);
        if timed {
            share.perform_timed(launches);
        } else {
            perform(launches, &share.tasks);
        }
    }

    /// Does what one worker does for all at the end of a stretch.
    pub(super) fn perform_last(&self, launches: &[Launch], stretch: usize) {
        perform(launches, &self.stretches[stretch].last);
    }

    /// What the chains cost, as measured, where the workers' shares by the present costs differ; the measuring then
    /// begins anew.
    pub(super) fn unbalanced(&self) -> Option<Costs> {
        let mut costs = self.costs.clone();
        let (mut longest, mut mean) = (0.0, 0.0);
        for stretch in &self.stretches {
            let times = stretch.shares.iter().map(Share::nanoseconds);
            let times: Vec<f64> = times.collect::<Option<_>>()?;
            longest += times.iter().copied().fold(0.0, f64::max);
            mean += times.iter().sum::<f64>() / self.width as f64;
            let costs = &mut costs[stretch.phase];
            costs.fill(0.0);
            for part in stretch.shares.iter().flat_map(|share| &share.parts) {
                // More than nothing: shares are cut by quotients of costs.
                costs[part.chain] += 1.0 + part.quickest.load(Ordering::Relaxed) as f64;
                part.quickest.store(u64::MAX, Ordering::Relaxed);
            }
        }
        (longest > UNEVEN * mean).then_some(costs)
    }
}

/// Shares whose longest takes so many times the mean are cut again.
const UNEVEN: f64 = 1.02;

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(units: usize, cost: f64) -> Chain {
        Chain { units, links: vec![Link::new(0, 1)], cost, block: units, scratch: 0, closed: false }
    }

    #[test]
    fn shares_cover_each_chain_once_and_evenly() {
        let chains = [chain(50, 100.0), chain(3, 1.0), chain(1, 500.0), chain(1000, 399.0)];
        let costs: Vec<f64> = chains.iter().map(|chain| chain.cost).collect();
        for width in 1..7 {
            let shares = cut(&chains, &costs, width);
            for (index, chain) in chains.iter().enumerate() {
                let mut next = 0;
                for item in shares.iter().flatten().filter(|item| item.chain == index) {
                    assert_eq!(item.start, next);
                    next = item.stop;
                }
                assert_eq!(next, chain.units, "width {width}");
            }
        }
    }

    /// A program of one phase with two chains, as two workers share it.
    fn program(parts: [&[(usize, u64)]; 2]) -> Program {
        let share = |parts: &[(usize, u64)]| Share {
            takes: Vec::new(),
            tasks: Vec::new(),
            parts: parts
                .iter()
                .map(|&(chain, time)| Part { chain, end: 0, quickest: AtomicU64::new(time) })
                .collect(),
        };
        let shares = parts.into_iter().map(share).collect();
        let stretches = vec![Stretch { phase: 0, shares, last: Vec::new() }];
        Program { stretches, width: 2, costs: vec![vec![500.0, 500.0]] }
    }

    #[test]
    fn shares_are_cut_by_the_time_that_they_take() {
        // Estimated alike, but the second chain takes four times as long.
        let uneven = program([&[(0, 200)], &[(1, 800)]]);
        let costs = uneven.unbalanced().expect("one waits for the other");
        assert_eq!(costs, [[201.0, 801.0]]);
        let shares = cut(&[chain(4, 0.0), chain(7, 0.0)], &costs[0], 2);
        assert_eq!((shares[0][0].stop, shares[0][1].stop), (4, 3));
        assert_eq!((shares[1][0].start, shares[1][0].stop), (3, 7));
        // All times are forgotten, so that there is nothing to go by until the next step.
        assert!(uneven.unbalanced().is_none());
    }

    #[test]
    fn chains_of_a_moment_stay_whole() {
        let chains = [chain(7, 0.0), chain(1, 0.0), chain(7, 0.0), chain(7, 0.0)];
        // Half of all lies in the third, nearer to its beginning or to its end.
        for (costs, first) in [([250.0, 50.0, 320.0, 280.0], 2), ([250.0, 50.0, 280.0, 320.0], 3)] {
            let shares = cut(&chains, &costs, 2);
            let items: Vec<_> = shares.iter().flatten().map(|item| item.chain).collect();
            assert_eq!((items, shares[0].len()), (vec![0, 1, 2, 3], first));
            assert!(shares.iter().flatten().all(|item| item.stop == chains[item.chain].units));
        }
    }

    #[test]
    fn even_shares_stay() {
        assert!(program([&[(0, 500), (1, 7)], &[(1, 505)]]).unbalanced().is_none());
        assert!(program([&[(0, 500)], &[(1, u64::MAX)]]).unbalanced().is_none());
    }

    #[test]
    fn a_large_chain_is_cut_among_all_whatever_stands_before_it() {
        let chains = [chain(3, 100.0), chain(40, 800.0), chain(5, 100.0)];
        let shares = cut(&chains, &[100.0, 800.0, 100.0], 2);
        let large: Vec<_> = shares.iter().map(|share| (share[0].chain, share[0].stop)).collect();
        assert_eq!(large, [(1, 20), (1, 40)]);
    }
}
