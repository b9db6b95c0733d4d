//! Maps that keep rows apart: two rows are mixed as a whole, and each pixel is then of two neighbours in the mixture.

use std::ops::Range;

use super::places::{FULL, WIDE, constant, folded, split};
use super::{Frame, Interpolation, Map, Place, Warp};

/// The most elements of a row that is mixed so.
const MOST: usize = 1024;

/// True for maps that keep rows apart, of images that are not too wide.
pub(super) fn fits(frame: &Frame, map: &Map) -> bool {
    map[1] == 0.0 && map[3] == 0.0 && (frame.width + 1) * frame.channels < MOST
}

/// Where the pixels of any row of the result stand in the mixture of two rows, and that mixture.
pub(super) struct Rows<T> {
    left: [u32; MOST],
    other: [u32; MOST],
    right: [T; MOST],
    /// Pixels `start..end` are at the same distance of their own places, `step` elements away.
    start: usize,
    end: usize,
    step: isize,
    /// What stands beyond the edges follows after the row.
    mixed: [T; MOST],
}

impl<T: Place> Rows<T> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            left: [0; MOST],
            other: [0; MOST],
            right: [T::zero(); MOST],
            start: 0,
            end: 0,
            step: 0,
            mixed: [T::zero(); MOST],
        }
    }

    /// Maps a plane.
    #[inline(always)]
    pub(super) fn warp(&mut self, warp: &Warp, map: &Map, x: &[T], out: &mut [T]) {
        let Frame { height, width, channels, .. } = warp.frame;
        let row = width * channels;
        let value = constant::<T>(warp.fill);
        self.find(warp, map);
        self.mixed[row..row + channels].fill(value);
        let size = T::of(height as f64);
        for (y, out) in out.chunks_exact_mut(row).enumerate() {
            let (upper, below) = split(T::of(map[4] * y as f64 + map[5]), warp.interpolation);
            let lower = folded(warp.fill, upper + T::one(), size);
            let upper = folded(warp.fill, upper, size);
            let of = |place: Option<u32>| place.map(|place| &x[place as usize * row..][..row]);
            mix(of(upper), of(lower), below, value, &mut self.mixed[..row]);
            match (warp.interpolation, channels) {
                (Interpolation::Nearest, 1) => self.copy::<1>(1, out),
                (Interpolation::Nearest, 3) => self.copy::<3>(3, out),
                (Interpolation::Nearest, _) => self.copy::<0>(channels, out),
                (Interpolation::Bilinear, 1) => self.spread::<1>(1, out),
                (Interpolation::Bilinear, 3) => self.spread::<3>(3, out),
                (Interpolation::Bilinear, _) => self.spread::<0>(channels, out),
            }
        }
    }

    /// Finds where pixels stand.
    #[inline(always)]
    fn find(&mut self, warp: &Warp, map: &Map) {
        let Frame { width, channels, .. } = warp.frame;
        let size = T::of(width as f64);
        // What is whole in the shift of an image is left out of the sums, so that no digits are lost to it.
        let shifts = map[0] == 1.0 && map[2].abs() <= width as f64;
        let whole = if shifts { map[2].floor() } else { 0.0 };
        let (base, slope) = (T::of(map[2] - whole), T::of(map[0]));
        for i in 0..width {
            let (left, right) = if shifts {
                let (left, right) = split(base, warp.interpolation);
                (left + T::of(i as f64 + whole), right)
            } else {
                split(T::of_index(i as i32) * slope + base, warp.interpolation)
            };
            let place = |i: T| folded(warp.fill, i, size).unwrap_or(width as u32) * channels as u32;
            self.left[i] = place(left);
            self.other[i] = place(left + T::one());
            self.right[i] = right;
        }
        (self.start, self.end) = (0, 0);
        if shifts && warp.interpolation == Interpolation::Bilinear {
            // Base is in [0, 1), or rounded to 1.
            let (left, _) = split(base, warp.interpolation);
            let step = whole as isize + left.index() as isize;
            let last = width as isize - 1;
            let (start, end) = ((-step).clamp(0, last + 1), (last - step).clamp(0, last + 1));
            self.start = start as usize;
            self.end = end.max(start) as usize;
            self.step = step * channels as isize;
        }
    }

    #[inline(always)]
    fn copy<const C: usize>(&self, channels: usize, out: &mut [T]) {
        let channels = if C == 0 { channels } else { C };
        for (i, out) in out.chunks_exact_mut(channels).enumerate() {
            let from = &self.mixed[self.left[i] as usize..][..channels];
            for (out, &x) in out.iter_mut().zip(from) {
                *out = x;
            }
        }
    }

    /// Each pixel of two in the mixture.
    #[inline(always)]
    fn spread<const C: usize>(&self, channels: usize, out: &mut [T]) {
        let channels = if C == 0 { channels } else { C };
        let (start, end) = (self.start, self.end);
        if start < end {
            let (first, last) = (start * channels, end * channels);
            let from = &self.mixed[(first as isize + self.step) as usize..];
            let (count, right) = (last - first, self.right[start]);
            blend(&from[..count], &from[channels..][..count], right, &mut out[first..last]);
        }
        let pixels = out.len() / channels;
        self.spread_some::<C>(channels, 0..start, out);
        self.spread_some::<C>(channels, end.max(start)..pixels, out);
    }

    #[inline(always)]
    fn spread_some<const C: usize>(&self, channels: usize, pixels: Range<usize>, out: &mut [T]) {
        if C == 1 && pixels.len() >= FULL {
            let last = pixels.end - FULL;
            for first in pixels.step_by(FULL).map(|first| first.min(last)) {
                self.spread_full(first, &mut out[first..][..FULL]);
            }
            return;
        }
        for i in pixels {
            let (left, other) = (self.left[i] as usize, self.other[i] as usize);
            let right = self.right[i];
            let after = (i + 1) * channels;
            // Four elements at a time; the next pixel, which comes later, writes over the fourth.
            if C == 3 && after < out.len() && i + 1 != self.start {
                // SAFETY: places are no further than the pixel after the row, which ends before the last element.
                let (a, b): ([T; WIDE], [T; WIDE]) = unsafe {
                    let mixed = self.mixed.as_ptr();
                    (*mixed.add(left).cast(), *mixed.add(other).cast())
                };
                for (k, out) in out[i * C..][..WIDE].iter_mut().enumerate() {
                    *out = a[k] + right * (b[k] - a[k]);
                }
                continue;
            }
            let out = &mut out[i * channels..after];
            for (channel, out) in out.iter_mut().enumerate() {
                // The mask spares a comparison: places are less than it.
                let a = self.mixed[(left + channel) % MOST];
                *out = a + right * (self.mixed[(other + channel) % MOST] - a);
            }
        }
    }

    /// As many pixels of one channel as vectors like.
    #[inline(always)]
    fn spread_full(&self, first: usize, out: &mut [T]) {
        let (mut a, mut b) = ([T::zero(); FULL], [T::zero(); FULL]);
        let (left, other) = (&self.left[first..][..FULL], &self.other[first..][..FULL]);
        let right = &self.right[first..][..FULL];
        for i in 0..FULL {
            // The mask spares a comparison: places are less than it.
            a[i] = self.mixed[left[i] as usize % MOST];
            b[i] = self.mixed[other[i] as usize % MOST];
        }
        for (i, out) in out.iter_mut().enumerate() {
            *out = a[i] + right[i] * (b[i] - a[i]);
        }
    }
}

