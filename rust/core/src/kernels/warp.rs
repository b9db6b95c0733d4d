//! Affine maps of images, and their adjoints.
//!
//! Each pixel of the result looks at a place of the image, and takes the nearest pixel there or the mean of four. A row
//! of places is found first, which vectors do, and read after that. Maps that keep rows apart (shifts and zooms) look at
//! two rows at a time, which are mixed as a whole before. Others look at places anywhere: in an image that is small
//! enough, with a margin laid around it, and else in the image itself, place by place. The bits are the same.

mod maps;
mod padded;
mod places;
mod rows;

use super::caches::prefetch_near;
use super::simd::{Kernel, Scalar, Simd, dispatch};
pub use maps::{AffineRanges, make_maps};
use padded::Memory;
pub use places::is_countable;
use places::{Places, near};
use rows::Rows;

/// What stands beyond the edges of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// One value: `k k | a b c | k k`.
    Constant(f64),
    /// The pixel at the edge: `a a | a b c | c c`.
    Nearest,
    /// The image mirrored about its edges: `b a | a b c | c b`.
    Reflect,
    /// The image again: `b c | a b c | a b`.
    Wrap,
}

/// How pixels are taken from between the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest one; of two the one further on.
    Nearest,
    /// The four around, by their distances.
    Bilinear,
}

/// Sizes of an image: `planes` images of the same place one after the other, each of rows of pixels of some channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// How many images share a map.
    pub planes: usize,
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Elements of a pixel.
    pub channels: usize,
}

impl Frame {
    /// Elements of a plane.
    pub fn plane(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Elements of all planes.
    pub fn count(&self) -> usize {
        self.planes * self.plane()
    }
}

/// How images are mapped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    /// The sizes of each.
    pub frame: Frame,
    /// What lies beyond the edges.
    pub fill: Fill,
    /// What lies between pixels.
    pub interpolation: Interpolation,
}

/// The numbers of a map: pixel (x, y) of the result looks at (a x + b y + c, d x + e y + f).
pub const COEFFICIENTS: usize = 6;
pub(super) type Map = [f64; COEFFICIENTS];

/// A scalar that places are computed in.
pub trait Place: Scalar {
    /// A number that this type can hold, rounded.
    fn of(x: f64) -> Self;
    /// A small whole number.
    fn of_index(i: i32) -> Self;
    /// A whole number as one, in two's complement; of what is further off than 2^22, or no number, some other.
    fn index(self) -> u32;
}

impl Place for f32 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as Self
    }
    #[inline(always)]
    fn of_index(i: i32) -> Self {
        i as Self
    }
    #[inline(always)]
    fn index(self) -> u32 {
        // By way of the signed type, whose conversion every instruction set has; one that checks has no vectors.
        // SAFETY: what is near is a number that 32 bits hold.
        unsafe { near(self).to_int_unchecked::<i32>() }.cast_unsigned()
    }
}

impl Place for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn of_index(i: i32) -> Self {
        Self::from(i)
    }
    #[inline(always)]
    fn index(self) -> u32 {
        // SAFETY: as above.
        unsafe { near(self).to_int_unchecked::<i32>() }.cast_unsigned()
    }
}

/// Maps images one after the other, each by its coefficients.
///
/// # Panics
/// Where there are not as many maps and results as images, or images are larger than `u32` counts.
pub fn warp<T: Place>(warp: &Warp, maps: &[f64], x: &[T], out: &mut [T]) {
    check(warp, maps, x.len(), out.len());
    dispatch(Forward { warp, maps, x, out });
}

/// Adds up, for each pixel of the images, what arrives from the pixels that look at it: the transposed map of [`warp`].
///
/// # Panics
/// As [`warp`].
pub fn adjoint<T: Place>(warp: &Warp, maps: &[f64], grad: &[T], out: &mut [T]) {
    check(warp, maps, grad.len(), out.len());
    dispatch(Adjoint { warp, maps, grad, out });
}

fn check(warp: &Warp, maps: &[f64], given: usize, out: usize) {
    let images = maps.len() / COEFFICIENTS;
    assert_eq!(maps.len(), images * COEFFICIENTS);
    assert_eq!(given, out);
    assert_eq!(out, images * warp.frame.count());
    assert!(u32::try_from(warp.frame.plane()).is_ok());
}

