//! Which steps of a session are watched, and what those have measured.
//!
//! A watched step does what a plain one does and measures it, so that it takes longer, and so does the change to it and
//! back. Left to itself, a session measures what that takes beyond plain steps, and after each watched step has so many
//! plain ones follow that
//!
//! ```text
//! extra ≤ COST · plain · steps from one watched step to the next
//! ```

use std::time::Duration;

use crate::dtype::DType;
use crate::error::{Result, bail};
use crate::host_access;
use crate::tensor::Tensor;

/// Part of the time of plain steps that watching may take.
const COST: f64 = 0.04;
/// Steps from one watched step to the next before it is known what both take: chosen, a few of the shortest trainings.
const FIRST_EVERY: usize = 32;
/// And at least, so that plain steps are measured again whatever was found of them: chosen.
const LEAST_EVERY: usize = 4;
/// And at most: chosen, so that a long training has some however small its steps.
const MOST_EVERY: usize = 10_000;
/// Part of a longer time of a plain step that its estimate takes over: most of what lengthens some is other processes.
const SLOWLY: f64 = 0.125;
/// Part that the latest watched step has in the estimate of what watching takes: chosen.
const LATEST: f64 = 0.25;

/// When steps are watched, and their samples.
pub(super) struct Watch {
    record: Tensor,
    /// Steps from one watched step to the next; none where that is measured.
    every: Option<usize>,
    /// Plain steps before the next watched one.
    wait: usize,
    /// Seconds that a plain step takes, by the quickest of late, and that a watched one takes beyond.
    plain: Option<f64>,
    extra: Option<f64>,
    /// Seconds of the plain steps since the last watched one, and how many.
    since: (f64, usize),
    /// Steps done.
    done: usize,
    steps: Vec<i64>,
    values: Vec<f64>,
}

impl Watch {
    pub(super) fn new(record: Tensor, every: Option<usize>) -> Result<Self> {
        if record.dtype() != DType::F64 || !record.layout().is_contiguous() {
            bail!(Type, "watch: expected a float64 record without gaps");
        }
        if every == Some(0) {
            bail!(Value, "watch: expected every to be 1 step or more, got 0");
        }
        let (plain, extra, since) = (None, None, (0.0, 0));
        let (steps, values) = (Vec::new(), Vec::new());
        Ok(Self { record, every, wait: 0, plain, extra, since, done: 0, steps, values })
    }

    /// How many plain steps come before the next watched one.
    pub(super) fn wait(&self) -> usize {
        self.wait
    }

    /// Notes a watched step, or plain ones, and the time that they took.
    pub(super) fn ran(&mut self, steps: usize, time: Option<Duration>) {
        if steps == 0 {
            return;
        }
        if let Some(time) = time {
            self.learn(steps, time.as_secs_f64());
        }
        if self.wait == 0 {
            self.steps.push(self.done as i64);
            let values = &mut self.values;
            host_access::with::<f64, _>(&self.record, |record| values.extend(record));
            self.wait = self.every.unwrap_or_else(|| self.affordable());
        }
        self.wait -= steps;
        self.done += steps;
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
    fn affordable(&self) -> usize {
        let (Some(plain), Some(extra)) = (self.plain, self.extra) else { return FIRST_EVERY };
        // Where plain steps take no time that a clock could tell, the quotient may be no number.
        let steps = (extra / (COST * plain)).ceil().max(LEAST_EVERY as f64);
        steps.min(MOST_EVERY as f64) as usize
    }

    pub(super) fn take_samples(&mut self) -> (Vec<i64>, Vec<f64>) {
        (std::mem::take(&mut self.steps), std::mem::take(&mut self.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(every: Option<usize>) -> (Tensor, Watch) {
        let record = Tensor::zeros(&[2], DType::F64).expect("small");
        (record.clone(), Watch::new(record, every).expect("fits"))
    }

    /// Makes steps that take so long, watched ones longer, and gives the numbers of those.
    fn run(watch: &mut Watch, steps: usize, plain: f64, watched: f64) -> Vec<i64> {
        let mut left = steps;
        while left > 0 {
            let (some, each) =
                if watch.wait() == 0 { (1, watched) } else { (watch.wait().min(left), plain) };
            watch.ran(some, Some(Duration::from_secs_f64(each * some as f64)));
            left -= some;
        }
        watch.take_samples().0
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
            watch.ran(1, None);
        }
        assert_eq!(watch.take_samples(), (vec![0, 2], vec![0.0, 0.5, 2.0, 0.5]));
        assert_eq!(watch.take_samples(), (vec![], vec![]));
        watch.ran(1, None);
        assert_eq!(watch.take_samples().0, [4]);
    }

    #[test]
    fn as_seldom_as_keeps_the_cost() {
        for (watched, every) in
            [(1.5, 13), (1.01, 4), (0.9, 4), (3.02, 51), (1e9, MOST_EVERY as i64)]
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
        assert_eq!(run(&mut watch, 100, 1e-4, 2e-4)[0] - held_up, 38);
        // What has become slower for good is learned.
        let steps = run(&mut watch, 10_000, 1e-4, 4.02e-4);
        assert_eq!(steps[steps.len() - 1] - steps[steps.len() - 2], 76);
    }

    #[test]
    fn plain_steps_that_were_held_up_at_first_are_measured_again() {
        let (_, mut watch) = watch(None);
        run(&mut watch, FIRST_EVERY + 1, 1e-2, 2e-4);
        assert_eq!(watch.wait(), LEAST_EVERY - 1);
        let steps = run(&mut watch, 2000, 1e-4, 2.02e-4);
        assert_eq!(steps[steps.len() - 1] - steps[steps.len() - 2], 26);
    }

    #[test]
    fn what_the_change_to_watched_steps_takes_counts_too() {
        let (_, mut watch) = watch(None);
        let mut steps = vec![];
        for _ in 0..200 {
            watch.ran(1, Some(Duration::from_micros(150)));
            // The first of the plain steps take longer, more than the quickest.
            watch.ran(1, Some(Duration::from_micros(130)));
            watch.ran(watch.wait(), Some(Duration::from_micros(100 * watch.wait() as u64)));
            steps.extend(watch.take_samples().0);
        }
        let last = steps[steps.len() - 1] - steps[steps.len() - 2];
        assert!((18..=21).contains(&last), "{last}");
    }

    #[test]
    fn plain_steps_that_are_held_up_make_nothing_rarer_for_good() {
        let (_, mut watch) = watch(None);
        let mut steps = vec![];
        for turn in 0..100 {
            watch.ran(1, Some(Duration::from_micros(150)));
            // Every other time they take twice as long.
            let wait = watch.wait();
            watch.ran(wait, Some(Duration::from_micros((100 + turn % 2 * 100) * wait as u64)));
            steps.extend(watch.take_samples().0);
        }
        assert!(steps[99] - steps[98] <= 26, "{steps:?}");
    }

    #[test]
    fn times_that_say_nothing_are_no_measure() {
        let (_, mut watch) = watch(None);
        let mut steps = vec![];
        for _ in 0..3 * FIRST_EVERY {
            watch.ran(1, None);
            steps.extend(watch.take_samples().0);
        }
        assert_eq!(steps, [0, 32, 64]);
        assert!(Watch::new(Tensor::zeros(&[1], DType::F32).expect("small"), None).is_err());
        assert!(Watch::new(Tensor::zeros(&[1], DType::F64).expect("small"), Some(0)).is_err());
    }
}
