//! Plans: a captured step that runs again and again without tape, allocation or Python.

mod ahead;
mod columns;
mod constants;
mod exchange;
mod execute;
mod inference;
mod program;
mod schedule;
mod temporaries;
mod tuner;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffer::Buffer;
use crate::capture::{Host, Recording};
use crate::error::{Result, bail};
use crate::launch::Launch;
use crate::pool;
use crate::team::{self, Team};

use execute::{Executor, Way};
use schedule::Schedule;
use tuner::ALONE_NANOSECONDS;

/// A limit above this is none: it keeps sums of times from overflowing.
const LONGEST: Duration = Duration::from_secs(1 << 20);

/// A captured step, ready to run again.
pub struct Plan {
    hosts: Vec<Arc<dyn Host>>,
    executor: Executor,
    written: Vec<Arc<Buffer>>,
    steps_done: u64,
}

/// What a plan consists of, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Description {
    /// Kernel launches in a step.
    pub launches: usize,
    /// Runs of launches that a block of data passes in one go.
    pub chains: usize,
    /// Stretches of work that need all before them.
    pub phases: usize,
    /// Barriers: small phases share the one before them.
    pub barriers: usize,
    /// Floating-point operations in a step.
    pub flops: f64,
    /// Bytes that the launches of a step read and write.
    pub traffic: f64,
    /// Bytes of memory that the plan holds.
    pub memory: usize,
    /// Threads that a step runs on, as far as measured.
    pub threads: usize,
}

/// The ways to do a step that are worth trying.
fn ways(launches: Vec<Launch>) -> Vec<Way> {
    let again = || launches.iter().map(Launch::again).collect();
    let by_rows = Schedule::new(&launches);
    let by_layers = is_deep(&launches)
        .then(|| Way::new(again(), Schedule::by_layers(&launches)).looking_ahead());
    let by_columns = columns::by_columns(&launches).map(|launches| {
        let schedule = Schedule::new(&launches);
        Way::new(launches, schedule)
    });
    let by_rows = Way::new(launches, by_rows);
    std::iter::once(by_rows).chain(by_columns).chain(by_layers).collect()
}

/// Bytes of a step that leave the caches of a core, and those that leave every cache in use.
const DEEP_BYTES: std::ops::Range<usize> = 4 << 20..64 << 20;
/// Launches of a step that is worth cutting into many phases.
const DEEP_LAUNCHES: usize = 60;

/// True for a step of many launches that together need more than a core's caches hold.
fn is_deep(launches: &[Launch]) -> bool {
    let operands = launches.iter().flat_map(|launch| &launch.operands);
    let buffers: HashMap<usize, usize> =
        operands.map(|operand| (operand.key(), operand.extent.len())).collect();
    launches.len() >= DEEP_LAUNCHES && DEEP_BYTES.contains(&buffers.values().sum())
}

impl Drop for Plan {
    /// Large buffers of a plan fit no other one as a rule: they are not kept for it.
    fn drop(&mut self) {
        self.written.clear();
        self.executor.clear();
        pool::release_pages();
    }
}

impl Plan {
    /// Plans what a capture recorded.
    pub fn new(recording: Recording) -> Result<Self> {
        let Recording { launches, hosts } = recording;
        let launches = constants::without_constants(launches);
        if launches.is_empty() {
            bail!(
                EmptyCapture,
                "capture: the step launched no work, so there is nothing to replay"
            );
        }
        let executor = Executor::new(ways(launches))?;
        // What the captured step needed beside the plan, such as gradients of large weights, is not needed again.
        pool::release_pages();
        let operands = executor.ways.iter().flat_map(|way| &way.launches);
        let mut written: Vec<Arc<Buffer>> = operands
            .flat_map(|launch| &launch.operands)
            .filter(|operand| operand.writes)
            .map(|operand| Arc::clone(&operand.buffer))
            .collect();
        written.sort_by_key(|buffer| Arc::as_ptr(buffer) as usize);
        written.dedup_by(|a, b| Arc::ptr_eq(a, b));
        Ok(Self { hosts, executor, written, steps_done: 0 })
    }

