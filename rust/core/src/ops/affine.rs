//! Affine maps of images: shifts, rotations, zooms, all at once.
//!
//! ```text
//! y[i, j] = x(a j + b i + c, d j + e i + f)        x(u, v): between the pixels, and beyond the edges, as modes say
//! ```
//!
//! The six numbers of each image go from places of the result to places of the image, columns first. The gradient of an
//! image is the transposed map; the numbers have none.

use smallvec::smallvec;

use crate::dtype::{DType, with_float};
use crate::error::{Result, bail};
use crate::generator::Generator;
use crate::kernels::warp::{self, COEFFICIENTS, Warp};
use crate::launch::{Cost, Operand, launch};
use crate::ops::images::{check_rows, frame_of};
use crate::rng::fill_uniform;
use crate::tape::Saved;
use crate::tensor::Tensor;

pub use crate::kernels::warp::{AffineRanges, Fill, Interpolation};

/// One launch of the map or its adjoint.
fn mapped(x: &Tensor, maps: &Tensor, how: Warp, adjoint: bool) -> Result<Tensor> {
    let x = x.packed()?;
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let image = how.frame.count();
    let operands = smallvec![
        Operand::read_own(&x, image),
        Operand::read_own(maps, COEFFICIENTS),
        Operand::write_own(&out, image),
    ];
    // Four pixels are read at places of their own, and mixed.
    let cost = Cost::elementwise(x.count(), 100.0, 2, x.dtype());
    let name = if adjoint { "affine_transform backward" } else { "affine_transform" };
    with_float!(x.dtype(), "affine_transform", T => launch(name, x.shape()[0], cost, operands,
    move |items, arguments| {
        let (x, maps) = (arguments.own::<T>(0, &items), arguments.own::<f64>(1, &items));
        let out = arguments.own_mut::<T>(2, &items);
        if adjoint {
            warp::adjoint(&how, maps, x, out);
        } else {
            warp::warp(&how, maps, x, out);
        }
    }))?;
    Ok(out)
}

/// An error for ranges that have no maps.
fn check(ranges: &AffineRanges) -> Result<()> {
    let all = [ranges.shift[0], ranges.shift[1], ranges.angle, ranges.zoom.0];
    for [low, high] in all.into_iter().chain(ranges.zoom.1) {
        if !(low <= high && low.is_finite() && high.is_finite()) {
            bail!(Value, "random_affine: expected finite bounds in order, got {low} and {high}");
        }
    }
    // Within the numbers that have a sine.
    if ranges.angle.iter().any(|angle| angle.abs() > 1e6) {
        bail!(Value, "random_affine: expected angles in radians, got {}", ranges.angle[1]);
    }
    Ok(())
}

/// Draws a map for each of some images of a height and a width: float64 of shape (images, 6).
pub fn random_affine(
    generator: &Generator,
    images: usize,
    [height, width]: [usize; 2],
    ranges: AffineRanges,
) -> Result<Tensor> {
    check(&ranges)?;
    let out = Tensor::empty(&[images, COEFFICIENTS], DType::F64)?;
    let (key, number) = (generator.key(), generator.draw()?);
    let operands = smallvec![Operand::read(&number), Operand::write_own(&out, COEFFICIENTS)];
    let cost = Cost::elementwise(out.count(), 64.0, 1, DType::F64);
    launch("random_affine", images, cost, operands, move |items, arguments| {
        let draw = arguments.all::<i64>(0)[0] as u64;
        let numbers = arguments.own_mut::<f64>(1, &items);
        fill_uniform(key, draw, (items.start * COEFFICIENTS) as u64, numbers);
        warp::make_maps(&ranges, [height, width], numbers);
    })?;
    Ok(out)
}

