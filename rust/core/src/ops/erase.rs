//! Erased boxes: a part of an image that is replaced, by numbers of its channels or by noise.
//!
//! ```text
//! sides = √U(scale) · (h, w)        corner = U(0, 1) · ((h, w) - sides)        erased where U(0, 1) < U(probability)
//! ```
//! A pixel is in the box where its row and column are between the sides, the first of each included. No gradient passes
//! where an image was erased.

use std::ops::Range;

use smallvec::smallvec;

use crate::dtype::{DType, Float, with_float};
use crate::error::{Result, bail};
use crate::generator::Generator;
use crate::kernels::copy::{copy, is_beyond_caches};
use crate::kernels::warp::Frame;
use crate::launch::{Cost, Operand, launch};
use crate::layout::show;
use crate::ops::images::frame_of;
use crate::rng::{Key, Random, fill_normal, fill_uniform};
use crate::tape::Saved;
use crate::tensor::Tensor;

/// Numbers of a box: first row, end of the rows, first column, end of the columns.
const SIDES: usize = 4;
/// Uniform numbers that a box takes.
const NUMBERS: usize = 6;
/// Numbers of noise that are drawn at a time.
const DRAWN: usize = 128;
/// Boxes that are drawn at a time.
const BATCH: usize = 32;

/// The first whole number that is no less than a float from 0 to `most`.
fn ceiling(x: f64, most: usize) -> i64 {
    (x.ceil() as i64).clamp(0, most as i64)
}

/// A box from its uniform numbers; empty where nothing is erased.
fn one_box(
    numbers: [f64; NUMBERS],
    sizes: [usize; 2],
    probability: [f64; 2],
    scale: [f64; 2],
) -> [i64; SIDES] {
    let between = |[low, high]: [f64; 2], u: f64| low + (high - low) * u;
    let [tall, wide, down, right, chance, coin] = numbers;
    if coin >= between(probability, chance) {
        return [0; SIDES];
    }
    let side = |share: f64, place: f64, size: usize| {
        let length = between(scale, share).sqrt() * size as f64;
        let start = place * (size as f64 - length);
        [ceiling(start, size), ceiling(start + length, size)]
    };
    let ([top, bottom], [left, end]) = (side(tall, down, sizes[0]), side(wide, right, sizes[1]));
    [top, bottom, left, end]
}

/// Draws a box in each of some images of a height and a width: int64 of shape (images, 4).
pub fn random_boxes(
    generator: &Generator,
    images: usize,
    sizes: [usize; 2],
    probability: [f64; 2],
    scale: [f64; 2],
) -> Result<Tensor> {
    for (what, [low, high]) in [("probability", probability), ("scale", scale)] {
        if !(0.0 <= low && low <= high && high <= 1.0) {
            bail!(
                Value,
                "random_boxes: expected bounds of the {what} from 0 to 1 in order, got {low}, {high}"
            );
        }
    }
    let out = Tensor::empty(&[images, SIDES], DType::I64)?;
    let (key, number) = (generator.key(), generator.draw()?);
    let operands = smallvec![Operand::read(&number), Operand::write_own(&out, SIDES)];
    let cost = Cost::elementwise(out.count(), 64.0, 1, DType::I64);
    launch("random_boxes", images, cost, operands, move |items, arguments| {
        let draw = arguments.all::<i64>(0)[0] as u64;
        let boxes = arguments.own_mut::<i64>(1, &items).as_chunks_mut::<SIDES>().0;
        let mut numbers = [[0.0; NUMBERS]; BATCH];
        for (batch, boxes) in boxes.chunks_mut(BATCH).enumerate() {
            let first = (items.start + batch * BATCH) * NUMBERS;
            let numbers = &mut numbers[..boxes.len()];
            fill_uniform(key, draw, first as u64, numbers.as_flattened_mut());
            for (one, numbers) in boxes.iter_mut().zip(numbers) {
                *one = one_box(*numbers, sizes, probability, scale);
            }
        }
    })?;
    Ok(out)
}

