//! Where random numbers come from: a seed, a stream, and how many draws were made so far.
//!
//! A draw is the random content of one tensor or mask; its numbers depend on `(seed, stream, draw, element)` alone, so
//! the count of draws is the generator's whole state. A kernel reads the number of its draw from memory: while a step
//! is captured every draw becomes a step input that takes the next number before each replay, and a replayed step sees
//! the numbers that the same step run eagerly would have seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::capture::{self, StepInput};
use crate::dtype::DType;
use crate::error::Result;
use crate::rng::{Key, shuffle_permutation};
use crate::tensor::Tensor;

struct Inner {
    key: Key,
    draws: AtomicU64,
    /// The first row of a batch's part, and how many rows it has; no rows where batches are whole.
    part: [AtomicU64; 2],
}

impl Inner {
    fn take(&self) -> u64 {
        self.draws.fetch_add(1, Ordering::Relaxed)
    }
}

/// A source of random numbers. Cloning shares it.
#[derive(Clone)]
pub struct Generator(Arc<Inner>);

/// One draw of a captured step.
struct Drawn {
    generator: Arc<Inner>,
    number: Tensor,
}

impl StepInput for Drawn {
    fn advance(&self) -> Result<()> {
        self.number.write(&[self.generator.take() as i64])
    }
}

impl Generator {
    /// The beginning of a stream of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(Arc::new(Inner {
            key: Key { seed, stream },
            draws: AtomicU64::new(0),
            part: Default::default(),
        }))
    }

    /// From now on tensors of so many rows are those of a batch from row `first` on: their random numbers are what they
    /// would be within the whole batch. With no rows, tensors are whole again.
    pub fn set_part(&self, first: u64, rows: u64) {
        let [first_row, count] = &self.0.part;
        first_row.store(first, Ordering::Relaxed);
        count.store(rows, Ordering::Relaxed);
    }

    /// The place of a tensor's first element within the whole batch, where it has the rows of its part.
    pub(crate) fn first_element(&self, shape: &[usize]) -> u64 {
        let [first, rows] = self.0.part.each_ref().map(|one| one.load(Ordering::Relaxed));
        match shape.split_first() {
            Some((&here, row)) if rows > 0 && here as u64 == rows => {
                first * row.iter().product::<usize>() as u64
            }
            _ => 0,
        }
    }

    /// Seed and stream.
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// How many draws were made so far.
    pub fn draws(&self) -> u64 {
        self.0.draws.load(Ordering::Relaxed)
    }

    /// Goes to another place of the stream.
    pub fn set_draws(&self, draws: u64) {
        self.0.draws.store(draws, Ordering::Relaxed);
    }

    /// Makes a draw: one int64 element that holds its number, now and before each replay of a step that is being
    /// captured. Kernels read it as an operand.
    pub(crate) fn draw(&self) -> Result<Tensor> {
        let number = Tensor::empty(&[1], DType::I64)?;
        let drawn = Drawn { generator: Arc::clone(&self.0), number: number.clone() };
        drawn.advance()?;
        if capture::is_open() {
            let input: Arc<dyn StepInput> = Arc::new(drawn);
            capture::record_input(&input);
        }
        Ok(number)
    }

    /// A uniformly random order of `0..n`.
    pub fn permutation(&self, n: usize) -> Result<Vec<i64>> {
        capture::forbid("permutation")?;
        Ok(shuffle_permutation(self.0.key, self.0.take(), n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(t: &Tensor) -> i64 {
        t.to_vec::<i64>().expect("int64")[0]
    }

    #[test]
    fn replays_go_on_counting() {
        let generator = Generator::new(1, 2);
        generator.set_draws(10);
        assert_eq!(number(&generator.draw().expect("memory")), 10);
        capture::begin().expect("none is open");
        let drawn = [generator.draw().expect("memory"), generator.draw().expect("memory")];
        assert!(generator.permutation(3).is_err());
        let recording = capture::end().expect("open");
        assert_eq!(drawn.each_ref().map(number), [11, 12]);
        let between = generator.draw().expect("memory");
        for input in &recording.inputs {
            input.advance().expect("memory");
        }
        assert_eq!((number(&between), drawn.each_ref().map(number)), (13, [14, 15]));
        assert_eq!(generator.draws(), 16);
    }

    #[test]
    fn permutations_are_draws() {
        let (a, b) = (Generator::new(3, 0), Generator::new(3, 0));
        let (first, second) =
            (a.permutation(50).expect("eager"), a.permutation(50).expect("eager"));
        assert_ne!(first, second);
        b.set_draws(1);
        assert_eq!(b.permutation(50).expect("eager"), second);
    }
}
