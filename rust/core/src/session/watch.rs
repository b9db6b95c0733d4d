//! Which steps of a session are watched, and what those have measured.
//!
//! A watched step does what a plain one does and measures it, so that it takes longer, and so does the change to it and
//! back. Left to itself, a session measures what that takes beyond plain steps, and after each watched step has so many
//! plain ones follow that
//!
//! ```text
//! extra ≤ COST · plain · steps from one watched step to the next
//! ```
//!
//! What watching takes besides, such as to capture another step and to judge what was measured, is paid for by twice as
//! many plain steps for as long as that takes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::dtype::DType;
use crate::error::{Result, bail};
use crate::host_access;
use crate::optim::Optimizer;
use crate::team::{self, lock};
use crate::tensor::Tensor;

/// Part of the time of plain steps that watching may take.
const COST: f64 = 0.03;
/// Steps from one watched step to the next before it is known what both take: chosen, a few of the shortest trainings.
const FIRST_EVERY: usize = 32;
/// And at least, so that plain steps are measured again whatever was found of them: chosen.
const LEAST_EVERY: usize = 4;
/// Seconds from one watched step to the next at least: whoever takes in the samples of small steps should take no longer
/// for it than the steps, chosen.
const LEAST_BETWEEN: f64 = 0.5e-3;
/// And steps at most: chosen, so that a long training has some however small its steps.
const MOST_EVERY: usize = 10_000;
/// Part of a longer time of a plain step that its estimate takes over: most of what lengthens some is other processes.
const SLOWLY: f64 = 0.125;
/// Part that the latest watched step has in the estimate of what watching takes: chosen.
const LATEST: f64 = 0.25;

/// What is kept of the steps of a session, by whoever makes them: after each, with nobody at work.
pub struct Notes {
    /// What a watched step writes.
    record: Tensor,
    /// Of one element: what every step writes.
    each: Vec<Tensor>,
    /// Whose rate every step takes.
    optimizer: Option<Optimizer>,
    /// What watched steps add to, which begins each epoch as zeros.
    counts: Vec<Tensor>,
    kept: Mutex<Kept>,
}

/// What was kept since somebody took it.
#[derive(Default)]
struct Kept {
    /// Steps done, and those of them that were watched in the epoch in progress.
    done: usize,
    watched: usize,
    /// Epochs that have ended.
    epochs: usize,
    samples: Samples,
    course: (usize, Vec<f64>),
    counted: Counted,
}

/// The numbers of steps that were watched, and what they have written in the record, one after the other.
pub type Samples = (Vec<i64>, Vec<f64>);

/// Of epochs that had watched steps: their numbers, how many such steps they had, and their counts.
#[derive(Default)]
pub struct Counted {
    /// From 0 on.
    pub epochs: Vec<i64>,
    /// Watched ones.
    pub steps: Vec<i64>,
    /// One after the other.
    pub values: Vec<f64>,
}

impl Notes {
    /// Notes tensors of floating-point numbers without gaps.
    pub fn new(
        record: Tensor,
        each: Vec<Tensor>,
        optimizer: Option<Optimizer>,
        counts: Vec<Tensor>,
    ) -> Result<Self> {
        for tensor in [&record].into_iter().chain(&counts) {
            if tensor.dtype() != DType::F64 || !tensor.layout().is_contiguous() {
                bail!(Type, "watch: expected a float64 record and float64 counts without gaps");
            }
        }
        if each.iter().any(|one| one.count() != 1 || one.dtype().require_float("watch").is_err()) {
            bail!(Type, "watch: expected one floating-point number for every step");
        }
        Ok(Self { record, each, optimizer, counts, kept: Mutex::default() })
    }

    /// Takes in what a step has left.
    pub fn take_in(&self, watched: bool) {
        let _quiet = team::quiet();
        let mut kept = lock(&self.kept);
        let kept = &mut *kept;
        if watched {
            kept.samples.0.push(kept.done as i64);
            kept.watched += 1;
            host_access::with_all(&self.record, |x: &[f64]| kept.samples.1.extend_from_slice(x));
        }
        for one in &self.each {
            kept.course.1.push(match one.dtype() {
                DType::F32 => host_access::with_all(one, |x: &[f32]| f64::from(x[0])),
                _ => host_access::with_all(one, |x: &[f64]| x[0]),
            });
        }
        kept.course.1.extend(self.optimizer.as_ref().map(Optimizer::learning_rate));
        kept.course.1.push(kept.epochs as f64);
        kept.done += 1;
    }

