//! How far an update goes, beside what it starts from and the gradient behind it: √Σ(after - before)², √Σ before² and
//! √Σ gradient².

use super::norms::{Norm, fold, norm_of};
use super::{SMALL, VANISHING};
use crate::kernels::simd::{Kernel, Scalar, Simd, Vector, dispatch};

/// Elements that are measured at a time: what they were before stays in a core's first cache while they are updated.
pub const PIECE: usize = 512;
/// Sums that do not wait for each other, the same for every instruction set.
const SUMS: usize = 16;
/// A piece of fewer elements takes longer to begin and to end than to measure: chosen.
const SHORT: usize = 32;
/// Variables of more elements than this are cut however short the pieces become, as threads share them: chosen.
const MOST_WHOLE: usize = 4 * PIECE;

/// How a variable is cut into pieces, by its shape alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Items of the launch that updates it: whole rows.
    pub items: usize,
    /// Elements of an item.
    pub each: usize,
    /// Pieces of an item.
    pub pieces: usize,
}

impl Cut {
    /// Of so many rows, in items of as many of them as make a piece. A variable of several rows makes several items, so
    /// that it lines up with the launch that computes its gradient by rows.
    pub fn new(rows: usize, width: usize) -> Self {
        let (rows, width) = (rows.max(1), width.max(1));
        let most = (PIECE / width).min(rows / 2).max(1);
        let group = (1..=most).rev().find(|&group| rows.is_multiple_of(group)).unwrap_or(1);
        let is_short = group * width < SHORT && rows * width <= MOST_WHOLE;
        let each = if is_short { rows * width } else { group * width };
        Self { items: rows * width / each, each, pieces: each.div_ceil(PIECE) }
    }
}

/// A piece of a variable before an update and after it, and of the gradient.
struct Update<'a, T> {
    before: &'a [T],
    after: &'a [T],
    gradient: &'a [T],
}

impl<T: Scalar> Update<'_, T> {
    /// The three sums of squares in the type of the elements.
    #[inline(always)]
    fn squares<V: Vector<Elem = T>>(&self) -> [T; 3] {
        let vectors = SUMS / V::LANES;
        let mut sums = [[V::constant(0.0); SUMS]; 3];
        let count = self.before.len();
        let whole = count / SUMS * SUMS;
        for first in (0..whole).step_by(SUMS) {
            for place in 0..vectors {
                let at = first + place * V::LANES;
                let load = |x: &[T]| {
                    // SAFETY: there is a vector.
                    unsafe { V::load(x[at..at + V::LANES].as_ptr()) }
                };
                add(&mut sums, place, [self.before, self.after, self.gradient].map(load));
            }
        }
        for (place, at) in (whole..count).step_by(V::LANES).enumerate() {
            let left = (count - at).min(V::LANES);
            let load = |x: &[T]| {
                // SAFETY: there are so many.
                unsafe { V::load_first(x[at..at + left].as_ptr(), left) }
            };
            add(&mut sums, place, [self.before, self.after, self.gradient].map(load));
        }
        sums.each_mut().map(|sums| fold(&mut sums[..vectors]))
    }
}

/// Takes vectors into the three sums.
#[inline(always)]
fn add<V: Vector>(sums: &mut [[V; SUMS]; 3], place: usize, [before, after, gradient]: [V; 3]) {
    for (sums, x) in sums.iter_mut().zip([after - before, before, gradient]) {
        sums[place] = x.mul_add(x, sums[place]);
    }
}

impl<T: Scalar + Into<f64>> Kernel for Update<'_, T> {
    type Output = [f64; 3];

    #[inline(always)]
    fn run<S: Simd>(self) -> [f64; 3] {
        let [moved, before, gradient] = self.squares::<T::V<S>>().map(Into::into);
        let x = Norm::<T, true> { x: self.after, from: self.before };
        [
            root::<S, T, true>(moved, x),
            root::<S, T, false>(before, Norm { x: self.before, from: self.before }),
            root::<S, T, false>(gradient, Norm { x: self.gradient, from: self.gradient }),
        ]
    }
}

