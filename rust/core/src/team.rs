//! Thread pool: one team per process, made on first use; one lock for all native work.
//!
//! A forked child inherits neither threads nor the owners of locks, so both are kept per generation of the
//! process: the child's first use makes its own, and the parent's are left alone.

pub mod access;
mod helpers;
mod limits;
mod notices;

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

pub use limits::{limit_threads, read_environment, renew_limits, set_threads, threads};
pub use notices::take_notices;
pub(crate) use notices::tell;

use access::Requests;
use helpers::Helpers;
use notices::Notices;

use crate::error::{Result, bail};
use crate::launch::Cost;

/// Below this a launch stays on the caller's thread: waking a sleeping worker costs 10 to 30 microseconds.
const SPLIT_NANOSECONDS: f64 = 100_000.0;

/// Rises in every forked child.
static GENERATION: AtomicU64 = AtomicU64::new(0);

#[cfg(unix)]
extern "C" fn forked() {
    // Only an atomic: nothing else is safe between fork and the child's first own instruction.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

fn generation() -> u64 {
    #[cfg(unix)]
    {
        static WATCH: std::sync::Once = std::sync::Once::new();
        WATCH.call_once(|| {
            // SAFETY: the handler only touches an atomic.
            unsafe { libc::pthread_atfork(None, None, Some(forked)) };
        });
    }
    GENERATION.load(Ordering::Relaxed)
}

#[derive(Default)]
struct Engine {
    generation: u64,
    team: Mutex<Team>,
    requests: Requests,
    notices: Notices,
}

static ENGINE: AtomicPtr<Engine> = AtomicPtr::new(std::ptr::null_mut());

/// The threads that run launches. Whoever holds it is the only one doing native work.
#[derive(Default)]
pub struct Team {
    helpers: Option<Helpers>,
}

/// What a mutex guards, also after a panic: one between lock and unlock leaves plain data behind, and there is nothing
/// to distrust.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for all other native work of the process and takes the team.
pub fn engine() -> MutexGuard<'static, Team> {
    lock(&current().team)
}

/// The engine of this generation of the process.
fn current() -> &'static Engine {
    let now = generation();
    let mut current = ENGINE.load(Ordering::Acquire);
    loop {
        // SAFETY: engines are never freed (one for each process generation).
        if let Some(engine) = unsafe { current.as_ref() }
            && engine.generation == now
        {
            return engine;
        }
        let fresh = Box::into_raw(Box::new(Engine { generation: now, ..Engine::default() }));
        match ENGINE.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => current = fresh,
            Err(other) => {
                // SAFETY: `fresh` was made above and never shared.
                drop(unsafe { Box::from_raw(fresh) });
                current = other;
            }
        }
    }
}

thread_local! {
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// Lets [`quiet`] know that this thread holds the engine, until it is dropped.
pub(crate) struct Held {
    before: bool,
}

/// Marks this thread as a holder of the engine's lock, or as working for the one that holds it.
pub(crate) fn mark_held() -> Held {
    Held { before: HELD.replace(true) }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(self.before);
    }
}