    /// Takes the counts of an epoch that has ended, and begins to count anew.
    pub(super) fn end_epoch(&self) {
        let _quiet = team::quiet();
        let mut kept = lock(&self.kept);
        let (number, watched) = (kept.epochs, std::mem::take(&mut kept.watched));
        kept.epochs += 1;
        if watched == 0 || self.counts.is_empty() {
            return;
        }
        kept.counted.epochs.push(number as i64);
        kept.counted.steps.push(watched as i64);
        for counts in &self.counts {
            // By the host: this thread has the engine, which a kernel would wait for.
            host_access::with_mut(counts, |counts: &mut [f64]| {
                kept.counted.values.extend_from_slice(counts);
                counts.fill(0.0);
            });
        }
    }

    /// The watched steps since the last time, counted from the first step that was noted.
    pub fn take_samples(&self) -> Samples {
        std::mem::take(&mut lock(&self.kept).samples)
    }

    /// The number of the first step since the last time, and of each since then the numbers that every step writes, the
    /// rate, and the number of its epoch.
    pub fn take_course(&self) -> (usize, Vec<f64>) {
        let mut kept = lock(&self.kept);
        let done = kept.done;
        std::mem::replace(&mut kept.course, (done, Vec::new()))
    }

    /// How many numbers are noted of every step.
    pub fn numbers_of_each(&self) -> usize {
        self.each.len() + usize::from(self.optimizer.is_some()) + 1
    }

    /// The epochs that have ended since the last time.
    pub fn take_counted(&self) -> Counted {
        std::mem::take(&mut lock(&self.kept).counted)
    }
}

/// When steps are watched.
pub(super) struct Watch {
    pub(super) notes: Arc<Notes>,
    /// Steps from one watched step to the next; none where that is measured.
    every: Option<usize>,
    /// Plain steps before the next watched one.
    wait: usize,
    /// Seconds that a plain step takes, by the quickest of late, and that a watched one takes beyond.
    plain: Option<f64>,
    extra: Option<f64>,
    /// Seconds of the plain steps since the last watched one, and how many.
    since: (f64, usize),
    /// Seconds that watching has taken besides, for which no plain steps have been made yet.
    owed: f64,
}

impl Watch {
    pub(super) fn new(notes: Notes, every: Option<usize>) -> Result<Self> {
        if every == Some(0) {
            bail!(Value, "watch: expected every to be 1 step or more, got 0");
        }
        let (plain, extra, since) = (None, None, (0.0, 0));
        Ok(Self { notes: Arc::new(notes), every, wait: 0, plain, extra, since, owed: 0.0 })
    }

    /// Takes in that watching has taken so long besides.
    pub(super) fn spend(&mut self, time: Duration) {
        self.owed += time.as_secs_f64();
    }

    /// How many plain steps come before the next watched one.
    pub(super) fn wait(&self) -> usize {
        self.wait
    }

    /// Whether the coming steps are watched, and how many come so.
    pub(super) fn next(&self) -> (bool, usize) {
        match (self.wait, self.every) {
            (0, Some(1)) => (true, usize::MAX),
            (0, _) => (true, 1),
            (wait, _) => (false, wait),
        }
    }

    /// Goes on after a watched step, or plain ones, and the time that they took.
    pub(super) fn ran(&mut self, steps: usize, time: Option<Duration>) {
        if steps == 0 || self.every == Some(1) {
            return;
        }
        if let Some(time) = time {
            self.learn(steps, time.as_secs_f64());
        }
        if self.wait == 0 {
            self.wait = self.every.unwrap_or_else(|| self.affordable());
        }
        self.wait -= steps;
    }

    fn learn(&mut self, steps: usize, seconds: f64) {
        let Some(plain) = self.plain.filter(|_| self.wait == 0) else {
            if self.wait > 0 {
                self.since = (self.since.0 + seconds, self.since.1 + steps);
                let each = seconds / steps as f64;
                self.plain = Some(match self.plain {
                    Some(known) if each > known => known + SLOWLY * (each.min(2.0 * known) - known),
                    _ => each,
                });
            }
            return;
        };
        let (plain_seconds, plain_steps) = std::mem::take(&mut self.since);
        let itself = (seconds - plain).max(0.0);
        // Of many steps others may have held up some: that much is no change between plans.
        let change = (plain_seconds - plain * plain_steps as f64).clamp(0.0, itself);
        let extra = itself + change;
        self.extra = Some(match self.extra {
            // A step that another process held up is no measure.
            Some(known) => known + LATEST * (extra.min(2.0 * known + plain) - known),
            None => extra,
        });
    }

