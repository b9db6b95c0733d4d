//! Brightness and contrast of images: each image by its own number, within a range of values.

use super::rows::is_far;
use super::simd::{Kernel, Simd, Vector, dispatch};
use super::warp::Place;

/// Pixels that are summed side by side: several vectors of any instruction set.
const SIDE: usize = 16;
/// Sums of so many are widened: long chains in `f32` drift.
const CHAIN: usize = 64;
/// Channels whose sums go side by side.
const MOST_CHANNELS: usize = 4;

/// The values that pixels keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The least.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

/// What one image is changed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its number is added: `x + d`.
    Brightness,
    /// Its number multiplies the distances from the mean of the channel: `mean + f (x - mean)`.
    Contrast,
}

/// What images of `planes` planes of pixels of some channels are changed by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Color {
    /// What is done.
    pub change: Change,
    /// What the result keeps to.
    pub bounds: Bounds,
    /// Elements of a plane, each of which has means of its own.
    pub plane: usize,
    /// Planes of an image.
    pub planes: usize,
    /// Elements of a pixel.
    pub channels: usize,
}

/// Changes images, each by its number.
///
/// # Panics
/// Where there are not as many numbers as images, or results as elements.
pub fn change<T: Place>(color: &Color, numbers: &[f64], x: &[T], out: &mut [T]) {
    assert_eq!(x.len(), out.len());
    assert_eq!(x.len(), numbers.len() * color.planes * color.plane);
    dispatch(Forward { color, numbers, x, out });
}

/// The gradient of images from that of the changed ones; it does not pass where the bounds have cut.
///
/// # Panics
/// As [`change`].
pub fn change_backward<T: Place>(
    color: &Color,
    numbers: &[f64],
    x: &[T],
    grad: &[T],
    out: &mut [T],
) {
    assert_eq!(x.len(), out.len());
    assert_eq!(x.len(), grad.len());
    assert_eq!(x.len(), numbers.len() * color.planes * color.plane);
    dispatch(Back { color, numbers, x, grad, out });
}

/// `x` within bounds; NaN stays.
#[inline(always)]
fn clipped<T: Place>(x: T, low: T, high: T) -> T {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// Sums over the pixels, side by side, of up to [`MOST_CHANNELS`] channels; widened now and then.
#[inline(always)]
fn sums<T: Place, const C: usize>(x: &[T]) -> [f64; MOST_CHANNELS] {
    let mut total = [0.0; MOST_CHANNELS];
    for x in x.chunks(SIDE * C * CHAIN) {
        let mut side = [[T::zero(); C]; SIDE];
        let mut chunks = x.chunks_exact(SIDE * C);
        for x in &mut chunks {
            for (sum, &x) in side.as_flattened_mut().iter_mut().zip(x) {
                *sum = *sum + x;
            }
        }
        for (sum, &x) in side.as_flattened_mut().iter_mut().zip(chunks.remainder()) {
            *sum = *sum + x;
        }
        for pixel in side {
            for (total, sum) in total.iter_mut().zip(pixel) {
                *total += sum.to_f64().unwrap_or(f64::NAN);
            }
        }
    }
    total
}

/// The sum of one channel of many.
#[inline(always)]
fn sum_of<T: Place>(x: &[T], channel: usize, channels: usize) -> f64 {
    x.iter().skip(channel).step_by(channels).map(|x| x.to_f64().unwrap_or(f64::NAN)).sum()
}

struct Forward<'a, T> {
    color: &'a Color,
    numbers: &'a [f64],
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Place> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { color, numbers, x, out } = self;
        let (low, high) = (T::of(color.bounds.low), T::of(color.bounds.high));
        let image = color.planes * color.plane;
        if image == 0 {
            return;
        }
        let far = is_far::<T::V<S>>(out, image);
        let pairs = x.chunks_exact(image).zip(out.chunks_exact_mut(image));
        for (&number, (x, out)) in numbers.iter().zip(pairs) {
            let number = T::of(number);
            if color.change == Change::Brightness {
                brighten::<T, S>(x, out, number, [low, high], far);
                continue;
            }
            let planes = x.chunks_exact(color.plane).zip(out.chunks_exact_mut(color.plane));
            for (x, out) in planes {
                match color.channels {
                    1 => stretch::<T, 1>(x, out, number, [low, high]),
                    3 => stretch::<T, 3>(x, out, number, [low, high]),
                    channels => stretch_any(x, out, number, [low, high], channels),
                }
            }
        }
    }
}