/// The root of a sum of squares, which is taken in `f64` where it has left the range of the elements' type.
#[inline(always)]
fn root<S: Simd, T: Scalar + Into<f64>, const FROM: bool>(sum: f64, of: Norm<'_, T, FROM>) -> f64 {
    let is_known = sum > if size_of::<T>() == 4 { VANISHING } else { SMALL };
    // Zeros are common, as the gradients of a pixel that is black in all pictures.
    let is_zero = || {
        let mut all = of.x.iter().zip(of.from);
        all.all(|(x, from)| if FROM { x == from } else { *x == T::default() })
    };
    if is_known && sum.is_finite() {
        sum.sqrt()
    } else if sum == 0.0 && is_zero() {
        0.0
    } else {
        S::outlined(of)
    }
}

/// √Σ(after - before)², √Σ before² and √Σ gradient² of a piece.
///
/// # Panics
/// Where one has more elements than another.
pub fn measure_update<T: Scalar + Into<f64>>(
    before: &[T],
    after: &[T],
    gradient: &[T],
) -> [f64; 3] {
    assert!(before.len() == after.len() && before.len() == gradient.len());
    dispatch(Update { before, after, gradient })
}

/// The same of all pieces together.
pub fn join_updates(pieces: &[[f64; 3]]) -> [f64; 3] {
    /// Pieces whose sums do not wait for each other.
    const SIDE_BY_SIDE: usize = 4;
    let (groups, rest) = pieces.as_chunks::<SIDE_BY_SIDE>();
    let mut sums = [[0.0; 3]; SIDE_BY_SIDE];
    for group in groups {
        for (sums, piece) in sums.iter_mut().zip(group) {
            *sums = std::array::from_fn(|i| piece[i].mul_add(piece[i], sums[i]));
        }
    }
    for (sums, piece) in sums.iter_mut().zip(rest) {
        *sums = std::array::from_fn(|i| piece[i].mul_add(piece[i], sums[i]));
    }
    std::array::from_fn(|i| {
        let sum = (sums[0][i] + sums[2][i]) + (sums[1][i] + sums[3][i]);
        if sum > SMALL && sum.is_finite() {
            sum.sqrt()
        } else {
            norm_of(&pieces.iter().map(|piece| piece[i]))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_cut_into_whole_rows() {
        let cut = |rows, width| {
            let Cut { items, each, pieces } = Cut::new(rows, width);
            assert_eq!(items * each, rows * width);
            (items, each, pieces)
        };
        assert_eq!(cut(784, 300), (784, 300, 1));
        assert_eq!(cut(300, 100), (60, 500, 1));
        assert_eq!(cut(30, 64), (5, 384, 1));
        assert_eq!(cut(32, 2), (2, 32, 1));
        assert_eq!(cut(100, 1), (2, 50, 1));
        // Neither a piece for each unit, nor one item for many rows.
        assert_eq!(cut(31, 1), (1, 31, 1));
        assert_eq!(cut(7919, 2), (7919, 2, 1));
        assert_eq!(cut(3, 4096), (3, 4096, 8));
        assert_eq!(cut(1, 1), (1, 1, 1));
        assert_eq!(cut(1, 3000), (1, 3000, 6));
    }

    #[test]
    fn pieces_join_to_one_norm() {
        for count in [0, 1, 3, 4, 9] {
            let pieces: Vec<[f64; 3]> =
                (0..count).map(|i| [1.0, f64::from(i), 1e-170 * f64::from(i)]).collect();
            let squares = (0..count).map(|i| f64::from(i * i)).sum::<f64>();
            let expected = [f64::from(count).sqrt(), squares.sqrt(), 1e-170 * squares.sqrt()];
            for (found, expected) in join_updates(&pieces).into_iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-14 * expected, "{found} {expected}");
            }
        }
        let [infinite, large, nan] =
            join_updates(&[[f64::INFINITY, 3e200, f64::NAN], [1.0, 4e200, 0.0]]);
        assert!(infinite == f64::INFINITY && (large / 5e200 - 1.0).abs() < 1e-14 && nan.is_nan());
    }
}
