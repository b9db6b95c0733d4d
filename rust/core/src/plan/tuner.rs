//! The number of workers and the way they share a step, chosen by measuring while the steps run.
//!
//! Results do not depend on them, so they may change between chunks of steps: a second thread that shares a core, or a
//! core that another process holds, is noticed by its cost.
//!
//! Every choice is tried for a moment, and the best one then runs and is measured on. A trial counts by its quickest
//! chunk, for a thread that lost its processor meanwhile says nothing about the choice; the one that runs counts by all
//! its time, so that a lucky trial is found out after [`LOOK`].
//!
//! A plan that is dropped leaves what it knew to the next plan of such steps: each call of `fit` captures anew, and may be
//! over before all choices were tried.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use crate::pool;

/// Below this a step is not worth a second thread: barriers cost some hundred nanoseconds each.
pub(super) const ALONE_NANOSECONDS: f64 = 5_000.0;
/// Above this a phase lasts longer than a process that takes a core keeps it, and waiting for one another costs nothing:
/// more threads are never slower.
const TOGETHER_NANOSECONDS: f64 = 50e6;
/// Above this the widest is tried first, below it last: a short run is over before threads have come together.
const WIDEST_FIRST_NANOSECONDS: f64 = 1e6;
/// A trial takes so long, in chunks of at most so much, and ends early with a choice that takes so many times as long as
/// another.
const TRIAL: Duration = Duration::from_micros(2100);
const CHUNK: Duration = Duration::from_micros(700);
const HOPELESS: f64 = 2.0;
/// How long the best choice runs before it is compared with what the others reached.
const LOOK: Duration = Duration::from_millis(20);
/// How long the others are not tried again: twice as long after each time that the same one won, up to the most.
const STAY: Duration = Duration::from_millis(200);
const LONGEST_STAY: Duration = Duration::from_millis(1600);

/// How many kinds of steps are remembered.
const REMEMBERED: usize = 32;

/// What tuners that are gone knew, the newest first. Only ever tried, never waited for: a child process that was forked
/// while another thread held it learns anew.
static KNOWN: Mutex<VecDeque<(Kind, Knowledge)>> = Mutex::new(VecDeque::new());

/// How a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// Which of the plan's ways; the first is that of fewer workers than there may be.
    pub(super) way: usize,
    /// How many workers.
    pub(super) width: usize,
}

/// Chooses by the time that a step takes with each candidate.
pub(super) struct Tuner {
    /// Estimated nanoseconds of a step on one thread.
    estimate: f64,
    ways: usize,
    most: usize,
    /// What is run without measuring.
    fixed: Option<Choice>,
    knowledge: Knowledge,
}

/// What tells steps apart: the bits of the estimate, which all launches add to, the ways and the most threads. Steps that
/// look alike and are not cost a few trials.
type Kind = (u64, usize, usize);

/// What has been measured so far, and what is to be measured next.
struct Knowledge {
    candidates: Vec<Candidate>,
    state: State,
    /// The winner of the last trials and how long it may stay.
    winner: Choice,
    stay: Duration,
}

struct Candidate {
    choice: Choice,
    nanoseconds: f64,
}

#[derive(Clone, Copy)]
enum State {
    /// This candidate is on trial for so long yet.
    Trying { index: usize, left: Duration },
    /// The best one runs: since the trials, and since the last comparison.
    Settled { since: Duration, steps: usize, looked: Duration },
}

const SETTLED: State = State::Settled { since: Duration::ZERO, steps: 0, looked: Duration::ZERO };
const ALONE: Choice = Choice { way: 0, width: 1 };

impl Tuner {
    pub(super) fn new(estimate: f64, ways: usize) -> Self {
        Self { estimate, ways, most: 0, fixed: None, knowledge: Knowledge::new(Vec::new()) }
    }

    /// Has this choice be run from now on.
    pub(super) fn fix(&mut self, choice: Choice) {
        (self.fixed, self.knowledge.winner) = (Some(choice), choice);
    }

    fn kind(&self) -> Kind {
        (self.estimate.to_bits(), self.ways, self.most)
    }

    /// Begins with so many threads: with what is known of such steps, or with the first trial.
    fn reset(&mut self, most: usize) {
        self.leave();
        self.most = most;
        self.knowledge = recall(self.kind()).unwrap_or_else(|| Knowledge::new(self.candidates()));
    }

