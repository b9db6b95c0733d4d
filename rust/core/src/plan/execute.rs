//! Execution of a plan: every worker walks the same stages, each with a program of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::autotune::Autotuner;
use super::cost_model::{
    BALANCE_LEAST_STEPS, BALANCE_LONGEST_WAIT, BALANCE_WAIT, SHORT_STEP_NANOSECONDS,
    TIMED_SHORT_STEPS,
};
use super::ir::{Choice, Strategy};
use super::replicas::Replicas;
use super::trace::{self, Lane, Trace};
use super::worker_program::WorkerProgram;
use crate::buffer::Buffer;
use crate::capture::StepInput;
use crate::error::{Error, Result};
use crate::launch::Launch;
use crate::team::{self, Barrier, Team};

/// The program for a choice, and how its steps have gone.
struct Compiled {
    choice: Choice,
    program: Arc<WorkerProgram>,
    replicas: Replicas,
    /// Steps since its shares were last looked at, the time they took, and the time until the next look.
    steps: usize,
    elapsed: Duration,
    wait: Duration,
}

pub(super) struct Executor {
    /// The first is the one for fewer threads than there are.
    pub(super) strategies: Vec<Strategy>,
    /// For each choice made so far.
    compiled: Vec<Compiled>,
    scratch: Vec<Arc<Buffer>>,
    tuner: Autotuner,
    /// What the last chunk of steps was done with: only its replicas saw them.
    last: Option<Choice>,
    /// Which plan of the process it is.
    number: usize,
}

/// What has been done of a chunk of steps.
pub(super) struct Chunk {
    pub(super) steps: usize,
    pub(super) error: Option<Error>,
}

/// One chunk of steps as its workers see it.
struct Run<'a> {
    launches: &'a [Launch],
    program: &'a WorkerProgram,
    inputs: &'a [Arc<dyn StepInput>],
    /// Called after each step, while nobody is at work.
    after: &'a (dyn Fn() + Sync),
    barrier: Barrier,
    steps: usize,
    /// Which of the steps of this program are timed, none where nobody else shares them: every so many, and the number of
    /// the first step.
    timed: Option<(usize, usize)>,
    until: Instant,
    done: AtomicUsize,
    stop: AtomicBool,
    error: Mutex<Option<Error>>,
    /// Where what workers do is noted, and the number of the plan there.
    trace: Option<&'static Trace>,
    plan: usize,
}

impl Run<'_> {
    /// Prepares the next step; true where there is one.
    fn next_step(&self, done: usize) -> bool {
        if done == self.steps || (done > 0 && Instant::now() >= self.until) {
            return false;
        }
        for input in self.inputs {
            if let Err(error) = input.advance() {
                *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return false;
            }
        }
        true
    }

    /// Where this worker notes what it does, if there is a trace.
    fn lane(&self, worker: usize) -> Option<Lane<'_>> {
        let work = (self.program, self.launches);
        Some(Lane::new(self.trace?, work, self.plan, (worker, worker)))
    }

    fn work(&self, worker: usize) {
        // Step inputs may look at memory, and the thread that called holds the engine for all workers.
        let _held = team::mark_held();
        let Some(last) = self.program.len().checked_sub(1) else { return };
        let between_steps = || {
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            (self.after)();
            if !self.next_step(done) {
                self.stop.store(true, Ordering::Relaxed);
            }
        };
        let (mut step, mut lane) = (0, self.lane(worker));
        while !self.stop.load(Ordering::Relaxed) {
            let timed =
                self.timed.is_some_and(|(every, first)| (first + step).is_multiple_of(every));
            step += 1;
            for stage in 0..=last {
                match &mut lane {
                    Some(lane) => lane.perform(stage),
                    None => self.program.perform(self.launches, stage, worker, timed),
                }
                let finish = || {
                    self.program.perform_last(self.launches, stage);
                    if stage == last {
                        // Whoever comes last prepares the next step while the others wait: one barrier does for both.
                        between_steps();
                    }
                };
                let goes_on = match &mut lane {
                    Some(lane) => lane.meet(stage, &self.barrier, finish),
                    None => self.barrier.wait_after(finish),
                };
                if !goes_on {
                    return;
                }
            }
        }
    }
}

