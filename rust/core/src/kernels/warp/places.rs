//! The places that a row of pixels looks at, found by vectors and read one by one.

use super::{Fill, Frame, Interpolation, Map, Place, Warp};

/// Pixels whose places are found at a time.
pub(super) const MOST: usize = 128;
/// A whole number of these is found, whether they are needed or not: vectors of any instruction set are filled by them.
pub(super) const FULL: usize = 16;
/// Elements that are read at a time where pixels have three.
pub(super) const WIDE: usize = 4;
/// Beyond this many pixels from an image, places are as good as this far: so that they are whole numbers that every type
/// of float holds, whatever a map has in it.
const FAR: f64 = 4_194_304.0;

const CONSTANT: u8 = 0;
const NEAREST: u8 = 1;
const REFLECT: u8 = 2;
const WRAP: u8 = 3;
/// All places are inside.
const INSIDE: u8 = 4;

/// `i` where it is a number, and no further away than anybody looks.
#[inline(always)]
pub(super) fn near<T: Place>(i: T) -> T {
    let far = T::of(FAR);
    between(i, -far, far)
}

/// The nearest number from `low` to `high`; `low` for NaN.
#[inline(always)]
pub(super) fn between<T: Place>(x: T, low: T, high: T) -> T {
    // Comparisons of this kind are one instruction.
    let x = if x > low { x } else { low };
    if x < high { x } else { high }
}

/// Where the whole number `i` stands among `n`, which is 1 or more.
#[inline(always)]
fn fold<T: Place, const MODE: u8>(i: T, n: T) -> T {
    let (zero, one) = (T::zero(), T::one());
    let i = match MODE {
        INSIDE => return i,
        // Quotients of whole numbers below 2^22 are never rounded up to the next whole one.
        WRAP => i - (i / n).floor() * n,
        REFLECT => {
            let period = n + n;
            let i = i - (i / period).floor() * period;
            if i < n { i } else { period - one - i }
        }
        _ => i,
    };
    between(i, zero, n - one)
}

/// [`fold`] for a mode that is known when it runs; `None` where nothing but the constant stands there.
#[inline(always)]
pub(super) fn folded<T: Place>(fill: Fill, i: T, n: T) -> Option<u32> {
    let i = near(i);
    let place = match fill {
        Fill::Constant(_) if i < T::zero() || i >= n => return None,
        Fill::Constant(_) | Fill::Nearest => fold::<T, NEAREST>(i, n),
        Fill::Reflect => fold::<T, REFLECT>(i, n),
        Fill::Wrap => fold::<T, WRAP>(i, n),
    };
    Some(place.index())
}

/// The floor of a coordinate and what is left, or the nearest whole number and nothing.
#[inline(always)]
pub(super) fn split<T: Place>(x: T, interpolation: Interpolation) -> (T, T) {
    match interpolation {
        Interpolation::Nearest => ((x + T::of(0.5)).floor(), T::zero()),
        Interpolation::Bilinear => (x.floor(), x - x.floor()),
    }
}

/// Places of some pixels of one row.
pub(super) struct Places<T> {
    count: usize,
    blocks: [Block<T>; MOST / FULL],
    any_outside: bool,
}

/// Places of a fixed number of pixels, which vectors find without a look at any bound.
#[derive(Clone, Copy)]
struct Block<T> {
    /// Element numbers: upper left, upper right, lower left, lower right.
    taps: [[u32; FULL]; 4],
    /// How far right of the left ones, and how far below the upper ones.
    right: [T; FULL],
    below: [T; FULL],
    /// Bits for those of the taps where the constant stands.
    outside: [u32; FULL],
}

/// What a row of places follows from, in the type that they are computed in.
struct Line<T> {
    slope: [T; 2],
    base: [T; 2],
    size: [T; 2],
    first: i32,
    channels: u32,
    /// What is added before a floor: nothing, or what makes it the nearest whole number.
    shift: T,
    /// Whether what is left of a floor counts: 1, or 0.
    keep: T,
}

impl<T: Place> Line<T> {
    #[inline(always)]
    fn at(&self, pixel: usize) -> [T; 2] {
        let along = T::of_index(self.first + pixel as i32);
        [along * self.slope[0] + self.base[0], along * self.slope[1] + self.base[1]]
    }

    /// Whether all taps of the first `count` pixels are in the image: coordinates rise or fall along the row.
    #[inline(always)]
    fn is_inside(&self, count: usize) -> bool {
        [self.at(0), self.at(count - 1)].iter().all(|place| {
            place.iter().zip(self.size).all(|(&x, n)| {
                let low = (x + self.shift).floor();
                low >= T::zero() && low < n - T::one()
            })
        })
    }
}

