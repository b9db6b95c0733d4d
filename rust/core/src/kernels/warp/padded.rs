//! Images with a margin around them, which holds what the mode says of the places beyond the edges: no place that a pixel
//! looks at needs a case of its own, and left and right neighbours lie side by side.

use super::places::{WIDE, between, constant, mixed};
use super::{Fill, Frame, Interpolation, Map, Place, Warp};
use crate::kernels::scratch::Room;
use crate::kernels::simd::{Simd, Vector};

/// The most elements of an image with its margin. One of 96×96×3 pixels with a margin of two gains by it, and loses where
/// mirrored margins make it twice as large (docs/about/performance-runs.md).
const MOST: usize = 1 << 15;
/// Channels of a pixel that has several.
const COLORS: usize = 3;
/// Pixels whose places are found at a time: some vectors of any instruction set, which wait less for each other.
const SPAN: usize = 32;
/// Of the constant and of the pixels at the edge, more of a margin would hold nothing new.
const ENOUGH: isize = 2;

/// Pixels of the margin before the first and after the last of a dimension.
#[derive(Clone, Copy)]
struct Margin {
    before: usize,
    after: usize,
}

impl Margin {
    /// What places from `low` to `high` need among `size`; nothing where the mode has no margin so wide.
    fn new(fill: Fill, [low, high]: [f64; 2], size: usize) -> Option<Self> {
        if !(low.abs() < MOST as f64 && high.abs() < MOST as f64) {
            return None;
        }
        // One more, as places are computed in less precision than these.
        let before = (1 - low.floor() as isize).max(1);
        let after = (high.floor() as isize + 3 - size as isize).max(1);
        let [before, after] = match fill {
            Fill::Constant(_) | Fill::Nearest => [before.min(ENOUGH), after.min(ENOUGH)],
            Fill::Reflect | Fill::Wrap if before.max(after) > size as isize => return None,
            Fill::Reflect | Fill::Wrap => [before, after],
        };
        Some(Self { before: before as usize, after: after as usize })
    }
}

/// Where what stands in the margin comes from: position `i` of `n`, counted from the first inside.
#[inline(always)]
fn source(fill: Fill, i: isize, n: isize) -> Option<usize> {
    let place = match fill {
        Fill::Constant(_) => return None,
        Fill::Nearest => i.clamp(0, n - 1),
        Fill::Reflect if i < 0 => -1 - i,
        Fill::Reflect => 2 * n - 1 - i,
        Fill::Wrap if i < 0 => i + n,
        Fill::Wrap => i - n,
    };
    Some(place as usize)
}

/// A plane with its margin, in memory of the thread.
pub(super) struct Padded<'a, T> {
    image: &'a mut [T],
    /// Elements from one row to the next.
    stride: usize,
    rows: Margin,
    columns: Margin,
}

/// Memory for it, borrowed from the thread.
pub(super) struct Memory {
    room: Room,
    /// How many elements a plane and its margin may have.
    most: usize,
}

impl Memory {
    /// Enough for the planes that get a margin; none where no plane does.
    pub(super) fn new<T>(warp: &Warp) -> Self {
        let Frame { height, width, channels, .. } = warp.frame;
        let has_margins = warp.interpolation == Interpolation::Bilinear
            && matches!(channels, 1 | COLORS)
            && warp.frame.plane() <= MOST;
        let most = if has_margins {
            let with_margin = |size: usize| match warp.fill {
                Fill::Constant(_) | Fill::Nearest => size + 2 * ENOUGH as usize,
                Fill::Reflect | Fill::Wrap => 3 * size,
            };
            (with_margin(height) * with_margin(width) * channels).min(MOST)
        } else {
            0
        };
        let spare = if has_margins { WIDE } else { 0 };
        Self { room: Room::new::<T>([most + spare, 0, 0]), most }
    }

