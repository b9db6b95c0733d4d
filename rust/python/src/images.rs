//! Images that are changed at random: their maps, boxes and coins, and what is done with these.

use evengrad_core::ops::affine::{AffineRanges, Fill, Interpolation, random_affine as core_affine};
use evengrad_core::ops::color::{Bounds, Change};
use evengrad_core::ops::erase::{Eraser, random_boxes as core_boxes};
use pyo3::prelude::*;

use crate::Any;
use crate::names::choose;
use crate::native_call::run_tensor;
use crate::operand::other_tensor;
use crate::random::Generator;
use crate::tensor::Tensor;

const INTERPOLATIONS: [(&str, Interpolation); 2] =
    [("nearest", Interpolation::Nearest), ("bilinear", Interpolation::Bilinear)];
const CHANGES: [(&str, Change); 2] =
    [("brightness", Change::Brightness), ("contrast", Change::Contrast)];

/// The two ends of a range, in Python and in the core.
type Range = (f64, f64);

fn ends((low, high): Range) -> [f64; 2] {
    [low, high]
}

/// Map images: each pixel of the result is what stands at a place of the image.
///
/// Pixel (x, y) of the result, columns first, looks at (a x + b y + c, d x + e y + f). The gradient of the images is that
/// of the transposed map; the numbers of the maps have none.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     (images, height, width) or (images, height, width, channels).
/// maps : Tensor
///     float64, (images, 6): a, b, c, d, e, f of each.
/// fill_mode : str
///     What lies beyond the edges: "constant", "nearest", "reflect" or "wrap".
/// interpolation : str
///     "nearest" or "bilinear".
/// fill_value : float
///     The constant.
/// channels_first : bool
///     Whether four dimensions are (images, channels, height, width).
///
/// Raises
/// ------
/// ValueError
///     If shapes do not fit or a mode is unknown.
/// TypeError
///     If the images are no floating-point numbers.
///
/// Examples
/// --------
/// >>> left = eg.tensor([[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]], dtype="float64")
/// >>> eg._core.affine_transform(eg.tensor([[[1.0, 2.0, 3.0]]]), left, "wrap").tolist()
/// [[[2.0, 3.0, 1.0]]]
#[pyfunction]
#[pyo3(signature = (x, maps, fill_mode="constant", interpolation="bilinear", fill_value=0.0, channels_first=false))]
pub(crate) fn affine_transform(
    x: &Any<'_>,
    maps: &Bound<'_, Tensor>,
    fill_mode: &str,
    interpolation: &str,
    fill_value: f64,
    channels_first: bool,
) -> PyResult<Tensor> {
    let fills = [
        ("constant", Fill::Constant(fill_value)),
        ("nearest", Fill::Nearest),
        ("reflect", Fill::Reflect),
        ("wrap", Fill::Wrap),
    ];
    let fill = choose("fill_mode", fill_mode, &fills)?;
    let interpolation = choose("interpolation", interpolation, &INTERPOLATIONS)?;
    let (py, x, maps) = (x.py(), other_tensor("x", x, None)?, &maps.get().0);
    run_tensor(py, || x.affine_transform(maps, fill, interpolation, channels_first))
}

/// Draw a map for `affine_transform` for each of some images: shifted, turned about the middle, zoomed.
///
/// Parameters
/// ----------
/// generator : Generator
///     Draws once a call, and once a replay.
/// images, height, width : int
///     How many, and their sizes.
/// down, right : (float, float)
///     How far images move, in parts of their height and width.
/// angle : (float, float)
///     In radians, counter-clockwise.
/// zoom : (float, float)
///     Factors of the height that is looked at: above 1, images become smaller.
/// zoom_width : (float, float), optional
///     Those of the width; the same as of the height if None.
///
/// Returns
/// -------
/// Tensor
///     float64, (images, 6).
///
/// Raises
/// ------
/// ValueError
///     If bounds are not finite or not in order.
///
/// Examples
/// --------
/// >>> eg._core.random_affine(eg._core.Generator(7), 2, 28, 28, down=(0.5, 0.5))[0].tolist()
/// [1.0, 0.0, 0.0, 0.0, 1.0, -14.0]
#[pyfunction]
#[pyo3(signature = (generator, images, height, width, down=(0.0, 0.0), right=(0.0, 0.0), angle=(0.0, 0.0),
    zoom=(1.0, 1.0), zoom_width=None))]
#[allow(clippy::too_many_arguments, reason = "they are Python's, by name")]
pub(crate) fn random_affine(
    generator: &Bound<'_, Generator>,
    images: usize,
    height: usize,
    width: usize,
    down: Range,
    right: Range,
    angle: Range,
    zoom: Range,
    zoom_width: Option<Range>,
) -> PyResult<Tensor> {
    let ranges = AffineRanges {
        shift: [ends(down), ends(right)],
        angle: ends(angle),
        zoom: (ends(zoom), zoom_width.map(ends)),
    };
    let (py, generator) = (generator.py(), &generator.get().0);
    run_tensor(py, || core_affine(generator, images, [height, width], ranges))
}