/// What stands in erased boxes.
#[derive(Clone)]
pub enum Eraser {
    /// A number for each channel, or one for all.
    Values(Vec<f64>),
    /// Normal numbers of mean 0, within bounds.
    Noise {
        /// What draws them.
        generator: Generator,
        /// Their deviation before the bounds.
        deviation: f64,
        /// The least and the largest.
        bounds: [f64; 2],
    },
}

/// [`Eraser`] in a launch.
enum Ink {
    Values(Vec<f64>),
    Noise { key: Key, deviation: f64, bounds: [f64; 2] },
}

/// Replaces the boxes of images, whose numbers count from `first` on.
struct Erasing<'a> {
    frame: Frame,
    ink: &'a Ink,
    draw: u64,
}

impl Erasing<'_> {
    fn run<T: Float + Random>(&self, items: &Range<usize>, boxes: &[i64], x: &[T], out: &mut [T]) {
        let Frame { height, width, channels, .. } = self.frame;
        let (count, plane) = (self.frame.count(), self.frame.plane());
        if count == 0 {
            return;
        }
        let far = is_beyond_caches(out);
        let images = x.chunks_exact(count).zip(out.chunks_exact_mut(count));
        let images = boxes.as_chunks::<SIDES>().0.iter().zip(images);
        for (image, (&sides, (x, out))) in items.clone().zip(images) {
            copy(x, out, far);
            // A replay may find others than were checked.
            let within = |low: i64, end: i64, size: usize| {
                let end = end.clamp(0, size as i64) as usize;
                (low.clamp(0, end as i64) as usize)..end
            };
            let rows = within(sides[0], sides[1], height);
            let columns = within(sides[2], sides[3], width);
            let mut noise = Noise::new(self, image * count);
            for (number, out) in out.chunks_exact_mut(plane).enumerate() {
                for row in rows.clone() {
                    let start = (row * width + columns.start) * channels;
                    let out = &mut out[start..][..columns.len() * channels];
                    match self.ink {
                        Ink::Values(values) => self.fill(values, number, out),
                        Ink::Noise { .. } => noise.fill(out),
                    }
                }
            }
        }
    }

    /// Values in a row of a box in this plane.
    fn fill<T: Float>(&self, values: &[f64], plane: usize, out: &mut [T]) {
        match values {
            [value] => out.fill(T::from_f64(*value)),
            _ if self.frame.planes > 1 => out.fill(T::from_f64(values[plane])),
            _ => {
                for out in out.chunks_exact_mut(values.len()) {
                    for (out, &value) in out.iter_mut().zip(values) {
                        *out = T::from_f64(value);
                    }
                }
            }
        }
    }
}

/// The noise of a box, element after element: as many at a time as the generator makes.
struct Noise<'a, T> {
    erasing: &'a Erasing<'a>,
    /// The element of the draw that comes next.
    next: usize,
    left: usize,
    numbers: [T; DRAWN],
}

impl<'a, T: Float + Random> Noise<'a, T> {
    fn new(erasing: &'a Erasing<'a>, first: usize) -> Self {
        Self { erasing, next: first, left: 0, numbers: [T::from_f64(0.0); DRAWN] }
    }

    fn fill(&mut self, mut out: &mut [T]) {
        while !out.is_empty() {
            if self.left == 0 {
                self.draw();
            }
            let (head, rest) = out.split_at_mut(self.left.min(out.len()));
            head.copy_from_slice(&self.numbers[DRAWN - self.left..][..head.len()]);
            self.left -= head.len();
            out = rest;
        }
    }

    fn draw(&mut self) {
        let Ink::Noise { key, deviation, bounds } = self.erasing.ink else { return };
        fill_normal(*key, self.erasing.draw, self.next as u64, &mut self.numbers);
        let (low, high) = (T::from_f64(bounds[0]), T::from_f64(bounds[1]));
        let deviation = T::from_f64(*deviation);
        for x in &mut self.numbers {
            let scaled = *x * deviation;
            let above = if scaled < low { low } else { scaled };
            *x = if above > high { high } else { above };
        }
        self.next += DRAWN;
        self.left = DRAWN;
    }
}