/// Images with their maps; there is a pixel at least in each.
fn images(maps: &[f64]) -> impl Iterator<Item = &Map> {
    maps.as_chunks::<COEFFICIENTS>().0.iter()
}

struct Forward<'a, T> {
    warp: &'a Warp,
    maps: &'a [f64],
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Place> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { warp, maps, x, out } = self;
        let frame = warp.frame;
        if frame.count() == 0 {
            return;
        }
        let (mut rows, mut places) = (Rows::new(), Places::new());
        let mut memory = Memory::new::<T>(warp);
        let pairs = x.chunks_exact(frame.count()).zip(out.chunks_exact_mut(frame.count()));
        for (map, (x, out)) in images(maps).zip(pairs) {
            let planes = x.chunks_exact(frame.plane()).zip(out.chunks_exact_mut(frame.plane()));
            for (x, out) in planes {
                if rows::fits(&frame, map) {
                    rows.warp(warp, map, x, out);
                } else if let Some(padded) = memory.pad(warp, map, x) {
                    padded.warp::<S>(warp, map, out);
                } else {
                    whole(warp, map, &mut places, x, out);
                }
            }
        }
    }
}

/// Maps a plane by places anywhere.
#[inline(always)]
fn whole<T: Place>(warp: &Warp, map: &Map, places: &mut Places<T>, x: &[T], out: &mut [T]) {
    let frame = warp.frame;
    let row = frame.width * frame.channels;
    for (y, out) in out.chunks_exact_mut(row).enumerate() {
        // The image after this one: a row that is read across is none that a prefetcher knows.
        let ahead = x.as_ptr().wrapping_add(frame.plane() + y * row);
        prefetch_near(ahead, row * size_of::<T>());
        let pieces = out.chunks_mut(places::MOST * frame.channels).enumerate();
        for (piece, out) in pieces {
            places.find(warp, map, y, piece * places::MOST, out.len() / frame.channels);
            match frame.channels {
                1 => places.read::<1>(warp, x, out),
                3 => places.read::<3>(warp, x, out),
                _ => places.read::<0>(warp, x, out),
            }
        }
    }
}

struct Adjoint<'a, T> {
    warp: &'a Warp,
    maps: &'a [f64],
    grad: &'a [T],
    out: &'a mut [T],
}