    /// Leaves what is known to the next tuner of such steps.
    fn leave(&mut self) {
        let kind = self.kind();
        let knowledge = std::mem::replace(&mut self.knowledge, Knowledge::new(Vec::new()));
        if self.fixed.is_none() && knowledge.candidates.len() > 1 {
            remember(kind, knowledge);
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        let most = self.most;
        let mut widths = vec![];
        if self.estimate < TOGETHER_NANOSECONDS {
            widths.extend(
                std::iter::successors(Some(1), |width| Some(2 * width))
                    .take_while(|width| *width < most),
            );
        }
        widths.push(most);
        if self.estimate < ALONE_NANOSECONDS {
            widths.truncate(1);
        }
        // The widest is the likely winner of a large step on a quiet machine, but dear where it is not.
        if self.estimate > WIDEST_FIRST_NANOSECONDS {
            widths.reverse();
        }
        // The other ways are for as many threads as there are.
        let ways = |width| 0..if width == most { self.ways } else { 1 };
        widths
            .into_iter()
            .flat_map(|width| ways(width).map(move |way| Choice { way, width }))
            .map(|choice| Candidate { choice, nanoseconds: f64::INFINITY })
            .collect()
    }

    /// What won the last trials.
    pub(super) fn winner(&self) -> Choice {
        self.knowledge.winner
    }

    /// What to run next and for how long.
    pub(super) fn next(&mut self, most: usize) -> (Choice, Duration) {
        if let Some(choice) = self.fixed {
            return (choice, LOOK);
        }
        if self.most != most || self.knowledge.candidates.is_empty() {
            self.reset(most);
        }
        let known = &mut self.knowledge;
        if let [only] = &known.candidates[..] {
            known.winner = only.choice;
            return (known.winner, Duration::MAX / 4);
        }
        match known.state {
            State::Trying { index, .. } => (known.candidates[index].choice, CHUNK),
            State::Settled { .. } => (known.best(), LOOK),
        }
    }

    /// Takes note of a chunk of steps.
    pub(super) fn learn(&mut self, choice: Choice, steps: usize, elapsed: Duration) {
        self.knowledge.learn(choice, steps, elapsed);
    }
}

impl Drop for Tuner {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Takes what is known of such steps.
fn recall(kind: Kind) -> Option<Knowledge> {
    let mut known = pool::try_often(&KNOWN, pool::TRIES)?;
    let place = known.iter().position(|(other, _)| *other == kind)?;
    known.remove(place).map(|(_, knowledge)| knowledge)
}

fn remember(kind: Kind, knowledge: Knowledge) {
    if let Some(mut known) = pool::try_often(&KNOWN, pool::TRIES) {
        // Two plans of one kind may have run side by side.
        known.retain(|(other, _)| *other != kind);
        known.push_front((kind, knowledge));
        known.truncate(REMEMBERED);
    }
}

impl Knowledge {
    /// Nothing yet: the first candidate is to be tried.
    fn new(candidates: Vec<Candidate>) -> Self {
        let state = State::Trying { index: 0, left: TRIAL };
        Self { candidates, state, winner: ALONE, stay: STAY }
    }

    fn try_out(&mut self, index: usize) {
        self.candidates[index].nanoseconds = f64::INFINITY;
        self.state = State::Trying { index, left: TRIAL };
    }

    fn best(&self) -> Choice {
        let best = self.candidates.iter().min_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds));
        best.map_or(ALONE, |candidate| candidate.choice)
    }

    fn learn(&mut self, choice: Choice, steps: usize, elapsed: Duration) {
        let others = self.candidates.iter().filter(|other| other.choice != choice);
        let bar = others.map(|other| other.nanoseconds).fold(f64::INFINITY, f64::min) * HOPELESS;
        let known = self.candidates.iter_mut().find(|known| known.choice == choice);
        let Some(candidate) = known.filter(|_| steps > 0) else { return };
        let nanoseconds = |elapsed: Duration, steps| elapsed.as_nanos() as f64 / steps as f64;
        match &mut self.state {
            State::Trying { index, left } => {
                let index = *index;
                candidate.nanoseconds = candidate.nanoseconds.min(nanoseconds(elapsed, steps));
                // What a chunk took beyond its length was lost to an interruption, unless it was a single step.
                let counted = if steps == 1 { elapsed } else { elapsed.min(CHUNK) };
                *left = left.saturating_sub(counted);
                // Not before a chunk's time: the first of single steps may have had to wake a thread.
                let hopeless = candidate.nanoseconds > bar && *left + CHUNK <= TRIAL;
                if left.is_zero() || hopeless {
                    self.go_on(index + 1);
                }
            }
            State::Settled { since, steps: ran, looked } => {
                *since += elapsed;
                *looked += elapsed;
                *ran += steps;
                if *looked >= LOOK {
                    candidate.nanoseconds = nanoseconds(*looked, *ran);
                    (*ran, *looked) = (0, Duration::ZERO);
                }
                if *since >= self.stay {
                    self.try_out(0);
                }
            }
        }
    }

