//! Copies, past the caches where no cache would keep them for whoever reads them next.

use super::rows::has_whole_vectors;
pub use super::rows::is_beyond_caches;
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};

/// Copies elements; `far` says that they are a part of more than caches hold.
///
/// # Panics
/// Where there are not as many to write as to read.
pub fn copy<T: Scalar>(x: &[T], out: &mut [T], far: bool) {
    if far {
        dispatch(Stream { x, out });
    } else {
        out.copy_from_slice(x);
    }
}

struct Stream<'a, T> {
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Scalar> Kernel for Stream<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { x, out } = self;
        assert_eq!(x.len(), out.len());
        if !has_whole_vectors::<T::V<S>>(out, out.len()) {
            out.copy_from_slice(x);
            return;
        }
        for at in (0..x.len()).step_by(T::V::<S>::LANES) {
            // SAFETY: a whole vector stands at `at` of both, in its place where it is written.
            unsafe { T::V::<S>::load(x.as_ptr().add(at)).stream(out.as_mut_ptr().add(at)) };
        }
        T::V::<S>::settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_arrives_wherever_it_stands() {
        let x: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        for (start, len) in [(0, 1000), (0, 992), (3, 64), (16, 960), (1, 0)] {
            for far in [false, true] {
                let mut out = vec![-1.0; 1000];
                copy(&x[start..start + len], &mut out[start..start + len], far);
                for (i, &y) in out.iter().enumerate() {
                    let expected = if (start..start + len).contains(&i) { i as f32 } else { -1.0 };
                    assert!(y == expected, "{start} {len} {i}: {y}");
                }
            }
        }
    }
}
