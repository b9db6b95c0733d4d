//! Losses of rows: cross-entropy of logits with labels or shares, and sums of a function of two numbers.

use super::map::Lanewise;
use super::math::{Real, VectorMath};
use super::rows::{MOST_LANES, Sum, Tail, extreme, first, ln, narrow, row_extreme, widen};
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};
use super::softmax::{each_vector, exp_sum};

/// Numbers that the forward pass of cross-entropy keeps of each row: the largest logit, the logarithm of the sum of
/// exponentials above it, and the sum of the (smoothed) target.
pub const ROW_STATISTICS: usize = 3;

/// What rows of logits are compared with.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a, T> {
    /// The number of the right class of each row. One that is no class gives NaN.
    Labels(&'a [i64]),
    /// A share for each class, `width` in a row.
    Shares(&'a [T]),
}

impl<'a, T> Target<'a, T> {
    /// The target of one row.
    #[inline(always)]
    fn row(&self, row: usize, width: usize) -> RowTarget<'a, T> {
        match self {
            Self::Labels(labels) => {
                RowTarget::Label(usize::try_from(labels[row]).ok().filter(|&label| label < width))
            }
            Self::Shares(shares) => RowTarget::Shares(&shares[row * width..][..width]),
        }
    }

    fn covers(&self, rows: usize, width: usize) -> bool {
        match self {
            Self::Labels(labels) => labels.len() == rows,
            Self::Shares(shares) => shares.len() == rows * width,
        }
    }
}

enum RowTarget<'a, T> {
    Label(Option<usize>),
    Shares(&'a [T]),
}

struct CrossEntropy<'a, T> {
    logits: &'a [T],
    width: usize,
    target: Target<'a, T>,
    smoothing: f64,
    weight: Option<&'a [T]>,
    losses: &'a mut [T],
    statistics: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for CrossEntropy<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.width <= NARROW {
            self.narrow::<T::V<S>>();
        } else {
            self.wide::<S>();
        }
    }
}

/// Up to so many classes rows go side by side, a row in a lane: along a row there is too little for a vector.
const NARROW: usize = 16;

/// A number for each lane, class by class.
type Columns<T> = [[T; MOST_LANES]; NARROW];

/// Room for so many rows without gaps, and for a whole vector read or written at the last element.
type Flat<T> = [T; MOST_LANES * (NARROW + 1)];

/// The elements of up to a vector of rows, class by class; lanes beyond the last row repeat it.
#[inline(always)]
fn side_by_side<T: Scalar, V: Vector<Elem = T>>(rows: &[T], width: usize) -> Columns<T> {
    let mut flat: Flat<T> = [T::zero(); _];
    flat[..rows.len()].copy_from_slice(rows);
    let mut columns = [[T::zero(); MOST_LANES]; NARROW];
    for class in (0..width).step_by(V::LANES) {
        let (count, cols) = (rows.len() / width, V::LANES.min(width - class));
        let from = flat[class..].as_ptr();
        let to = columns[class..].as_mut_ptr().cast();
        // SAFETY: every row begins within the first MOST_LANES * NARROW elements, and so many columns are left.
        unsafe { V::transpose(from, width as isize, count, to, MOST_LANES, cols) };
    }
    columns
}

/// What [`side_by_side`] took apart: the first lanes of each column as rows.
#[inline(always)]
fn one_after_another<T: Scalar, V: Vector<Elem = T>>(columns: &[[T; MOST_LANES]], rows: &mut [T]) {
    let width = columns.len();
    let count = rows.len() / width;
    let mut flat: Flat<T> = [T::zero(); _];
    // From the last block of classes to the first: whole vectors are written, and what is written beyond a row's end
    // belongs to what follows.
    for class in (0..width).step_by(V::LANES).rev() {
        let from = columns[class..].as_ptr().cast();
        let to = flat[class..].as_mut_ptr();
        let stride = MOST_LANES as isize;
        // SAFETY: a column has MOST_LANES elements; every row begins within the first MOST_LANES * NARROW elements.
        unsafe { V::transpose(from, stride, V::LANES.min(width - class), to, width, count) };
    }
    rows.copy_from_slice(&flat[..rows.len()]);
}

