//! Worker programs: what each worker does in a step, compiled beforehand, stage after stage.
//!
//! Each task has its addresses, so that a replay looks nothing up and allocates nothing.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::balance::{Span, blocks, cut};
use super::cost_model::UNEVEN;
use super::ir::{Addresses, Link, Strategy};
use super::replicas::{Acquire, Broadcast, Replicas, Traffic};
use super::trace::Doing;
use crate::buffer::Buffer;
use crate::launch::{Arguments, Launch};

/// A piece of work, ready to run.
enum Task {
    /// Some work items of one launch.
    Run {
        launch: usize,
        items: Range<usize>,
        /// Where its operands lie.
        addresses: Addresses,
    },
    /// What has been written goes to the replicas of other workers.
    Broadcast(Broadcast),
}

/// What a worker does of one chain.
struct Part {
    chain: usize,
    /// Where its tasks end among those of the share.
    end: usize,
    /// The least nanoseconds that it has taken; the most there are before it ran.
    quickest: AtomicU64,
}

/// What one worker does in a stage.
#[derive(Default)]
struct Share {
    /// What it takes over from others first.
    acquires: Vec<Acquire>,
    tasks: Vec<Task>,
    parts: Vec<Part>,
}

/// What lies between two barriers: a phase, and small ones after it.
struct Stage {
    phase: usize,
    shares: Vec<Share>,
    /// Phases that are worth no barrier of their own: whoever comes last to the barrier does them, while the others
    /// wait.
    last: Vec<Task>,
}

/// Nanoseconds of each chain on one thread, by phases.
pub(super) type Costs = Vec<Vec<f64>>;

/// What is done in a step. Everything that does not change from step to step is worked out here, once.
pub(super) struct WorkerProgram {
    stages: Vec<Stage>,
    threads: usize,
    costs: Costs,
}

// SAFETY: the addresses point into buffers that the plan's launches and its executor keep alive, and are used under the
// engine's lock, by the one worker whose tasks they are.
unsafe impl Send for WorkerProgram {}
// SAFETY: as above.
unsafe impl Sync for WorkerProgram {}

fn perform(launches: &[Launch], tasks: &[Task]) {
    for task in tasks {
        match task {
            Task::Run { launch, items, addresses } => {
                let launch = &launches[*launch];
                (launch.kernel)(items.clone(), &Arguments::new(addresses, &launch.operands));
            }
            Task::Broadcast(written) => written.perform(),
        }
    }
}

/// Where a share is done.
struct Spot<'a> {
    strategy: &'a Strategy,
    replicas: &'a Replicas,
    scratch: &'a Buffer,
    /// The phase, and which worker; `None` for whoever comes last.
    phase: usize,
    worker: Option<usize>,
}

impl Spot<'_> {
    /// Where the operands of a link lie for a block.
    fn addresses(&self, link: &Link, block: &Range<usize>) -> Addresses {
        let mut addresses = self.strategy.addresses[link.launch].clone();
        if let Some(worker) = self.worker {
            let operands = &self.strategy.launches[link.launch].operands;
            for (address, operand) in addresses.iter_mut().zip(operands) {
                *address = self.replicas.find(operand, self.phase, worker).unwrap_or(*address);
            }
        }
        for place in &link.in_scratch {
            // Kernels count from item 0, of which scratch holds only this block.
            addresses[place.operand] = self
                .scratch
                .pointer()
                .wrapping_add(place.offset)
                .wrapping_sub(block.start * place.item_bytes);
        }
        addresses
    }

    /// Block after block of a worker's spans, each through its whole chain; and what others see of it.
    fn share(&self, spans: &[Span]) -> (Share, Traffic) {
        let chains = &self.strategy.schedule.phases[self.phase].chains;
        let launches = &self.strategy.launches;
        let (mut share, mut traffic) = (Share::default(), Traffic::default());
        for &span in spans {
            let chain = &chains[span.chain];
            for block in blocks(span, chain.block) {
                share.tasks.extend(chain.links.iter().map(|link| Task::Run {
                    launch: link.launch,
                    items: block.start * link.scale..block.end * link.scale,
                    addresses: self.addresses(link, &block),
                }));
                let written = self.replicas.written(launches, chain, &block);
                let broadcasts = written.iter().map(|&block| self.replicas.broadcast(block));
                share.tasks.extend(broadcasts.map(Task::Broadcast));
                traffic.written.extend(written);
            }
            traffic.read.extend(self.replicas.reads(launches, chain, self.phase));
            let (end, quickest) = (share.tasks.len(), AtomicU64::new(u64::MAX));
            share.parts.push(Part { chain: span.chain, end, quickest });
        }
        (share, traffic)
    }
}

