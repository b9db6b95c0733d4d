//! Mirrored images: each axis of each image by a coin of its own.
//!
//! ```text
//! y[i, j] = x[h - 1 - i, j]  where the first coin says so        y[i, j] = x[i, w - 1 - j]  where the second does
//! ```
//! The gradient is mirrored the same way.

use smallvec::smallvec;

use crate::dtype::{Float, with_float};
use crate::error::Result;
use crate::kernels::simd::{Kernel, Simd, dispatch};
use crate::kernels::warp::Frame;
use crate::launch::{Cost, Operand, launch};
use crate::ops::images::{check_rows, frame_of};
use crate::tape::Saved;
use crate::tensor::Tensor;

/// Coins below this fall on the side that mirrors.
const HALF: f64 = 0.5;

struct Flip<'a, T> {
    frame: Frame,
    axes: [bool; 2],
    coins: &'a [f64],
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Float> Kernel for Flip<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { frame, axes, coins, x, out } = self;
        let (image, row) = (frame.count(), frame.width * frame.channels);
        if image == 0 {
            return;
        }
        let images = x.chunks_exact(image).zip(out.chunks_exact_mut(image));
        for (coins, (x, out)) in coins.as_chunks::<2>().0.iter().zip(images) {
            let [vertical, horizontal] = [0, 1].map(|axis: usize| axes[axis] && coins[axis] < HALF);
            let planes = x.chunks_exact(frame.plane()).zip(out.chunks_exact_mut(frame.plane()));
            for (x, out) in planes {
                if !(vertical || horizontal) {
                    out.copy_from_slice(x);
                    continue;
                }
                for (i, out) in out.chunks_exact_mut(row).enumerate() {
                    let i = if vertical { frame.height - 1 - i } else { i };
                    let x = &x[i * row..][..row];
                    match (horizontal, frame.channels) {
                        (false, _) => out.copy_from_slice(x),
                        (true, 1) => reverse::<T, 1>(x, out),
                        (true, 3) => reverse::<T, 3>(x, out),
                        (true, channels) => {
                            let pixels = x.chunks_exact(channels).rev();
                            for (out, x) in out.chunks_exact_mut(channels).zip(pixels) {
                                out.copy_from_slice(x);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row of pixels from its end.
#[inline(always)]
fn reverse<T: Float, const C: usize>(x: &[T], out: &mut [T]) {
    let pixels = x.as_chunks::<C>().0.iter().rev();
    for (out, x) in out.as_chunks_mut::<C>().0.iter_mut().zip(pixels) {
        *out = *x;
    }
}

fn flipped(x: &Tensor, coins: &Tensor, axes: [bool; 2], frame: Frame) -> Result<Tensor> {
    let x = x.packed()?;
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let operands = smallvec![
        Operand::read_own(&x, frame.count()),
        Operand::read_own(coins, 2),
        Operand::write_own(&out, frame.count()),
    ];
    let cost = Cost::elementwise(x.count(), 1.0, 2, x.dtype());
    with_float!(x.dtype(), "flip_images", T => launch("flip_images", x.shape()[0], cost, operands,
    move |items, arguments| {
        let (x, coins) = (arguments.own::<T>(0, &items), arguments.own::<f64>(1, &items));
        dispatch(Flip { frame, axes, coins, x, out: arguments.own_mut(2, &items) });
    }))?;
    Ok(out)
}

impl Tensor {
    /// Mirrors the axes that are asked for, vertical and horizontal, of the images whose coins are below ½: float64 of
    /// shape (images, 2).
    pub fn flip_images(&self, coins: &Self, axes: [bool; 2], channels_first: bool) -> Result<Self> {
        let frame = frame_of("flip_images", self, channels_first)?;
        check_rows("flip_images", "coins", coins, [self.shape()[0], 2])?;
        let coins = coins.packed()?;
        let out = flipped(self, &coins, axes, frame)?;
        Ok(out.recorded_of("flip_images", self, |_| {
            let coins = Saved::new(&coins);
            move |grad| flipped(grad, coins.get()?, axes, frame)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::testing::gradcheck;

    fn coins() -> Tensor {
        Tensor::from_slice(&[0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1], &[4, 2]).expect("fits")
    }

    #[test]
    fn each_axis_has_its_own_coin() {
        for (shape, first) in [
            (vec![4, 3, 5], false),
            (vec![4, 3, 5, 3], false),
            (vec![4, 3, 5, 2], false),
            (vec![4, 2, 3, 5], true),
        ] {
            let n: usize = shape.iter().product();
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let x = Tensor::from_slice(&x, &shape).expect("fits");
            let y = x.flip_images(&coins(), [true, true], first).expect("fits");
            let (y, x) = (y.to_array::<f32>().expect("f32"), x.to_array::<f32>().expect("f32"));
            let rows = if first { 2 } else { 1 };
            for (image, (vertical, horizontal)) in
                [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
            {
                for (at, &value) in y.indexed_iter().filter(|(at, _)| at[0] == image) {
                    let mut from = at.clone();
                    if vertical {
                        from[rows] = shape[rows] - 1 - at[rows];
                    }
                    if horizontal {
                        from[rows + 1] = shape[rows + 1] - 1 - at[rows + 1];
                    }
                    assert!(value == x[from], "{at:?}");
                }
            }
            let none = Tensor::from_slice(x.as_slice().expect("packed"), &shape).expect("fits");
            let same = none.flip_images(&coins(), [false, false], first).expect("fits");
            assert_eq!(same.to_array::<f32>().expect("f32"), x);
        }
    }

    #[test]
    fn gradients_are_mirrored() {
        let x: Vec<f64> = (0..4 * 15).map(|i| f64::from(i * 37 % 61)).collect();
        let x = Tensor::from_slice(&x, &[4, 3, 5]).expect("fits");
        gradcheck(|x| x[0].flip_images(&coins(), [true, true], false), &[x]).expect("the gradient");
        let x = Tensor::zeros(&[3, 3, 5], DType::F64).expect("small");
        assert!(x.flip_images(&coins(), [true, true], false).is_err());
    }
}
