//! Several sessions side by side, each on one thread at a time: workers take the next one from a queue, and none of them
//! waits for another within a step.
//!
//! A turn ends when its time is over; or as soon as a worker finds nothing to take while a session waits for the host:
//! the others pause at a whole step and go on in the next turn. So no worker idles while there is something to do, and
//! sessions with the longest way to go come first in each turn.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::{Next, Session, Until};
use crate::error::{Error, Result, bail};
use crate::plan::Plan;
use crate::team::{self, lock};

/// One of several sessions, with the plans of its kinds of steps as far as those are captured.
pub struct Job<'a> {
    /// Decides what comes next.
    pub session: &'a mut Session,
    /// Of each kind of step.
    pub plain: Vec<Option<&'a mut Plan>>,
    /// Of each kind where it is watched; nothing where no other steps stand beside the plain ones.
    pub watched: Vec<Option<&'a mut Plan>>,
}

/// How a session came out of a turn.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// It goes on in the next turn.
    Paused,
    /// Another thread has access to what its steps change.
    Barred,
    /// The host has to do this.
    Host(Next),
    /// A step, or what comes between steps, has failed.
    Failed(Error),
}

impl Job<'_> {
    fn plan(&mut self, kind: usize, watched: bool) -> Option<&mut Plan> {
        let plans =
            if watched && !self.watched.is_empty() { &mut self.watched } else { &mut self.plain };
        plans.get_mut(kind)?.as_deref_mut()
    }

    fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plain.iter().chain(&self.watched).filter_map(Option::as_deref)
    }

    /// Nanoseconds of the way to go, by estimate.
    fn expected(&self) -> f64 {
        let step = self.plans().next().map_or(0.0, Plan::estimate);
        step * self.session.most_steps() as f64
    }

    /// Makes steps until the host is needed or the turn is over.
    fn advance(&mut self, turn: &Turn, thread: usize) -> Result<Outcome> {
        let mut before = Instant::now();
        loop {
            let next = self.session.decide()?;
            let Next::Run { kind, steps, watched } = next else { return Ok(Outcome::Host(next)) };
            let notes = self.session.notes().cloned();
            let until = match self.session.until {
                Until::Seconds(..) => turn.until.min(self.session.deadline),
                _ => turn.until,
            };
            let Some(plan) = self.plan(kind, watched) else { return Ok(Outcome::Host(next)) };
            let after = || {
                if let Some(notes) = &notes {
                    notes.take_in(watched);
                }
            };
            let done = plan.replay_here(steps, (until, &turn.stop), thread, &after)?;
            let now = Instant::now();
            self.session.ran(done, Some(now - before));
            before = now;
            if turn.is_over(now) {
                self.session.end_if_done()?;
                return Ok(Outcome::Paused);
            }
        }
    }
}

/// What the workers of a turn share.
struct Turn {
    until: Instant,
    /// The place in the queue that is taken next.
    next: AtomicUsize,
    stop: AtomicBool,
    /// Whether a session waits for the host.
    waits: AtomicBool,
}

impl Turn {
    fn is_over(&self, now: Instant) -> bool {
        self.stop.load(Ordering::Relaxed) || now >= self.until
    }