/// `upper + below · (lower - upper)`; the value where there is no row.
#[inline(always)]
fn mix<T: Place>(upper: Option<&[T]>, lower: Option<&[T]>, below: T, value: T, out: &mut [T]) {
    match (upper, lower) {
        (None, None) => out.fill(value),
        (Some(upper), None) => {
            for (out, &a) in out.iter_mut().zip(upper) {
                *out = a + below * (value - a);
            }
        }
        (None, Some(lower)) => {
            for (out, &b) in out.iter_mut().zip(lower) {
                *out = value + below * (b - value);
            }
        }
        (Some(upper), Some(lower)) => blend(upper, lower, below, out),
    }
}

/// `a + share · (b - a)`. The last elements go with some of those before them, so that as many as vectors like are there.
#[inline(always)]
fn blend<T: Place>(a: &[T], b: &[T], share: T, out: &mut [T]) {
    let count = out.len();
    if count < FULL {
        for (out, (&a, &b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *out = a + share * (b - a);
        }
        return;
    }
    for first in (0..count).step_by(FULL).map(|first| first.min(count - FULL)) {
        let (a, b) = (&a[first..][..FULL], &b[first..][..FULL]);
        for (i, out) in out[first..][..FULL].iter_mut().enumerate() {
            *out = a[i] + share * (b[i] - a[i]);
        }
    }
}
