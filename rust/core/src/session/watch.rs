//! Which steps of a session are watched, and what those have measured.
//!
//! A watched step does what a plain one does and measures it, so that it takes longer. Left to itself, a session measures
//! what both take, and after each watched step has so many plain ones follow that
//!
//! ```text
//! watched - plain ≤ COST · plain · steps from one watched step to the next
//! ```

use std::time::Duration;

use crate::dtype::DType;
use crate::error::{Result, bail};
use crate::host_access;
use crate::tensor::Tensor;

/// Part of the time of plain steps that watching may take.
const COST: f64 = 0.04;
/// Steps from one watched step to the next before it is known what both take: chosen, a few of the shortest trainings.
const FIRST_EVERY: usize = 16;
/// Steps from one watched step to the next at most: chosen, so that a long training has some however small its steps.
const MOST_EVERY: usize = 10_000;
/// Part of a longer time that an estimate takes over: most of what lengthens single steps is other processes.
const SLOWLY: f64 = 0.125;

/// When steps are watched, and their samples.
pub(super) struct Watch {
    record: Tensor,
    /// Steps from one watched step to the next; none where that is measured.
    every: Option<usize>,
    /// Plain steps before the next watched one.
    wait: usize,
    plain: StepTime,
    watched: StepTime,
    /// Steps done.
    done: usize,
    steps: Vec<i64>,
    values: Vec<f64>,
}

/// Seconds that a step takes, by the quickest of late.
#[derive(Default)]
struct StepTime(Option<f64>);

impl StepTime {
    fn learn(&mut self, seconds: f64) {
        self.0 = Some(match self.0 {
            Some(known) if seconds > known => known + SLOWLY * (seconds.min(2.0 * known) - known),
            _ => seconds,
        });
    }
}

impl Watch {
    pub(super) fn new(record: Tensor, every: Option<usize>) -> Result<Self> {
        if record.dtype() != DType::F64 || !record.layout().is_contiguous() {
            bail!(Type, "watch: expected a float64 record without gaps");
        }
        if every == Some(0) {
            bail!(Value, "watch: expected every to be 1 step or more, got 0");
        }
        let (plain, watched) = Default::default();
        let (steps, values) = Default::default();
        Ok(Self { record, every, wait: 0, plain, watched, done: 0, steps, values })
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
        let seconds = time.map(|time| time.as_secs_f64() / steps as f64);
        let kind = if self.wait == 0 { &mut self.watched } else { &mut self.plain };
        if let Some(seconds) = seconds {
            kind.learn(seconds);
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

    /// Steps from one watched step to the next that keep the cost.
    fn affordable(&self) -> usize {
        match (self.plain.0, self.watched.0) {
            (Some(plain), Some(watched)) => {
                let steps = (watched - plain) / (COST * plain);
                // Where a plain step took no time that a clock could tell, the quotient is no number.
                if steps.is_nan() {
                    FIRST_EVERY
                } else {
                    steps.ceil().clamp(1.0, MOST_EVERY as f64) as usize
                }
            }
            _ => FIRST_EVERY,
        }
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
            [(1.5, 13), (1.01, 1), (0.9, 1), (3.02, 51), (1e9, MOST_EVERY as i64)]
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
        assert_eq!(run(&mut watch, 100, 1e-4, 2e-4)[0] - held_up, 32);
        // What has become slower for good is learned.
        let steps = run(&mut watch, 10_000, 1e-4, 4.02e-4);
        assert_eq!(steps[steps.len() - 1] - steps[steps.len() - 2], 76);
    }

    #[test]
    fn times_that_say_nothing_are_no_measure() {
        let (_, mut watch) = watch(None);
        let mut steps = vec![];
        for _ in 0..3 * FIRST_EVERY {
            watch.ran(1, None);
            steps.extend(watch.take_samples().0);
        }
        assert_eq!(steps, [0, 16, 32]);
        assert!(Watch::new(Tensor::zeros(&[1], DType::F32).expect("small"), None).is_err());
        assert!(Watch::new(Tensor::zeros(&[1], DType::F64).expect("small"), Some(0)).is_err());
    }
}
