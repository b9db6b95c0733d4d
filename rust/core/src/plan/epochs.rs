//! Epochs one after the other, while nobody wants to hear of each: the order of the rows, the batches, and what an epoch
//! has summed up.
//!
//! The steps of an epoch over a small table take some hundred microseconds, and a look around in the host's language a
//! tenth of that.

use std::time::{Duration, Instant};

use crate::dtype::DType;
use crate::error::{Result, bail};
use crate::feed::Feed;
use crate::generator::Generator;
use crate::tensor::Tensor;

/// Epochs over so many rows, each visited in batches of one size after another.
pub struct Epochs {
    rows: usize,
    /// Draws the order of each epoch; without it, rows come as they lie.
    shuffle: Option<Generator>,
    feeds: Vec<Feed>,
    sums: Vec<Tensor>,
    /// Epochs that have not begun.
    waiting: usize,
    /// Which feed is being visited; none between epochs.
    visited: Option<usize>,
    finished: Vec<f64>,
}

impl Epochs {
    /// Each feed takes as many whole batches as are left by those before it, and nothing may be left in the end. `sums`
    /// are `float64` tensors that begin each epoch as zeros.
    pub fn new(
        rows: usize,
        shuffle: Option<Generator>,
        feeds: Vec<Feed>,
        sums: Vec<Tensor>,
    ) -> Result<Self> {
        let left = feeds.iter().fold(rows, |left, feed| left % feed.batch_size());
        if left > 0 || feeds.is_empty() {
            bail!(Value, "epochs: {left} of {rows} rows are in no batch");
        }
        if sums.iter().any(|sum| sum.dtype() != DType::F64 || !sum.layout().is_contiguous()) {
            bail!(Type, "epochs: expected float64 sums without gaps");
        }
        let (waiting, visited, finished) = (0, None, Vec::new());
        Ok(Self { rows, shuffle, feeds, sums, waiting, visited, finished })
    }

    /// Has so many epochs be run from now on; others, left or finished, are forgotten.
    pub fn queue(&mut self, epochs: usize) {
        (self.waiting, self.visited) = (epochs, None);
        self.finished.clear();
    }

    /// The sums of each epoch that has ended since the last [`Epochs::queue`], one after the other.
    pub fn finished(&self) -> &[f64] {
        &self.finished
    }

    /// Runs what is queued, for about as long as `limit`; false where nothing is left.
    ///
    /// `replay(i, steps, limit)` makes up to so many steps with the batches of feed i and tells how many.
    pub fn run(
        &mut self,
        limit: Duration,
        mut replay: impl FnMut(usize, usize, Duration) -> Result<usize>,
    ) -> Result<bool> {
        let start = Instant::now();
        let mut any = false;
        loop {
            let Some(visited) = self.visited else {
                if self.waiting == 0 {
                    return Ok(false);
                }
                self.begin()?;
                continue;
            };
            let left = self.feeds[visited].remaining();
            if left > 0 {
                // Only here: an epoch whose steps are done has ended.
                if any && start.elapsed() >= limit {
                    return Ok(true);
                }
                replay(visited, left, limit.saturating_sub(start.elapsed()))?;
                any = true;
            } else if visited + 1 < self.feeds.len() {
                self.visited = Some(visited + 1);
            } else {
                self.end()?;
            }
        }
    }

    fn begin(&mut self) -> Result<()> {
        for sum in &self.sums {
            sum.fill(0.0)?;
        }
        let order = match &self.shuffle {
            Some(generator) => generator.permutation(self.rows)?,
            None => (0..self.rows as i64).collect(),
        };
        let mut from = 0;
        for feed in &self.feeds {
            let batch = feed.batch_size();
            let count = (self.rows - from) / batch * batch;
            feed.load(order[from..from + count].to_vec())?;
            from += count;
        }
        self.waiting -= 1;
        self.visited = Some(0);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        for sum in &self.sums {
            self.finished.extend(sum.to_vec::<f64>()?);
        }
        self.visited = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs over five rows in batches of two and one, which note the batches and add the number of rows up.
    fn run(
        shuffle: Option<Generator>,
        epochs: usize,
        limit: Duration,
    ) -> (Vec<f64>, Vec<Vec<i64>>) {
        let feeds = vec![Feed::new(2).expect("size"), Feed::new(1).expect("size")];
        let sum = Tensor::zeros(&[], DType::F64).expect("small");
        let mut all =
            Epochs::new(5, shuffle, feeds.clone(), vec![sum.clone()]).expect("no row is left");
        all.queue(epochs);
        let mut batches = vec![];
        loop {
            let more = all.run(limit, |feed, steps, _| {
                assert!(steps > 0);
                // One of them at a time, whatever was asked for.
                feeds[feed].next_batch()?;
                let batch = feeds[feed].indices().to_vec::<i64>()?;
                sum.write(&[sum.to_vec::<f64>()?[0] + batch.len() as f64])?;
                batches.push(batch);
                Ok(1)
            });
            if !more.expect("no step fails") {
                return (all.finished().to_vec(), batches);
            }
        }
    }

    #[test]
    fn every_epoch_visits_all_rows_and_begins_with_empty_sums() {
        for limit in [Duration::ZERO, Duration::MAX] {
            let (finished, batches) = run(None, 3, limit);
            assert_eq!(finished, [5.0; 3]);
            assert_eq!(batches[..3], [vec![0, 1], vec![2, 3], vec![4]]);
            assert_eq!(batches[3..6], batches[..3]);
            assert_eq!(batches.len(), 9);
        }
    }

    #[test]
    fn each_epoch_draws_an_order_as_the_generator_gives_it() {
        let (_, batches) = run(Some(Generator::new(3, 1)), 2, Duration::MAX);
        let same = Generator::new(3, 1);
        let orders = [same.permutation(5).expect("few"), same.permutation(5).expect("few")];
        assert_eq!(batches.concat(), orders.concat());
    }

    #[test]
    fn an_epoch_that_failed_is_left_out_and_forgotten() {
        let feeds = vec![Feed::new(1).expect("size")];
        let sum = Tensor::zeros(&[2], DType::F64).expect("small");
        let mut all = Epochs::new(2, None, feeds.clone(), vec![sum]).expect("no row is left");
        all.queue(5);
        let mut steps = 0;
        let outcome = all.run(Duration::MAX, |_, _, _| {
            steps += 1;
            if steps == 4 {
                bail!(State, "on purpose");
            }
            feeds[0].next_batch().map(|()| 1)
        });
        assert!(outcome.is_err());
        assert_eq!(all.finished(), [0.0; 2]);
        all.queue(0);
        assert_eq!(all.finished(), []);
        assert!(
            !all.run(Duration::MAX, |_, _, _| unreachable!("nothing is queued")).expect("idle")
        );
    }

    #[test]
    fn rows_without_a_batch_and_sums_of_another_type_are_refused() {
        let feed = || Feed::new(2).expect("size");
        let sum = |dtype| Tensor::zeros(&[], dtype).expect("small");
        let refused = |feeds, sums| Epochs::new(5, None, feeds, sums).err().map(|e| e.to_string());
        let left = refused(vec![feed()], vec![]).expect("a row is left");
        assert!(left.contains("1 of 5 rows"), "{left}");
        assert!(refused(vec![], vec![]).is_some());
        let feeds = vec![feed(), Feed::new(1).expect("size")];
        assert!(refused(feeds.clone(), vec![sum(DType::F32)]).expect("f32").contains("float64"));
        assert!(refused(feeds, vec![sum(DType::F64)]).is_none());
    }
}