/// A copy of `x` with the boxes replaced.
fn erased(
    x: &Tensor,
    boxes: &Tensor,
    frame: Frame,
    ink: Ink,
    number: Option<&Tensor>,
) -> Result<Tensor> {
    let x = x.packed()?;
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let mut operands = smallvec![
        Operand::read_own(&x, frame.count()),
        Operand::read_own(boxes, SIDES),
        Operand::write_own(&out, frame.count()),
    ];
    operands.extend(number.map(Operand::read));
    let drawn = number.is_some();
    let flops = if drawn { 16.0 } else { 1.0 };
    let cost = Cost::elementwise(x.count(), flops, 2, x.dtype());
    with_float!(x.dtype(), "erase", T => launch("erase", x.shape()[0], cost, operands,
    move |items, arguments| {
        let draw = if drawn { arguments.all::<i64>(3)[0] as u64 } else { 0 };
        let (boxes, out) = (arguments.own::<i64>(1, &items), arguments.own_mut::<T>(2, &items));
        Erasing { frame, ink: &ink, draw }.run(&items, boxes, arguments.own(0, &items), out);
    }))?;
    Ok(out)
}

impl Tensor {
    /// Replaces a box of each image: `boxes` is int64 of shape (images, 4).
    pub fn erase(&self, boxes: &Self, eraser: Eraser, channels_first: bool) -> Result<Self> {
        let frame = frame_of("erase", self, channels_first)?;
        DType::I64.require_of("erase", "boxes", boxes.dtype())?;
        if boxes.shape() != [self.shape()[0], SIDES] {
            let (images, got) = (self.shape()[0], show(boxes.shape()));
            bail!(Shape, "erase: expected boxes of shape ({images}, {SIDES}), got {got}");
        }
        let (ink, number) = match eraser {
            Eraser::Values(values) => {
                let channels = frame.planes.max(frame.channels);
                if values.len() != 1 && values.len() != channels {
                    let given = values.len();
                    bail!(
                        Shape,
                        "erase: expected one value or {channels}, one for each channel, got {given}"
                    );
                }
                (Ink::Values(values), None)
            }
            Eraser::Noise { generator, deviation, bounds } => {
                let key = generator.key();
                (Ink::Noise { key, deviation, bounds }, Some(generator.draw()?))
            }
        };
        let boxes = boxes.packed()?;
        let out = erased(self, &boxes, frame, ink, number.as_ref())?;
        Ok(out.recorded_of("erase", self, |_| {
            let boxes = Saved::new(&boxes);
            move |grad| erased(grad, boxes.get()?, frame, Ink::Values(vec![0.0]), None)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gradcheck;

    fn boxes() -> Tensor {
        Tensor::from_slice(&[0i64, 2, 1, 4, 0, 0, 0, 0], &[2, 4]).expect("fits")
    }

    #[test]
    fn values_stand_in_the_box_alone() {
        for (shape, first) in
            [(&[2, 3, 4][..], false), (&[2, 3, 4, 2][..], false), (&[2, 2, 3, 4][..], true)]
        {
            let x = Tensor::ones(shape, DType::F32).expect("small");
            let channels = if shape.len() == 3 { 1 } else { 2 };
            let values: Vec<f64> = (0..channels).map(|c| 5.0 + f64::from(c)).collect();
            let y = x.erase(&boxes(), Eraser::Values(values), first).expect("fits");
            for (at, &y) in y.to_array::<f32>().expect("float32").indexed_iter() {
                let (row, column, channel) = match (shape.len(), first) {
                    (3, _) => (at[1], at[2], 0),
                    (_, false) => (at[1], at[2], at[3]),
                    _ => (at[2], at[3], at[1]),
                };
                let inside = at[0] == 0 && row < 2 && (1..4).contains(&column);
                let expected = if inside { 5.0 + channel as f32 } else { 1.0 };
                assert!(y == expected, "{shape:?} {at:?}: {y}");
            }
            let ink = || Eraser::Values(vec![3.0]);
            let leaf = x.cast(DType::F64).expect("casts");
            gradcheck(|x| x[0].erase(&boxes(), ink(), first), &[leaf]).expect("the gradient");
        }
    }

    #[test]
    fn noise_has_bounds_and_does_not_depend_on_pieces() {
        let x = Tensor::full(&[64, 20, 30, 3], -1.0, DType::F32).expect("small");
        let run = |generator: Generator| {
            let boxes = random_boxes(&generator, 64, [20, 30], [1.0; 2], [0.3, 0.6]);
            let bounds = [0.0, 2.0];
            let eraser = Eraser::Noise { generator, deviation: 2.0, bounds };
            let y = x.erase(&boxes.expect("bounds"), eraser, false).expect("fits");
            y.to_vec::<f32>().expect("float32")
        };
        let before = crate::team::threads();
        crate::team::set_threads(1).expect("a count");
        let expected = run(Generator::new(1, 2));
        for threads in [2, 3, 8] {
            crate::team::set_threads(threads).expect("a count");
            assert!(run(Generator::new(1, 2)) == expected, "{threads} threads");
        }
        crate::team::set_threads(before).expect("a count");
        assert!(expected.iter().all(|&x| x == -1.0 || (0.0..=2.0).contains(&x)));
        let share = expected.iter().filter(|&&x| x == -1.0).count() as f64 / expected.len() as f64;
        assert!((0.4..0.7).contains(&share), "{share}");
    }

    #[test]
    fn boxes_have_the_shares_and_the_probability_asked_for() {
        let n = 4000;
        let drawn = |probability, scale| {
            let generator = Generator::new(1, 2);
            let boxes = random_boxes(&generator, n, [40, 90], probability, scale).expect("bounds");
            let boxes = boxes.to_vec::<i64>().expect("int64");
            boxes.chunks(4).map(|b| [b[0], b[1], b[2], b[3]]).collect::<Vec<_>>()
        };
        for probability in [[0.0, 0.0], [0.3, 0.3], [0.2, 0.8], [1.0, 1.0]] {
            let boxes = drawn(probability, [0.1, 0.2]);
            let share = boxes.iter().filter(|b| b[0] < b[1]).count() as f64 / n as f64;
            let expected = f64::midpoint(probability[0], probability[1]);
            let deviation = (expected * (1.0 - expected) / n as f64).sqrt();
            assert!((share - expected).abs() <= 4.0 * deviation, "{share}, {expected}");
        }
        for [top, bottom, left, right] in drawn([1.0; 2], [0.1, 0.2]) {
            assert!(0 <= top && bottom <= 40 && 0 <= left && right <= 90);
            // Sides of √0.1 to √0.2, and one pixel of rounding.
            assert!((11..=18).contains(&(bottom - top)), "{top} {bottom}");
            assert!((27..=41).contains(&(right - left)), "{left} {right}");
        }
        let all = drawn([1.0; 2], [1.0, 1.0]);
        assert!(all.iter().all(|b| *b == [0, 40, 0, 90]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = Tensor::ones(&[2, 3, 4, 2], DType::F32).expect("small");
        assert!(x.erase(&boxes(), Eraser::Values(vec![1.0; 3]), false).is_err());
        assert!(
            x.erase(
                &Tensor::zeros(&[2, 4], DType::F64).expect("small"),
                Eraser::Values(vec![1.0]),
                false
            )
            .is_err()
        );
        let generator = Generator::new(0, 0);
        assert!(random_boxes(&generator, 1, [1, 1], [0.5, 0.1], [0.1; 2]).is_err());
        assert!(random_boxes(&generator, 1, [1, 1], [0.5; 2], [0.1, 1.5]).is_err());
    }
}