impl<T: Scalar + Real> CrossEntropy<'_, T> {
    /// With m = max z, all in vectors of one number for each row: the loss is mass · ln Σ e^(z - m) - agreement.
    #[inline(always)]
    fn narrow<V: VectorMath<Elem = T>>(self) {
        let width = self.width;
        let (keep, spread) = (1.0 - self.smoothing, self.smoothing / width as f64);
        let (keep, spread) = (V::constant(keep), V::constant(spread));
        for (group, losses) in self.losses.chunks_mut(V::LANES).enumerate() {
            let (first, count) = (group * V::LANES, losses.len());
            let z = &self.logits[first * width..][..count * width];
            let columns = side_by_side::<T, V>(z, width);
            // SAFETY: no vector has more lanes than a column.
            let column = |class: usize| unsafe { V::load(columns[class].as_ptr()) };
            let mut largest = column(0);
            for class in 1..width {
                largest = extreme::<V, true>(largest, column(class));
            }
            let (mut sum, mut above) = (V::constant(0.0), V::constant(0.0));
            for class in 0..width {
                let distance = column(class) - largest;
                sum = sum + distance.exp();
                above = above + distance;
            }
            let log = sum.ln();
            let (mut mass, mut chosen) = (V::constant(1.0), V::constant(0.0));
            match self.target {
                Target::Labels(labels) => {
                    let mut at_label = [T::zero(); MOST_LANES];
                    let rows = z.chunks_exact(width).zip(&labels[first..][..count]);
                    for (to, (z, &label)) in at_label.iter_mut().zip(rows) {
                        *to = usize::try_from(label)
                            .ok()
                            .and_then(|label| z.get(label))
                            .map_or(T::nan(), |&z| z);
                    }
                    // SAFETY: as above.
                    chosen = unsafe { V::load(at_label.as_ptr()) } - largest;
                }
                Target::Shares(shares) => {
                    let shares =
                        side_by_side::<T, V>(&shares[first * width..][..count * width], width);
                    mass = V::constant(0.0);
                    for (class, share) in shares.iter().take(width).enumerate() {
                        // SAFETY: as above.
                        let t = unsafe { V::load(share.as_ptr()) };
                        mass = mass + t;
                        // What has no share counts as nothing, whatever its logit is.
                        let zero = V::constant(0.0);
                        chosen =
                            chosen + V::select(t.eq(zero), zero, t * (column(class) - largest));
                    }
                }
            }
            let mut agreement = keep * chosen;
            if self.smoothing > 0.0 {
                agreement = above.mul_add(spread, agreement);
            }
            let mass = mass.mul_add(keep, V::constant(self.smoothing));
            let loss = mass * log - agreement;
            // SAFETY: there are so many losses, and weights where there are any.
            unsafe {
                let weight = self.weight.map_or(V::constant(1.0), |weight| {
                    V::load_first(weight[first..][..count].as_ptr(), count)
                });
                (weight * loss).store_first(losses.as_mut_ptr(), count);
            }
            let mut kept = [[T::zero(); MOST_LANES]; ROW_STATISTICS];
            for (kept, value) in kept.iter_mut().zip([largest, log, mass]) {
                // SAFETY: as above.
                unsafe { value.store(kept.as_mut_ptr()) };
            }
            let statistics = &mut self.statistics[first * ROW_STATISTICS..];
            one_after_another::<T, V>(&kept, &mut statistics[..count * ROW_STATISTICS]);
        }
    }

    #[inline(always)]
    fn wide<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let (keep, spread) = (1.0 - self.smoothing, self.smoothing / self.width as f64);
        let rows = self.logits.chunks_exact(self.width).zip(self.losses);
        for (row, ((z, loss), kept)) in
            rows.zip(self.statistics.chunks_exact_mut(ROW_STATISTICS)).enumerate()
        {
            // SAFETY: the row has `width` elements.
            let largest = unsafe { row_extreme::<T::V<S>, true>(z.as_ptr(), &tail) };
            let shift = T::V::<S>::splat(largest);
            // SAFETY: as above.
            let sum = unsafe { exp_sum(z.as_ptr(), shift, &tail, None) };
            let log = ln::<T::V<S>>(narrow(sum));
            let (mass, chosen) = match self.target.row(row, self.width) {
                RowTarget::Label(None) => (1.0, f64::NAN),
                RowTarget::Label(Some(label)) => (1.0, widen(z[label] - largest)),
                // SAFETY: both rows have `width` elements.
                RowTarget::Shares(t) => unsafe { dot(t.as_ptr(), z.as_ptr(), shift, &tail) },
            };
            let mut agreement = keep * chosen;
            if self.smoothing > 0.0 {
                // SAFETY: the row has `width` elements.
                agreement += spread * unsafe { sum_above(z.as_ptr(), shift, &tail) };
            }
            let mass = keep * mass + self.smoothing;
            let weight = self.weight.map_or(1.0, |weight| widen(weight[row]));
            *loss = narrow(weight * (mass * widen(log) - agreement));
            kept.copy_from_slice(&[largest, log, narrow(mass)]);
        }
    }
}