    /// The plane with the margin that a map needs, if there is room for it.
    #[inline(always)]
    pub(super) fn pad<T: Place>(
        &mut self,
        warp: &Warp,
        map: &Map,
        x: &[T],
    ) -> Option<Padded<'_, T>> {
        let Frame { height, width, channels, .. } = warp.frame;
        if self.most == 0 {
            return None;
        }
        // Of an affine map, the furthest places are those of the corners.
        let (right, down) = ((width - 1) as f64, (height - 1) as f64);
        let columns = Margin::new(warp.fill, ends([map[0] * right, map[1] * down, map[2]]), width)?;
        let rows = Margin::new(warp.fill, ends([map[3] * right, map[4] * down, map[5]]), height)?;
        let stride = (columns.before + width + columns.after) * channels;
        let count = stride * (rows.before + height + rows.after);
        if count > self.most {
            return None;
        }
        // SAFETY: there is room for so many elements, lent to this call alone. They are numbers, whatever was there.
        let image =
            unsafe { std::slice::from_raw_parts_mut(self.room.parts::<T>()[0], count + WIDE) };
        let mut padded = Padded { image, stride, rows, columns };
        if channels == 1 {
            padded.fill::<1>(warp, x);
        } else {
            padded.fill::<COLORS>(warp, x);
        }
        Some(padded)
    }
}

/// The least and the largest of a base and one, both or none of two distances.
#[inline(always)]
fn ends([right, down, base]: [f64; 3]) -> [f64; 2] {
    [base + right.min(0.0) + down.min(0.0), base + right.max(0.0) + down.max(0.0)]
}

impl<T: Place> Padded<'_, T> {
    #[inline(always)]
    fn fill<const C: usize>(&mut self, warp: &Warp, x: &[T]) {
        let Frame { height, width, .. } = warp.frame;
        let value = constant::<T>(warp.fill);
        let first = self.rows.before * self.stride;
        let inside = self.image[first..].chunks_exact_mut(self.stride);
        for (to, x) in inside.zip(x.chunks_exact(width * C)) {
            let (left, rest) = to.split_at_mut(self.columns.before * C);
            let (middle, right) = rest.split_at_mut(width * C);
            middle.copy_from_slice(x);
            let pixels = x.as_chunks::<C>().0;
            let left = (-(self.columns.before as isize)..0).zip(left.as_chunks_mut::<C>().0);
            let right = (width as isize..).zip(right.as_chunks_mut::<C>().0);
            for (i, to) in left.chain(right) {
                *to = source(warp.fill, i, width as isize).map_or([value; C], |from| pixels[from]);
            }
        }
        let n = height as isize;
        let outside = (-(self.rows.before as isize)..0).chain(n..n + self.rows.after as isize);
        for i in outside {
            let to = (self.rows.before as isize + i) as usize * self.stride;
            match source(warp.fill, i, n) {
                Some(from) => {
                    let from = first + from * self.stride;
                    self.image.copy_within(from..from + self.stride, to);
                }
                None => self.image[to..to + self.stride].fill(value),
            }
        }
    }

    /// Maps the plane.
    #[inline(always)]
    pub(super) fn warp<S: Simd>(&self, warp: &Warp, map: &Map, out: &mut [T]) {
        let Frame { width, channels, .. } = warp.frame;
        for (y, out) in out.chunks_exact_mut(width * channels).enumerate() {
            let line = self.line(warp, map, y);
            if channels == 1 {
                self.read::<S>(&line, out);
            } else {
                self.read_colors(&line, out);
            }
        }
    }

    #[inline(always)]
    fn line(&self, warp: &Warp, map: &Map, y: usize) -> Line<T> {
        let Frame { height, width, channels, .. } = warp.frame;
        let (left, above) = (self.columns.before, self.rows.before);
        let last = |size: usize, after: usize| T::of((size + after) as f64 - 2.0);
        Line {
            slope: [T::of(map[0]), T::of(map[3])],
            base: [T::of(map[1] * y as f64 + map[2]), T::of(map[4] * y as f64 + map[5])],
            low: [T::of(-(left as f64)), T::of(-(above as f64))],
            high: [last(width, self.columns.after), last(height, self.rows.after)],
            steps: [T::of(channels as f64), T::of(self.stride as f64)],
            origin: T::of((above * self.stride + left * channels) as f64),
        }
    }

    /// A row of pixels of one channel.
    #[inline(always)]
    fn read<S: Simd>(&self, line: &Line<T>, out: &mut [T]) {
        let mut places = Places::new();
        for (piece, out) in out.chunks_mut(SPAN).enumerate() {
            places.find(line, piece * SPAN);
            for lane in (0..out.len()).step_by(T::V::<S>::LANES) {
                // The last ones go with some of those before them, if there are so many.
                let lane = lane.min(out.len().saturating_sub(T::V::<S>::LANES));
                // SAFETY: places are kept inside, with a row and an element after them; a whole number of vectors of
                // them is found, and what is written are the pixels that there are.
                unsafe {
                    let (upper, found) = (self.image.as_ptr(), places.first.as_ptr().add(lane));
                    let (a, b) = T::V::<S>::load_pairs(upper, found);
                    let (c, d) = T::V::<S>::load_pairs(upper.add(self.stride), found);
                    let right = T::V::<S>::load(places.right.as_ptr().add(lane));
                    let below = T::V::<S>::load(places.below.as_ptr().add(lane));
                    let (a, b) = (a + below * (c - a), b + below * (d - b));
                    let mixed = a + right * (b - a);
                    if out.len() < T::V::<S>::LANES {
                        mixed.store_first(out.as_mut_ptr(), out.len());
                    } else {
                        mixed.store(out.as_mut_ptr().add(lane));
                    }
                }
            }
        }
    }

    /// A row of pixels of three channels.
    #[inline(always)]
    fn read_colors(&self, line: &Line<T>, out: &mut [T]) {
        let mut places = Places::new();
        for (piece, out) in out.chunks_mut(SPAN * COLORS).enumerate() {
            places.find(line, piece * SPAN);
            for i in 0..out.len() / COLORS {
                let (right, below) = (places.right[i], places.below[i]);
                // SAFETY: places are kept inside, with a row and a pixel after them, and a spare element at the end.
                let (a, b, c, d): ([T; WIDE], [T; WIDE], [T; WIDE], [T; WIDE]) = unsafe {
                    let upper = self.image.as_ptr().add(places.first[i] as usize);
                    let lower = upper.add(self.stride);
                    let next = (upper.add(COLORS), lower.add(COLORS));
                    (*upper.cast(), *next.0.cast(), *lower.cast(), *next.1.cast())
                };
                let mut all = [T::zero(); WIDE];
                for (k, to) in all.iter_mut().enumerate() {
                    *to = mixed([a[k], b[k], c[k], d[k]], right, below);
                }
                if (i + 1) * COLORS < out.len() {
                    // SAFETY: a pixel follows, as was just seen; it writes over the fourth element.
                    unsafe { *out.as_mut_ptr().add(i * COLORS).cast() = all };
                } else {
                    out[i * COLORS..].copy_from_slice(&all[..COLORS]);
                }
            }
        }
    }
}

