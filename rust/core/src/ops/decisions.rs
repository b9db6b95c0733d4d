//! What predictions say of classes, counted against what is so: for precision, recall, F1 and confusion matrices.
//!
//! ```text
//! right[c] += Σ w·[c named and true]      named[c] += Σ w·[c named]      true[c] += Σ w·[c true]
//! matrix[i, j] += Σ w·[the true class is i, the one named is j]
//! ```
//!
//! A row names its largest class, all above a limit, or some of the largest. Targets are the numbers of classes, or for
//! each class a number that is a yes above ½. Each is one launch of one item: a step has other work for the other
//! threads. No gradient.

use smallvec::smallvec;

use crate::dtype::{DType, with_element, with_float};
use crate::error::{Result, bail};
use crate::kernels::decisions::{Counts, Rule, Truth, count_confusion, count_decisions};
use crate::launch::{Arguments, Cost, Operand, Operands, launch, push};
use crate::layout::show;
use crate::tensor::Tensor;

/// Predictions of rows, with their targets and weights, checked and without gaps.
pub(crate) struct Rows {
    pub predictions: Tensor,
    pub targets: Tensor,
    weights: Option<Tensor>,
    pub classes: usize,
    pub by_number: bool,
}

impl Rows {
    /// Predictions (rows, classes), targets (rows) or (rows, classes), and no weights or (rows).
    pub(crate) fn new(
        name: &str,
        predictions: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<Self> {
        let &[rows, classes] = predictions.shape() else {
            let got = show(predictions.shape());
            bail!(Shape, "{name}: expected predictions of shape (rows, classes), got {got}");
        };
        predictions.dtype().require_float(name)?;
        let has_one = targets.shape() == [rows];
        if classes == 0 || !(has_one || targets.shape() == predictions.shape()) {
            let (expected, got) = (show(predictions.shape()), show(targets.shape()));
            bail!(Shape, "{name}: expected targets of shape {expected} or ({rows},), got {got}");
        }
        if let Some(weights) = weights {
            weights.dtype().require_same(name, predictions.dtype())?;
            if weights.shape() != [rows] {
                bail!(Shape, "{name}: expected {rows} weights, got {}", show(weights.shape()));
            }
        }
        Ok(Self {
            predictions: predictions.packed()?,
            targets: targets.packed()?,
            weights: weights.map(Tensor::packed).transpose()?,
            classes,
            // A single class is there or not.
            by_number: has_one && classes > 1,
        })
    }

    /// Operands 0, 1 and, if there are weights, the one whose place is given.
    pub(crate) fn operands(&self) -> (Operands, Option<usize>) {
        let mut operands =
            smallvec![Operand::read(&self.predictions), Operand::read(&self.targets)];
        let place = push(&mut operands, self.weights.as_ref().map(Operand::read));
        (operands, place)
    }

    /// What looking at all of them costs.
    pub(crate) fn cost(&self) -> Cost {
        Cost::elementwise(self.predictions.count(), 8.0, 2, DType::F64)
    }
}

/// The weight of each row: from operand `place`, or one.
pub(crate) fn weight_of<T: crate::dtype::Element>(
    arguments: &Arguments<'_>,
    place: Option<usize>,
) -> impl Fn(usize) -> f64 {
    let weights = place.map(|place| arguments.all::<T>(place));
    move |row| weights.map_or(1.0, |weights| weights[row].to_f64())
}

/// Adds memory that is counted in, read and written whole by one item; gives the place to write at.
fn push_state(
    name: &str,
    operands: &mut Operands,
    state: &Tensor,
    shape: &[usize],
) -> Result<usize> {
    if state.shape() != shape {
        let (expected, got) = (show(shape), show(state.shape()));
        bail!(Shape, "{name}: expected counts of shape {expected}, got {got}");
    }
    check_state(name, state)?;
    operands.push(Operand::read_own(state, state.count()));
    operands.push(Operand::write_own(state, state.count()));
    Ok(operands.len() - 1)
}

/// An error for memory that cannot be counted in.
pub(crate) fn check_state(name: &str, state: &Tensor) -> Result<()> {
    state.dtype().require_same(name, DType::F64)?;
    if state.requires_grad() || !state.layout().is_contiguous() {
        bail!(State, "{name}: expected contiguous state that requires no gradient");
    }
    Ok(())
}

impl Tensor {
    /// Adds rows to counts (limits, 3, classes), in place: the weights of classes named rightly, named, and true. Without
    /// limits there is one set of counts.
    pub fn count_decisions(
        &self,
        predictions: &Self,
        targets: &Self,
        weights: Option<&Self>,
        limits: &[f64],
        top: Option<usize>,
    ) -> Result<()> {
        const NAME: &str = "count_decisions";
        let rows = Rows::new(NAME, predictions, targets, weights)?;
        let (mut operands, place) = rows.operands();
        let shape = [limits.len().max(1), 3, rows.classes];
        let out = push_state(NAME, &mut operands, self, &shape)?;
        let rule = Rule { limits: limits.to_vec(), top };
        let (classes, by_number) = (rows.classes, rows.by_number);
        with_float!(predictions.dtype(), NAME, T => with_element!(targets.dtype(), L => launch(NAME, 1, rows.cost(), operands,
        move |items, arguments| {
            let truth = Truth { targets: arguments.all::<L>(1), classes, by_number };
            let counts = Counts { weights: arguments.own_mut(out, &items), classes };
            let weight = weight_of::<T>(arguments, place);
            count_decisions(&rule, arguments.all::<T>(0), truth, weight, counts);
        })))
    }

