//! Autotuning: the number of threads and the strategy of a step, chosen by measuring while the steps run.
//!
//! Results do not depend on them, so they may change between chunks of steps: a second thread that shares a core, or a
//! core that another process holds, is noticed by its cost.
//!
//! Every choice is tried for a moment, and the best one then runs and is measured on. A trial counts by its quickest
//! chunk, for a thread that lost its processor meanwhile says nothing about the choice; the one that runs counts by all
//! its time, so that a lucky trial is found out after [`COMPARE_EVERY`].
//!
//! A plan that is dropped leaves what it knew to the next plan of such steps: each call of `fit` captures anew, and may
//! be over before all choices were tried.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use super::cost_model::{
    ALL_THREADS_NANOSECONDS, COMPARE_EVERY, HOPELESS, LONGEST_STAY, MOST_THREADS_FIRST_NANOSECONDS,
    ONE_THREAD_NANOSECONDS, REMEMBERED_KINDS, STAY, TRIAL, TRIAL_CHUNK,
};
use super::ir::Choice;
use crate::pool;

/// What tuners that are gone knew, the newest first. Only ever tried, never waited for: a child process that was forked
/// while another thread held it learns anew.
static KNOWN: Mutex<VecDeque<(Kind, Knowledge)>> = Mutex::new(VecDeque::new());

/// Chooses by the time that a step takes with each candidate.
pub(super) struct Autotuner {
    /// Estimated nanoseconds of a step on one thread.
    estimate: f64,
    strategies: usize,
    most: usize,
    /// What is run without measuring.
    fixed: Option<Choice>,
    knowledge: Knowledge,
}

/// What a step is known by: the bits of the estimate, which all launches add to, the strategies and the most threads.
/// Steps that look alike and are not cost a few trials.
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
const ONE_THREAD: Choice = Choice { strategy: 0, threads: 1 };

impl Autotuner {
    pub(super) fn new(estimate: f64, strategies: usize) -> Self {
        Self { estimate, strategies, most: 0, fixed: None, knowledge: Knowledge::new(Vec::new()) }
    }

    /// Has this choice be run from now on.
    pub(super) fn fix(&mut self, choice: Choice) {
        (self.fixed, self.knowledge.winner) = (Some(choice), choice);
    }

    fn kind(&self) -> Kind {
        (self.estimate.to_bits(), self.strategies, self.most)
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
        let mut counts = vec![];
        if self.estimate < ALL_THREADS_NANOSECONDS {
            counts.extend(
                std::iter::successors(Some(1), |threads| Some(2 * threads))
                    .take_while(|threads| *threads < most),
            );
        }
        counts.push(most);
        if self.estimate < ONE_THREAD_NANOSECONDS {
            counts.truncate(1);
        }
        // Most threads are the likely winner of a large step on a quiet machine, but dear where it is not.
        if self.estimate > MOST_THREADS_FIRST_NANOSECONDS {
            counts.reverse();
        }
        // The other strategies are for as many threads as there are.
        let strategies = |threads| 0..if threads == most { self.strategies } else { 1 };
        counts
            .into_iter()
            .flat_map(|threads| {
                strategies(threads).map(move |strategy| Choice { strategy, threads })
            })
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
            return (choice, COMPARE_EVERY);
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
            State::Trying { index, .. } => (known.candidates[index].choice, TRIAL_CHUNK),
            State::Settled { .. } => (known.best(), COMPARE_EVERY),
        }
    }

    /// Takes note of a chunk of steps.
    pub(super) fn learn(&mut self, choice: Choice, steps: usize, elapsed: Duration) {
        self.knowledge.learn(choice, steps, elapsed);
    }
}

impl Drop for Autotuner {
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
        known.truncate(REMEMBERED_KINDS);
    }
}

impl Knowledge {
    /// Nothing yet: the first candidate is to be tried.
    fn new(candidates: Vec<Candidate>) -> Self {
        let state = State::Trying { index: 0, left: TRIAL };
        Self { candidates, state, winner: ONE_THREAD, stay: STAY }
    }

    fn try_out(&mut self, index: usize) {
        self.candidates[index].nanoseconds = f64::INFINITY;
        self.state = State::Trying { index, left: TRIAL };
    }