    /// Runs up to `steps` whole steps, fewer if `limit` has passed; gives how many.
    ///
    /// Before each step the hosts write the values of that step. The results do not depend on the number of threads.
    pub fn replay(&mut self, steps: usize, limit: Duration) -> Result<usize> {
        let limit = limit.min(LONGEST);
        if steps == 0 {
            return Ok(0);
        }
        let mut engine = team::engine();
        let _held = team::mark_held();
        let start = Instant::now();
        let mut done = 0;
        let outcome = loop {
            let run = self.executor.run(
                &mut engine,
                &self.hosts,
                steps - done,
                limit.saturating_sub(start.elapsed()),
            );
            done += run.steps;
            if run.error.is_some() || done == steps || start.elapsed() >= limit {
                break run.error;
            }
        };
        self.note_steps(done);
        match outcome {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }

    /// Runs one step with the engine in the caller's hand; a step that is worth no second thread also without a look
    /// at the clock.
    fn run_once(&mut self, engine: &mut Team) -> Result<()> {
        if self.is_small() {
            for host in &self.hosts {
                host.advance()?;
            }
            self.executor.run_alone()?;
        } else {
            let run = self.executor.run(engine, &self.hosts, 1, LONGEST);
            if let Some(error) = run.error {
                return Err(error);
            }
        }
        self.note_steps(1);
        Ok(())
    }

    /// True where a step is worth no second thread.
    pub fn is_small(&self) -> bool {
        self.executor.ways[0].schedule.cost < ALONE_NANOSECONDS
    }

    /// In how many ways the plan can do a step: by rows, with large weights by columns, by layers.
    pub fn ways(&self) -> usize {
        self.executor.ways.len()
    }

    /// Stays with one way, counted from 0, and so many threads, instead of measuring which is quickest: for tests and
    /// benches.
    ///
    /// # Panics
    /// Where there is no such way, or no thread.
    pub fn stay_with(&mut self, way: usize, threads: usize) {
        assert!(way < self.ways() && threads > 0);
        self.executor.fix(way, threads);
    }

    fn note_steps(&mut self, done: usize) {
        self.steps_done += done as u64;
        for buffer in &self.written {
            buffer.touch();
        }
        self.executor.note_version();
    }

    /// Steps that replays have made so far.
    pub fn steps_done(&self) -> u64 {
        self.steps_done
    }

    /// What the plan consists of.
    pub fn describe(&self) -> Description {
        let way = self.executor.way();
        let launches = self.executor.ways.iter().flat_map(|way| &way.launches);
        let mut buffers: Vec<_> = launches
            .flat_map(|launch| &launch.operands)
            .map(|operand| (operand.key(), operand.buffer.capacity()))
            .collect();
        buffers.sort_unstable();
        buffers.dedup();
        Description {
            launches: way.launches.len(),
            chains: way.schedule.phases.iter().map(|phase| phase.chains.len()).sum(),
            phases: way.schedule.phases.len(),
            barriers: way.schedule.barriers(),
            flops: way.launches.iter().map(|launch| launch.cost.flops).sum(),
            traffic: way.launches.iter().map(|launch| launch.cost.bytes).sum(),
            memory: buffers.iter().map(|(_, bytes)| bytes).sum::<usize>()
                + self.executor.extra_bytes(),
            threads: self.executor.threads(),
        }
    }

    /// The phases as text: for each chain its units and the launches in it.
    pub fn explain(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let way = self.executor.way();
        for (i, phase) in way.schedule.phases.iter().enumerate() {
            let _ = writeln!(text, "phase {}", i + 1);
            for chain in &phase.chains {
                let names: Vec<_> =
                    chain.links.iter().map(|link| way.launches[link.launch].name).collect();
                let _ = writeln!(text, "  {} units: {}", chain.units, names.join(" > "));
            }
        }
        text
    }
}