impl<T: Place> Block<T> {
    #[inline(always)]
    fn trace<const MODE: u8>(&mut self, line: &Line<T>, first: usize) {
        let [width, height] = line.size;
        let one = T::one();
        let row = width.index().wrapping_mul(line.channels);
        for i in 0..FULL {
            let [x, y] = line.at(first + i);
            let (column, line_above) = ((x + line.shift).floor(), (y + line.shift).floor());
            self.right[i] = (x - column) * line.keep;
            self.below[i] = (y - line_above) * line.keep;
            let (x, y) = (near(column), near(line_above));
            let (left, other) = (fold::<T, MODE>(x, width), fold::<T, MODE>(x + one, width));
            let (upper, lower) = (fold::<T, MODE>(y, height), fold::<T, MODE>(y + one, height));
            let left = left.index().wrapping_mul(line.channels);
            let other = other.index().wrapping_mul(line.channels);
            let (upper, lower) = (upper.index().wrapping_mul(row), lower.index().wrapping_mul(row));
            self.taps[0][i] = upper.wrapping_add(left);
            self.taps[1][i] = upper.wrapping_add(other);
            self.taps[2][i] = lower.wrapping_add(left);
            self.taps[3][i] = lower.wrapping_add(other);
            if MODE == CONSTANT {
                let beyond = |i: T, n: T| u32::from(i < T::zero()) | u32::from(i >= n);
                let (left, other) = (beyond(x, width), beyond(x + one, width));
                let (upper, lower) = (beyond(y, height), beyond(y + one, height));
                self.outside[i] = (upper * 3) | (lower * 12) | (left * 5) | (other * 10);
            }
        }
    }
}

