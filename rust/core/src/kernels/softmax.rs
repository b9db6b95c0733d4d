//! Softmax kernels over rows of logits: one pass for the largest, one for the exponentials, one for the result.
//!
//! With m = max z and s = Σ e^(z - m):
//!
//! ```text
//! softmax      p = e^(z - m) / s          backward  p (g - Σ g p)
//! log-softmax  l = (z - m) - ln s         backward  g - e^l Σ g
//! logsumexp    L = m + ln s               backward  g e^(z - L)
//! ```

use super::classes::{Classes, NARROW};
use super::math::{Real, VectorMath};
use super::rows::{Sum, Tail, ln, narrow, row_extreme};
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};

/// Which function of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalized {
    /// Shares of one.
    Softmax,
    /// Their logarithms.
    LogSoftmax,
}

/// Σ e^(z - shift); the exponentials are left in `out` where one is given.
///
/// # Safety
/// `row`, and `out` if any, are valid for the width that `tail` was made for.
#[inline(always)]
pub(super) unsafe fn exp_sum<V: VectorMath<Elem: Scalar + Real>>(
    row: *const V::Elem,
    shift: V,
    tail: &Tail<V>,
    out: Option<*mut V::Elem>,
) -> f64 {
    let mut sum = Sum::new();
    let mut at = 0;
    while at < tail.whole {
        // SAFETY: a whole vector stands at `at`.
        let e = unsafe { V::load(row.add(at)) };
        let e = (e - shift).exp();
        sum.add(e);
        if let Some(out) = out {
            // SAFETY: as above.
            unsafe { e.store(out.add(at)) };
        }
        at += V::LANES;
    }
    if tail.left > 0 {
        // SAFETY: the caller's promise.
        let e = unsafe { tail.load(row, V::constant(f64::NEG_INFINITY)) };
        let e = (e - shift).exp();
        sum.add(e);
        if let Some(out) = out {
            // SAFETY: as above.
            unsafe { e.store_first(out.add(tail.whole), tail.left) };
        }
    }
    sum.total()
}

/// Applies a function of one vector from each input to rows of equal length, position by position. `$x` are the
/// vectors; the lanes beyond a row's end hold zeros. `far` says whether the result is written past the caches: then
/// it has whole vectors, aligned, and somebody settles it.
macro_rules! each_vector {
    ($tail:expr, $out:expr, [$($x:ident = $from:expr),+] => $value:expr) => {
        each_vector!($tail, $out, far: false, [$($x = $from),+] => $value)
    };
    ($tail:expr, $out:expr, far: $far:expr, [$($x:ident = $from:expr),+] => $value:expr) => {
        let mut at = 0;
        while at < $tail.whole {
            // SAFETY: a whole vector stands at `at` of every row.
            unsafe {
                $( let $x = <T::V<S> as Vector>::load($from.add(at)); )+
                if $far { $value.stream($out.add(at)) } else { $value.store($out.add(at)) }
            }
            at += <T::V<S> as Vector>::LANES;
        }
        if $tail.left > 0 {
            // SAFETY: `left` elements stand at `at` of every row.
            unsafe {
                $( let $x = <T::V<S> as Vector>::load_first($from.add(at), $tail.left); )+
                $value.store_first($out.add(at), $tail.left);
            }
        }
    };
}
pub(super) use each_vector;

struct Forward<'a, T> {
    kind: Normalized,
    x: &'a [T],
    width: usize,
    out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for Forward<'_, T> {
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

