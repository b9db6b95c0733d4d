//! Running a schedule: every worker walks the same phases with its own share of the blocks.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::exchange::Exchange;
use super::program::{Addresses, Program};
use super::schedule::Schedule;
use super::temporaries;
use super::tuner::{Choice, Tuner};
use crate::buffer::Buffer;
use crate::capture::Host;
use crate::error::{Error, Result};
use crate::launch::{Launch, pointers};
use crate::team::{self, Barrier, Team};

/// Shares are looked at again after so many steps: the least of several times tells of the work, and not of what came in
/// between.
const LEAST_STEPS: usize = 3;
/// And not before so long, which doubles with each time, up to the most.
const BALANCED: Duration = Duration::from_millis(2);
const LONGEST_BALANCED: Duration = Duration::from_millis(200);
/// Of steps that take less than this, one in so many is timed: a look at the clock for each part takes a few percent of
/// the smallest.
const SHORT_NANOSECONDS: f64 = 100_000.0;
const TIMED: usize = 8;

/// One way to do a step: its launches, each along one of its axes, and when they run.
pub(super) struct Way {
    pub(super) launches: Vec<Launch>,
    pub(super) schedule: Schedule,
    pub(super) addresses: Vec<Addresses>,
    /// Whether products ask for what comes after them.
    pub(super) looks_ahead: bool,
    /// One program for each width tried so far.
    programs: Vec<Tried>,
}

/// The program for a width, and what has become of it.
struct Tried {
    width: usize,
    program: Arc<Program>,
    exchange: Exchange,
    /// Steps since its shares were last looked at, the time they took, and the time until the next look.
    steps: usize,
    elapsed: Duration,
    wait: Duration,
}

impl Way {
    pub(super) fn new(launches: Vec<Launch>, schedule: Schedule) -> Self {
        // Addresses first: moved operands will have none of their own.
        let addresses = launches.iter().map(|launch| pointers(&launch.operands)).collect();
        Self { launches, schedule, addresses, looks_ahead: false, programs: Vec::new() }
    }

    /// The same way, with products that ask for what comes after them.
    pub(super) fn looking_ahead(self) -> Self {
        Self { looks_ahead: true, ..self }
    }

    fn tried(&mut self, width: usize) -> Option<&mut Tried> {
        self.programs.iter_mut().find(|tried| tried.width == width)
    }
}

pub(super) struct Executor {
    /// The first is the one for fewer threads than there are.
    pub(super) ways: Vec<Way>,
    scratch: Vec<Arc<Buffer>>,
    tuner: Tuner,
    /// What the last chunk of steps was done with: only its copies saw them.
    last: Option<Choice>,
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

/// One chunk of steps as its workers see it.
struct Run<'a> {
    launches: &'a [Launch],
    program: &'a Program,
    hosts: &'a [Arc<dyn Host>],
    barrier: Barrier,
    steps: usize,
    /// Which of the steps of this program are timed, none where nobody else shares them: every so many, and the number of
    /// the first step.
    timed: Option<(usize, usize)>,
    until: Instant,
    done: AtomicUsize,
    stop: AtomicBool,
    error: Mutex<Option<Error>>,
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
        let Some(last) = self.program.len().checked_sub(1) else { return };
        let between_steps = || {
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if !self.next_step(done) {
                self.stop.store(true, Ordering::Relaxed);
            }
        };
        let mut step = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let timed =
                self.timed.is_some_and(|(every, first)| (first + step).is_multiple_of(every));
            step += 1;
            for stretch in 0..=last {
                self.program.perform(self.launches, stretch, worker, timed);
                let finish = || {
                    self.program.perform_last(self.launches, stretch);
                    if stretch == last {
                        // Whoever comes last prepares the next step while the others wait: one barrier does for both.
                        between_steps();
                    }
                };
                if !self.barrier.wait_after(finish) {
                    return;
                }
            }
        }
    }
}

impl Executor {
    pub(super) fn new(mut ways: Vec<Way>) -> Result<Self> {
        temporaries::move_temporaries(&mut ways)?;
        let tuner = Tuner::new(ways[0].schedule.cost, ways.len());
        Ok(Self { ways, scratch: Vec::new(), tuner, last: None })
    }

    /// Lets all memory go.
    pub(super) fn clear(&mut self) {
        self.ways.clear();
        self.scratch.clear();
    }

    /// What each worker has to do.
    fn program(&mut self, choice: Choice) -> Result<Arc<Program>> {
        let Choice { way, width } = choice;
        if let Some(tried) = self.ways[way].tried(width) {
            return Ok(Arc::clone(&tried.program));
        }
        self.reserve_scratch(width)?;
        let way = &mut self.ways[way];
        let phases = way.schedule.phases.iter();
        let costs = phases.map(|phase| phase.chains.iter().map(|chain| chain.cost).collect());
        let exchange = Exchange::new(way, width)?;
        let program = Arc::new(Program::new(way, width, costs.collect(), &self.scratch, &exchange));
        way.programs.push(Tried {
            width,
            program: Arc::clone(&program),
            exchange,
            steps: 0,
            elapsed: Duration::ZERO,
            wait: BALANCED,
        });
        Ok(program)
    }