/// Σ t and Σ t (z - shift), where t = 0 counts as nothing whatever z is.
///
/// # Safety
/// Both rows are valid for the width that `tail` was made for.
#[inline(always)]
unsafe fn dot<V: VectorMath<Elem: Scalar + Real>>(
    t: *const V::Elem,
    z: *const V::Elem,
    shift: V,
    tail: &Tail<V>,
) -> (f64, f64) {
    let zero = V::constant(0.0);
    let (mut mass, mut sum) = (Sum::new(), Sum::new());
    let mut at = 0;
    while at < tail.whole {
        // SAFETY: a whole vector stands at `at` of both rows.
        let (t, z) = unsafe { (V::load(t.add(at)), V::load(z.add(at))) };
        mass.add(t);
        sum.add(V::select(t.eq(zero), zero, t * (z - shift)));
        at += V::LANES;
    }
    if tail.left > 0 {
        // SAFETY: the caller's promise.
        let (t, z) = unsafe { (tail.load(t, zero), tail.load(z, shift)) };
        mass.add(t);
        sum.add(V::select(t.eq(zero), zero, t * (z - shift)));
    }
    (mass.total(), sum.total())
}

/// Σ (z - shift).
///
/// # Safety
/// The row is valid for the width that `tail` was made for.
#[inline(always)]
unsafe fn sum_above<V: VectorMath<Elem: Scalar + Real>>(
    z: *const V::Elem,
    shift: V,
    tail: &Tail<V>,
) -> f64 {
    let mut sum = Sum::new();
    let mut at = 0;
    while at < tail.whole {
        // SAFETY: a whole vector stands at `at`.
        sum.add(unsafe { V::load(z.add(at)) } - shift);
        at += V::LANES;
    }
    if tail.left > 0 {
        // SAFETY: the caller's promise.
        sum.add(unsafe { tail.load(z, shift) } - shift);
    }
    sum.total()
}

/// The loss of each row, and what its gradient needs.
///
/// # Panics
/// Where the slices do not have `width` elements (or one, or [`ROW_STATISTICS`]) for each row, or `width` is zero.
pub fn cross_entropy_rows<T: Scalar + Real>(
    logits: &[T],
    width: usize,
    target: Target<'_, T>,
    smoothing: f64,
    weight: Option<&[T]>,
    losses: &mut [T],
    statistics: &mut [T],
) {
    let rows = losses.len();
    assert!(width > 0 && logits.len() == rows * width && target.covers(rows, width));
    assert!(statistics.len() == rows * ROW_STATISTICS);
    assert!(weight.is_none_or(|weight| weight.len() == rows));
    dispatch(CrossEntropy { logits, width, target, smoothing, weight, losses, statistics });
}

