//! Scores of classes that are kept for the areas under curves, which follow from their ranks.
//!
//! ```text
//! AUC = Σ over pairs (i positive, j negative) of wᵢ·wⱼ·([sᵢ > sⱼ] + ½·[sᵢ = sⱼ])  /  Σ wᵢ · Σ wⱼ
//! ```
//!
//! The sum follows from the scores in their order, so scores are kept with the weights of positives and negatives. As
//! long as there is room each one is, and areas are exact. Then neighbours in that order are joined to groups, no more
//! than half of the room: thresholds from the quantiles of the data, however near to each other or to 0 its scores lie.
//! With room for n, a group has at most 8/n of the positives and of the negatives of the time, so that rare ones are told
//! apart as well as frequent ones.
//!
//! No gradient.

use smallvec::smallvec;

use crate::dtype::{DType, Element, with_element, with_float};
use crate::error::{Result, bail};
use crate::kernels::decisions::Truth;
use crate::kernels::ranking::{Entry, Summary, area_under_curve, collect_scores};
use crate::launch::{Cost, Operand, launch, push};
use crate::layout::show;
use crate::ops::decisions::{Rows, check_state, weight_of};
use crate::tensor::Tensor;

pub use crate::kernels::ranking::Curve;

/// Numbers of an entry, and of a summary.
const NUMBERS: usize = 3;
/// The least room.
const LEAST_ROOM: usize = 4;

/// The columns and the room of what is kept, or an error for what cannot be.
fn check_kept(name: &str, entries: &Tensor, summary: &Tensor) -> Result<(usize, usize)> {
    let &[columns, room, NUMBERS] = entries.shape() else {
        let got = show(entries.shape());
        bail!(Shape, "{name}: expected entries of shape (columns, room, {NUMBERS}), got {got}");
    };
    if room < LEAST_ROOM || summary.shape() != [columns, NUMBERS] {
        let got = show(summary.shape());
        bail!(
            Shape,
            "{name}: expected room for {LEAST_ROOM} entries and a summary of shape ({columns}, {NUMBERS}), got room \
             for {room} and {got}"
        );
    }
    check_state(name, entries)?;
    check_state(name, summary)?;
    Ok((columns, room))
}

impl Tensor {
    /// Adds scores to those that `self` keeps, in place, column by column.
    ///
    /// `self` is (columns, room, 3): a score, the weight of its positives and that of its negatives. `summary` is
    /// (columns, 3): how many entries a column has, its lowest and highest score, 0 among them; the highest is NaN once a
    /// score is. Scores are (rows, classes). A column keeps those of a class against the rest: of each its own, or of the
    /// one class that is given; a single column keeps those of all classes else. Rows of weight 0 are not looked at.
    pub fn collect_scores(
        &self,
        summary: &Self,
        scores: &Self,
        targets: &Self,
        weights: Option<&Self>,
        class: Option<usize>,
    ) -> Result<()> {
        const NAME: &str = "collect_scores";
        let (columns, room) = check_kept(NAME, self, summary)?;
        let rows = Rows::new(NAME, scores, targets, weights)?;
        let (classes, by_number) = (rows.classes, rows.by_number);
        let has_columns = columns == 1 || (columns == classes && class.is_none());
        if !has_columns || class.is_some_and(|class| class >= classes) {
            bail!(
                Shape,
                "{NAME}: expected a column for each of {classes} classes, for one of them or for all, got {columns} \
                 columns and class {class:?}"
            );
        }
        let (mut operands, place) = rows.operands();
        // What was kept before goes in as well.
        operands.push(Operand::read_own(self, room * NUMBERS));
        operands.push(Operand::read_own(summary, NUMBERS));
        operands.push(Operand::write_own(self, room * NUMBERS));
        operands.push(Operand::write_own(summary, NUMBERS));
        let spare = Self::empty(self.shape(), DType::F64)?;
        operands.push(Operand::write_own(&spare, room * NUMBERS));
        let out = operands.len() - 3;
        with_float!(scores.dtype(), NAME, T => with_element!(targets.dtype(), L => launch(NAME, columns, rows.cost(), operands,
        move |items, arguments| {
            let scores = arguments.all::<T>(0);
            let truth = Truth { targets: arguments.all::<L>(1), classes, by_number };
            let weight = weight_of::<T>(arguments, place);
            let entries: &mut [Entry] = as_threes(arguments.own_mut(out, &items));
            let summaries: &mut [Summary] = as_threes(arguments.own_mut(out + 1, &items));
            let spare: &mut [Entry] = as_threes(arguments.own_mut(out + 2, &items));
            let kept = entries.chunks_exact_mut(room).zip(spare.chunks_exact_mut(room)).zip(summaries);
            for (column, ((entries, spare), summary)) in items.zip(kept) {
                let kept = match class {
                    Some(class) => class..class + 1,
                    None if columns == classes => column..column + 1,
                    None => 0..classes,
                };
                let pairs = (0..scores.len() / classes).flat_map(|row| {
                    let weight = weight(row);
                    kept.clone().map(move |class| {
                        let sign = if truth.is(row, class) { 1.0 } else { -1.0 };
                        (scores[row * classes + class].to_f64(), sign * weight)
                    })
                });
                collect_scores(entries, spare, summary, pairs);
            }
        })))
    }

