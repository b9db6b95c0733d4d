//! Plans: a captured step that runs again and again without tape, allocation or Python.
//!
//! [`Plan::new`] is the list of passes: constants are folded, the launches are partitioned into chains and phases for
//! each strategy that may pay, and temporaries are assigned to shared memory. The executor compiles worker programs of
//! balanced shares from that, and autotunes threads and strategy while the steps run.

mod autotune;
mod balance;
mod block_size;
mod buffer_assignment;
mod column_partition;
mod constant_folding;
mod cost_model;
mod execute;
mod inference;
mod ir;
mod partition;
mod replicas;
mod trace;
mod worker_program;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::buffer::Buffer;
use crate::capture::{Recording, StepInput};
use crate::error::{Result, bail};
use crate::launch::Operand;
use crate::pool;
use crate::team::access::{self, Access, Keys};
use crate::team::{self, Team};

use execute::Executor;
use ir::Choice;
pub use trace::read_environment as read_trace_variable;

/// A limit above this is none: it keeps sums of times from overflowing.
const LONGEST: Duration = Duration::from_secs(1 << 20);

/// A captured step, ready to run again.
pub struct Plan {
    inputs: Vec<Arc<dyn StepInput>>,
    executor: Executor,
    written: Vec<Arc<Buffer>>,
    /// What the steps read without writing it, and what they write.
    keys: (Keys, Keys),
    steps_done: u64,
}