    fn best(&self) -> Choice {
        let best = self.candidates.iter().min_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds));
        best.map_or(ONE_THREAD, |candidate| candidate.choice)
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
                let counted = if steps == 1 { elapsed } else { elapsed.min(TRIAL_CHUNK) };
                *left = left.saturating_sub(counted);
                // Not before a chunk's time: the first of single steps may have had to wake a thread.
                let hopeless = candidate.nanoseconds > bar && *left + TRIAL_CHUNK <= TRIAL;
                if left.is_zero() || hopeless {
                    self.go_on(index + 1);
                }
            }
            State::Settled { since, steps: ran, looked } => {
                *since += elapsed;
                *looked += elapsed;
                *ran += steps;
                if *looked >= COMPARE_EVERY {
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

    /// A tuner for a step that takes about so long. Each is of a kind of its own, so that tests learn nothing of each
    /// other.
    fn tuner(nanoseconds: f64) -> Autotuner {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        Autotuner::new(nanoseconds + MADE.fetch_add(1, Ordering::Relaxed) as f64, 1)
    }

    /// Runs for so long; a step takes what `cost` says for the threads. Gives the share of the time on each number.
    fn run(tuner: &mut Autotuner, total: Duration, cost: impl Fn(usize) -> Duration) -> [f64; 3] {
        let (mut time, mut on) = (Duration::ZERO, [Duration::ZERO; 3]);
        while time < total {
            let (choice, chunk) = tuner.next(2);
            let step = cost(choice.threads);
            let steps = chunk.as_nanos().div_ceil(step.as_nanos()) as usize;
            let elapsed = step * steps as u32;
            tuner.learn(choice, steps, elapsed);
            time += elapsed;
            on[choice.threads] += elapsed;
        }
        on.map(|on| on.as_secs_f64() / time.as_secs_f64())
    }

    fn micros(one: u64, two: u64) -> impl Fn(usize) -> Duration {
        move |threads| Duration::from_micros(if threads == 2 { two } else { one })
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_faster_number_of_threads_gets_the_time() {
        let mut tuner = self::tuner(9e5);
        assert!(run(&mut tuner, SECOND, micros(50, 90))[1] > 0.97);
        assert_eq!(tuner.winner().threads, 1);
        let mut tuner = self::tuner(9e5);
        assert!(run(&mut tuner, SECOND, micros(90, 50))[2] > 0.97);
        assert_eq!(tuner.winner().threads, 2);
    }

    #[test]
    fn a_thread_that_must_be_woken_for_the_first_of_single_steps_is_not_given_up_for_it() {
        let mut tuner = self::tuner(12e3);
        let (mut on, mut asleep) = ([Duration::ZERO; 3], true);
        while on[1] + on[2] < SECOND {
            let threads = tuner.next(2).0.threads;
            let step = match (threads, asleep) {
                (2, true) => 45,
                (2, false) => 8,
                _ => 12,
            };
            asleep = threads == 1;
            tuner.learn(Choice { strategy: 0, threads }, 1, Duration::from_micros(step));
            on[threads] += Duration::from_micros(step);
        }
        assert!(on[2] > SECOND * 9 / 10, "{on:?}");
    }

    #[test]
    fn long_steps_take_all_threads() {
        let mut tuner = self::tuner(1e9);
        assert_eq!(tuner.next(3).0.threads, 3);
        assert_eq!(tuner.next(1).0.threads, 1);
        let mut tuner = self::tuner(2e7);
        assert!(run(&mut tuner, 4 * SECOND, micros(20_000, 12_000))[2] > 0.9);
    }

    #[test]
    fn a_small_step_stays_on_one_thread() {
        let mut tuner = self::tuner(1e3);
        assert_eq!(tuner.next(8).0.threads, 1);
    }

    #[test]
    fn threads_that_have_become_slow_are_given_up_at_once_and_found_again_later() {
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
                Duration::from_micros(lost + if choice.threads == 1 { 300 } else { 500 }),
            );
        }
        assert_eq!(tuner.winner().threads, 1);
    }

    #[test]
    fn a_hopeless_choice_is_not_tried_twice() {
        let mut tuner = self::tuner(1e5);
        for _ in 0..7 {
            assert_eq!(tuner.next(2).0.threads, 1);
            tuner.learn(ONE_THREAD, 10, Duration::from_micros(300));
        }
        assert_eq!(tuner.next(2).0.threads, 2);
        tuner.learn(Choice { strategy: 0, threads: 2 }, 10, Duration::from_micros(700));
        assert_eq!(tuner.next(2).0.threads, 1);
    }

    #[test]
    fn short_runs_go_on_where_the_one_before_them_ended() {
        let estimate = tuner(9e5).estimate;
        let mut counts = vec![];
        for _ in 0..5 {
            let mut tuner = Autotuner::new(estimate, 1);
            counts.push(tuner.next(2).0.threads);
            run(&mut tuner, Duration::from_millis(2), micros(90, 50));
        }
        // Both were tried by then, and the better one runs from the start.
        assert_eq!(counts[0], 1);
        assert_eq!(counts[4], 2);
        let mut other = tuner(9e5);
        assert_eq!(other.next(2).0.threads, 1);
        // With another number of threads, what was learned of two says nothing.
        let mut tuner = Autotuner::new(estimate, 1);
        assert_eq!(tuner.next(4).0.threads, 1);
        assert_eq!(tuner.next(2).0.threads, 2);

        // The latest kinds are kept: this one goes as the last of many follows.
        drop(tuner);
        let kinds = (0..REMEMBERED_KINDS).map(|i| (i as u64, 7, 7));
        kinds.clone().for_each(|kind| remember(kind, Knowledge::new(Vec::new())));
        assert_eq!(Autotuner::new(estimate, 1).next(2).0.threads, 1);
        assert!(recall((REMEMBERED_KINDS as u64 - 1, 7, 7)).is_some());
    }
}