    /// The areas under a curve of the scores that `self` keeps, see `collect_scores`: float64 of shape (columns, 3), of
    /// each column the area, 0 where there is none, and the weights of its positives and of its negatives.
    ///
    /// Each score is a threshold, or there are those that are given, float64 in rising order: then scores count as no
    /// less than 0 and no more than 1.
    pub fn areas_under_curve(
        &self,
        summary: &Self,
        curve: Curve,
        thresholds: Option<&Self>,
    ) -> Result<Self> {
        const NAME: &str = "areas_under_curve";
        let (columns, room) = check_kept(NAME, self, summary)?;
        if let Some(thresholds) = thresholds {
            thresholds.dtype().require_same(NAME, DType::F64)?;
        }
        let thresholds = thresholds.map(Self::packed).transpose()?;
        let out = Self::empty(&[columns, NUMBERS], DType::F64)?;
        let [sorted, spare] = [(); 2].map(|()| Self::empty(self.shape(), DType::F64));
        let mut operands = smallvec![
            Operand::read_own(self, room * NUMBERS),
            Operand::read_own(summary, NUMBERS),
            Operand::write_own(&sorted?, room * NUMBERS),
            Operand::write_own(&spare?, room * NUMBERS),
            Operand::write_own(&out, NUMBERS),
        ];
        let place = push(&mut operands, thresholds.as_ref().map(Operand::read));
        let cost = Cost::elementwise(columns * room, 64.0, NUMBERS, DType::F64);
        launch(NAME, columns, cost, operands, move |items, arguments| {
            let entries = as_threes_of(arguments.own(0, &items)).chunks_exact(room);
            let summaries: &[Summary] = as_threes_of(arguments.own(1, &items));
            let sorted: &mut [Entry] = as_threes(arguments.own_mut(2, &items));
            let spare: &mut [Entry] = as_threes(arguments.own_mut(3, &items));
            let out = as_threes(arguments.own_mut(4, &items));
            let thresholds = place.map(|place| arguments.all::<f64>(place));
            // Of the memory beside, no more is touched than is needed.
            let pairs = sorted.chunks_exact_mut(room).zip(spare.chunks_exact_mut(room));
            for (((entries, summary), (sorted, spare)), out) in
                entries.zip(summaries).zip(pairs).zip(out)
            {
                let filled = (summary[0] as usize).min(room);
                sorted[..filled].copy_from_slice(&entries[..filled]);
                *out = area_under_curve(&mut sorted[..filled], spare, curve, thresholds);
            }
        })?;
        Ok(out)
    }
}

/// Numbers as threes of them.
fn as_threes(numbers: &mut [f64]) -> &mut [[f64; NUMBERS]] {
    let (threes, rest) = numbers.as_chunks_mut();
    debug_assert!(rest.is_empty());
    threes
}