/// What a plan consists of, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Description {
    /// Kernel launches in a step.
    pub launches: usize,
    /// Runs of launches that a block of data passes in one go.
    pub chains: usize,
    /// Sets of chains that need those before them.
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
        let Recording { launches, inputs } = recording;
        let launches = constant_folding::fold_constants(launches);
        if launches.is_empty() {
            bail!(
                EmptyCapture,
                "capture: the step launched no work, so there is nothing to replay"
            );
        }
        let mut strategies = partition::partition(launches);
        buffer_assignment::assign_buffers(&mut strategies)?;
        let executor = Executor::new(strategies);
        // What the captured step needed beside the plan, such as gradients of large weights, is not needed again.
        pool::release_pages();
        let launches = executor.strategies.iter().flat_map(|strategy| &strategy.launches);
        let (written, read): (Vec<&Operand>, Vec<&Operand>) =
            launches.flat_map(|launch| &launch.operands).partition(|operand| operand.writes);
        let key = |operand: &&Operand| Keys::of_buffer(&operand.buffer);
        let keys = [&read, &written].map(|side| Keys::new(side.iter().map(key).collect()));
        let mut written: Vec<Arc<Buffer>> =
            written.into_iter().map(|operand| Arc::clone(&operand.buffer)).collect();
        written.sort_by_key(Keys::of_buffer);
        written.dedup_by(|a, b| Arc::ptr_eq(a, b));
        Ok(Self { inputs, executor, written, keys: keys.into(), steps_done: 0 })
    }

    /// Runs up to `steps` whole steps, fewer if `limit` has passed; gives how many. None are run while another thread has
    /// access to what they touch: [`Plan::request`] waits for that.
    ///
    /// Before each step its inputs write the values of that step. The results do not depend on the number of threads.
    pub fn replay(&mut self, steps: usize, limit: Duration) -> Result<usize> {
        self.replay_noting(steps, limit, &|| {})
    }

    /// The same, and calls a function after each step, while nothing else runs: it may look at memory.
    pub fn replay_noting(
        &mut self,
        steps: usize,
        limit: Duration,
        after: &(dyn Fn() + Sync),
    ) -> Result<usize> {
        let limit = limit.min(LONGEST);
        if steps == 0 {
            return Ok(0);
        }
        let mut engine = team::engine();
        if self.is_barred() {
            return Ok(0);
        }
        let _held = team::mark_held();
        let start = Instant::now();
        let mut done = 0;
        let outcome = loop {
            let run = self.executor.run(
                &mut engine,
                &self.inputs,
                after,
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

    /// Runs steps on this thread alone, beside other plans on other threads that touch nothing which these steps change:
    /// at least one, until there are so many, the time has come, or somebody stops them. Gives how many. Traces have them
    /// in the lane of the thread of that number.
    ///
    /// This thread works for one that holds the engine, and which has found that the plan is not [barred](Self::is_barred).
    pub(crate) fn replay_here(
        &mut self,
        steps: usize,
        end: (Instant, &AtomicBool),
        thread: usize,
        after: &dyn Fn(),
    ) -> Result<usize> {
        let chunk = self.executor.run_here(&self.inputs, after, steps, end, thread);
        self.note_steps(chunk.steps);
        chunk.error.map_or(Ok(chunk.steps), Err)
    }

    /// What the steps read without writing it, and what they write.
    pub(crate) fn keys(&self) -> (&Keys, &Keys) {
        (&self.keys.0, &self.keys.1)
    }

    /// Nanoseconds of a step on one thread, by estimate.
    pub(crate) fn estimate(&self) -> f64 {
        self.executor.strategies[0].schedule.cost
    }

    /// True while another thread has access to what the steps touch; asked with the engine in hand.
    pub fn is_barred(&self) -> bool {
        access::bars(&self.keys.0, &self.keys.1)
    }

    /// Asks for access to what the steps touch.
    pub fn request(&self) -> Access {
        Access::request(self.keys.0.clone(), self.keys.1.clone())
    }

    /// Runs one step with the engine in the caller's hand; a step that is worth no second thread also without a look
    /// at the clock.
    fn run_once(&mut self, engine: &mut Team) -> Result<()> {
        if self.is_small() {
            for input in &self.inputs {
                input.advance()?;
            }
            self.executor.run_alone()?;
        } else {
            let run = self.executor.run(engine, &self.inputs, &|| {}, 1, LONGEST);
            if let Some(error) = run.error {
                return Err(error);
            }
        }
        self.note_steps(1);
        Ok(())
    }

    /// True where a step is worth no second thread.
    pub fn is_small(&self) -> bool {
        self.estimate() < cost_model::ONE_THREAD_NANOSECONDS
    }

    /// How many strategies the plan has for a step: by rows, with large weights by columns, by layers.
    pub fn strategies(&self) -> usize {
        self.executor.strategies.len()
    }

    /// Stays with one strategy, counted from 0, and so many threads, instead of measuring which is quickest: for tests
    /// and benches.
    ///
    /// # Panics
    /// Where there is no such strategy, or no thread.
    pub fn stay_with(&mut self, strategy: usize, threads: usize) {
        assert!(strategy < self.strategies() && threads > 0);
        self.executor.fix(Choice { strategy, threads });
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
        let strategy = self.executor.strategy();
        let launches = self.executor.strategies.iter().flat_map(|strategy| &strategy.launches);
        let mut buffers: Vec<_> = launches
            .flat_map(|launch| &launch.operands)
            .map(|operand| (operand.key(), operand.buffer.capacity()))
            .collect();
        buffers.sort_unstable();
        buffers.dedup();
        Description {
            launches: strategy.launches.len(),
            chains: strategy.chains().count(),
            phases: strategy.schedule.phases.len(),
            barriers: strategy.schedule.barriers(),
            flops: strategy.launches.iter().map(|launch| launch.cost.flops).sum(),
            traffic: strategy.launches.iter().map(|launch| launch.cost.bytes).sum(),
            memory: buffers.iter().map(|(_, bytes)| bytes).sum::<usize>()
                + self.executor.extra_bytes(),
            threads: self.executor.threads().min(team::threads()),
        }
    }

    /// The phases as text: for each chain its work items and the launches in it.
    pub fn explain(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let strategy = self.executor.strategy();
        for (i, phase) in strategy.schedule.phases.iter().enumerate() {
            let _ = writeln!(text, "phase {}", i + 1);
            for chain in &phase.chains {
                let names: Vec<_> =
                    chain.links.iter().map(|link| strategy.launches[link.launch].name).collect();
                let _ = writeln!(text, "  {} items: {}", chain.items, names.join(" > "));
            }
        }
        text
    }
}
