//! Feeding a step: the rows of the next batch, or one part of them, written into fixed memory before each step.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::capture::{self, StepInput};
use crate::error::{Result, bail};
use crate::team::{self, lock};
use crate::{DType, Tensor, host_access};

#[derive(Default)]
struct Order {
    rows: Vec<i64>,
    next: usize,
}

struct Inner {
    indices: Tensor,
    batch_size: usize,
    /// Which rows of each batch the step takes.
    part: Range<usize>,
    order: Mutex<Order>,
}

impl StepInput for Inner {
    fn advance(&self) -> Result<()> {
        let _quiet = team::quiet();
        let mut order = lock(&self.order);
        let (start, stop) = (order.next, order.next + self.batch_size);
        if stop > order.rows.len() {
            let n = order.rows.len();
            bail!(State, "feed: all {n} rows were used; load the order of the next epoch first");
        }
        host_access::with_mut(&self.indices, |to: &mut [i64]| {
            to.copy_from_slice(&order.rows[start..stop][self.part.clone()]);
        });
        order.next = stop;
        Ok(())
    }
}

/// The order in which rows are visited, one batch at a time. Cloning shares it.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

impl Feed {
    /// For batches of `batch_size` rows.
    pub fn new(batch_size: usize) -> Result<Self> {
        Self::of_part(batch_size, 0..batch_size)
    }

    /// For a step that takes these rows of each batch; others take the rest of it.
    pub fn of_part(batch_size: usize, part: Range<usize>) -> Result<Self> {
        if batch_size == 0 {
            bail!(Value, "feed: expected a batch size of at least 1, got 0");
        }
        if part.is_empty() || part.end > batch_size {
            let Range { start, end } = part;
            bail!(Value, "feed: expected rows of a batch of {batch_size}, got {start} to {end}");
        }
        let indices = Tensor::zeros(&[part.len()], DType::I64)?;
        Ok(Self(Arc::new(Inner { indices, batch_size, part, order: Mutex::default() })))
    }

    /// The rows of the present batch that the step takes: fixed memory that [`next_batch`](Self::next_batch) rewrites.
    pub fn indices(&self) -> &Tensor {
        &self.0.indices
    }

    /// Rows in a batch, of all its parts.
    pub fn batch_size(&self) -> usize {
        self.0.batch_size
    }

    /// Sets the rows to visit from now on; their number is a multiple of the batch size.
    pub fn load(&self, rows: Vec<i64>) -> Result<()> {
        let batch = self.batch_size();
        if !rows.len().is_multiple_of(batch) {
            let n = rows.len();
            bail!(Value, "feed: expected a multiple of the batch size {batch}, got {n} rows");
        }
        *lock(&self.0.order) = Order { rows, next: 0 };
        Ok(())
    }

    /// Goes on to the next batch; while a step is being captured, every replay does so too.
    pub fn next_batch(&self) -> Result<()> {
        capture::advance(self.0.clone())
    }

    /// Goes one batch back: the step that took it has failed, and is made again.
    pub fn back(&self) -> Result<()> {
        let mut order = lock(&self.0.order);
        let Some(next) = order.next.checked_sub(self.batch_size()) else {
            bail!(State, "feed: no batch was visited yet");
        };
        order.next = next;
        Ok(())
    }

    /// Batches that are left.
    pub fn remaining(&self) -> usize {
        let order = lock(&self.0.order);
        (order.rows.len() - order.next) / self.batch_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_come_in_order_and_end() {
        let feed = Feed::new(2).expect("size");
        assert!(feed.load(vec![1, 2, 3]).is_err());
        feed.load(vec![3, 1, 0, 2]).expect("two batches");
        assert_eq!(feed.remaining(), 2);
        feed.next_batch().expect("first");
        assert_eq!(feed.indices().to_vec::<i64>().expect("i64"), [3, 1]);
        feed.next_batch().expect("second");
        assert_eq!(feed.indices().to_vec::<i64>().expect("i64"), [0, 2]);
        assert!(matches!(feed.next_batch(), Err(crate::Error::State(_))));
        feed.back().expect("visited");
        feed.next_batch().expect("second again");
        assert_eq!(feed.indices().to_vec::<i64>().expect("i64"), [0, 2]);
    }

    #[test]
    fn a_part_takes_its_rows_of_each_batch() {
        assert!(Feed::of_part(4, 2..2).is_err() && Feed::of_part(4, 2..5).is_err());
        let feed = Feed::of_part(4, 1..3).expect("within");
        assert!(feed.load(vec![0, 1]).is_err());
        feed.load((10..18).collect()).expect("two batches");
        assert_eq!((feed.remaining(), feed.indices().count()), (2, 2));
        feed.next_batch().expect("first");
        assert_eq!(feed.indices().to_vec::<i64>().expect("i64"), [11, 12]);
        feed.next_batch().expect("second");
        assert_eq!(feed.indices().to_vec::<i64>().expect("i64"), [15, 16]);
        assert!(feed.next_batch().is_err());
        feed.back().expect("visited");
        assert_eq!(feed.remaining(), 1);
    }
}