struct CrossEntropyBackward<'a, T> {
    logits: &'a [T],
    width: usize,
    target: Target<'a, T>,
    smoothing: f64,
    weight: Option<&'a [T]>,
    statistics: &'a [T],
    grad: &'a [T],
    scale: f64,
    out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for CrossEntropyBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.width <= NARROW {
            self.narrow::<T::V<S>>();
        } else {
            self.wide::<S>();
        }
    }
}

/// What a row's gradient is multiplied with.
#[inline(always)]
fn factor<T: Scalar>(grad: &[T], weight: Option<&[T]>, scale: f64, row: usize) -> T {
    let grad = grad[if grad.len() == 1 { 0 } else { row }];
    let weight = weight.map_or(1.0, |weight| widen(weight[row]));
    narrow(widen(grad) * weight * scale)
}

impl<T: Scalar + Real> CrossEntropyBackward<'_, T> {
    /// As the forward pass: a row in each lane.
    #[inline(always)]
    fn narrow<V: VectorMath<Elem = T>>(self) {
        let width = self.width;
        let keep = V::constant(1.0 - self.smoothing);
        let spread = V::constant(self.smoothing / width as f64);
        let rows = self.out.len() / width;
        for first in (0..rows).step_by(V::LANES) {
            let count = V::LANES.min(rows - first);
            let z = side_by_side::<T, V>(&self.logits[first * width..][..count * width], width);
            let kept = &self.statistics[first * ROW_STATISTICS..][..count * ROW_STATISTICS];
            let kept = side_by_side::<T, V>(kept, ROW_STATISTICS);
            // SAFETY: no vector has more lanes than a column.
            let load = |column: &[T; MOST_LANES]| unsafe { V::load(column.as_ptr()) };
            let [largest, log, mass] = [load(&kept[0]), load(&kept[1]), load(&kept[2])];
            let (mut factors, mut label) = ([T::zero(); MOST_LANES], [T::zero(); MOST_LANES]);
            for (lane, to) in factors.iter_mut().enumerate().take(count) {
                *to = factor(self.grad, self.weight, self.scale, first + lane);
            }
            let mut shares = None;
            match self.target {
                Target::Labels(labels) => {
                    for (lane, &class) in labels[first..][..count].iter().enumerate() {
                        match usize::try_from(class) {
                            Ok(class) if class < width => label[lane] = narrow(class as f64),
                            _ => factors[lane] = T::nan(),
                        }
                    }
                }
                Target::Shares(all) => {
                    shares =
                        Some(side_by_side::<T, V>(&all[first * width..][..count * width], width));
                }
            }
            let (factors, label) = (load(&factors), load(&label));
            let mut gradient = [[T::zero(); MOST_LANES]; NARROW];
            for (class, to) in gradient.iter_mut().take(width).enumerate() {
                let p = ((load(&z[class]) - largest) - log).exp();
                let distance = match &shares {
                    None => {
                        let here = label.eq(V::constant(class as f64));
                        (p - V::select(here, keep, V::constant(0.0))) - spread
                    }
                    Some(shares) => p.mul_add(mass, -load(&shares[class]).mul_add(keep, spread)),
                };
                // SAFETY: as above.
                unsafe { (distance * factors).store(to.as_mut_ptr()) };
            }
            let out = &mut self.out[first * width..][..count * width];
            one_after_another::<T, V>(&gradient[..width], out);
        }
    }

    #[inline(always)]
    fn wide<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let keep: T = narrow(1.0 - self.smoothing);
        let spread: T = narrow(self.smoothing / self.width as f64);
        let rows = self.logits.chunks_exact(self.width);
        let rows = rows.zip(self.statistics.chunks_exact(ROW_STATISTICS));
        for (row, ((z, kept), out)) in rows.zip(self.out.chunks_exact_mut(self.width)).enumerate() {
            let scale = factor(self.grad, self.weight, self.scale, row);
            let [largest, log, mass] = [kept[0], kept[1], kept[2]].map(T::V::<S>::splat);
            let factor = T::V::<S>::splat(scale);
            let (from, to) = (z.as_ptr(), out.as_mut_ptr());
            match self.target.row(row, self.width) {
                RowTarget::Label(None) => out.fill(T::nan()),
                RowTarget::Label(Some(label)) => {
                    let off = T::V::<S>::splat(spread);
                    each_vector!(tail, to, [z = from] => {
                        (((z - largest) - log).exp() - off) * factor
                    });
                    let p = first(((T::V::<S>::splat(z[label]) - largest) - log).exp());
                    out[label] = ((p - keep) - spread) * scale;
                }
                RowTarget::Shares(t) => {
                    let (keep, spread) = (T::V::<S>::splat(keep), T::V::<S>::splat(spread));
                    let t = t.as_ptr();
                    each_vector!(tail, to, [z = from, t = t] => {
                        let p = ((z - largest) - log).exp();
                        p.mul_add(mass, -t.mul_add(keep, spread)) * factor
                    });
                }
            }
        }
    }
}