impl<T: Place> Kernel for Adjoint<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { warp, maps, grad, out } = self;
        let frame = warp.frame;
        out.fill(T::zero());
        if frame.count() == 0 {
            return;
        }
        let mut places = Places::new();
        let row = frame.width * frame.channels;
        let pairs = grad.chunks_exact(frame.count()).zip(out.chunks_exact_mut(frame.count()));
        for (map, (grad, out)) in images(maps).zip(pairs) {
            let planes = grad.chunks_exact(frame.plane()).zip(out.chunks_exact_mut(frame.plane()));
            for (grad, out) in planes {
                for (y, grad) in grad.chunks_exact(row).enumerate() {
                    let pieces = grad.chunks(places::MOST * frame.channels).enumerate();
                    for (piece, grad) in pieces {
                        let pixels = grad.len() / frame.channels;
                        places.find(warp, map, y, piece * places::MOST, pixels);
                        places.add(warp, grad, out);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::{Isa, dispatch_on};

    const FILLS: [Fill; 4] = [Fill::Constant(7.0), Fill::Nearest, Fill::Reflect, Fill::Wrap];
    const BOTH: [Interpolation; 2] = [Interpolation::Nearest, Interpolation::Bilinear];

    fn some(n: usize) -> Vec<f64> {
        (0..n).map(|i| (i * 7919 % 6007) as f64 / 1001.0 - 3.0).collect()
    }

    /// The value at whole coordinates anywhere, as the modes are defined.
    fn at(warp: &Warp, x: &[f64], [row, column]: [i64; 2], channel: usize) -> f64 {
        let frame = warp.frame;
        let inside = |i: i64, n: usize| -> Option<usize> {
            let n = n as i64;
            let i = match warp.fill {
                Fill::Constant(_) if !(0..n).contains(&i) => return None,
                Fill::Constant(_) => i,
                Fill::Nearest => i.clamp(0, n - 1),
                Fill::Wrap => i.rem_euclid(n),
                Fill::Reflect => {
                    let i = i.rem_euclid(2 * n);
                    if i < n { i } else { 2 * n - 1 - i }
                }
            };
            Some(i as usize)
        };
        match (inside(row, frame.height), inside(column, frame.width), warp.fill) {
            (Some(row), Some(column), _) => {
                x[(row * frame.width + column) * frame.channels + channel]
            }
            (_, _, Fill::Constant(value)) => value,
            _ => unreachable!("other modes have a pixel everywhere"),
        }
    }

    /// A pixel by the definition.
    fn pixel(warp: &Warp, map: &Map, x: &[f64], [row, column]: [usize; 2], channel: usize) -> f64 {
        let (i, j) = (row as f64, column as f64);
        let (u, v) = (map[0] * j + map[1] * i + map[2], map[3] * j + map[4] * i + map[5]);
        if warp.interpolation == Interpolation::Nearest {
            let place = [(v + 0.5).floor() as i64, (u + 0.5).floor() as i64];
            return at(warp, x, place, channel);
        }
        let (fu, fv) = (u - u.floor(), v - v.floor());
        let mut sum = 0.0;
        for (dv, wv) in [(0, 1.0 - fv), (1, fv)] {
            for (du, wu) in [(0, 1.0 - fu), (1, fu)] {
                let place = [v.floor() as i64 + dv, u.floor() as i64 + du];
                sum += wv * wu * at(warp, x, place, channel);
            }
        }
        sum
    }

    fn maps() -> Vec<Map> {
        vec![
            [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            [1.0, 0.0, 2.3, 0.0, 1.0, -1.7],
            [1.0, 0.0, -31.25, 0.0, 1.0, 40.5],
            [1.0, 0.0, 500.1, 0.0, 1.0, -700.2],
            [0.6, 0.0, 1.1, 0.0, 1.3, -0.9],
            [3.1, 0.0, -17.0, 0.0, 2.9, -11.2],
            [0.8, -0.6, 2.0, 0.6, 0.8, -3.0],
            [-0.3, 1.7, -8.13, 1.9, 0.2, -20.37],
        ]
    }

    fn frames() -> Vec<Frame> {
        let of = |planes, height, width, channels| Frame { planes, height, width, channels };
        vec![
            of(1, 1, 1, 1),
            of(1, 5, 7, 1),
            of(2, 9, 4, 1),
            of(1, 8, 11, 3),
            of(1, 6, 5, 2),
            of(1, 3, 300, 1),
            of(1, 2, 1500, 3),
            of(1, 4, 1, 4),
        ]
    }

    #[test]
    fn pixels_are_those_of_the_definition() {
        for frame in frames() {
            let maps = maps();
            let flat: Vec<f64> = maps.iter().flatten().copied().collect();
            let x = some(maps.len() * frame.count());
            let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            for (fill, interpolation) in FILLS.iter().flat_map(|&f| BOTH.map(|i| (f, i))) {
                let how = Warp { frame, fill, interpolation };
                let (mut out, mut short) = (vec![9.0; x.len()], vec![9.0f32; x.len()]);
                warp(&how, &flat, &x, &mut out);
                warp(&how, &flat, &narrow, &mut short);
                for (at, map) in maps.iter().enumerate() {
                    for plane in 0..frame.planes {
                        let first = at * frame.count() + plane * frame.plane();
                        let x = &x[first..][..frame.plane()];
                        for (i, (out, short)) in
                            out[first..].iter().zip(&short[first..]).take(x.len()).enumerate()
                        {
                            let column = i / frame.channels % frame.width;
                            let row = i / frame.channels / frame.width;
                            let channel = i % frame.channels;
                            let expected = pixel(&how, map, x, [row, column], channel);
                            assert!((out - expected).abs() < 1e-10, "{how:?} {map:?} {i}: {out}");
                            if interpolation == Interpolation::Bilinear {
                                let off = (f64::from(*short) - expected).abs();
                                // Coordinates of up to 1500 in single precision, times six.
                                assert!(off < 2e-3, "{how:?} {map:?} {i}: {short}, {expected}");
                            }
                        }
                    }
                }
            }
        }
    }

    /// A plane with its margin is read.
    struct Read<'a>(&'a padded::Padded<'a, f32>, &'a Warp, &'a Map, &'a mut [f32]);

    impl Kernel for Read<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self) {
            self.0.warp::<S>(self.1, self.2, self.3);
        }
    }

    #[test]
    fn margins_do_not_change_bits() {
        let frame = Frame { planes: 1, height: 19, width: 37, channels: 1 };
        for frame in [frame, Frame { width: 9, ..frame }, Frame { channels: 3, ..frame }] {
            let x: Vec<f32> = some(frame.count()).iter().map(|&x| x as f32).collect();
            for (map, fill) in maps().iter().flat_map(|map| FILLS.map(|fill| (map, fill))) {
                let how = Warp { frame, fill, interpolation: Interpolation::Bilinear };
                let (mut with, mut without) = (vec![9.0; x.len()], vec![9.0; x.len()]);
                whole(&how, map, &mut Places::new(), &x, &mut without);
                let mut memory = Memory::new::<f32>(&how);
                let Some(padded) = memory.pad(&how, map, &x) else {
                    // Beyond its margins, which some modes need to be as wide as the map reaches.
                    assert!(matches!(fill, Fill::Reflect | Fill::Wrap), "{how:?} {map:?}");
                    continue;
                };
                dispatch(Read(&padded, &how, map, &mut with));
                assert!(with == without, "{how:?} {map:?}");
            }
        }
    }

    #[test]
    fn the_adjoint_is_the_transposed_map() {
        for frame in frames() {
            let flat: Vec<f64> = maps().iter().flatten().copied().collect();
            let n = maps().len() * frame.count();
            let (x, g) = (some(n), some(2 * n)[n..].to_vec());
            for (fill, interpolation) in FILLS.iter().flat_map(|&f| BOTH.map(|i| (f, i))) {
                let fill = if fill == FILLS[0] { Fill::Constant(0.0) } else { fill };
                let how = Warp { frame, fill, interpolation };
                let (mut y, mut back) = (vec![0.0; n], vec![0.0; n]);
                warp(&how, &flat, &x, &mut y);
                adjoint(&how, &flat, &g, &mut back);
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let (one, other) = (dot(&y, &g), dot(&x, &back));
                assert!((one - other).abs() < 1e-9 * (1.0 + one.abs()), "{how:?}: {one}, {other}");
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same() {
        for frame in frames() {
            let flat: Vec<f64> = maps().iter().flatten().copied().collect();
            let x: Vec<f32> =
                some(maps().len() * frame.count()).iter().map(|&x| x as f32).collect();
            for (fill, interpolation) in FILLS.iter().flat_map(|&f| BOTH.map(|i| (f, i))) {
                let warp = &Warp { frame, fill, interpolation };
                let on = |isa| {
                    let mut out = vec![0.0f32; x.len()];
                    dispatch_on(isa, Forward { warp, maps: &flat, x: &x, out: &mut out });
                    out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                let expected = on(Isa::Portable);
                for isa in Isa::available() {
                    assert!(on(isa) == expected, "{isa} {warp:?}");
                }
            }
        }
    }

    #[test]
    fn places_that_are_no_numbers_are_somewhere_inside() {
        let frame = Frame { planes: 1, height: 5, width: 6, channels: 1 };
        let x = some(frame.count());
        let wild = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30];
        for (fill, interpolation) in FILLS.iter().flat_map(|&f| BOTH.map(|i| (f, i))) {
            for (which, value) in (0..COEFFICIENTS).flat_map(|i| wild.map(|value| (i, value))) {
                let mut map = [0.8, -0.6, 2.0, 0.6, 0.8, -3.0];
                map[which] = value;
                let how = Warp { frame, fill, interpolation };
                let mut out = vec![0.0; x.len()];
                warp(&how, &map, &x, &mut out);
                adjoint(&how, &map, &x, &mut out);
                for straight in
                    [[1.0, 0.0, value, 0.0, 1.0, 0.0], [value, 0.0, 0.0, 0.0, 1.0, value]]
                {
                    warp(&how, &straight, &x, &mut out);
                }
            }
        }
    }
}
