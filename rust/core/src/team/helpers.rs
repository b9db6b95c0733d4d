//! Helper threads beside the caller's, which spin for a moment after each piece of work before they sleep: waking a
//! thread costs ten microseconds or more, and the next step, or the next question to a model, often arrives within one.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle, Thread};

use super::{lock, wait_until};

/// Looks at the next piece of work before a helper goes to sleep: some 50 microseconds.
const AWAKE_SPINS: usize = 2_000;
/// Bits of the state that hold the workers.
const WORKER_BITS: u32 = 16;

/// Work for each worker, as helpers see it.
type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// What the caller and the helpers share.
struct Shared {
    /// The number of the piece of work, and in the low bits how many workers it has; the others do not look at it.
    state: AtomicU64,
    /// The work of this number. Valid until all its helpers have counted themselves in `finished`.
    work: Mutex<Option<Borrowed>>,
    finished: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
    helpers: Vec<Helper>,
}

/// A helper as the caller sees it.
#[derive(Default)]
struct Helper {
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
}

#[derive(Clone, Copy)]
struct Borrowed(*const Work<'static>);

// SAFETY: the work may be called from any thread, and is there for as long as anybody calls it: see `together`.
unsafe impl Send for Borrowed {}

/// Threads that wait for work.
pub(super) struct Helpers {
    shared: Arc<Shared>,
    /// Lends the threads; each of them is in `attend` until this is dropped.
    pool: Option<rayon::ThreadPool>,
    threads: Vec<JoinHandle<()>>,
}

impl Helpers {
    /// Starts so many threads, or as many as the system lets start; then the error of the one that it refused is there.
    pub(super) fn new(count: usize) -> (Self, Option<io::Error>) {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            work: Mutex::new(None),
            finished: AtomicUsize::new(0),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
            helpers: (0..count).map(|_| Helper::default()).collect(),
        });
        let (mut wanted, mut refusal) = (count, None);
        let (pool, threads) = loop {
            match lend(wanted) {
                Ok(lent) => break lent,
                // A pool has all its threads or none: the next one has as many as there were.
                Err((granted, error)) => (wanted, refusal) = (granted, error.or(refusal)),
            }
        };
        for index in 0..threads.len() {
            let shared = Arc::clone(&shared);
            if let Some(pool) = &pool {
                pool.spawn(move || shared.attend(index));
            }
        }
        (Self { shared, pool, threads }, refusal)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Runs `work(worker)` for every worker below `workers` at the same time; the caller is worker 0. There are as many
    /// helpers, and nobody else calls this meanwhile.
    pub(super) fn together(&mut self, workers: usize, work: &Work<'_>) {
        let shared = &*self.shared;
        // SAFETY: only the lifetime is left out. Helpers call the work between the new state and their count in
        // `finished`, and this function waits for all counts, whatever happens, before it returns or unwinds.
        #[allow(clippy::transmute_ptr_to_ptr, reason = "a cast may not leave out a lifetime")]
        let borrowed =
            unsafe { std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
        *lock(&shared.work) = Some(Borrowed(borrowed));
        shared.finished.store(0, Ordering::Relaxed);
        let number = (shared.state.load(Ordering::Relaxed) >> WORKER_BITS) + 1;
        // In one order with the helpers' flags: a helper that this does not see asleep sees the new state.
        shared.state.store(number << WORKER_BITS | workers as u64, Ordering::SeqCst);
        for helper in &shared.helpers[..workers - 1] {
            helper.wake();
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| work(0)));
        wait_until(|| shared.finished.load(Ordering::Acquire) + 1 >= workers);
        let panic = lock(&shared.panic).take();
        if let Some(panic) = outcome.err().or(panic) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.helpers.iter().for_each(Helper::wake);
        self.pool = None;
        join(self.threads.drain(..));
    }
}

/// Threads with the pool that runs in them; no pool where there are none.
type Lent = (Option<rayon::ThreadPool>, Vec<JoinHandle<()>>);