    /// Adds rows to a matrix (true class, class that is named), in place; one class counts as two.
    pub fn count_confusion(
        &self,
        predictions: &Self,
        targets: &Self,
        weights: Option<&Self>,
    ) -> Result<()> {
        const NAME: &str = "count_confusion";
        let rows = Rows::new(NAME, predictions, targets, weights)?;
        let (mut operands, place) = rows.operands();
        let size = rows.classes.max(2);
        let out = push_state(NAME, &mut operands, self, &[size, size])?;
        let (classes, by_number) = (rows.classes, rows.by_number);
        with_float!(predictions.dtype(), NAME, T => with_element!(targets.dtype(), L => launch(NAME, 1, rows.cost(), operands,
        move |items, arguments| {
            let truth = Truth { targets: arguments.all::<L>(1), classes, by_number };
            let weight = weight_of::<T>(arguments, place);
            count_confusion(arguments.all::<T>(0), truth, weight, arguments.own_mut(out, &items));
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape).expect("fits")
    }

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::zeros(shape, DType::F64).expect("small")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    const P: [f64; 12] = [0.7, 0.2, 0.1, 0.4, 0.4, 0.2, 0.1, 0.1, 0.8, f64::NAN, 0.5, 0.5];

    #[test]
    fn the_largest_of_each_row() {
        let (counts, p) = (zeros(&[1, 3, 3]), tensor(&P, &[4, 3]));
        let numbers = Tensor::from_slice(&[0_i64, 1, 2, 7], &[4]).expect("fits");
        let weights = tensor(&[1., 2., 4., 8.], &[4]);
        counts.count_decisions(&p, &numbers, Some(&weights), &[], None).expect("fits");
        // The second row ties, and names class 0; in the last one NaN is the largest, and 7 no class.
        assert_eq!(values(&counts), [1., 0., 4., 11., 0., 4., 1., 2., 4.]);
        let hot = tensor(&[1., 0., 0., 0., 1., 0., 0., 0., 1., 0., 0., 0.], &[4, 3]);
        let again = zeros(&[1, 3, 3]);
        again.count_decisions(&p, &hot, Some(&weights), &[], None).expect("fits");
        assert_eq!(values(&again), values(&counts));
        let single = zeros(&[1, 3, 1]);
        let (p, y) = (tensor(&[0.6, 0.5, 0.9], &[3, 1]), tensor(&[1., 1., 0.], &[3, 1]));
        single.count_decisions(&p, &y, None, &[], None).expect("fits");
        assert_eq!(values(&single), [1., 2., 2.]);
    }

    #[test]
    fn above_limits_and_without_masked_rows() {
        let (counts, p) = (zeros(&[2, 3, 3]), tensor(&P, &[4, 3]));
        let y = tensor(&[1., 1., 0., 0., 0., 0., 0., 1., 1., f64::NAN, 9., 9.], &[4, 3]);
        let weights = tensor(&[1., 2., 4., 0.], &[4]);
        counts.count_decisions(&p, &y, Some(&weights), &[0.15, 0.4], None).expect("fits");
        let expected = [1., 1., 4., 3., 3., 6., 1., 5., 4., 1., 0., 4., 1., 0., 4., 1., 5., 4.];
        assert_eq!(values(&counts), expected);
    }

    /// Which of a row are named, by counts of each of its elements alone.
    fn named(row: &[f32], k: usize) -> Vec<f64> {
        let counts = zeros(&[1, 3, row.len()]);
        let p = Tensor::from_slice(row, &[1, row.len()]).expect("fits");
        let y = Tensor::zeros(&[1, row.len()], DType::F32).expect("small");
        counts.count_decisions(&p, &y, None, &[], Some(k)).expect("fits");
        values(&counts)[row.len()..2 * row.len()].to_vec()
    }

    #[test]
    fn the_largest_of_rows() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let rows: [([f32; 4], usize, [f64; 4]); 9] = [
            ([1., 4., 3., 2.], 2, [0., 1., 1., 0.]),
            ([-1., -4., -3., -2.], 1, [1., 0., 0., 0.]),
            // The first of those that tie.
            ([1., 1., 1., 1.], 2, [1., 1., 0., 0.]),
            ([1., 2., 2., 2.], 2, [0., 1., 1., 0.]),
            ([0., -0.0, 0., -1.], 2, [1., 1., 0., 0.]),
            ([1., 4., 3., 2.], 4, [1.; 4]),
            ([1., 4., 3., 2.], 9, [1.; 4]),
            ([nan, 4., nan, 2.], 3, [0., 1., 0., 1.]),
            ([inf, 4., -inf, nan], 3, [1., 1., 1., 0.]),
        ];
        for (row, k, expected) in rows {
            assert_eq!(named(&row, k), expected, "{row:?} {k}");
        }
        assert_eq!(named(&[nan; 3], 1), [0.; 3]);
        for width in [2_usize, 7, 100, 1000] {
            let row: Vec<f32> = (0..width).map(|i| ((i * 7919 + 13) % 101) as f32 - 50.).collect();
            let mut order: Vec<usize> = (0..width).collect();
            order.sort_by(|&i, &j| row[j].total_cmp(&row[i]).then(i.cmp(&j)));
            for k in [1, 2, 5, width / 2, width] {
                let mut expected = vec![0.0; width];
                for &i in order.iter().take(k) {
                    expected[i] = 1.0;
                }
                assert_eq!(named(&row, k), expected, "{width} {k}");
            }
        }
    }

    #[test]
    fn all_rows_of_one_class_are_one_row() {
        let counts = zeros(&[1, 3, 1]);
        let p = tensor(&[0.3, 0.9, 0.9, 0.9, 5.0], &[5, 1]);
        let y = tensor(&[1., 0., 1., 1., 1.], &[5, 1]);
        let weights = tensor(&[1., 2., 4., 8., 0.], &[5]);
        counts.count_decisions(&p, &y, Some(&weights), &[], Some(2)).expect("fits");
        assert_eq!(values(&counts), [4., 6., 13.]);
    }

    #[test]
    fn confusion() {
        let (matrix, p) = (zeros(&[3, 3]), tensor(&P, &[4, 3]));
        let numbers = tensor(&[0., 1., 2., 1.5], &[4]);
        matrix.count_confusion(&p, &numbers, None).expect("fits");
        assert_eq!(values(&matrix), [1., 0., 0., 1., 0., 0., 0., 0., 1.]);
        let (two, p) = (zeros(&[2, 2]), tensor(&[0.6, 0.5, 0.9], &[3, 1]));
        let y = tensor(&[1., 1., 0.], &[3]);
        let weights = tensor(&[1., 2., 4.], &[3]);
        two.count_confusion(&p, &y, Some(&weights)).expect("fits");
        assert_eq!(values(&two), [0., 4., 2., 1.]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let (counts, p) = (zeros(&[1, 3, 3]), tensor(&P, &[4, 3]));
        let numbers = tensor(&[0.; 4], &[4]);
        let of = |counts: &Tensor, p: &Tensor, y: &Tensor, w: Option<&Tensor>| {
            counts.count_decisions(p, y, w, &[], None).expect_err("no fit").to_string()
        };
        assert!(of(&counts, &numbers, &numbers, None).contains("(rows, classes)"));
        assert!(of(&counts, &p, &tensor(&[0.; 3], &[3]), None).contains("(4,), got (3,)"));
        assert!(of(&counts, &p, &numbers, Some(&p)).contains("4 weights"));
        assert!(of(&zeros(&[2, 3, 3]), &p, &numbers, None).contains("(1, 3, 3), got (2, 3, 3)"));
        assert!(zeros(&[2, 2]).count_confusion(&p, &numbers, None).is_err());
    }
}
