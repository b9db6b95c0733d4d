//! Swap noise: numbers of tables that are replaced by those of other rows.
//!
//! ```text
//! y[i, k] = x[j, k] with probability p, with j any of the other rows, else x[i, k]
//! ```
//!
//! Each element draws two words: whether it is replaced, and by whose. The gradient goes where the number came from.

use smallvec::smallvec;

use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::generator::Generator;
use crate::launch::{Cost, Operand, launch};
use crate::layout::show;
use crate::rng::{Key, fill_bits};
use crate::tape::Saved;
use crate::tensor::Tensor;

/// Words that an element draws.
const WORDS: usize = 2;
/// Elements that are drawn at a time.
const BATCH: usize = 64;

/// Which elements are replaced, and by whose.
#[derive(Clone, Copy)]
struct Swaps {
    key: Key,
    rows: usize,
    row: usize,
    /// As many of the 2^32 words as come nearest to the rate.
    replaced: u64,
}

impl Swaps {
    /// Calls `each` with every element of a row and the row that it comes from.
    fn of_row(&self, draw: u64, i: usize, mut each: impl FnMut(usize, usize)) {
        let mut words = [[0; WORDS]; BATCH];
        for first in (0..self.row).step_by(BATCH) {
            let words = &mut words[..BATCH.min(self.row - first)];
            let place = (i * self.row + first) * WORDS;
            fill_bits(self.key, draw, place as u64, words.as_flattened_mut());
            for (k, &mut [coin, other]) in words.iter_mut().enumerate() {
                let from = if u64::from(coin) < self.replaced {
                    // The bias of products by so few rows is far below what a table could show.
                    let other = (u64::from(other) * (self.rows as u64 - 1)) >> 32;
                    other as usize + usize::from(other as usize >= i)
                } else {
                    i
                };
                each(first + k, from);
            }
        }
    }
}

fn swapped(x: &Tensor, number: &Tensor, swaps: Swaps) -> Result<Tensor> {
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let row = swaps.row;
    let operands =
        smallvec![Operand::read(x), Operand::read(number), Operand::write_own(&out, row)];
    let cost = Cost::elementwise(x.count(), 32.0, 2, x.dtype());
    with_float!(x.dtype(), "swap_noise", T => launch("swap_noise", swaps.rows, cost, operands,
    move |items, arguments| {
        let (x, draw) = (arguments.all::<T>(0), arguments.all::<i64>(1)[0] as u64);
        if row == 0 {
            return;
        }
        let out = arguments.own_mut::<T>(2, &items).chunks_exact_mut(row);
        for (i, out) in items.zip(out) {
            swaps.of_row(draw, i, |k, from| out[k] = x[from * row + k]);
        }
    }))?;
    Ok(out)
}

/// All at once: any row may have gone to any other.
fn returned(grad: &Tensor, number: &Tensor, swaps: Swaps) -> Result<Tensor> {
    let grad = grad.packed()?;
    let out = Tensor::empty(grad.shape(), grad.dtype())?;
    let operands = smallvec![
        Operand::read(&grad),
        Operand::read(number),
        Operand::write_own(&out, out.count())
    ];
    let cost = Cost::elementwise(out.count(), 32.0, 2, out.dtype());
    with_float!(out.dtype(), "swap_noise", T => launch("swap_noise backward", 1, cost, operands,
    move |items, arguments| {
        let (grad, draw) = (arguments.all::<T>(0), arguments.all::<i64>(1)[0] as u64);
        let out = arguments.own_mut::<T>(2, &items);
        out.fill(0.0);
        for i in 0..swaps.rows {
            swaps.of_row(draw, i, |k, from| out[from * swaps.row + k] += grad[i * swaps.row + k]);
        }
    }))?;
    Ok(out)
}

impl Tensor {
    /// Replaces each element, with probability `rate`, by that of another row in its place.
    pub fn swap_noise(&self, rate: f64, generator: &Generator) -> Result<Self> {
        self.dtype().require_float("swap_noise")?;
        if !(0.0..=1.0).contains(&rate) {
            bail!(Value, "swap_noise: expected a rate from 0 to 1, got {rate}");
        }
        let Some(&rows) = self.shape().first() else {
            bail!(Shape, "swap_noise: a tensor of shape {} has no rows", show(self.shape()));
        };
        let (key, number) = (generator.key(), generator.draw()?);
        let row = self.count().checked_div(rows).unwrap_or(0);
        // A row alone has no others.
        let replaced = if rows > 1 { (rate * 4_294_967_296.0).round() as u64 } else { 0 };
        let swaps = Swaps { key, rows, row, replaced };
        let out = swapped(&self.packed()?, &number, swaps)?;
        Ok(out.recorded_of("swap_noise", self, |_| {
            let number = Saved::new(&number);
            move |grad| returned(grad, number.get()?, swaps)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::testing::gradcheck;

    fn numbered(rows: usize, row: usize) -> Tensor {
        let values: Vec<f64> = (0..rows * row).map(|i| i as f64).collect();
        Tensor::from_slice(&values, &[rows, row]).expect("fits")
    }

    #[test]
    fn elements_stay_in_their_column_and_come_from_any_row() {
        let (rows, row) = (50, 203);
        for rate in [0.0, 0.15, 1.0] {
            let y = numbered(rows, row).swap_noise(rate, &Generator::new(1, 2)).expect("a rate");
            let y = y.to_vec::<f64>().expect("float64");
            let mut counts = vec![0; rows];
            for (at, y) in y.iter().map(|&y| y as usize).enumerate() {
                assert_eq!(y % row, at % row);
                let distance = (y / row + rows - at / row) % rows;
                counts[distance] += 1;
            }
            let n = (rows * row) as f64;
            let share = 1.0 - f64::from(counts[0]) / n;
            assert!((share - rate).abs() <= 4.0 * (rate * (1.0 - rate) / n).sqrt(), "{share}");
            // All other rows alike: chi-square with 48 degrees of freedom is below 100 but for 1e-5.
            let expected = share * n / (rows as f64 - 1.0);
            let square = |&count: &i32| (f64::from(count) - expected).powi(2) / expected;
            assert!(rate == 0.0 || counts[1..].iter().map(square).sum::<f64>() < 100.0);
        }
    }

    #[test]
    fn gradients_go_where_numbers_came_from() {
        let x = numbered(7, 5);
        gradcheck(|x| x[0].swap_noise(0.5, &Generator::new(4, 2)), &[x]).expect("the gradient");
    }

    #[test]
    fn few_rows_and_threads() {
        let one = numbered(1, 5);
        let same = one.swap_noise(1.0, &Generator::new(0, 0)).expect("a rate");
        assert_eq!(same.to_vec::<f64>().expect("f64"), one.to_vec::<f64>().expect("f64"));
        let none = Tensor::zeros(&[0, 3], DType::F32).expect("empty");
        assert_eq!(none.swap_noise(0.5, &Generator::new(0, 0)).expect("a rate").shape(), [0, 3]);
        assert!(one.swap_noise(1.5, &Generator::new(0, 0)).is_err());
        let x = numbered(300, 70).cast(DType::F32).expect("casts");
        let run = || {
            let y = x.swap_noise(0.3, &Generator::new(1, 1)).expect("a rate");
            y.to_vec::<f32>().expect("float32")
        };
        let before = crate::team::threads();
        crate::team::set_threads(1).expect("a count");
        let expected = run();
        for threads in [2, 3, 8] {
            crate::team::set_threads(threads).expect("a count");
            assert!(run() == expected, "{threads} threads");
        }
        crate::team::set_threads(before).expect("a count");
    }
}