    /// Steps from one watched step to the next that keep the cost.
    fn affordable(&mut self) -> usize {
        let (Some(plain), Some(extra)) = (self.plain, self.extra) else { return FIRST_EVERY };
        let earned = COST * plain;
        // Where plain steps take no time that a clock could tell, the quotients may be no numbers.
        let least = (LEAST_BETWEEN / plain).max(LEAST_EVERY as f64);
        let steps = (extra / earned).ceil().max(least.round()).min(MOST_EVERY as f64);
        let is_owing = self.owed > steps * earned - extra;
        let all = if is_owing { (2.0 * steps).min(MOST_EVERY as f64) } else { steps };
        self.owed = (self.owed - (all * earned - extra)).max(0.0);
        all as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(every: Option<usize>) -> (Tensor, Watch) {
        let record = Tensor::zeros(&[2], DType::F64).expect("small");
        let notes = Notes::new(record.clone(), vec![], None, vec![]).expect("fits");
        (record, Watch::new(notes, every).expect("fits"))
    }

    /// Makes steps, watched or plain as they come.
    fn make(watch: &mut Watch, steps: usize, time: Option<Duration>) {
        let watched = watch.next().0;
        (0..steps).for_each(|_| watch.notes.take_in(watched));
        watch.ran(steps, time);
    }

    /// Makes steps that take so long, watched ones longer, and gives the numbers of those.
    fn run(watch: &mut Watch, steps: usize, plain: f64, watched: f64) -> Vec<i64> {
        let mut left = steps;
        while left > 0 {
            let (is_watched, some) = watch.next();
            let (some, each) = (some.min(left), if is_watched { watched } else { plain });
            make(watch, some, Some(Duration::from_secs_f64(each * some as f64)));
            left -= some;
        }
        watch.notes.take_samples().0
    }

    #[test]
    fn every_so_many_steps() {
        for every in [1, 2, 7] {
            let expected: Vec<i64> = (0_i64..20).step_by(every).collect();
            assert_eq!(run(&mut watch(Some(every)).1, 20, 1e-3, 9.0), expected);
        }
    }

    #[test]
    fn what_the_record_shows_after_a_watched_step() {
        let (record, mut watch) = watch(Some(2));
        for step in 0..4 {
            record.write(&[f64::from(step), 0.5]).expect("fits");
            make(&mut watch, 1, None);
        }
        assert_eq!(watch.notes.take_samples(), (vec![0, 2], vec![0.0, 0.5, 2.0, 0.5]));
        assert_eq!(watch.notes.take_samples(), (vec![], vec![]));
        make(&mut watch, 1, None);
        assert_eq!(watch.notes.take_samples().0, [4]);
    }

    #[test]
    fn numbers_of_every_step_and_counts_of_epochs() {
        let [record, counts] = [1, 2].map(|n| Tensor::zeros(&[n], DType::F64).expect("small"));
        let loss = Tensor::zeros(&[], DType::F32).expect("small");
        let rule = crate::optim::Sgd { learning_rate: 0.25 };
        let optimizer = Optimizer::new(rule).expect("small");
        let each = vec![loss.clone()];
        let notes = Notes::new(record, each, Some(optimizer), vec![counts.clone()]).expect("fits");
        for step in 0_u16..5 {
            loss.write(&[f32::from(step)]).expect("fits");
            counts.write(&[f64::from(step), 1.0]).expect("fits");
            notes.take_in(step == 1);
            if step % 2 == 1 {
                notes.end_epoch();
            }
        }
        assert_eq!(notes.numbers_of_each(), 3);
        let by_step = [(0.0, 0.0), (1.0, 0.0), (2.0, 1.0), (3.0, 1.0), (4.0, 2.0)];
        let by_step = by_step.map(|(loss, epoch)| [loss, 0.25, epoch]).concat();
        assert_eq!(notes.take_course(), (0, by_step));
        assert_eq!(notes.take_course(), (5, vec![]));
        // The second epoch had no watched step, so that nothing was counted.
        let Counted { epochs, steps, values } = notes.take_counted();
        assert_eq!((epochs, steps, values), (vec![0], vec![1], vec![1.0, 1.0]));
        assert!(notes.take_counted().epochs.is_empty());
        assert_eq!(counts.to_vec::<f64>().expect("float64"), [4.0, 1.0]);
        let two = Tensor::zeros(&[2], DType::F32).expect("small");
        let record = Tensor::zeros(&[1], DType::F64).expect("small");
        assert!(Notes::new(record.clone(), vec![two.clone()], None, vec![]).is_err());
        assert!(Notes::new(record, vec![], None, vec![two]).is_err());
    }

    #[test]
    fn as_seldom_as_keeps_the_cost() {
        for (watched, every) in
            [(1.5, 17), (1.01, 5), (0.9, 5), (3.02, 68), (1e9, MOST_EVERY as i64)]
        {
            let steps = run(&mut watch(None).1, 50_000, 1e-4, watched * 1e-4);
            assert_eq!((steps[0], steps[1]), (0, FIRST_EVERY as i64), "{watched}");
            let last = steps[steps.len() - 2..].to_vec();
            assert_eq!(last[1] - last[0], every, "{watched}");
        }
    }

    #[test]
    fn a_step_that_another_process_held_up_changes_little() {
        let (_, mut watch) = watch(None);
        run(&mut watch, 1000, 1e-4, 2e-4);
        while watch.wait() > 0 {
            run(&mut watch, 1, 1e-4, 0.0);
        }
        let held_up = run(&mut watch, 1, 0.0, 1.0)[0];
        let next = run(&mut watch, 100, 1e-4, 2e-4)[0] - held_up;
        assert!((50..=51).contains(&next), "{next}");
        // What has become slower for good is learned.
        let steps = run(&mut watch, 10_000, 1e-4, 4.02e-4);
        assert_eq!(steps[steps.len() - 1] - steps[steps.len() - 2], 101);
    }

    #[test]
    fn plain_steps_that_were_held_up_at_first_are_measured_again() {
        let (_, mut watch) = watch(None);
        run(&mut watch, FIRST_EVERY + 1, 1e-2, 2e-4);
        assert_eq!(watch.wait(), LEAST_EVERY - 1);
        let steps = run(&mut watch, 2000, 1e-4, 2.02e-4);
        assert_eq!(steps[steps.len() - 1] - steps[steps.len() - 2], 34);
    }

    #[test]
    fn what_the_change_to_watched_steps_takes_counts_too() {
        let (_, mut watch) = watch(None);
        let mut steps = vec![];
        for _ in 0..200 {
            make(&mut watch, 1, Some(Duration::from_micros(150)));
            // The first of the plain steps take longer, more than the quickest.
            make(&mut watch, 1, Some(Duration::from_micros(130)));
            let wait = watch.wait();
            make(&mut watch, wait, Some(Duration::from_micros(100 * wait as u64)));
            steps.extend(watch.notes.take_samples().0);
        }
        let last = steps[steps.len() - 1] - steps[steps.len() - 2];
        assert!((24..=28).contains(&last), "{last}");
    }

    #[test]
    fn plain_steps_that_are_held_up_make_nothing_rarer_for_good() {
        let (_, mut watch) = watch(None);
        let mut steps = vec![];
        for turn in 0..100 {
            make(&mut watch, 1, Some(Duration::from_micros(150)));
            // Every other time they take twice as long.
            let wait = watch.wait();
            let time = Duration::from_micros((100 + turn % 2 * 100) * wait as u64);
            make(&mut watch, wait, Some(time));
            steps.extend(watch.notes.take_samples().0);
        }
        assert!(steps[99] - steps[98] <= 34, "{steps:?}");
    }

    #[test]
    fn what_watching_takes_besides_is_paid_for() {
        let (_, mut watch) = watch(None);
        run(&mut watch, 1000, 1e-4, 2e-4);
        watch.spend(Duration::from_millis(1));
        let steps = run(&mut watch, 1000, 1e-4, 2e-4);
        let between: Vec<i64> = steps.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // 34 steps pay for a watched one, and as many more for a tenth of what was spent.
        let paying = between.iter().filter(|&&steps| steps == 68).count();
        assert!((9..=11).contains(&paying), "{between:?}");
        assert_eq!(between[between.len() - 1], 34, "{between:?}");
    }

    #[test]
    fn times_that_say_nothing_are_no_measure() {
        let (_, mut watch) = watch(None);
        let mut steps = vec![];
        for _ in 0..3 * FIRST_EVERY {
            make(&mut watch, 1, None);
            steps.extend(watch.notes.take_samples().0);
        }
        assert_eq!(steps, [0, 32, 64]);
        let notes =
            |dtype| Notes::new(Tensor::zeros(&[1], dtype).expect("small"), vec![], None, vec![]);
        assert!(notes(DType::F32).is_err());
        assert!(Watch::new(notes(DType::F64).expect("fits"), Some(0)).is_err());
    }
}
