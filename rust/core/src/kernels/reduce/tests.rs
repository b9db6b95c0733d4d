use super::*;
use crate::kernels::extrema::{Shares, first_of_largest, share_gradient};
use crate::kernels::simd::{Isa, dispatch_on};

/// Blocks of every kind: (before, reduced, after).
fn shapes() -> Vec<(usize, usize, usize)> {
    let mut shapes = vec![];
    for reduced in [1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 127, 130, 300, 1030, 2100] {
        for after in [1, 2, 3, 5, 8, 15, 16, 17, 40, 1030] {
            for before in [1, 3, 16, 21] {
                if before * reduced * after < 300_000 {
                    shapes.push((before, reduced, after));
                }
            }
        }
    }
    shapes
}

/// Integers, so that sums are exact in any order; they repeat, so that extrema are not alone.
fn some(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i + seed) * 7919 % 601) as f32 - 300.0).collect()
}

/// The elements of each result, in order.
fn groups(x: &[f32], (before, reduced, after): (usize, usize, usize)) -> Vec<Vec<f32>> {
    let results = (0..before).flat_map(|b| (0..after).map(move |c| (b, c)));
    results.map(|(b, c)| (0..reduced).map(|r| x[(b * reduced + r) * after + c]).collect()).collect()
}

fn on(isa: Isa, fold: Fold, x: &[f32], reduced: usize, after: usize, out: &mut [f32]) {
    match fold {
        Fold::Sum => dispatch_on(isa, Blocks { _fold: Sum, x, reduced, after, out }),
        Fold::Largest => {
            dispatch_on(isa, Blocks { _fold: Extreme::<true>, x, reduced, after, out });
        }
        Fold::Smallest => {
            dispatch_on(isa, Blocks { _fold: Extreme::<false>, x, reduced, after, out });
        }
    }
}

#[test]
fn every_shape_on_every_instruction_set() {
    for shape in shapes() {
        let (before, reduced, after) = shape;
        let x = some(before * reduced * after, reduced);
        let groups = groups(&x, shape);
        for isa in Isa::available() {
            for fold in [Fold::Sum, Fold::Largest, Fold::Smallest] {
                let mut out = vec![f32::NAN; before * after];
                on(isa, fold, &x, reduced, after, &mut out);
                for (found, group) in out.iter().zip(&groups) {
                    let expected: f32 = match fold {
                        Fold::Sum => group.iter().sum(),
                        Fold::Largest => group.iter().copied().fold(f32::MIN, f32::max),
                        Fold::Smallest => group.iter().copied().fold(f32::MAX, f32::min),
                    };
                    assert_eq!(*found, expected, "{fold:?} of {shape:?} on {isa}");
                }
            }
        }
    }
}

/// A block has the bits that it has alone, wherever it stands; a column those that it has among others.
#[test]
fn shares_do_not_change_bits() {
    for shape in shapes() {
        let (before, reduced, after) = shape;
        let x: Vec<f32> = some(before * reduced * after, 3).iter().map(|x| x / 7.0).collect();
        let mut whole = vec![0.0; before * after];
        fold_blocks(Fold::Sum, &x, reduced, after, &mut whole);
        for b in 0..before {
            let mut alone = vec![0.0; after];
            fold_blocks(
                Fold::Sum,
                &x[b * reduced * after..][..reduced * after],
                reduced,
                after,
                &mut alone,
            );
            assert_eq!(alone, whole[b * after..][..after], "{shape:?}");
        }
        if before == 1 && after >= MOST_LANES {
            for columns in [0..1, 1..after, after / 3..after - 2] {
                let mut some = vec![0.0; columns.len()];
                fold_columns(Fold::Sum, &x, reduced, after, columns.clone(), &mut some);
                assert_eq!(some, whole[columns], "{shape:?}");
            }
        }
    }
}

#[test]
fn nan_wins_and_the_first_of_equal_ones_is_found() {
    for shape in shapes() {
        let (before, reduced, after) = shape;
        let mut x = some(before * reduced * after, 1);
        for nan in [false, true] {
            if nan {
                for i in (0..x.len()).step_by(37) {
                    x[i] = f32::NAN;
                }
            }
            let mut positions = vec![-1; before * after];
            first_of_largest(&x, reduced, after, &mut positions);
            let mut largest = vec![0.0; before * after];
            fold_blocks(Fold::Largest, &x, reduced, after, &mut largest);
            let mut shares = vec![-1.0; x.len()];
            let grad = vec![12.0; largest.len()];
            let first = Shares {
                x: x.as_ptr(),
                extreme: largest.as_ptr(),
                grad: grad.as_ptr(),
                out: shares.as_mut_ptr(),
                reduced,
                after,
                columns: after,
            };
            // SAFETY: all blocks are allocated.
            unsafe { share_gradient(first, before) };
            let shares = groups(&shares, shape);
            for (i, group) in groups(&x, shape).iter().enumerate() {
                let mut at = 0;
                for (r, &x) in group.iter().enumerate() {
                    if group[at] < x || (x.is_nan() && !group[at].is_nan()) {
                        at = r;
                    }
                }
                assert_eq!(positions[i], at as i64, "{shape:?}");
                assert_eq!(largest[i].to_bits(), group[at].to_bits(), "{shape:?}");
                let same = |x: f32| x == group[at] || (x.is_nan() && group[at].is_nan());
                let count = group.iter().filter(|&&x| same(x)).count() as f32;
                for (share, &x) in shares[i].iter().zip(group) {
                    assert_eq!(*share, if same(x) { 12.0 / count } else { 0.0 }, "{shape:?}");
                }
            }
        }
    }
}

/// Long sums in single precision keep seven digits.
#[test]
fn long_sums_do_not_drift() {
    for (reduced, after) in [(1 << 20, 1), (1 << 18, 3), (1 << 16, 20)] {
        let x = vec![0.1_f32; reduced * after];
        let mut out = vec![0.0; after];
        fold_blocks(Fold::Sum, &x, reduced, after, &mut out);
        let expected = f64::from(0.1_f32) * reduced as f64;
        for sum in out {
            assert!((f64::from(sum) / expected - 1.0).abs() < 1e-5, "{reduced} x {after}: {sum}");
        }
    }
}
