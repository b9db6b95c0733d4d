//! Random maps: shifts, rotations and zooms about the middle of images, from uniform numbers.

use super::COEFFICIENTS;
use crate::kernels::math::VectorMath;
use crate::kernels::rows::first;
use crate::kernels::simd::{Kernel, Simd, Vector, dispatch};

/// Ranges of random maps; the ends are the same where nothing is random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineRanges {
    /// How far images move down and right, in parts of their height and width.
    pub shift: [[f64; 2]; 2],
    /// The angle in radians, counter-clockwise.
    pub angle: [f64; 2],
    /// The factors of the heights and widths that are looked at: above 1, images become smaller. Without the second, both
    /// are the same.
    pub zoom: ([f64; 2], Option<[f64; 2]>),
}

impl AffineRanges {
    /// No change.
    pub const NONE: Self =
        Self { shift: [[0.0; 2]; 2], angle: [0.0; 2], zoom: ([1.0; 2], Some([1.0; 2])) };
}

/// Turns uniform numbers, six for each image of a height and a width, into the numbers of its map, in their place.
pub fn make_maps(ranges: &AffineRanges, [height, width]: [usize; 2], numbers: &mut [f64]) {
    dispatch(Maps { ranges, height: height as f64, width: width as f64, numbers });
}

struct Maps<'a> {
    ranges: &'a AffineRanges,
    height: f64,
    width: f64,
    numbers: &'a mut [f64],
}

impl Kernel for Maps<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { ranges, height, width, numbers } = self;
        let between = |[low, high]: [f64; 2], u: f64| low + (high - low) * u;
        let (x, y) = ((width - 1.0) / 2.0, (height - 1.0) / 2.0);
        for map in numbers.as_chunks_mut::<COEFFICIENTS>().0 {
            let [down, right, turn, tall, wide, _] = *map;
            let down = between(ranges.shift[0], down) * height;
            let right = between(ranges.shift[1], right) * width;
            let angle = S::F64::splat(between(ranges.angle, turn));
            // All lanes are the same.
            let (sine, cosine) = angle.sin_cos();
            let (sine, cosine) = (first(sine), first(cosine));
            let tall = between(ranges.zoom.0, tall);
            let wide = ranges.zoom.1.map_or(tall, |zoom| between(zoom, wide));
            // A difference, as zero gets no sign by it.
            let (a, b) = (wide * cosine, 0.0 - wide * sine);
            let (d, e) = (tall * sine, tall * cosine);
            // About the middle of the image.
            *map = [a, b, x - a * x - b * y - right, d, e, y - d * x - e * y - down];
        }
    }
}