impl<T: Scalar + Real> Forward<'_, T> {
    /// A row in each lane.
    #[inline(always)]
    fn narrow<V: VectorMath<Elem = T>>(self) {
        let width = self.width;
        let rows = self.x.len() / width;
        for first in (0..rows).step_by(V::LANES) {
            let count = V::LANES.min(rows - first);
            let x = Classes::of::<V>(&self.x[first * width..], count, width);
            let mut out = Classes::new();
            // SAFETY: all classes of `x` were written, and those of `out` before they are read.
            unsafe {
                let largest = x.largest::<V>(width);
                for class in 0..width {
                    (x.class::<V>(class) - largest).exp().store(out.at(class));
                }
                let sum = out.sum::<V>(width);
                let log = sum.ln();
                for class in 0..width {
                    let y = match self.kind {
                        Normalized::Softmax => out.class::<V>(class) / sum,
                        Normalized::LogSoftmax => (x.class::<V>(class) - largest) - log,
                    };
                    y.store(out.at(class));
                }
                out.write::<V>(&mut self.out[first * width..], count, width);
            }
        }
    }

    #[inline(always)]
    fn wide<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        for (x, out) in self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(self.width)) {
            let (x, out) = (x.as_ptr(), out.as_mut_ptr());
            // SAFETY: the row has `width` elements.
            let shift = T::V::<S>::splat(unsafe { row_extreme::<T::V<S>, true>(x, &tail) });
            let keep = (self.kind == Normalized::Softmax).then_some(out);
            // SAFETY: both rows have `width` elements.
            let sum: T = narrow(unsafe { exp_sum(x, shift, &tail, keep) });
            let sum = T::V::<S>::splat(sum);
            if keep.is_some() {
                each_vector!(tail, out, [e = out] => e / sum);
            } else {
                let log = sum.ln();
                each_vector!(tail, out, [z = x] => (z - shift) - log);
            }
        }
    }
}

/// Normalizes rows of `width` elements.
///
/// # Panics
/// Where the slices differ in length or `width` is zero.
pub fn normalize_rows<T: Scalar + Real>(kind: Normalized, x: &[T], width: usize, out: &mut [T]) {
    assert!(x.len() == out.len() && width > 0);
    dispatch(Forward { kind, x, width, out });
}

struct Backward<'a, T> {
    kind: Normalized,
    y: &'a [T],
    grad: &'a [T],
    width: usize,
    out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for Backward<'_, T> {
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

impl<T: Scalar + Real> Backward<'_, T> {
    /// A row in each lane.
    #[inline(always)]
    fn narrow<V: VectorMath<Elem = T>>(self) {
        let width = self.width;
        let rows = self.y.len() / width;
        for first in (0..rows).step_by(V::LANES) {
            let count = V::LANES.min(rows - first);
            let y = Classes::of::<V>(&self.y[first * width..], count, width);
            let grad = Classes::of::<V>(&self.grad[first * width..], count, width);
            let mut out = Classes::new();
            // SAFETY: all classes of `y` and `grad` were written, and those of `out` before they are read.
            unsafe {
                for class in 0..width {
                    let g = grad.class::<V>(class);
                    let term = match self.kind {
                        Normalized::Softmax => g * y.class::<V>(class),
                        Normalized::LogSoftmax => g,
                    };
                    term.store(out.at(class));
                }
                let sum = out.sum::<V>(width);
                for class in 0..width {
                    let (g, y) = (grad.class::<V>(class), y.class::<V>(class));
                    let x = match self.kind {
                        Normalized::Softmax => y * (g - sum),
                        Normalized::LogSoftmax => y.exp().neg_mul_add(sum, g),
                    };
                    x.store(out.at(class));
                }
                out.write::<V>(&mut self.out[first * width..], count, width);
            }
        }
    }

    #[inline(always)]
    fn wide<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let log = self.kind == Normalized::LogSoftmax;
        let rows = self.y.chunks_exact(self.width).zip(self.grad.chunks_exact(self.width));
        for ((y, grad), out) in rows.zip(self.out.chunks_exact_mut(self.width)) {
            let (y, grad, out) = (y.as_ptr(), grad.as_ptr(), out.as_mut_ptr());
            let mut sum = Sum::<T::V<S>>::new();
            let mut at = 0;
            while at < tail.whole {
                // SAFETY: a whole vector stands at `at` of both rows.
                let (g, y) = unsafe { (T::V::<S>::load(grad.add(at)), T::V::<S>::load(y.add(at))) };
                sum.add(if log { g } else { g * y });
                at += <T::V<S> as Vector>::LANES;
            }
            if tail.left > 0 {
                // SAFETY: `left` elements stand at `at` of both rows.
                let (g, y) = unsafe {
                    (
                        T::V::<S>::load_first(grad.add(at), tail.left),
                        T::V::<S>::load_first(y.add(at), tail.left),
                    )
                };
                sum.add(if log { g } else { g * y });
            }
            let sum = T::V::<S>::splat(narrow(sum.total()));
            if log {
                each_vector!(tail, out, [g = grad, y = y] => y.exp().neg_mul_add(sum, g));
            } else {
                each_vector!(tail, out, [g = grad, y = y] => y * (g - sum));
            }
        }
    }
}