    /// Makes sure that the copies of a choice equal the buffers.
    fn refresh(&mut self, choice: Choice) {
        let is_new = self.last.replace(choice) != Some(choice);
        if let Some(tried) = self.ways[choice.way].tried(choice.width) {
            if is_new {
                tried.exchange.forget();
            }
            tried.exchange.refresh();
        }
    }

    /// Takes note that the versions of all buffers that steps write have gone up by one.
    pub(super) fn note_version(&mut self) {
        let Some(Choice { way, width }) = self.last else { return };
        if let Some(tried) = self.ways[way].tried(width) {
            tried.exchange.note_version();
        }
    }

    /// Takes note of steps with a choice, and cuts the shares again where workers were found to wait for each other.
    fn balance(&mut self, Choice { way, width }: Choice, steps: usize, elapsed: Duration) {
        let way = &mut self.ways[way];
        let Some(tried) = way.tried(width).filter(|_| width > 1) else { return };
        tried.steps += steps;
        tried.elapsed += elapsed;
        if tried.steps < LEAST_STEPS || tried.elapsed < tried.wait {
            return;
        }
        (tried.steps, tried.elapsed) = (0, Duration::ZERO);
        tried.wait = (2 * tried.wait).min(LONGEST_BALANCED);
        if let Some(costs) = tried.program.unbalanced()
            && let Some(at) = way.programs.iter().position(|tried| tried.width == width)
        {
            let exchange = &way.programs[at].exchange;
            let program = Program::new(way, width, costs, &self.scratch, exchange);
            way.programs[at].program = Arc::new(program);
        }
    }

    /// Runs one step on this thread, without a look at the clock.
    pub(super) fn run_alone(&mut self) -> Result<()> {
        let program = self.program(Choice { way: 0, width: 1 })?;
        self.last = None;
        let launches = &self.ways[0].launches;
        for stretch in 0..program.len() {
            program.perform(launches, stretch, 0, false);
            program.perform_last(launches, stretch);
        }
        Ok(())
    }

    /// The way that was quickest of late.
    pub(super) fn way(&self) -> &Way {
        &self.ways[self.tuner.winner().way]
    }

    /// Has steps be done in this way by so many workers from now on.
    pub(super) fn fix(&mut self, way: usize, width: usize) {
        self.tuner.fix(Choice { way, width });
    }

    /// The number of workers that was quickest of late.
    pub(super) fn threads(&self) -> usize {
        self.tuner.winner().width
    }

    /// Bytes of scratch and of copies.
    pub(super) fn extra_bytes(&self) -> usize {
        let programs = self.ways.iter().flat_map(|way| &way.programs);
        let copies: usize = programs.map(|tried| tried.exchange.bytes()).sum();
        copies + self.scratch.iter().map(|area| area.capacity()).sum::<usize>()
    }

    /// Scratch for the largest block of any chain, for each worker; kept from run to run.
    fn reserve_scratch(&mut self, width: usize) -> Result<()> {
        let phases = self.ways.iter().flat_map(|way| &way.schedule.phases);
        let bytes = phases.flat_map(|phase| &phase.chains).map(|chain| chain.scratch).max();
        while self.scratch.len() < width {
            self.scratch.push(Buffer::new(bytes.unwrap_or(0))?);
        }
        Ok(())
    }

    /// Runs a chunk of at most `steps` steps, as long as the tuner wants to stay with one choice.
    pub(super) fn run(
        &mut self,
        team: &mut Team,
        hosts: &[Arc<dyn Host>],
        steps: usize,
        limit: Duration,
    ) -> Chunk {
        let (choice, stretch) = self.tuner.next(team::threads());
        let program = match self.program(choice) {
            Ok(program) => program,
            Err(error) => return Chunk { steps: 0, error: Some(error) },
        };
        self.refresh(choice);
        let width = choice.width;
        let way = &mut self.ways[choice.way];
        let every = if way.schedule.cost < SHORT_NANOSECONDS { TIMED } else { 1 };
        let timed = way.tried(width).filter(|_| width > 1).map(|tried| (every, tried.steps));
        let start = Instant::now();
        let run = Run {
            launches: &self.ways[choice.way].launches,
            program: &program,
            hosts,
            barrier: Barrier::new(width),
            steps,
            timed,
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
        let elapsed = start.elapsed();
        if outcome.is_err() {
            // Whoever panicked may have left copies behind.
            self.last = None;
        }
        self.balance(choice, done, elapsed);
        self.tuner.learn(choice, done, elapsed);
        Chunk { steps: done, error: error.or(outcome.err()) }
    }
}