/// What the places of a row follow from: columns first, rows second.
struct Line<T> {
    slope: [T; 2],
    base: [T; 2],
    /// The first and the last place that has a neighbour after it.
    low: [T; 2],
    high: [T; 2],
    /// Elements from one place to the next, and the place of the first pixel.
    steps: [T; 2],
    origin: T,
}

/// Places of some pixels of one row: element numbers, and how far right of them and below them.
struct Places<T> {
    first: [u32; SPAN],
    right: [T; SPAN],
    below: [T; SPAN],
}

impl<T: Place> Places<T> {
    #[inline(always)]
    fn new() -> Self {
        Self { first: [0; SPAN], right: [T::zero(); SPAN], below: [T::zero(); SPAN] }
    }

    #[inline(always)]
    fn find(&mut self, line: &Line<T>, first: usize) {
        for i in 0..SPAN {
            let along = T::of_index((first + i) as i32);
            let x = along * line.slope[0] + line.base[0];
            let y = along * line.slope[1] + line.base[1];
            let (column, row) = (x.floor(), y.floor());
            self.right[i] = x - column;
            self.below[i] = y - row;
            let column = between(column, line.low[0], line.high[0]);
            let row = between(row, line.low[1], line.high[1]);
            // Whole numbers that both types hold.
            self.first[i] = (row * line.steps[1] + column * line.steps[0] + line.origin).index();
        }
    }
}