/// The gradient of the logits, from the normalized rows and their gradient.
///
/// # Panics
/// Where the slices differ in length or `width` is zero.
pub fn normalize_rows_backward<T: Scalar + Real>(
    kind: Normalized,
    y: &[T],
    grad: &[T],
    width: usize,
    out: &mut [T],
) {
    assert!(y.len() == out.len() && grad.len() == out.len() && width > 0);
    dispatch(Backward { kind, y, grad, width, out });
}

struct LogSumExp<'a, T> {
    x: &'a [T],
    width: usize,
    out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for LogSumExp<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        for (x, out) in self.x.chunks_exact(self.width).zip(self.out) {
            // SAFETY: the row has `width` elements.
            let largest = unsafe { row_extreme::<T::V<S>, true>(x.as_ptr(), &tail) };
            // An infinity is the answer itself, and must not be subtracted from itself.
            let shift = if largest.is_infinite() { T::zero() } else { largest };
            // SAFETY: as above.
            let sum = unsafe { exp_sum(x.as_ptr(), T::V::<S>::splat(shift), &tail, None) };
            *out = shift + ln::<T::V<S>>(narrow(sum));
        }
    }
}

/// ln Σ e^x of each row of `width` elements.
///
/// # Panics
/// Where `out` does not have one element for each row, or `width` is zero.
pub fn logsumexp_rows<T: Scalar + Real>(x: &[T], width: usize, out: &mut [T]) {
    assert!(width > 0 && x.len() == out.len() * width);
    dispatch(LogSumExp { x, width, out });
}

struct LogSumExpBackward<'a, T> {
    x: &'a [T],
    y: &'a [T],
    grad: &'a [T],
    width: usize,
    out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for LogSumExpBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let rows = self.x.chunks_exact(self.width).zip(self.y.iter().zip(self.grad));
        for ((x, (&y, &grad)), out) in rows.zip(self.out.chunks_exact_mut(self.width)) {
            let (x, out) = (x.as_ptr(), out.as_mut_ptr());
            // Nothing changes a sum of nothing but zeros: its elements have no gradient.
            let y = if y == T::neg_infinity() { T::zero() } else { y };
            let (y, grad) = (T::V::<S>::splat(y), T::V::<S>::splat(grad));
            each_vector!(tail, out, [z = x] => grad * (z - y).exp());
        }
    }
}

/// The gradient of the elements of each row, from the rows, their values and the values' gradient.
///
/// # Panics
/// Where the slices do not have the sizes of `out`, or `width` is zero.
pub fn logsumexp_rows_backward<T: Scalar + Real>(
    x: &[T],
    y: &[T],
    grad: &[T],
    width: usize,
    out: &mut [T],
) {
    assert!(
        width > 0 && x.len() == out.len() && y.len() == grad.len() && x.len() == y.len() * width
    );
    dispatch(LogSumExpBackward { x, y, grad, width, out });
}