/// Mirror images: each axis of each image where its coin is below a half.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     (images, height, width) or (images, height, width, channels).
/// coins : Tensor
///     float64, (images, 2): for up and down, and for left and right.
/// vertical, horizontal : bool
///     Which axes are mirrored at all.
/// channels_first : bool
///     Whether four dimensions are (images, channels, height, width).
///
/// Raises
/// ------
/// ValueError
///     If shapes do not fit.
/// TypeError
///     If the images are no floating-point numbers.
///
/// Examples
/// --------
/// >>> coins = eg.tensor([[0.9, 0.1]], dtype="float64")
/// >>> eg._core.flip_images(eg.tensor([[[1.0, 2.0], [3.0, 4.0]]]), coins).tolist()
/// [[[2.0, 1.0], [4.0, 3.0]]]
#[pyfunction]
#[pyo3(signature = (x, coins, vertical=true, horizontal=true, channels_first=false))]
pub(crate) fn flip_images(
    x: &Any<'_>,
    coins: &Bound<'_, Tensor>,
    vertical: bool,
    horizontal: bool,
    channels_first: bool,
) -> PyResult<Tensor> {
    let (py, x, coins) = (x.py(), other_tensor("x", x, None)?, &coins.get().0);
    run_tensor(py, || x.flip_images(coins, [vertical, horizontal], channels_first))
}

/// Change the colours of images, each by its number: clip(x + d), or clip(mean + f · (x - mean)).
///
/// The mean is that of a channel of an image. Where the bounds have cut, no gradient passes.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     (images, height, width) or (images, height, width, channels).
/// change : str
///     "brightness" or "contrast".
/// numbers : Tensor
///     float64, (images, 1).
/// bounds : (float, float)
///     The least and the largest value of the result.
/// channels_first : bool
///     Whether four dimensions are (images, channels, height, width).
///
/// Raises
/// ------
/// ValueError
///     If shapes do not fit, or bounds are not in order.
/// TypeError
///     If the images are no floating-point numbers.
///
/// Examples
/// --------
/// >>> x, number = eg.tensor([[[0.25, 0.75]]]), eg.tensor([[2.0]], dtype="float64")
/// >>> eg._core.change_color(x, "contrast", number, (0.0, 0.875)).tolist()
/// [[[0.0, 0.875]]]
#[pyfunction]
#[pyo3(signature = (x, change, numbers, bounds, channels_first=false))]
pub(crate) fn change_color(
    x: &Any<'_>,
    change: &str,
    numbers: &Bound<'_, Tensor>,
    bounds: Range,
    channels_first: bool,
) -> PyResult<Tensor> {
    let change = choose("change", change, &CHANGES)?;
    let (py, x, numbers) = (x.py(), other_tensor("x", x, None)?, &numbers.get().0);
    let bounds = Bounds { low: bounds.0, high: bounds.1 };
    run_tensor(py, || x.change_color(change, numbers, bounds, channels_first))
}

/// Draw a box in each of some images: empty where an image is to stay as it is.
///
/// Parameters
/// ----------
/// generator : Generator
///     Draws once a call, and once a replay.
/// images, height, width : int
///     How many, and their sizes.
/// probability : (float, float)
///     Bounds of the probability of a box.
/// scale : (float, float)
///     Bounds of the squares of its sides, in parts of the image's.
///
/// Returns
/// -------
/// Tensor
///     int64, (images, 4): first row, end of the rows, first column, end of the columns.
///
/// Raises
/// ------
/// ValueError
///     If bounds are not from 0 to 1 in order.
///
/// Examples
/// --------
/// >>> eg._core.random_boxes(eg._core.Generator(7), 1, 4, 6, scale=(1.0, 1.0)).tolist()
/// [[0, 4, 0, 6]]
#[pyfunction]
#[pyo3(signature = (generator, images, height, width, probability=(1.0, 1.0), scale=(0.02, 0.33)))]
pub(crate) fn random_boxes(
    generator: &Bound<'_, Generator>,
    images: usize,
    height: usize,
    width: usize,
    probability: Range,
    scale: Range,
) -> PyResult<Tensor> {
    let (py, generator) = (generator.py(), &generator.get().0);
    run_tensor(py, || {
        core_boxes(generator, images, [height, width], ends(probability), ends(scale))
    })
}

/// Replace a box of each image, by values or by noise. No gradient passes there.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     (images, height, width) or (images, height, width, channels).
/// boxes : Tensor
///     As of `random_boxes`.
/// values : list of floats, optional
///     One, or one for each channel; noise if None.
/// generator : Generator, optional
///     Draws the noise.
/// deviation : float
///     That of the noise, of mean 0.
/// bounds : (float, float)
///     Its least and largest value.
/// channels_first : bool
///     Whether four dimensions are (images, channels, height, width).
///
/// Raises
/// ------
/// ValueError
///     If shapes do not fit, or there are neither values nor a generator.
/// TypeError
///     If the images are no floating-point numbers.
///
/// Examples
/// --------
/// >>> box = eg.tensor([[0, 1, 1, 3]])
/// >>> eg._core.erase(eg.ones((1, 2, 3)), box, [5.0]).tolist()
/// [[[1.0, 5.0, 5.0], [1.0, 1.0, 1.0]]]
#[pyfunction]
#[pyo3(signature = (x, boxes, values=None, generator=None, deviation=1.0, bounds=(f64::NEG_INFINITY, f64::INFINITY),
    channels_first=false))]
pub(crate) fn erase(
    x: &Any<'_>,
    boxes: &Bound<'_, Tensor>,
    values: Option<Vec<f64>>,
    generator: Option<&Bound<'_, Generator>>,
    deviation: f64,
    bounds: Range,
    channels_first: bool,
) -> PyResult<Tensor> {
    let eraser = match (values, generator) {
        (Some(values), _) => Eraser::Values(values),
        (None, Some(generator)) => {
            let generator = generator.get().0.clone();
            Eraser::Noise { generator, deviation, bounds: ends(bounds) }
        }
        (None, None) => {
            return Err(pyo3::exceptions::PyValueError::new_err(
                "erase: expected values, or a generator of noise, got neither",
            ));
        }
    };
    let (py, x, boxes) = (x.py(), other_tensor("x", x, None)?, &boxes.get().0);
    run_tensor(py, || x.erase(boxes, eraser, channels_first))
}