/// A pool of so many threads; or how many of them the system let start, and the error of the one that it refused.
fn lend(count: usize) -> Result<Lent, (usize, Option<io::Error>)> {
    if count == 0 {
        return Ok((None, Vec::new()));
    }
    let (threads, refusal) = (RefCell::new(Vec::with_capacity(count)), RefCell::new(None));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .spawn_handler(|thread| {
            let name = format!("evengrad-{}", thread.index() + 1);
            match thread::Builder::new().name(name).spawn(move || thread.run()) {
                Ok(started) => threads.borrow_mut().push(started),
                Err(error) => {
                    let kind = error.kind();
                    refusal.replace(Some(error));
                    return Err(kind.into());
                }
            }
            Ok(())
        })
        .build();
    let threads = threads.into_inner();
    let Ok(pool) = pool else {
        let granted = threads.len();
        // The system may count them for as long as they are there.
        join(threads);
        return Err((granted.min(count - 1), refusal.into_inner()));
    };
    Ok((Some(pool), threads))
}

/// Waits for threads to end. They have caught the panics of all work, and have none of their own.
fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        let _ = thread.join();
    }
}

impl Helper {
    fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

impl Shared {
    /// A helper's life.
    fn attend(&self, index: usize) {
        let helper = &self.helpers[index];
        helper.thread.get_or_init(thread::current);
        let mut known = 0;
        while let Some(state) = self.next(helper, known) {
            known = state;
            // Of work for fewer workers nothing may be looked at: it may be over by now.
            if (index as u64) + 1 < state & ((1 << WORKER_BITS) - 1) {
                let work = *lock(&self.work);
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    if let Some(Borrowed(work)) = work {
                        // SAFETY: the caller waits for this helper's count, and keeps the work until then.
                        unsafe { (*work)(index + 1) };
                    }
                }));
                if let Err(panic) = outcome {
                    *lock(&self.panic) = Some(panic);
                }
                self.finished.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// Waits for a state other than the known one; `None` where there is no more work.
    fn next(&self, helper: &Helper, known: u64) -> Option<u64> {
        let mut spins = 0;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let state = self.state.load(Ordering::Acquire);
            if state != known {
                return Some(state);
            }
            if spins < AWAKE_SPINS {
                spins += 1;
                std::hint::spin_loop();
                continue;
            }
            helper.asleep.store(true, Ordering::SeqCst);
            if self.state.load(Ordering::SeqCst) == known && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            helper.asleep.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_worker_runs_once_awake_or_asleep_and_for_any_width() {
        let (mut helpers, _) = Helpers::new(3);
        for round in 0..300 {
            let workers = 1 + round % 4;
            let ran: Vec<AtomicU32> = (0..4).map(|_| AtomicU32::new(0)).collect();
            helpers.together(workers, &|worker| {
                ran[worker].fetch_add(1, Ordering::Relaxed);
            });
            for (worker, ran) in ran.iter().enumerate() {
                assert_eq!(
                    ran.load(Ordering::Relaxed),
                    u32::from(worker < workers),
                    "round {round}"
                );
            }
            if round % 60 == 59 {
                // Long enough for all of them to fall asleep.
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    #[test]
    fn a_panic_comes_back_after_all_have_finished_and_the_next_work_runs() {
        let (mut helpers, _) = Helpers::new(2);
        for culprit in 0..3 {
            let finished = AtomicU32::new(0);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                helpers.together(3, &|worker| {
                    assert_ne!(worker, culprit, "on purpose");
                    thread::sleep(Duration::from_millis(2));
                    finished.fetch_add(1, Ordering::Relaxed);
                });
            }));
            assert!(outcome.is_err());
            assert_eq!(finished.load(Ordering::Relaxed), 2);
        }
        let ran = AtomicU32::new(0);
        helpers.together(3, &|_| {
            ran.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ran.load(Ordering::Relaxed), 3);
    }
}