impl Executor {
    pub(super) fn new(strategies: Vec<Strategy>) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let tuner = Autotuner::new(strategies[0].schedule.cost, strategies.len());
        let (compiled, scratch, last) = (Vec::new(), Vec::new(), None);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self { strategies, compiled, scratch, tuner, last, number }
    }

    /// Lets all memory go.
    pub(super) fn clear(&mut self) {
        self.strategies.clear();
        self.compiled.clear();
        self.scratch.clear();
    }

    /// The program for a choice, compiled when it is first made.
    fn compiled(&mut self, choice: Choice) -> Result<&mut Compiled> {
        let at = self.compiled.iter().position(|known| known.choice == choice);
        if let Some(at) = at {
            return Ok(&mut self.compiled[at]);
        }
        self.reserve_scratch(choice.threads)?;
        let strategy = &self.strategies[choice.strategy];
        let replicas = Replicas::new(strategy, choice.threads)?;
        let phases = strategy.schedule.phases.iter();
        let costs = phases.map(|phase| phase.chains.iter().map(|chain| chain.cost).collect());
        let costs = costs.collect();
        let program = WorkerProgram::new(strategy, choice.threads, costs, &self.scratch, &replicas);
        self.compiled.push(Compiled {
            choice,
            program: Arc::new(program),
            replicas,
            steps: 0,
            elapsed: Duration::ZERO,
            wait: BALANCE_WAIT,
        });
        let at = self.compiled.len() - 1;
        Ok(&mut self.compiled[at])
    }

    /// Takes note that the versions of all buffers that steps write have gone up by one.
    pub(super) fn note_version(&mut self) {
        let last = self.compiled.iter_mut().find(|known| Some(known.choice) == self.last);
        if let Some(known) = last {
            known.replicas.note_version();
        }
    }

    /// Takes note of steps with a choice, and cuts the shares again where workers were found to wait for each other.
    fn balance(&mut self, choice: Choice, steps: usize, elapsed: Duration) {
        let known = self.compiled.iter_mut().find(|known| known.choice == choice);
        let Some(known) = known.filter(|_| choice.threads > 1) else { return };
        known.steps += steps;
        known.elapsed += elapsed;
        if known.steps < BALANCE_LEAST_STEPS || known.elapsed < known.wait {
            return;
        }
        (known.steps, known.elapsed) = (0, Duration::ZERO);
        known.wait = (2 * known.wait).min(BALANCE_LONGEST_WAIT);
        if let Some(costs) = known.program.unbalanced() {
            let (strategy, replicas) = (&self.strategies[choice.strategy], &known.replicas);
            let program =
                WorkerProgram::new(strategy, choice.threads, costs, &self.scratch, replicas);
            known.program = Arc::new(program);
        }
    }

    /// The program of one thread.
    fn alone(&mut self) -> Result<Arc<WorkerProgram>> {
        let program = Arc::clone(&self.compiled(Choice { strategy: 0, threads: 1 })?.program);
        self.last = None;
        Ok(program)
    }

    /// Runs one step on this thread, without a look at the clock.
    pub(super) fn run_alone(&mut self) -> Result<()> {
        self.alone()?.perform_alone(&self.strategies[0].launches);
        Ok(())
    }

    /// Runs steps on this thread, whatever other threads do with other plans meanwhile: at least one, until there are so
    /// many, the time has come, or somebody stops them.
    pub(super) fn run_here(
        &mut self,
        inputs: &[Arc<dyn StepInput>],
        after: &dyn Fn(),
        steps: usize,
        (until, stop): (Instant, &AtomicBool),
        thread: usize,
    ) -> Chunk {
        let mut chunk = Chunk { steps: 0, error: None };
        let program = match self.alone() {
            Ok(program) => program,
            Err(error) => return Chunk { error: Some(error), ..chunk },
        };
        let launches = &self.strategies[0].launches;
        let mut lane = trace::current()
            .map(|trace| Lane::new(trace, (&program, launches), self.number, (thread, 0)));
        while chunk.steps < steps {
            if let Err(error) = inputs.iter().try_for_each(|input| input.advance()) {
                chunk.error = Some(error);
                break;
            }
            match &mut lane {
                Some(lane) => lane.perform_alone(),
                None => program.perform_alone(launches),
            }
            chunk.steps += 1;
            after();
            if stop.load(Ordering::Relaxed) || Instant::now() >= until {
                break;
            }
        }
        chunk
    }

    /// The strategy that was quickest of late.
    pub(super) fn strategy(&self) -> &Strategy {
        &self.strategies[self.tuner.winner().strategy]
    }

    /// Has steps be done with this choice from now on.
    pub(super) fn fix(&mut self, choice: Choice) {
        self.tuner.fix(choice);
    }

    /// The number of threads that was quickest of late.
    pub(super) fn threads(&self) -> usize {
        self.tuner.winner().threads
    }

    /// Bytes of scratch and of replicas.
    pub(super) fn extra_bytes(&self) -> usize {
        let replicas: usize = self.compiled.iter().map(|known| known.replicas.bytes()).sum();
        replicas + self.scratch.iter().map(|area| area.capacity()).sum::<usize>()
    }

    /// Scratch for the largest block of any chain, for each worker; kept from run to run.
    fn reserve_scratch(&mut self, threads: usize) -> Result<()> {
        let chains = self.strategies.iter().flat_map(Strategy::chains);
        let bytes = chains.map(|chain| chain.scratch).max();
        while self.scratch.len() < threads {
            self.scratch.push(Buffer::new(bytes.unwrap_or(0))?);
        }
        Ok(())
    }

    /// Runs a chunk of at most `steps` steps, as long as the tuner wants to stay with one choice.
    pub(super) fn run(
        &mut self,
        team: &mut Team,
        inputs: &[Arc<dyn StepInput>],
        after: &(dyn Fn() + Sync),
        steps: usize,
        limit: Duration,
    ) -> Chunk {
        let (mut choice, mut chunk) = self.tuner.next(team::threads());
        if team.staff(choice.threads) < choice.threads {
            // The system refused some: from now on `threads` is what it grants.
            (choice, chunk) = self.tuner.next(team::threads());
        }
        // Replicas have not seen what was done with another choice.
        let is_new = self.last.replace(choice) != Some(choice);
        let known = match self.compiled(choice) {
            Ok(known) => known,
            Err(error) => return Chunk { steps: 0, error: Some(error) },
        };
        if is_new {
            known.replicas.forget();
        }
        known.replicas.refresh();
        let (program, first) = (Arc::clone(&known.program), known.steps);
        let strategy = &self.strategies[choice.strategy];
        let is_short = strategy.schedule.cost < SHORT_STEP_NANOSECONDS;
        let every = if is_short { TIMED_SHORT_STEPS } else { 1 };
        let start = Instant::now();
        let run = Run {
            launches: &strategy.launches,
            program: &program,
            inputs,
            after,
            barrier: Barrier::new(choice.threads),
            steps,
            timed: (choice.threads > 1).then_some((every, first)),
            until: start + limit.min(chunk),
            done: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            error: Mutex::new(None),
            trace: trace::current(),
            plan: self.number,
        };
        if !run.next_step(0) {
            run.stop.store(true, Ordering::Relaxed);
        }
        let outcome = team.together(choice.threads, &|worker| {
            // A worker that panics must not leave the others waiting for it.
            let result = catch_unwind(AssertUnwindSafe(|| run.work(worker)));
            if let Err(panic) = result {
                run.barrier.break_up();
                resume_unwind(panic);
            }
        });
        let done = run.done.load(Ordering::Relaxed);
        let error = run.error.into_inner().unwrap_or_else(PoisonError::into_inner);
        let elapsed = start.elapsed();
        if outcome.is_err() {
            // Whoever panicked may have left replicas behind.
            self.last = None;
        }
        self.balance(choice, done, elapsed);
        self.tuner.learn(choice, done, elapsed);
        Chunk { steps: done, error: error.or(outcome.err()) }
    }
}