/// [`as_threes`] of numbers that are only read.
fn as_threes_of(numbers: &[f64]) -> &[[f64; NUMBERS]] {
    let (threes, rest) = numbers.as_chunks();
    debug_assert!(rest.is_empty());
    threes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape).expect("fits")
    }

    fn kept(columns: usize, room: usize) -> (Tensor, Tensor) {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F64).expect("small");
        (zeros(&[columns, room, NUMBERS]), zeros(&[columns, NUMBERS]))
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    /// The area under the ROC curve: pair by pair.
    fn area(entries: &[[f64; 3]]) -> f64 {
        let (mut won, mut pairs) = (0.0, 0.0);
        for one in entries {
            for other in entries {
                let share = if one[0] > other[0] { 1.0 } else { 0.0 };
                let share = if one[0] == other[0] { 0.5 } else { share };
                won += share * one[1] * other[2];
                pairs += one[1] * other[2];
            }
        }
        won / pairs
    }

    fn entries_of(entries: &Tensor, summary: &Tensor) -> Vec<[f64; 3]> {
        let all = values(entries);
        let filled = values(summary)[0] as usize;
        all.as_chunks().0[..filled].to_vec()
    }

    /// Keeps scores of one class with their weights, those of negatives below 0.
    fn keep(entries: &Tensor, summary: &Tensor, scores: &[f64], signed: &[f64]) {
        let rows = scores.len();
        let sizes: Vec<f64> = signed.iter().map(|weight| weight.abs()).collect();
        let truth: Vec<f64> = signed.iter().map(|&weight| f64::from(weight > 0.)).collect();
        let scores = tensor(scores, &[rows, 1]);
        let weights = tensor(&sizes, &[rows]);
        entries
            .collect_scores(summary, &scores, &tensor(&truth, &[rows]), Some(&weights), None)
            .expect("fits");
    }

    #[test]
    fn scores_are_kept_one_by_one_while_there_is_room() {
        let (entries, summary) = kept(2, 4);
        let scores = tensor(&[0.25, 7., 0.5, f64::NAN, -0.0, 1., 9., 9.], &[4, 2]);
        let numbers = tensor(&[0., 1., 1., 7.], &[4]);
        let weights = tensor(&[1., 2., 0.5, 0.], &[4]);
        entries.collect_scores(&summary, &scores, &numbers, Some(&weights), None).expect("fits");
        let all = values(&entries);
        assert_eq!(all[..9], [0.25, 1., 0., 0.5, 0., 2., 0., 0., 0.5]);
        assert_eq!(all[12..18], [7., 0., 1., 1., 0.5, 0.]);
        let about = values(&summary);
        assert_eq!(about[..5], [3., 0., 0.5, 2., 0.]);
        assert!(about[5].is_nan());
        let single = Tensor::from_slice(&[0.75_f32, 0.5], &[1, 2]).expect("fits");
        let hot = Tensor::from_slice(&[1_i64, 0], &[1, 2]).expect("fits");
        entries.collect_scores(&summary, &single, &hot, None, None).expect("float32 scores");
        assert_eq!(values(&entries)[9..12], [0.75, 1., 0.]);
        let areas = entries.areas_under_curve(&summary, Curve::Roc, None).expect("kept");
        assert_eq!(values(&areas), [3. / 5., 2., 2.5, 0.5, 0.5, 2.]);
    }

    #[test]
    fn a_class_of_several_or_all_of_them() {
        let scores = tensor(&[0.1, 0.9, 0.6, 0.6], &[2, 2]);
        let numbers = tensor(&[1., 0.], &[2]);
        let (one, about_one) = kept(1, 4);
        one.collect_scores(&about_one, &scores, &numbers, None, Some(1)).expect("fits");
        assert_eq!(values(&one)[..6], [0.9, 1., 0., 0.6, 0., 1.]);
        let (all, about_all) = kept(1, 4);
        all.collect_scores(&about_all, &scores, &numbers, None, None).expect("fits");
        assert_eq!(values(&about_all)[0], 4.);
        let areas = all.areas_under_curve(&about_all, Curve::Roc, None).expect("kept");
        assert_eq!(values(&areas), [3.5 / 4., 2., 2.]);
    }

    #[test]
    fn areas_by_the_order_of_scores() {
        let (entries, summary) = kept(1, 1024);
        let of = |i: u32, n: u32| f64::from(i.wrapping_mul(2_654_435_761) % n) / f64::from(n);
        // Of both signs, some of them in groups that tie.
        let scores: Vec<f64> =
            (0..900).map(|i| (of(i, 601) - 0.4) * 10_f64.powi(-(i as i32 % 9))).collect();
        let weights: Vec<f64> = (0..900).map(|i| of(i + 9, 97) - 0.5).collect();
        keep(&entries, &summary, &scores, &weights);
        let all = entries_of(&entries, &summary);
        let found = |curve, limits: Option<&Tensor>| {
            values(&entries.areas_under_curve(&summary, curve, limits).expect("kept"))
        };
        let [roc, positives, negatives] = found(Curve::Roc, None)[..] else { unreachable!() };
        let sum = |part: usize| all.iter().map(|entry| entry[part]).sum::<f64>();
        assert!((positives - sum(1)).abs() < 1e-9 && (negatives - sum(2)).abs() < 1e-9);
        assert!((roc - area(&all)).abs() < 1e-12, "{roc} {}", area(&all));
        // Of scores from 0 to 1 as they lie between thresholds.
        let limits = [0., 0.05, 0.05, 0.3, 1.];
        let between = |score: f64| limits.iter().filter(|&&limit| score > limit).count() as f64;
        let grouped: Vec<[f64; 3]> =
            all.iter().map(|&[score, p, n]| [between(score), p, n]).collect();
        let [roc, ..] = found(Curve::Roc, Some(&tensor(&limits, &[5])))[..] else { unreachable!() };
        assert!((roc - area(&grouped)).abs() < 1e-12, "{roc} {}", area(&grouped));
        // With one threshold that is below all, the precision is the share of positives everywhere.
        let [precision, ..] = found(Curve::PrecisionRecall, Some(&tensor(&[1.], &[1])))[..] else {
            unreachable!()
        };
        assert!((precision - sum(1) / (sum(1) + sum(2))).abs() < 1e-12);
    }

    #[test]
    fn neighbours_are_grouped_where_room_ends() {
        let (entries, summary) = kept(1, 512);
        let mut all = Vec::new();
        for batch in 0_u32..400 {
            let (mut scores, mut weights) = (Vec::new(), Vec::new());
            for i in 0_u32..20 {
                // Very small scores, of which the larger ones are rather those of positives.
                let noise =
                    f64::from((batch * 20 + i).wrapping_mul(2_654_435_761) % 10_007) / 10_007.;
                let weight = if i % 4 == 0 { 1. + noise } else { -1. };
                let score = 1e-6 * (noise + if weight > 0. { 0.3 } else { 0. });
                scores.push(score);
                weights.push(weight);
                all.push([score, weight.max(0.), (-weight).max(0.)]);
            }
            keep(&entries, &summary, &scores, &weights);
        }
        let left = entries_of(&entries, &summary);
        assert!(left.len() <= 512);
        let sum = |of: &[[f64; 3]], part: usize| of.iter().map(|entry| entry[part]).sum::<f64>();
        for part in [1, 2] {
            assert!((sum(&left, part) - sum(&all, part)).abs() < 1e-8);
        }
        assert!((area(&left) - area(&all)).abs() < 2e-4, "{} {}", area(&left), area(&all));
    }

    #[test]
    fn scores_that_tie_stay_exact() {
        let (entries, summary) = kept(1, 8);
        let scores: Vec<f64> = (0..999).map(|i| f64::from(i % 4)).collect();
        let weights: Vec<f64> = (0..999).map(|i| if i % 3 == 0 { 1. } else { -1. }).collect();
        keep(&entries, &summary, &scores, &weights);
        let mut joined = [[0.0; 2]; 4];
        for [score, positives, negatives] in entries_of(&entries, &summary) {
            joined[score as usize][0] += positives;
            joined[score as usize][1] += negatives;
        }
        let count = |score: i32, positive: bool| {
            (0..999).filter(|i| i % 4 == score && (i % 3 == 0) == positive).count() as f64
        };
        for (score, sums) in (0..).zip(joined) {
            assert_eq!(sums, [count(score, true), count(score, false)]);
        }
    }

    #[test]
    fn infinite_scores_are_joined_too() {
        let (entries, summary) = kept(1, 4);
        let scores = [f64::NEG_INFINITY, f64::INFINITY, 0., 1., 2., 3., 4.];
        keep(&entries, &summary, &scores, &[1.; 7]);
        let left = entries_of(&entries, &summary);
        assert!(left.iter().all(|entry| !entry[0].is_nan()));
        assert_eq!(left.iter().map(|entry| entry[1]).sum::<f64>(), 7.);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let (entries, summary) = kept(2, 4);
        let (fits, y) = (tensor(&[0.; 4], &[2, 2]), tensor(&[0.; 2], &[2]));
        let wide = tensor(&[0.; 3], &[1, 3]);
        let of = |scores: &Tensor, targets: &Tensor, class: Option<usize>| {
            entries
                .collect_scores(&summary, scores, targets, None, class)
                .expect_err("no fit")
                .to_string()
        };
        assert!(of(&wide, &wide, None).contains("each of 3 classes"));
        assert!(of(&fits, &y, Some(1)).contains("got 2 columns"));
        assert!(of(&fits, &wide, None).contains("targets of shape (2, 2) or (2,)"));
        assert!(of(&y, &y, None).contains("(rows, classes)"));
        let areas = |entries: &Tensor, summary: &Tensor, limits: Option<&Tensor>| {
            entries.areas_under_curve(summary, Curve::Roc, limits)
        };
        assert!(areas(&fits, &summary, None).is_err());
        assert!(areas(&entries, &entries, None).is_err());
        let whole = Tensor::from_slice(&[0_i64], &[1]).expect("fits");
        assert!(areas(&entries, &summary, Some(&whole)).is_err());
        let (none, about) = kept(1, 3);
        assert!(areas(&none, &about, None).is_err());
    }
}