impl Tensor {
    /// Maps each image by its row of `maps`: float64 of shape (images, 6).
    pub fn affine_transform(
        &self,
        maps: &Self,
        fill: Fill,
        interpolation: Interpolation,
        channels_first: bool,
    ) -> Result<Self> {
        let frame = frame_of("affine_transform", self, channels_first)?;
        check_rows("affine_transform", "maps", maps, [self.shape()[0], COEFFICIENTS])?;
        let (how, maps) = (Warp { frame, fill, interpolation }, maps.packed()?);
        let out = mapped(self, &maps, how, false)?;
        Ok(out.recorded_of("affine_transform", self, |_| {
            let maps = Saved::new(&maps);
            move |grad| mapped(grad, maps.get()?, how, true)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gradcheck;

    fn some(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f64> = (0..n).map(|i| (i * 7919 % 6007) as f64 / 1001.0 - 3.0).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }

    fn ranges() -> AffineRanges {
        AffineRanges {
            shift: [[-0.5, 0.2], [0.1, 0.3]],
            angle: [-1.0, 2.0],
            zoom: ([0.5, 1.5], None),
        }
    }

    #[test]
    fn gradients_of_every_mode_and_layout() {
        for fill in [Fill::Constant(0.5), Fill::Nearest, Fill::Reflect, Fill::Wrap] {
            for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
                for (shape, first) in
                    [(&[2, 4, 5][..], false), (&[2, 3, 4, 3][..], false), (&[2, 2, 3, 5][..], true)]
                {
                    let sizes = if first { [3, 5] } else { [shape[1], shape[2]] };
                    let maps = random_affine(&Generator::new(3, 4), 2, sizes, ranges());
                    let maps = maps.expect("ranges");
                    gradcheck(
                        |x| x[0].affine_transform(&maps, fill, interpolation, first),
                        &[some(shape)],
                    )
                    .expect("the gradient");
                }
            }
        }
    }

    #[test]
    fn maps_have_the_ranges_asked_for() {
        let n = 4000;
        let drawn = |ranges| {
            let maps = random_affine(&Generator::new(1, 2), n, [11, 21], ranges).expect("ranges");
            maps.to_vec::<f64>().expect("float64")
        };
        let none = drawn(AffineRanges::NONE);
        assert!(none.chunks(6).all(|map| *map == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
        let shifts = drawn(AffineRanges { shift: [[-0.5, 0.2], [0.1, 0.3]], ..AffineRanges::NONE });
        let of = |at: usize| shifts.iter().skip(at).step_by(6).copied();
        assert!(of(5).all(|down| (-0.2 * 11.0..=0.5 * 11.0).contains(&down)));
        assert!(of(2).all(|right| (-0.3 * 21.0..=-0.1 * 21.0).contains(&right)));
        // The deviation of the mean is 0.7 · 11 / √(12 n).
        let mean = of(5).sum::<f64>() / n as f64;
        assert!((mean - 0.15 * 11.0).abs() < 4.0 * 7.7 / (12.0 * n as f64).sqrt(), "{mean}");
        let turned = drawn(AffineRanges { angle: [-1.0, 2.0], ..AffineRanges::NONE });
        for map in turned.chunks(6) {
            assert!((map[0] * map[4] - map[1] * map[3] - 1.0).abs() < 1e-12);
            assert!((-1.0..=2.0).contains(&map[3].atan2(map[0])));
            // The middle stays.
            assert!((map[0] * 10.0 + map[1] * 5.0 + map[2] - 10.0).abs() < 1e-12);
        }
        let zoomed = drawn(AffineRanges { zoom: ([0.5, 1.5], None), ..AffineRanges::NONE });
        assert!(zoomed.chunks(6).all(|map| map[0] == map[4] && (0.5..=1.5).contains(&map[0])));
    }

    #[test]
    fn threads_do_not_change_bits() {
        let x = some(&[64, 20, 30]).cast(DType::F32).expect("casts");
        let run = || {
            let maps = random_affine(&Generator::new(3, 4), 64, [20, 30], ranges());
            let y = x.affine_transform(
                &maps.expect("ranges"),
                Fill::Reflect,
                Interpolation::Bilinear,
                false,
            );
            y.expect("fits").to_vec::<f32>().expect("float32")
        };
        let before = crate::team::threads();
        crate::team::set_threads(1).expect("a count");
        let expected = run();
        for threads in [2, 3, 8] {
            crate::team::set_threads(threads).expect("a count");
            assert!(run() == expected, "{threads} threads");
        }
        crate::team::set_threads(before).expect("a count");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (x, maps) = (some(&[2, 3, 4]), some(&[2, 6]));
        let run = |x: &Tensor, maps: &Tensor| {
            x.affine_transform(maps, Fill::Wrap, Interpolation::Nearest, false)
        };
        assert!(run(&x, &maps).is_ok());
        assert!(run(&some(&[2, 3]), &maps).is_err());
        assert!(run(&x, &some(&[3, 6])).is_err());
        assert!(run(&x, &maps.cast(DType::F32).expect("casts")).is_err());
        let wrong = AffineRanges { angle: [1.0, 0.0], ..AffineRanges::NONE };
        assert!(random_affine(&Generator::new(0, 0), 1, [1, 1], wrong).is_err());
        let none = Tensor::zeros(&[0, 3, 4], DType::F64).expect("empty");
        let maps = Tensor::zeros(&[0, 6], DType::F64).expect("empty");
        assert_eq!(run(&none, &maps).expect("no images").shape(), [0, 3, 4]);
    }
}
