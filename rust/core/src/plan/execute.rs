//! Running a schedule: every worker walks the same phases with its own share of the blocks.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::schedule::{Chain, Schedule};
use super::tuner::Tuner;
use crate::buffer::Buffer;
use crate::capture::Host;
use crate::error::{Error, Result};
use crate::launch::{Arguments, Launch, pointers};
use crate::team::{self, Barrier, Team};

/// Consecutive units of one chain.
#[derive(Debug, Clone, Copy)]
struct Item {
    chain: usize,
    start: usize,
    stop: usize,
}

/// Some units of one launch, ready to run.
struct Task {
    launch: usize,
    units: Range<usize>,
    /// Where its operands lie, those in the worker's scratch included.
    addresses: Addresses,
}

type Addresses = SmallVec<[*mut u8; 8]>;

/// What lies between two barriers: a phase, and small ones after it.
struct Stretch {
    /// What each worker does in the phase.
    shares: Vec<Vec<Task>>,
    /// Phases that are worth no barrier of their own: whoever comes last to the barrier does them, while the others wait.
    last: Vec<Task>,
}

/// What is done in a step. Everything that does not change from step to step is worked out here, once.
struct Program(Vec<Stretch>);

// SAFETY: the addresses point into buffers that the plan's launches and its executor keep alive, and are used under the
// engine's lock, by the one worker whose tasks they are.
unsafe impl Send for Program {}
// SAFETY: as above.
unsafe impl Sync for Program {}

pub(super) struct Executor {
    addresses: Vec<Addresses>,
    /// One program for each width tried so far.
    programs: Vec<(usize, Arc<Program>)>,
    scratch: Vec<Arc<Buffer>>,
    tuner: Tuner,
}

// SAFETY: as for `Program`.
unsafe impl Send for Executor {}
// SAFETY: as above.
unsafe impl Sync for Executor {}

/// What a chunk of steps came to.
pub(super) struct Chunk {
    pub(super) steps: usize,
    pub(super) error: Option<Error>,
}

/// Cuts a phase's work into equal shares by cost; each share is a run of items.
fn cut(chains: &[Chain], width: usize) -> Vec<Vec<Item>> {
    let total: f64 = chains.iter().map(|chain| chain.cost).sum();
    let mut shares = vec![Vec::new(); width];
    let mut before = 0.0;
    for (index, chain) in chains.iter().enumerate() {
        let unit = chain.cost / chain.units as f64;
        // The unit at which worker w's share of the whole phase begins, within this chain.
        let border = |worker: usize| {
            let cost = total * worker as f64 / width as f64 - before;
            (cost / unit).round().clamp(0.0, chain.units as f64) as usize
        };
        for (worker, share) in shares.iter_mut().enumerate() {
            let start = if worker == 0 { 0 } else { border(worker) };
            let stop = if worker + 1 == width { chain.units } else { border(worker + 1) };
            if start < stop {
                share.push(Item { chain: index, start, stop });
            }
        }
        before += chain.cost;
    }
    shares
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

/// One chunk of steps as its workers see it.
struct Run<'a> {
    launches: &'a [Launch],
    program: &'a Program,
    hosts: &'a [Arc<dyn Host>],
    barrier: Barrier,
    steps: usize,
    until: Instant,
    done: AtomicUsize,
    stop: AtomicBool,
    error: Mutex<Option<Error>>,
}

fn perform(launches: &[Launch], tasks: &[Task]) {
    for task in tasks {
        let launch = &launches[task.launch];
        launch.kernel.run(task.units.clone(), &Arguments::new(&task.addresses, &launch.operands));
    }
}

impl Run<'_> {
    /// Prepares the next step; true where there is one.
    fn next_step(&self, done: usize) -> bool {
        if done == self.steps || (done > 0 && Instant::now() >= self.until) {
            return false;
        }
        for host in self.hosts {
            if let Err(error) = host.advance() {
                *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return false;
            }
        }
        true
    }

    fn work(&self, worker: usize) {
        // Hosts may look at memory, and the thread that called holds the engine for all workers.
        let _held = team::mark_held();
        let Some((last, others)) = self.program.0.split_last() else { return };
        let between_steps = || {
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if !self.next_step(done) {
                self.stop.store(true, Ordering::Relaxed);
            }
        };
        while !self.stop.load(Ordering::Relaxed) {
            for stretch in others {
                perform(self.launches, &stretch.shares[worker]);
                if !self.barrier.wait_after(|| perform(self.launches, &stretch.last)) {
                    return;
                }
            }
            perform(self.launches, &last.shares[worker]);
            // Whoever comes last prepares the next step while the others wait: one barrier does for both.
            let finish = || {
                perform(self.launches, &last.last);
                between_steps();
            };
            if !self.barrier.wait_after(finish) {
                return;
            }
        }
    }
}

impl Executor {
    pub(super) fn new(launches: &[Launch], schedule: &Schedule) -> Self {
        Self {
            addresses: launches.iter().map(|launch| pointers(&launch.operands)).collect(),
            programs: Vec::new(),
            scratch: Vec::new(),
            tuner: Tuner::new(schedule.cost),
        }
    }