/// The gradient of the logits: (mass · softmax - smoothed target) · grad · weight · scale, where `grad` has one element,
/// or one for each row.
///
/// # Panics
/// Where the slices do not have the sizes of the forward pass, or `width` is zero.
#[allow(clippy::too_many_arguments, reason = "what the forward pass took and kept, and the result")]
pub fn cross_entropy_rows_backward<T: Scalar + Real>(
    logits: &[T],
    width: usize,
    target: Target<'_, T>,
    smoothing: f64,
    weight: Option<&[T]>,
    statistics: &[T],
    grad: &[T],
    scale: f64,
    out: &mut [T],
) {
    assert!(width > 0 && logits.len() == out.len());
    let rows = out.len() / width;
    assert!(target.covers(rows, width) && statistics.len() == rows * ROW_STATISTICS);
    assert!(grad.len() == 1 || grad.len() == rows);
    assert!(weight.is_none_or(|weight| weight.len() == rows));
    dispatch(CrossEntropyBackward {
        logits,
        width,
        target,
        smoothing,
        weight,
        statistics,
        grad,
        scale,
        out,
    });
}

struct SumPairs<'a, F, T> {
    function: F,
    x: &'a [T],
    y: &'a [T],
    width: usize,
    weight: Option<&'a [T]>,
    out: &'a mut [T],
}

impl<F: Lanewise<2>, T: Scalar + Real> Kernel for SumPairs<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let pairs = self.x.chunks_exact(self.width).zip(self.y.chunks_exact(self.width));
        for (row, ((x, y), out)) in pairs.zip(self.out).enumerate() {
            let mut sum = Sum::<T::V<S>>::new();
            let mut at = 0;
            while at < tail.whole {
                // SAFETY: a whole vector stands at `at` of both rows.
                let pair = unsafe {
                    [T::V::<S>::load(x.as_ptr().add(at)), T::V::<S>::load(y.as_ptr().add(at))]
                };
                sum.add(self.function.apply(pair));
                at += <T::V<S> as Vector>::LANES;
            }
            if tail.left > 0 {
                let zero = T::V::<S>::constant(0.0);
                // SAFETY: both rows have `width` elements.
                let pair = unsafe { [tail.load(x.as_ptr(), zero), tail.load(y.as_ptr(), zero)] };
                sum.add(tail.or_zero(self.function.apply(pair)));
            }
            let weight = self.weight.map_or(1.0, |weight| widen(weight[row]));
            *out = narrow(weight * sum.total());
        }
    }
}

/// `weight · Σ function(x, y)` over each row of `width` pairs.
///
/// # Panics
/// Where the slices do not have `width` elements, or one, for each row, or `width` is zero.
pub fn sum_pairs_rows<F: Lanewise<2>, T: Scalar + Real>(
    function: F,
    x: &[T],
    y: &[T],
    width: usize,
    weight: Option<&[T]>,
    out: &mut [T],
) {
    assert!(width > 0 && x.len() == y.len() && x.len() == out.len() * width);
    assert!(weight.is_none_or(|weight| weight.len() == out.len()));
    dispatch(SumPairs { function, x, y, width, weight, out });
}
