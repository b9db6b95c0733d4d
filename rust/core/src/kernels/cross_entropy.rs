//! Cross-entropy of rows of logits with labels or shares.

use super::classes::{Classes, NARROW};
use super::math::{Real, VectorMath};
use super::rows::{MOST_LANES, Sum, Tail, first, ln, narrow, row_extreme, widen};
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};
use super::softmax::{each_vector, exp_sum};

/// What the forward pass keeps of each row.
#[derive(Debug)]
pub struct Statistics<S> {
    /// The largest logit.
    pub largest: S,
    /// The logarithm of the sum of exponentials above it.
    pub log: S,
    /// The sum of the (smoothed) shares; empty for labels.
    pub mass: S,
}

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

    /// How many sums of shares the rows have.
    fn masses(&self, rows: usize) -> usize {
        if matches!(self, Self::Labels(_)) { 0 } else { rows }
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

/// What the losses of rows follow from, and where they go.
pub struct CrossEntropy<'a, T> {
    /// Rows of `width` logits.
    pub logits: &'a [T],
    /// The number of classes.
    pub width: usize,
    /// What the rows should say.
    pub target: Target<'a, T>,
    /// The part of the target that all classes share.
    pub smoothing: f64,
    /// A factor for each row.
    pub weight: Option<&'a [T]>,
    /// A loss for each row.
    pub losses: &'a mut [T],
    /// What the gradient needs of each row.
    pub statistics: Statistics<&'a mut [T]>,
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

impl<T: Scalar + Real> CrossEntropy<'_, T> {
    /// With m = max z, all in vectors of one number for each row: the loss is mass · ln Σ e^(z - m) - agreement.
    #[inline(always)]
    fn narrow<V: VectorMath<Elem = T>>(self) {
        let width = self.width;
        let (keep, spread) = (1.0 - self.smoothing, self.smoothing / width as f64);
        let (keep, spread) = (V::constant(keep), V::constant(spread));
        let mut statistics = self.statistics;
        for (group, losses) in self.losses.chunks_mut(V::LANES).enumerate() {
            let (first, count) = (group * V::LANES, losses.len());
            let z = &self.logits[first * width..];
            let columns = Classes::of::<V>(z, count, width);
            // SAFETY: all classes were written.
            let column = |class: usize| unsafe { columns.class::<V>(class) };
            // SAFETY: as above.
            let largest = unsafe { columns.largest::<V>(width) };
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
                    // SAFETY: no vector has more lanes.
                    chosen = unsafe { V::load(at_label.as_ptr()) } - largest;
                }
                Target::Shares(shares) => {
                    let shares = Classes::of::<V>(&shares[first * width..], count, width);
                    mass = V::constant(0.0);
                    for class in 0..width {
                        // SAFETY: as above.
                        let t = unsafe { shares.class::<V>(class) };
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
            let Statistics { largest: to_largest, log: to_log, mass: to_mass } = &mut statistics;
            for (to, x) in [(to_largest, largest), (to_log, log), (to_mass, mass)] {
                if !to.is_empty() {
                    // SAFETY: there are so many.
                    unsafe { x.store_first(to[first..][..count].as_mut_ptr(), count) };
                }
            }
        }
    }

    #[inline(always)]
    fn wide<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let (keep, spread) = (1.0 - self.smoothing, self.smoothing / self.width as f64);
        let Statistics { largest: to_largest, log: to_log, mass: to_mass } = self.statistics;
        let rows = self.logits.chunks_exact(self.width).zip(self.losses);
        for (row, (z, loss)) in rows.enumerate() {
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
            (to_largest[row], to_log[row]) = (largest, log);
            if let Some(to) = to_mass.get_mut(row) {
                *to = narrow(mass);
            }
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
/// Where the slices do not have `width` elements (or one) for each row, or `width` is zero.
pub fn cross_entropy_rows<T: Scalar + Real>(pass: CrossEntropy<'_, T>) {
    let (p, rows) = (&pass, pass.losses.len());
    assert!(p.width > 0 && p.logits.len() == rows * p.width && p.target.covers(rows, p.width));
    assert!(p.statistics.largest.len() == rows && p.statistics.log.len() == rows);
    assert!(p.statistics.mass.len() == p.target.masses(rows));
    assert!(p.weight.is_none_or(|weight| weight.len() == rows));
    dispatch(pass);
}

/// What the gradient of the logits follows from: what the forward pass took and kept, and a gradient for all rows or
/// for each.
pub struct CrossEntropyBackward<'a, T> {
    /// Rows of `width` logits.
    pub logits: &'a [T],
    /// The number of classes.
    pub width: usize,
    /// What the rows should say.
    pub target: Target<'a, T>,
    /// The part of the target that all classes share.
    pub smoothing: f64,
    /// A factor for each row.
    pub weight: Option<&'a [T]>,
    /// What the forward pass kept of each row.
    pub statistics: Statistics<&'a [T]>,
    /// The gradient of the losses: one element, or one for each row.
    pub grad: &'a [T],
    /// A factor of all rows.
    pub scale: f64,
    /// The gradient of the logits.
    pub out: &'a mut [T],
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
            let z = Classes::of::<V>(&self.logits[first * width..], count, width);
            // SAFETY: there are so many.
            let kept = |of: &[T]| unsafe { V::load_first(of[first..][..count].as_ptr(), count) };
            let (largest, log) = (kept(self.statistics.largest), kept(self.statistics.log));
            let mut factors = [T::zero(); MOST_LANES];
            if self.grad.len() == 1 && self.weight.is_none() {
                factors.fill(factor(self.grad, None, self.scale, 0));
            } else {
                for (lane, to) in factors.iter_mut().enumerate().take(count) {
                    *to = factor(self.grad, self.weight, self.scale, first + lane);
                }
            }
            let mut label = [T::zero(); MOST_LANES];
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
                    let shares_here = Classes::of::<V>(&all[first * width..], count, width);
                    shares = Some((shares_here, kept(self.statistics.mass)));
                }
            }
            // SAFETY: no vector has more lanes.
            let (factors, label) = unsafe { (V::load(factors.as_ptr()), V::load(label.as_ptr())) };
            let mut gradient = Classes::new();
            for class in 0..width {
                // SAFETY: all classes were written.
                let p = ((unsafe { z.class::<V>(class) } - largest) - log).exp();
                let distance = match &shares {
                    None => {
                        let here = label.eq(V::constant(class as f64));
                        (p - V::select(here, keep, V::constant(0.0))) - spread
                    }
                    Some((shares, mass)) => {
                        // SAFETY: as above.
                        let t = unsafe { shares.class::<V>(class) };
                        p.mul_add(*mass, -t.mul_add(keep, spread))
                    }
                };
                // SAFETY: there is room for so many classes.
                unsafe { (distance * factors).store(gradient.at(class)) };
            }
            // SAFETY: all classes were written.
            unsafe { gradient.write::<V>(&mut self.out[first * width..], count, width) };
        }
    }

    #[inline(always)]
    fn wide<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let keep: T = narrow(1.0 - self.smoothing);
        let spread: T = narrow(self.smoothing / self.width as f64);
        let Statistics { largest, log, mass } = self.statistics;
        let rows = self.logits.chunks_exact(self.width);
        for (row, (z, out)) in rows.zip(self.out.chunks_exact_mut(self.width)).enumerate() {
            let scale = factor(self.grad, self.weight, self.scale, row);
            let [largest, log] = [largest[row], log[row]].map(T::V::<S>::splat);
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
                    let [keep, spread, mass] = [keep, spread, mass[row]].map(T::V::<S>::splat);
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
pub fn cross_entropy_rows_backward<T: Scalar + Real>(pass: CrossEntropyBackward<'_, T>) {
    let p = &pass;
    assert!(p.width > 0 && p.logits.len() == p.out.len());
    let rows = p.out.len() / p.width;
    assert!(p.target.covers(rows, p.width) && p.statistics.mass.len() == p.target.masses(rows));
    assert!(p.statistics.largest.len() == rows && p.statistics.log.len() == rows);
    assert!(p.grad.len() == 1 || p.grad.len() == rows);
    assert!(p.weight.is_none_or(|weight| weight.len() == rows));
    dispatch(pass);
}