    /// What each of `width` workers has to do.
    fn program(&mut self, schedule: &Schedule, width: usize) -> Result<Arc<Program>> {
        if let Some((_, program)) = self.programs.iter().find(|(known, _)| *known == width) {
            return Ok(Arc::clone(program));
        }
        self.reserve_scratch(schedule, width)?;
        let mut stretches: Vec<Stretch> = Vec::new();
        for phase in &schedule.phases {
            if let Some(before) = stretches.last_mut().filter(|_| phase.is_small()) {
                // The others wait, so that the first worker's scratch is free.
                let items = cut(&phase.chains, 1).remove(0);
                before.last.extend(self.tasks(&phase.chains, &items, 0));
                continue;
            }
            let shares = cut(&phase.chains, width).into_iter().enumerate();
            let shares =
                shares.map(|(worker, items)| self.tasks(&phase.chains, &items, worker)).collect();
            stretches.push(Stretch { shares, last: Vec::new() });
        }
        let program = Arc::new(Program(stretches));
        self.programs.push((width, Arc::clone(&program)));
        Ok(program)
    }

    /// A worker's share of a phase: block after block, each through its whole chain.
    fn tasks(&self, chains: &[Chain], items: &[Item], worker: usize) -> Vec<Task> {
        let scratch = self.scratch[worker].pointer();
        let mut tasks = Vec::new();
        for &item in items {
            let chain = &chains[item.chain];
            for block in blocks(item, chain.block) {
                for link in &chain.links {
                    let mut addresses = self.addresses[link.launch].clone();
                    for moved in &link.moved {
                        // Kernels count from unit 0, of which scratch holds only this block.
                        addresses[moved.operand] = scratch
                            .wrapping_add(moved.offset)
                            .wrapping_sub(block.start * moved.unit);
                    }
                    let units = block.start * link.scale..block.end * link.scale;
                    tasks.push(Task { launch: link.launch, units, addresses });
                }
            }
        }
        tasks
    }

    /// Runs one step on this thread, without a look at the clock.
    pub(super) fn run_alone(&mut self, launches: &[Launch], schedule: &Schedule) -> Result<()> {
        let program = self.program(schedule, 1)?;
        for stretch in &program.0 {
            perform(launches, &stretch.shares[0]);
            perform(launches, &stretch.last);
        }
        Ok(())
    }

    /// The number of workers that was quickest of late.
    pub(super) fn threads(&self) -> usize {
        self.tuner.winner()
    }

    /// Bytes of scratch in use.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.scratch.iter().map(|area| area.capacity()).sum()
    }

    /// Scratch for the largest block of any chain, for each worker; kept from run to run.
    fn reserve_scratch(&mut self, schedule: &Schedule, width: usize) -> Result<()> {
        let chains = schedule.phases.iter().flat_map(|phase| &phase.chains);
        let bytes = chains.map(|chain| chain.scratch).max().unwrap_or(0);
        while self.scratch.len() < width {
            self.scratch.push(Buffer::new(bytes)?);
        }
        Ok(())
    }

    /// Runs a chunk of at most `steps` steps, as long as the tuner wants to stay with one width.
    pub(super) fn run(
        &mut self,
        team: &mut Team,
        launches: &[Launch],
        schedule: &Schedule,
        hosts: &[Arc<dyn Host>],
        steps: usize,
        limit: Duration,
    ) -> Chunk {
        let (width, stretch) = self.tuner.next(team::threads());
        let program = match self.program(schedule, width) {
            Ok(program) => program,
            Err(error) => return Chunk { steps: 0, error: Some(error) },
        };
        let start = Instant::now();
        let run = Run {
            launches,
            program: &program,
            hosts,
            barrier: Barrier::new(width),
            steps,
            until: start + limit.min(stretch),
            done: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            error: Mutex::new(None),
        };
        if !run.next_step(0) {
            run.stop.store(true, Ordering::Relaxed);
        }
        let outcome = team.together(width, &|worker| {
            // A worker that panics must not leave the others waiting for it.
            let result = catch_unwind(AssertUnwindSafe(|| run.work(worker)));
            if let Err(panic) = result {
                run.barrier.break_up();
                resume_unwind(panic);
            }
        });
        let done = run.done.load(Ordering::Relaxed);
        let error = run.error.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.tuner.learn(width, done, start.elapsed());
        Chunk { steps: done, error: error.or(outcome.err()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::schedule::Link;

    fn chain(units: usize, cost: f64) -> Chain {
        Chain { units, links: vec![Link::new(0, 1)], cost, block: units, scratch: 0 }
    }

    #[test]
    fn shares_cover_each_chain_once_and_evenly() {
        let chains = [chain(50, 100.0), chain(3, 1.0), chain(1, 500.0), chain(1000, 399.0)];
        for width in 1..7 {
            let shares = cut(&chains, width);
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
}