impl<T: Place> Places<T> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            count: 0,
            blocks: [Block {
                taps: [[0; FULL]; 4],
                right: [T::zero(); FULL],
                below: [T::zero(); FULL],
                outside: [0; FULL],
            }; MOST / FULL],
            any_outside: false,
        }
    }

    /// Finds the places of `count` pixels of row `y` from column `first` on.
    #[inline(always)]
    pub(super) fn find(&mut self, warp: &Warp, map: &Map, y: usize, first: usize, count: usize) {
        let frame = warp.frame;
        let nearest = warp.interpolation == Interpolation::Nearest;
        let line = Line {
            slope: [T::of(map[0]), T::of(map[3])],
            base: [T::of(map[1] * y as f64 + map[2]), T::of(map[4] * y as f64 + map[5])],
            size: [T::of(frame.width as f64), T::of(frame.height as f64)],
            first: first as i32,
            channels: frame.channels as u32,
            shift: T::of(if nearest { 0.5 } else { 0.0 }),
            keep: T::of(if nearest { 0.0 } else { 1.0 }),
        };
        self.count = count;
        self.any_outside = false;
        if line.is_inside(count) {
            self.trace::<INSIDE>(&line);
            return;
        }
        match warp.fill {
            Fill::Constant(_) => {
                self.any_outside = true;
                self.trace::<CONSTANT>(&line);
            }
            Fill::Nearest => self.trace::<NEAREST>(&line),
            Fill::Reflect => self.trace::<REFLECT>(&line),
            Fill::Wrap => self.trace::<WRAP>(&line),
        }
    }

    #[inline(always)]
    fn trace<const MODE: u8>(&mut self, line: &Line<T>) {
        // Pixels beyond the last one are found too, and read by nobody.
        for (number, block) in self.blocks.iter_mut().take(self.count.div_ceil(FULL)).enumerate() {
            block.trace::<MODE>(line, number * FULL);
        }
    }

    /// Reads what stands there; `C` channels, or as many as the frame has where it is 0.
    #[inline(always)]
    pub(super) fn read<const C: usize>(&self, warp: &Warp, x: &[T], out: &mut [T]) {
        let frame = &warp.frame;
        assert_eq!(x.len(), frame.plane());
        assert_eq!(out.len(), self.count * frame.channels);
        match (warp.interpolation, self.any_outside) {
            (Interpolation::Bilinear, false) => self.mix::<C, false>(warp, x, out),
            (Interpolation::Bilinear, true) => self.mix::<C, true>(warp, x, out),
            (Interpolation::Nearest, false) => self.copy::<C, false>(warp, x, out),
            (Interpolation::Nearest, true) => self.copy::<C, true>(warp, x, out),
        }
    }

    #[inline(always)]
    fn copy<const C: usize, const OUTSIDE: bool>(&self, warp: &Warp, x: &[T], out: &mut [T]) {
        let channels = if C == 0 { warp.frame.channels } else { C };
        let value = constant(warp.fill);
        for (block, out) in self.blocks.iter().zip(out.chunks_mut(FULL * channels)) {
            for (i, out) in out.chunks_exact_mut(channels).enumerate() {
                let tap = block.taps[0][i] as usize;
                let gone = OUTSIDE && block.outside[i] & 1 == 1;
                for (channel, out) in out.iter_mut().enumerate() {
                    *out = if gone { value } else { x[tap + channel] };
                }
            }
        }
    }

    #[inline(always)]
    fn mix<const C: usize, const OUTSIDE: bool>(&self, warp: &Warp, x: &[T], out: &mut [T]) {
        let channels = if C == 0 { warp.frame.channels } else { C };
        let value = constant(warp.fill);
        for (block, out) in self.blocks.iter().zip(out.chunks_mut(FULL * channels)) {
            // No closures: those are not always inlined, and then lose the instruction set.
            for i in 0..(out.len() / channels).min(FULL) {
                let taps = [0, 1, 2, 3].map(|tap: usize| block.taps[tap][i] as usize);
                let (right, below) = (block.right[i], block.below[i]);
                let outside = if OUTSIDE { block.outside[i] } else { 0 };
                let last = taps[0].max(taps[1]).max(taps[2]).max(taps[3]);
                if C == 3 && (i + 1) * C < out.len() && last + WIDE <= x.len() {
                    let mut four = [[value; WIDE]; 4];
                    for (tap, to) in four.iter_mut().enumerate() {
                        // SAFETY: so many elements stand there, as was just seen.
                        let inside: [T; WIDE] = unsafe { *x.as_ptr().add(taps[tap]).cast() };
                        *to =
                            if OUTSIDE && outside >> tap & 1 == 1 { [value; WIDE] } else { inside };
                    }
                    let mut all = [value; WIDE];
                    for (k, to) in all.iter_mut().enumerate() {
                        *to = mixed([four[0][k], four[1][k], four[2][k], four[3][k]], right, below);
                    }
                    // SAFETY: a pixel follows, as was just seen; it writes over the fourth element.
                    unsafe { *out.as_mut_ptr().add(i * C).cast() = all };
                    continue;
                }
                for channel in 0..channels {
                    let mut four = [value; 4];
                    for (tap, to) in four.iter_mut().enumerate() {
                        // Read in any case, and chosen after: a branch that nobody can foresee costs more.
                        // SAFETY: places are folded into the image, and `read` has compared its size.
                        let inside = unsafe { *x.get_unchecked(taps[tap] + channel) };
                        *to = if OUTSIDE && outside >> tap & 1 == 1 { value } else { inside };
                    }
                    out[i * channels + channel] = mixed(four, right, below);
                }
            }
        }
    }

    /// Adds to each place what comes from the pixels that look at it.
    #[inline(always)]
    pub(super) fn add(&self, warp: &Warp, grad: &[T], out: &mut [T]) {
        let one = T::one();
        for (i, grad) in grad.chunks_exact(warp.frame.channels).enumerate() {
            let (block, i) = (&self.blocks[i / FULL], i % FULL);
            let (right, below) = (block.right[i], block.below[i]);
            let shares = match warp.interpolation {
                Interpolation::Nearest => [one, T::zero(), T::zero(), T::zero()],
                Interpolation::Bilinear => [
                    (one - below) * (one - right),
                    (one - below) * right,
                    below * (one - right),
                    below * right,
                ],
            };
            for (tap, share) in shares.into_iter().enumerate() {
                let gone = self.any_outside && block.outside[i] >> tap & 1 == 1;
                if gone || share == T::zero() {
                    continue;
                }
                let to = &mut out[block.taps[tap][i] as usize..][..grad.len()];
                for (to, &grad) in to.iter_mut().zip(grad) {
                    *to = *to + share * grad;
                }
            }
        }
    }
}

/// The mean of four, by their distances: rows first, as where they are mixed as a whole.
#[inline(always)]
pub(super) fn mixed<T: Place>([a, b, c, d]: [T; 4], right: T, below: T) -> T {
    let (a, b) = (a + below * (c - a), b + below * (d - b));
    a + right * (b - a)
}

/// The value beyond the edges, where there is such.
#[inline(always)]
pub(super) fn constant<T: Place>(fill: Fill) -> T {
    match fill {
        Fill::Constant(value) => T::of(value),
        _ => T::zero(),
    }
}

/// Sizes that places can count: see `FAR`.
pub fn is_countable(frame: &Frame) -> bool {
    let most = FAR as usize / 2;
    frame.width < most && frame.height < most && frame.plane() < i32::MAX as usize
}