/// Takes the engine if nobody has it; never waits.
pub fn try_engine() -> Option<MutexGuard<'static, Team>> {
    match current().team.try_lock() {
        Ok(engine) => Some(engine),
        Err(TryLockError::Poisoned(broken)) => Some(broken.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Keeps kernels away from memory while the host looks at it: takes the engine, unless this thread holds it already,
/// in a replay or from an outer call.
///
/// Whoever needs a lock of its own as well takes it after this one: replays call step inputs with the engine in hand.
pub(crate) fn quiet() -> Option<(Held, MutexGuard<'static, Team>)> {
    if HELD.get() {
        return None;
    }
    let engine = engine();
    Some((mark_held(), engine))
}

/// True where a launch is worth waking a thread for.
pub(crate) fn is_worth_splitting(cost: Cost) -> bool {
    cost.nanoseconds() >= SPLIT_NANOSECONDS
}

/// The items that worker `worker` of `workers` takes.
pub(crate) fn share(items: usize, worker: usize, workers: usize) -> Range<usize> {
    items * worker / workers..items * (worker + 1) / workers
}

impl Team {
    /// Has helpers for so many workers, the caller among them, or for as many as the system lets start; gives how many
    /// workers there are, at most. What the system refused is asked for again once the limits were renewed.
    pub fn staff(&mut self, workers: usize) -> usize {
        let present = |helpers: &Helpers| helpers.count() + 1;
        if workers <= 1 || self.helpers.as_ref().is_some_and(|known| present(known) >= workers) {
            return workers;
        }
        // Those that are there end first: the system may count them.
        self.helpers = None;
        let (helpers, refusal) = Helpers::new(workers - 1);
        let granted = present(&helpers);
        if let Some(error) = refusal {
            limits::note_refusal(granted, workers, &error);
        }
        self.helpers = Some(helpers);
        granted
    }

    /// Runs `work(worker)` for every worker below `workers` at the same time; the caller is worker 0.
    ///
    /// All of them run side by side, so they may wait for each other at a [`Barrier`]; [`Team::staff`] tells how many
    /// there can be.
    pub fn together(&mut self, workers: usize, work: &(dyn Fn(usize) + Sync)) -> Result<()> {
        if workers <= 1 {
            work(0);
            return Ok(());
        }
        let granted = self.staff(workers);
        match &mut self.helpers {
            Some(helpers) if granted == workers => helpers.together(workers, work),
            _ => bail!(Memory, "the system refused {workers} threads, it grants {granted}"),
        }
        Ok(())
    }

    /// Runs `work` over all items, in equal shares on several threads where the cost is worth waking them.
    pub fn split(
        &mut self,
        items: usize,
        cost: Cost,
        work: &(dyn Fn(Range<usize>) + Sync),
    ) -> Result<()> {
        if !is_worth_splitting(cost) {
            work(0..items);
            return Ok(());
        }
        let nanoseconds = cost.nanoseconds();
        let workers =
            threads().min(items).min(1 + (nanoseconds / (SPLIT_NANOSECONDS / 2.0)) as usize);
        let workers = self.staff(workers);
        self.together(workers, &|worker| {
            let range = share(items, worker, workers);
            if !range.is_empty() {
                work(range);
            }
        })
    }
}

/// A spinning barrier for `workers` workers that run side by side.
///
/// Waiting spins for a while, then yields the processor, so that a worker without a core does
/// not keep the others from theirs.
pub struct Barrier {
    workers: usize,
    arrived: AtomicUsize,
    round: AtomicUsize,
    broken: AtomicBool,
}

/// Spins before a waiting worker yields: some 100 to 300 microseconds. The shares of a phase end further apart than they
/// should by tens of microseconds on a busy machine, and a yielded core may go to another process for milliseconds, however
/// little priority that has.
const SPINS: usize = 6_000;

/// Waits for something that other threads do.
fn wait_until(is_done: impl Fn() -> bool) {
    let mut spins = 0;
    while !is_done() {
        if spins < SPINS {
            spins += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

impl Barrier {
    /// For `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            arrived: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    /// Waits for the others. False where one of them broke down and all must leave.
    pub fn wait(&self) -> bool {
        self.wait_after(|| ())
    }

    /// Waits for the others, the last of whom does `last` before any of them goes on. False where one of them broke
    /// down and all must leave.
    pub fn wait_after(&self, last: impl FnOnce()) -> bool {
        if self.workers == 1 {
            last();
            return true;
        }
        let round = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.workers {
            last();
            self.arrived.store(0, Ordering::Relaxed);
            self.round.store(round.wrapping_add(1), Ordering::Release);
        } else {
            wait_until(|| {
                self.round.load(Ordering::Acquire) != round || self.broken.load(Ordering::Relaxed)
            });
        }
        !self.broken.load(Ordering::Relaxed)
    }

    /// Has the others not wait for this worker any more.
    pub fn break_up(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn shares_cover_all_units_once() {
        for items in [0, 1, 2, 7, 100] {
            for workers in 1..9 {
                let mut next = 0;
                for worker in 0..workers {
                    let range = share(items, worker, workers);
                    assert_eq!(range.start, next);
                    next = range.end;
                }
                assert_eq!(next, items);
            }
        }
    }

    #[test]
    fn workers_run_side_by_side_and_wait_at_barriers() {
        let barrier = Barrier::new(3);
        let before = AtomicU32::new(0);
        let after = AtomicU32::new(0);
        engine()
            .together(3, &|_| {
                before.fetch_add(1, Ordering::SeqCst);
                assert!(barrier.wait());
                assert_eq!(before.load(Ordering::SeqCst), 3);
                after.fetch_add(1, Ordering::SeqCst);
            })
            .expect("threads");
        assert_eq!(after.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_broken_barrier_lets_everybody_go() {
        let barrier = Barrier::new(2);
        engine()
            .together(2, &|worker| {
                if worker == 0 {
                    barrier.break_up();
                } else {
                    assert!(!barrier.wait());
                }
            })
            .expect("threads");
    }
}