    /// Tries the next candidate, or settles on the best after the last.
    fn go_on(&mut self, next: usize) {
        if next < self.candidates.len() {
            self.try_out(next);
            return;
        }
        self.state = SETTLED;
        let best = self.best();
        self.stay = if best == self.winner { (2 * self.stay).min(LONGEST_STAY) } else { STAY };
        self.winner = best;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A tuner for a step that takes about so long. Each is of a kind of its own, so that tests tell each other nothing.
    fn tuner(nanoseconds: f64) -> Tuner {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        Tuner::new(nanoseconds + MADE.fetch_add(1, Ordering::Relaxed) as f64, 1)
    }

    /// Runs for so long; a step takes what `cost` says for the width. Gives the share of the time on each width.
    fn run(tuner: &mut Tuner, total: Duration, cost: impl Fn(usize) -> Duration) -> [f64; 3] {
        let (mut time, mut on) = (Duration::ZERO, [Duration::ZERO; 3]);
        while time < total {
            let (choice, chunk) = tuner.next(2);
            let step = cost(choice.width);
            let steps = chunk.as_nanos().div_ceil(step.as_nanos()) as usize;
            let elapsed = step * steps as u32;
            tuner.learn(choice, steps, elapsed);
            time += elapsed;
            on[choice.width] += elapsed;
        }
        on.map(|on| on.as_secs_f64() / time.as_secs_f64())
    }

    fn micros(one: u64, two: u64) -> impl Fn(usize) -> Duration {
        move |width| Duration::from_micros(if width == 2 { two } else { one })
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_faster_width_gets_the_time() {
        let mut tuner = self::tuner(9e5);
        assert!(run(&mut tuner, SECOND, micros(50, 90))[1] > 0.97);
        assert_eq!(tuner.winner().width, 1);
        let mut tuner = self::tuner(9e5);
        assert!(run(&mut tuner, SECOND, micros(90, 50))[2] > 0.97);
        assert_eq!(tuner.winner().width, 2);
    }

    #[test]
    fn a_thread_that_must_be_woken_for_the_first_of_single_steps_is_not_given_up_for_it() {
        let mut tuner = self::tuner(12e3);
        let (mut on, mut asleep) = ([Duration::ZERO; 3], true);
        while on[1] + on[2] < SECOND {
            let width = tuner.next(2).0.width;
            let step = match (width, asleep) {
                (2, true) => 45,
                (2, false) => 8,
                _ => 12,
            };
            asleep = width == 1;
            tuner.learn(Choice { way: 0, width }, 1, Duration::from_micros(step));
            on[width] += Duration::from_micros(step);
        }
        assert!(on[2] > SECOND * 9 / 10, "{on:?}");
    }

    #[test]
    fn long_steps_take_all_threads() {
        let mut tuner = self::tuner(1e9);
        assert_eq!(tuner.next(3).0.width, 3);
        assert_eq!(tuner.next(1).0.width, 1);
        let mut tuner = self::tuner(2e7);
        assert!(run(&mut tuner, 4 * SECOND, micros(20_000, 12_000))[2] > 0.9);
    }

    #[test]
    fn a_small_step_stays_on_one_thread() {
        let mut tuner = self::tuner(1e3);
        assert_eq!(tuner.next(8).0.width, 1);
    }

    #[test]
    fn a_width_that_has_become_slow_is_given_up_at_once_and_found_again_later() {
        let mut tuner = self::tuner(9e5);
        run(&mut tuner, SECOND, micros(90, 50));
        // Another process has taken a core.
        assert!(run(&mut tuner, SECOND, micros(90, 400))[1] > 0.9);
        // It has ended.
        assert!(run(&mut tuner, 4 * SECOND, micros(90, 50))[2] > 0.5);
    }

    #[test]
    fn a_trial_is_not_lost_to_one_interruption() {
        let mut tuner = self::tuner(1e5);
        for chunk in 0..8 {
            let (choice, _) = tuner.next(2);
            let lost = if chunk == 1 { 4000 } else { 0 };
            tuner.learn(
                choice,
                10,
                Duration::from_micros(lost + if choice.width == 1 { 300 } else { 500 }),
            );
        }
        assert_eq!(tuner.winner().width, 1);
    }

    #[test]
    fn a_hopeless_width_is_not_tried_twice() {
        let mut tuner = self::tuner(1e5);
        for _ in 0..7 {
            assert_eq!(tuner.next(2).0.width, 1);
            tuner.learn(ALONE, 10, Duration::from_micros(300));
        }
        assert_eq!(tuner.next(2).0.width, 2);
        tuner.learn(Choice { way: 0, width: 2 }, 10, Duration::from_micros(700));
        assert_eq!(tuner.next(2).0.width, 1);
    }

    #[test]
    fn short_runs_go_on_where_the_one_before_them_ended() {
        let estimate = tuner(9e5).estimate;
        let mut widths = vec![];
        for _ in 0..5 {
            let mut tuner = Tuner::new(estimate, 1);
            widths.push(tuner.next(2).0.width);
            run(&mut tuner, Duration::from_millis(2), micros(90, 50));
        }
        // Both were tried by then, and the better one runs from the start.
        assert_eq!(widths[0], 1);
        assert_eq!(widths[4], 2);
        let mut other = tuner(9e5);
        assert_eq!(other.next(2).0.width, 1);
        // With another number of threads, what was learned of two says nothing.
        let mut tuner = Tuner::new(estimate, 1);
        assert_eq!(tuner.next(4).0.width, 1);
        assert_eq!(tuner.next(2).0.width, 2);

        // The latest kinds are kept: this one goes as the last of many follows.
        drop(tuner);
        let kinds = (0..REMEMBERED).map(|i| (i as u64, 7, 7));
        kinds.clone().for_each(|kind| remember(kind, Knowledge::new(Vec::new())));
        assert_eq!(Tuner::new(estimate, 1).next(2).0.width, 1);
        assert!(recall((REMEMBERED as u64 - 1, 7, 7)).is_some());
    }
}