/// The sum of a number and each element; written past the caches if `far`, which takes whole vectors.
#[inline(always)]
fn brighten<T: Place, S: Simd>(x: &[T], out: &mut [T], number: T, [low, high]: [T; 2], far: bool) {
    let d = T::V::<S>::splat(number);
    let (least, most) = (T::V::<S>::splat(low), T::V::<S>::splat(high));
    let whole = x.len() - x.len() % T::V::<S>::LANES;
    for at in (0..whole).step_by(T::V::<S>::LANES) {
        // SAFETY: a whole vector stands at `at` of both.
        unsafe {
            // In this order NaN stays.
            let y = most.min(least.max(T::V::<S>::load(x.as_ptr().add(at)) + d));
            let to = out.as_mut_ptr().add(at);
            if far { y.stream(to) } else { y.store(to) }
        }
    }
    for (out, &x) in out[whole..].iter_mut().zip(&x[whole..]) {
        *out = clipped(x + number, low, high);
    }
    if far {
        T::V::<S>::settle();
    }
}

/// The contrast of a plane of `C` channels, no more than [`MOST_CHANNELS`].
#[inline(always)]
fn stretch<T: Place, const C: usize>(x: &[T], out: &mut [T], factor: T, [low, high]: [T; 2]) {
    let pixels = (x.len() / C) as f64;
    let means = sums::<T, C>(x).map(|sum| T::of(sum / pixels));
    let mut side = [[T::zero(); C]; SIDE];
    for pixel in &mut side {
        for (to, &mean) in pixel.iter_mut().zip(&means) {
            *to = mean;
        }
    }
    let means = side.as_flattened();
    for (x, out) in x.chunks(means.len()).zip(out.chunks_mut(means.len())) {
        for ((out, &x), &mean) in out.iter_mut().zip(x).zip(means) {
            *out = clipped(mean + factor * (x - mean), low, high);
        }
    }
}

#[inline(always)]
fn stretch_any<T: Place>(x: &[T], out: &mut [T], factor: T, [low, high]: [T; 2], channels: usize) {
    let pixels = (x.len() / channels) as f64;
    for channel in 0..channels {
        let mean = T::of(sum_of(x, channel, channels) / pixels);
        let pairs = x.iter().zip(out.iter_mut()).skip(channel).step_by(channels);
        for (&x, out) in pairs {
            *out = clipped(mean + factor * (x - mean), low, high);
        }
    }
}

struct Back<'a, T> {
    color: &'a Color,
    numbers: &'a [f64],
    x: &'a [T],
    grad: &'a [T],
    out: &'a mut [T],
}

impl<T: Place> Kernel for Back<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { color, numbers, x, grad, out } = self;
        let (low, high) = (T::of(color.bounds.low), T::of(color.bounds.high));
        let image = color.planes * color.plane;
        if image == 0 {
            return;
        }
        let passed = |y: T, grad: T| if y >= low && y <= high { grad } else { T::zero() };
        let images = x.chunks_exact(image).zip(grad.chunks_exact(image));
        for (&number, ((x, grad), out)) in
            numbers.iter().zip(images.zip(out.chunks_exact_mut(image)))
        {
            let number = T::of(number);
            if color.change == Change::Brightness {
                for ((out, &x), &grad) in out.iter_mut().zip(x).zip(grad) {
                    *out = passed(x + number, grad);
                }
                continue;
            }
            let planes = x.chunks_exact(color.plane).zip(grad.chunks_exact(color.plane));
            for ((x, grad), out) in planes.zip(out.chunks_exact_mut(color.plane)) {
                let pixels = (color.plane / color.channels) as f64;
                for channel in 0..color.channels {
                    let mean = T::of(sum_of(x, channel, color.channels) / pixels);
                    let mut sum = 0.0;
                    let all = x.iter().zip(grad).zip(out.iter_mut());
                    for ((&x, &grad), out) in all.skip(channel).step_by(color.channels) {
                        *out = passed(mean + number * (x - mean), grad);
                        sum += out.to_f64().unwrap_or(f64::NAN);
                    }
                    // Each pixel is in the mean, too.
                    let shared = (T::one() - number) * T::of(sum / pixels);
                    for out in out.iter_mut().skip(channel).step_by(color.channels) {
                        *out = number * *out + shared;
                    }
                }
            }
        }
    }
}