    /// One worker's part: sessions from the queue, one after the other.
    fn work(&self, thread: usize, queue: &[Mutex<(&mut Job<'_>, &mut Outcome)>]) {
        let _held = team::mark_held();
        while !self.is_over(Instant::now()) {
            let Some(entry) = queue.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                if self.waits.load(Ordering::Relaxed) {
                    self.stop.store(true, Ordering::Relaxed);
                }
                return;
            };
            // Nobody else takes it.
            let (job, outcome) = &mut *lock(entry);
            **outcome = job.advance(self, thread).unwrap_or_else(Outcome::Failed);
            if **outcome != Outcome::Paused {
                self.waits.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Runs sessions for a turn, each on one thread at a time, on at most so many at once; tells how each came out of it.
///
/// Sessions that have begun to run go on until the host is needed. The bits are those of each session by itself.
///
/// # Errors
/// If the steps of one session change what those of another one touch.
pub fn run_side_by_side(
    jobs: &mut [Job<'_>],
    threads: usize,
    turn: Duration,
) -> Result<Vec<Outcome>> {
    check_apart(jobs)?;
    let mut outcomes: Vec<Outcome> = jobs.iter().map(|_| Outcome::Paused).collect();
    let mut engine = team::engine();
    let mut queue = Vec::with_capacity(jobs.len());
    for (job, outcome) in jobs.iter_mut().zip(&mut outcomes) {
        // What this thread is granted holds for those that work for it.
        if job.plans().any(Plan::is_barred) {
            *outcome = Outcome::Barred;
        } else {
            queue.push((job.expected(), Mutex::new((job, outcome))));
        }
    }
    queue.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let queue: Vec<_> = queue.into_iter().map(|(_, entry)| entry).collect();
    let workers = engine.staff(threads.min(queue.len()).max(1));
    let turn = Turn {
        until: Instant::now() + turn,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        waits: AtomicBool::new(false),
    };
    engine.together(workers, &|thread| turn.work(thread, &queue))?;
    drop(queue);
    Ok(outcomes)
}

/// Raises an error where the steps of one session change what those of another one touch.
fn check_apart(jobs: &[Job<'_>]) -> Result<()> {
    let mut writers: FxHashMap<usize, usize> = FxHashMap::default();
    let plans = || {
        jobs.iter().enumerate().flat_map(|(at, job)| job.plans().map(move |plan| (at, plan.keys())))
    };
    let written = plans().flat_map(|(at, (_, written))| written.iter().map(move |key| (key, at)));
    let is_shared = written.fold(false, |found, (key, at)| {
        writers.insert(key, at).is_some_and(|other| other != at) || found
    });
    let mut read = plans().flat_map(|(at, (read, _))| read.iter().map(move |key| (key, at)));
    if is_shared || read.any(|(key, at)| writers.get(&key).is_some_and(|&other| other != at)) {
        bail!(
            State,
            "side by side: the steps of one session change what those of another one touch"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::feed::Feed;
    use crate::{Tensor, capture};

    /// A session that adds up the numbers of so many rows, two at a time, and has made its first step.
    fn begun(rows: usize, sum: &Tensor) -> Result<(Session, Plan)> {
        let numbers: Vec<f64> = (0..rows).map(|row| row as f64).collect();
        let (feed, numbers) = (Feed::new(2)?, Tensor::from_slice(&numbers, &[rows, 1])?);
        let sums = vec![sum.clone()];
        let mut session = Session::over_rows(rows, None, vec![feed.clone()], sums, rows)?;
        session.start(Until::Epochs(3));
        assert!(matches!(session.decide()?, Next::Run { kind: 0, watched: false, .. }));
        capture::begin()?;
        feed.next_batch()?;
        sum.accumulate(&numbers.take_rows(feed.indices())?.sum(&[], false)?, 1.0)?;
        let plan = Plan::new(capture::end().expect("open"))?;
        session.ran(1, None);
        Ok((session, plan))
    }

    fn sums(count: usize) -> Result<Vec<Tensor>> {
        (0..count).map(|_| Tensor::zeros(&[], DType::F64)).collect()
    }

    fn job((session, plan): &mut (Session, Plan)) -> Job<'_> {
        Job { session, plain: vec![Some(plan)], watched: vec![] }
    }

    #[test]
    fn each_session_runs_as_by_itself_on_any_number_of_threads() -> Result<()> {
        for threads in [1, 2, 3, 7] {
            let sums = sums(4)?;
            let rows = [4, 60, 8, 2];
            let begun = rows.iter().zip(&sums).map(|(&rows, sum)| begun(rows, sum));
            let mut begun = begun.collect::<Result<Vec<_>>>()?;
            let mut turns = 0;
            loop {
                let mut jobs: Vec<Job<'_>> = begun.iter_mut().map(job).collect();
                let outcomes = run_side_by_side(&mut jobs, threads, Duration::from_micros(5))?;
                turns += 1;
                if outcomes.iter().all(|outcome| *outcome == Outcome::Host(Next::Reached)) {
                    break;
                }
                assert!(turns < 10_000, "{outcomes:?}");
            }
            for ((session, _), rows) in begun.iter().zip(rows) {
                let sum = (rows * (rows - 1) / 2) as f64;
                assert_eq!(session.finished(), [sum; 3], "{threads} threads");
            }
        }
        Ok(())
    }

    #[test]
    fn a_session_that_needs_the_host_says_so() -> Result<()> {
        let sums = sums(2)?;
        let (mut one, mut other) = (begun(4, &sums[0])?, begun(4, &sums[1])?);
        let mut jobs = [job(&mut one), job(&mut other)];
        jobs[1].plain[0] = None;
        let outcomes = run_side_by_side(&mut jobs, 1, Duration::from_mins(10))?;
        assert_eq!(outcomes[1], Outcome::Host(Next::Run { kind: 0, steps: 1, watched: false }));
        Ok(())
    }

    #[test]
    fn sessions_that_change_the_same_are_refused() -> Result<()> {
        let sums = sums(1)?;
        let (mut one, mut other) = (begun(4, &sums[0])?, begun(4, &sums[0])?);
        let mut jobs = [job(&mut one), job(&mut other)];
        let refused = run_side_by_side(&mut jobs, 2, Duration::ZERO);
        assert!(matches!(refused, Err(Error::State(_))));
        Ok(())
    }
}