impl Share {
    /// Does all tasks, and says what was done from when to when.
    fn perform_noting(&self, launches: &[Launch], note: &mut dyn FnMut(Doing, Instant, Instant)) {
        let (mut start, mut before) = (0, Instant::now());
        for (number, part) in self.parts.iter().enumerate() {
            let is_broadcast = |task: &Task| matches!(task, Task::Broadcast(_));
            let tasks = &self.tasks[start..part.end];
            for run in tasks.chunk_by(|one, other| is_broadcast(one) == is_broadcast(other)) {
                perform(launches, run);
                let now = Instant::now();
                let publishes = is_broadcast(&run[0]);
                note(if publishes { Doing::Publishes } else { Doing::Works(number) }, before, now);
                before = now;
            }
            start = part.end;
        }
    }

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

impl WorkerProgram {
    /// For so many workers, each with a scratch of its own.
    pub(super) fn new(
        strategy: &Strategy,
        threads: usize,
        costs: Costs,
        scratch: &[Arc<Buffer>],
        replicas: &Replicas,
    ) -> Self {
        let mut stages: Vec<Stage> = Vec::new();
        // What each worker writes and reads for others in a stage, and whoever comes last behind them.
        let mut traffic: Vec<Vec<Traffic>> = Vec::new();
        for (phase, costs) in costs.iter().enumerate() {
            let chains = &strategy.schedule.phases[phase].chains;
            let spot = |worker: usize| Spot {
                strategy,
                replicas,
                scratch: &scratch[worker],
                phase,
                worker: Some(worker),
            };
            if strategy.schedule.is_attached(phase)
                && let Some((before, traffic)) = stages.last_mut().zip(traffic.last_mut())
            {
                // The others wait, so that the first worker's scratch is free.
                let whoever = Spot { worker: None, ..spot(0) };
                let (share, seen) = whoever.share(&cut(chains, costs, 1)[0]);
                before.last.extend(share.tasks);
                traffic[threads].written.extend(seen.written);
                continue;
            }
            let shares = cut(chains, costs, threads);
            let shares = shares.iter().enumerate().map(|(worker, spans)| spot(worker).share(spans));
            let (shares, mut seen): (Vec<_>, Vec<_>) = shares.unzip();
            seen.push(Traffic::default());
            traffic.push(seen);
            stages.push(Stage { phase, shares, last: Vec::new() });
        }
        for worker in 0..threads {
            let acquires = replicas.acquires(&traffic, worker);
            for (stage, acquires) in stages.iter_mut().zip(acquires) {
                stage.shares[worker].acquires = acquires;
            }
        }
        Self { stages, threads, costs }
    }

    /// How many stages there are.
    pub(super) fn len(&self) -> usize {
        self.stages.len()
    }

    /// Does a worker's share of a stage, and takes the time of its parts where `timed`.
    pub(super) fn perform(&self, launches: &[Launch], stage: usize, worker: usize, timed: bool) {
        let share = &self.stages[stage].shares[worker];
        share.acquires.iter().for_each(Acquire::perform);
        if timed {
            share.perform_timed(launches);
        } else {
            perform(launches, &share.tasks);
        }
    }

    /// Does what one worker does for all at the end of a stage.
    pub(super) fn perform_last(&self, launches: &[Launch], stage: usize) {
        perform(launches, &self.stages[stage].last);
    }

    /// Does a worker's share of a stage, and says what was done from when to when.
    pub(super) fn perform_noting(
        &self,
        launches: &[Launch],
        stage: usize,
        worker: usize,
        note: &mut dyn FnMut(Doing, Instant, Instant),
    ) {
        let share = &self.stages[stage].shares[worker];
        if !share.acquires.is_empty() {
            let start = Instant::now();
            share.acquires.iter().for_each(Acquire::perform);
            note(Doing::Takes, start, Instant::now());
        }
        share.perform_noting(launches, note);
    }

    /// The launches in a part of a worker's share of a stage, in their order, for people.
    pub(super) fn names(
        &self,
        launches: &[Launch],
        stage: usize,
        worker: usize,
        part: usize,
    ) -> String {
        let share = &self.stages[stage].shares[worker];
        let start = part.checked_sub(1).map_or(0, |before| share.parts[before].end);
        let mut known: Vec<usize> = Vec::new();
        for task in &share.tasks[start..share.parts[part].end] {
            if let Task::Run { launch, .. } = task {
                // Another block begins.
                if known.contains(launch) {
                    break;
                }
                known.push(*launch);
            }
        }
        let names: Vec<_> = known.iter().map(|&launch| launches[launch].name).collect();
        names.join(" > ")
    }

    /// Does a whole step of a program of one worker.
    pub(super) fn perform_alone(&self, launches: &[Launch]) {
        for stage in 0..self.len() {
            self.perform(launches, stage, 0, false);
            self.perform_last(launches, stage);
        }
    }

    /// What the chains cost, as measured, where the workers' shares by the present costs differ; the measuring then
    /// begins anew.
    pub(super) fn unbalanced(&self) -> Option<Costs> {
        let mut costs = self.costs.clone();
        let (mut longest, mut mean) = (0.0, 0.0);
        for stage in &self.stages {
            let times = stage.shares.iter().map(Share::nanoseconds);
            let times: Vec<f64> = times.collect::<Option<_>>()?;
            longest += times.iter().copied().fold(0.0, f64::max);
            mean += times.iter().sum::<f64>() / self.threads as f64;
            let costs = &mut costs[stage.phase];
            costs.fill(0.0);
            for part in stage.shares.iter().flat_map(|share| &share.parts) {
                // More than nothing: shares are cut by quotients of costs.
                costs[part.chain] += 1.0 + part.quickest.load(Ordering::Relaxed) as f64;
                part.quickest.store(u64::MAX, Ordering::Relaxed);
            }
        }
        (longest > UNEVEN * mean).then_some(costs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of one phase with two chains, as two workers share it.
    fn program(parts: [&[(usize, u64)]; 2]) -> WorkerProgram {
        let share = |parts: &[(usize, u64)]| Share {
            parts: parts
                .iter()
                .map(|&(chain, time)| Part { chain, end: 0, quickest: AtomicU64::new(time) })
                .collect(),
            ..Share::default()
        };
        let shares = parts.into_iter().map(share).collect();
        let stages = vec![Stage { phase: 0, shares, last: Vec::new() }];
        WorkerProgram { stages, threads: 2, costs: vec![vec![500.0, 500.0]] }
    }

    #[test]
    fn shares_are_cut_by_the_time_that_they_take() {
        let uneven = program([&[(0, 200)], &[(1, 800)]]);
        let costs = uneven.unbalanced().expect("one waits for the other");
        assert_eq!(costs, [[201.0, 801.0]]);
        // All times are forgotten, so that there is nothing to go by until the next step.
        assert!(uneven.unbalanced().is_none());
    }

    #[test]
    fn even_shares_stay() {
        assert!(program([&[(0, 500), (1, 7)], &[(1, 505)]]).unbalanced().is_none());
        assert!(program([&[(0, 500)], &[(1, u64::MAX)]]).unbalanced().is_none());
    }
}
